/** Chooses the renderers of a run, feeds them its events, and turns a failed run into its error. */
import type { RunEvent } from "../engine/types.ts";
import { isKubestickError, KubestickError } from "../errors.ts";
import { asKubestickError, errorDocument } from "./errors.ts";
import { findingLines, isNextStep } from "./finding-text.ts";
import { painter, type Io, type OutputFormat } from "./io.ts";
import { planText } from "./render-dry-run.ts";
import { createJsonlRenderer, createJsonRenderer, type MachineRenderer } from "./render-json.ts";
import { createPlainRenderer } from "./render-plain.ts";
import { createTtyRenderer } from "./render-tty.ts";
import { foldEvent, newRunState, whatIsLeft, type RunState } from "./run-state.ts";

/** For people, on standard error. */
export interface Renderer {
  event(event: RunEvent): void;
  /** Leaves the terminal as it was found. */
  end(): void;
}

export interface RunView {
  /** `kubestick init`. */
  readonly title: string;
  readonly format: OutputFormat;
  /** What a person types to go on after an interruption. */
  readonly continueWith: string;
}

/**
 * Shows a run while it happens: progress on standard error, results on standard output. Resolves when it ended well and throws its error
 * when it did not, after all renderers are closed.
 */
export async function renderRun(events: AsyncGenerator<RunEvent, unknown>, io: Io, view: RunView): Promise<RunState> {
  const state = newRunState(view.title.split(" ").at(-1) as string);
  const machine = machineRenderer(io, view.format, state.flow);
  const human = humanRenderer(io, view);
  let thrown: unknown;
  try {
    for (let step = await events.next(); ; step = await events.next()) {
      if (step.done === true) {
        // The engine returns how it ended; its error knows more than an event may tell (cause, exit code).
        thrown = (step.value as { readonly error?: unknown } | undefined)?.error;
        break;
      }
      const event = step.value;
      // What a dry run would print at its end (a join command) belongs to a cluster that does not exist.
      if (event.type === "result" && state.dryRun) continue;
      foldEvent(state, event);
      machine?.event(event);
      human?.event(event);
    }
  } catch (error) {
    thrown = error ?? new Error("a run failed without saying why");
  }
  human?.end();
  const failure = failureOf(state, thrown, io.signal, view);
  machine?.end(failure === undefined ? undefined : errorDocument(failure));
  if (machine === undefined) {
    if (state.dryRun && state.actions.size > 0) io.stdout.write(planText(state, io.color && io.stdout.isTerminal));
    if (failure === undefined && !state.dryRun) io.stderr.write(nextSteps(state, io));
    for (const { result } of state.results) io.stdout.write(result.text);
  }
  if (failure !== undefined) throw failure;
  return state;
}

/** What phases tell a person to do when all is done. */
function nextSteps(state: RunState, io: Io): string {
  const paint = painter(io.color && io.stderr.isTerminal);
  const width = io.stderr.isTerminal ? io.stderr.columns() : Number.POSITIVE_INFINITY;
  return state.findings.map(({ finding }) => finding).filter(isNextStep).flatMap((finding) => findingLines(finding, false, width, paint, "")).map((line) => `${line}\n`).join("");
}

/** On a terminal something moves; in a log nothing does. `-o jsonl` is a stream of its own and needs no second one beside it. */
function humanRenderer(io: Io, view: RunView): Renderer | undefined {
  if (view.format === "jsonl") return undefined;
  return io.stderr.isTerminal && io.color ? createTtyRenderer(io, view.title) : createPlainRenderer(io, view.title);
}

function machineRenderer(io: Io, format: OutputFormat, flow: string): MachineRenderer | undefined {
  if (format === "json") return createJsonRenderer(io.stdout, flow);
  if (format === "jsonl") return createJsonlRenderer(io.stdout);
  return undefined;
}

function failureOf(state: RunState, thrown: unknown, signal: AbortSignal, view: RunView): KubestickError | undefined {
  const told = state.finished?.ok === false ? state.finished.error : undefined;
  if (thrown === undefined && state.finished?.ok === true) return undefined;
  if (signal.aborted && !isKubestickError(thrown) && told === undefined) return interrupted(state, view);
  if (thrown !== undefined && (told === undefined || isKubestickError(thrown))) return asKubestickError(thrown, `running "${view.title}"`);
  if (told !== undefined) return new KubestickError({ ...told, cause: thrown });
  return asKubestickError(new Error("the run ended without a last event"), `running "${view.title}"`);
}

/** Somebody stopped the run: what is done, what is left, and how to go on or back. */
function interrupted(state: RunState, view: RunView): KubestickError {
  return new KubestickError({
    code: "INTERRUPTED",
    attempted: `running "${view.title}"`,
    happened: `The run was stopped. ${state.dryRun ? "Nothing was changed." : "It ended between two actions; nothing is half written."}`,
    next: view.continueWith,
    details: whatIsLeft(state),
    exitCode: 130,
  });
}
