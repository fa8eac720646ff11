/**
 * One action: look, and only where the thing differs, write down what was found, change it, look again, write down that it is done.
 */
import { KubestickError } from "../errors.ts";
import type { Observation } from "./actions/handler.ts";
import { handlerOf } from "./actions/table.ts";
import type { ActionContext, Progress } from "./context.ts";
import type { Action, RunEvent } from "./types.ts";

export interface Performed {
  readonly changed: boolean;
  readonly observed: Observation;
}

type Emit = (event: RunEvent) => void;

export async function perform(phase: string, action: Action, context: ActionContext, emit: Emit): Promise<Performed> {
  const handler = handlerOf(action.kind);
  const started = context.host.now().getTime();
  const tell = (status: Extract<RunEvent, { type: "action" }>["status"], more: { readonly detail?: string; readonly body?: string } = {}): void => {
    const ms = context.host.now().getTime() - started;
    emit({
      type: "action", phase, ...(action.step === undefined ? {} : { step: action.step }), id: action.id, kind: action.kind, status,
      ...(more.detail === undefined ? {} : { detail: more.detail }), ...(more.body === undefined ? {} : { body: more.body }),
      ...(status === "started" ? {} : { ms: Math.max(0, ms) }),
    });
  };
  const progress = throttled(context, (done, total, unit, label) => {
    emit({ type: "progress", phase, id: action.id, done, ...(total === undefined ? {} : { total }), unit, ...(label === undefined ? {} : { label }) });
  });

  try {
    const observed = await handler.observe(action, context, progress);
    if (observed.state === "same") {
      tell("unchanged", observed.detail === undefined ? {} : { detail: observed.detail });
      return { changed: false, observed };
    }
    if (context.dryRun) {
      tell("planned", { detail: observed.detail, ...(observed.body === undefined ? {} : { body: observed.body }) });
      return { changed: true, observed };
    }
    if (handler.slow) tell("started", { detail: observed.detail });

    const { journal } = context;
    if (handler.journaled && !journal.has(action.id)) {
      const undo = await handler.record(action, context);
      if (undo !== undefined) await journal.append({ id: action.id, kind: action.kind, what: "intent", undo });
    }
    const applied = await handler.apply(action, context, progress, observed);
    const second = await handler.verify?.(action, context);
    if (second?.state === "differs") throw notAsWanted(action, second.detail);
    if (handler.journaled) await journal.append({ id: action.id, kind: action.kind, what: applied.what, ...(applied.fingerprint === undefined ? {} : { fingerprint: applied.fingerprint }) });
    tell("applied", { detail: applied.detail, ...(applied.body === undefined ? {} : { body: applied.body }) });
    return { changed: true, observed };
  } catch (error) {
    if (!context.signal.aborted) tell("failed");
    throw error;
  }
}

/** A disk tells of every chunk, a person reads a few lines a second. The last word of each kind always comes through. */
function throttled({ host }: ActionContext, report: Progress): Progress {
  let last = Number.NEGATIVE_INFINITY;
  let label: string | undefined;
  return (done, total, unit, now) => {
    const time = host.now().getTime();
    if (unit === "bytes" && done !== total && now === label && Math.abs(time - last) < 100) return;
    last = time;
    label = now;
    report(done, total, unit, now);
  };
}

function notAsWanted(action: Action, detail: string): KubestickError {
  return new KubestickError({
    code: "VERIFY_FAILED",
    attempted: `making ${action.id}`,
    happened: `It was made, but a second look finds: ${detail}.`,
    next: "Something else on this machine changes it back. Find out what does (configuration management, another agent), stop it, then run the same command again.",
  });
}

