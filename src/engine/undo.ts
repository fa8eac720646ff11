/**
 * The way back: everything the journal says was made, undone in reverse.
 *
 * What was found is never removed: changed files get their old content back, units that ran before us run on, directories stay
 * when somebody else put things into them. A failure does not end it; all are told at the end, and the journal stays, so
 * that the same command can be run again.
 */
import { KubestickError } from "../errors.ts";
import { sandboxRemover } from "./actions/sandboxes.ts";
import type { UndoContext } from "./actions/handler.ts";
import { handlerOf } from "./actions/table.ts";
import { openClients } from "./clients.ts";
import { stateDirectoryOf, type RunContext } from "./context.ts";
import { withEvents } from "./event-queue.ts";
import { httpGet } from "./http-get.ts";
import { openJournal } from "./journal.ts";
import { finishedEvent, interrupted, toFailure, type RunOutcome } from "./outcome.ts";
import type { ActionStatus, JournalEntry, RunEvent } from "./types.ts";

export type ResetContext = Pick<RunContext, "host" | "pkg" | "runtime" | "connect" | "config" | "dryRun" | "signal" | "stateDirectory" | "lock">;

const phase = "undo";

/** Never throws: how it ended is the last event, `run-finished`, and the generator's value. */
export function runReset(context: ResetContext): AsyncGenerator<RunEvent, RunOutcome> {
  return withEvents((emit) => reset(context, emit));
}

/**
 * One entry per thing, at the place where it was first touched: a unit is then undone after everything that was written while it
 * ran (images before their runtime stops) and before what it was started from (its unit file and its program).
 */
export function undoOrder(entries: readonly JournalEntry[]): readonly JournalEntry[] {
  return entries.filter((entry) => entry.what === "intent").toReversed();
}

async function reset(context: ResetContext, emit: (event: RunEvent) => void): Promise<RunOutcome> {
  const { host, dryRun, signal } = context;
  const started = host.now().getTime();
  const failures: { readonly id: string; readonly error: KubestickError }[] = [];
  const counts = { changed: 0, unchanged: 0 };
  let lock: { release(): Promise<void> } | undefined;
  let error: KubestickError | undefined;
  emit({ type: "run-started", flow: "reset", dryRun, phases: [{ id: phase, title: "Undo what kubestick made on this machine" }] });
  try {
    if (!dryRun) lock = await context.lock?.();
    emit({ type: "phase-started", phase, title: "Undo what kubestick made on this machine", index: 0, total: 1 });
    const undo = await undoContext(context);
    try {
      const entries = undoOrder(undo.journal.entries);
      for (const [index, entry] of entries.entries()) {
        if (signal.aborted) throw interrupted("reset", undefined, entries.slice(index).map(({ id }) => id));
        await undoOne(entry, undo, emit, counts, failures);
      }
      if (!dryRun) {
        await afterwards(undo, emit, failures);
        if (failures.length === 0) await host.remove(undo.stateDirectory, { recursive: true });
      }
    } finally {
      await undo.clients.close();
    }
    error = incomplete(failures, undo.stateDirectory);
  } catch (thrown) {
    error = signal.aborted && !(thrown instanceof KubestickError) ? interrupted("reset", undefined, []) : toFailure(thrown, "undoing what kubestick made");
  }
  await lock?.release().catch((thrown: unknown) => { error ??= toFailure(thrown, "releasing the lock"); });
  const ms = Math.max(0, host.now().getTime() - started);
  emit({ type: "phase-finished", phase, ms, ...counts });
  const outcome: RunOutcome = { ok: error === undefined, exitCode: error?.exitCode ?? 0, ...counts, ms, results: [], ...(error === undefined ? {} : { error }) };
  emit(finishedEvent(outcome));
  return outcome;
}

async function undoContext(context: ResetContext): Promise<UndoContext> {
  const stateDirectory = stateDirectoryOf(context);
  return {
    host: context.host, pkg: context.pkg, signal: context.signal, dryRun: context.dryRun, stateDirectory,
    clients: openClients(context), journal: await openJournal(context.host, stateDirectory, context.dryRun),
    planned: undefined, diagnose: undefined, httpGet, toYaml: JSON.stringify,
    sandboxes: sandboxRemover(), afterwards: { reload: false, restart: new Set() },
  };
}

async function undoOne(entry: JournalEntry, context: UndoContext, emit: (event: RunEvent) => void, counts: { changed: number; unchanged: number }, failures: { readonly id: string; readonly error: KubestickError }[]): Promise<void> {
  const tell = (status: ActionStatus, detail?: string): void => {
    emit({ type: "action", phase, id: entry.id, kind: entry.kind, status, ...(detail === undefined ? {} : { detail }) });
  };
  if (context.dryRun) {
    counts.changed += 1;
    return tell("planned", "to be undone");
  }
  try {
    const undone = await handlerOf(entry.kind).undo(entry, context);
    if (undone === undefined) return;
    if (undone.status === "removed") counts.changed += 1;
    else counts.unchanged += 1;
    tell(undone.status, undone.detail);
  } catch (thrown) {
    const error = toFailure(thrown, `undoing ${entry.id}`);
    failures.push({ id: entry.id, error });
    tell("failed", error.happened);
  }
}

/** systemd learns of removed unit files; units that were there before us read their old configuration again. */
async function afterwards({ host, afterwards: { reload, restart } }: UndoContext, emit: (event: RunEvent) => void, failures: { readonly id: string; readonly error: KubestickError }[]): Promise<void> {
  const attempt = async (id: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (thrown) {
      const error = toFailure(thrown, `undoing ${id}`);
      failures.push({ id, error });
      emit({ type: "action", phase, id, kind: "unit", status: "failed", detail: error.happened });
    }
  };
  if (reload) await attempt("unit/daemon-reload", () => host.daemonReload());
  for (const name of restart) await attempt(`unit/${name}`, () => host.unitCommand(name, "restart"));
}

function incomplete(failures: readonly { readonly id: string; readonly error: KubestickError }[], stateDirectory: string): KubestickError | undefined {
  if (failures.length === 0) return undefined;
  return new KubestickError({
    code: "RESET_INCOMPLETE",
    attempted: "undoing what kubestick made",
    happened: `${failures.length} ${failures.length === 1 ? "thing" : "things"} could not be undone: ${failures.map(({ id }) => id).join(", ")}.`,
    next: `Cure what is listed and run the same command again; ${stateDirectory} stays until everything is undone.`,
    details: failures.map(({ id, error }) => `${id}: ${error.happened} ${error.next}`),
  });
}
