/** How a run ended, as an event and as a value. */
import { KubestickError, isKubestickError, messageOf } from "../errors.ts";
import type { PhaseResult, RunEvent } from "./types.ts";

export interface RunOutcome {
  readonly ok: boolean;
  /** 0, the error's own, or 130 after Ctrl-C. */
  readonly exitCode: number;
  readonly changed: number;
  readonly unchanged: number;
  readonly ms: number;
  readonly results: readonly PhaseResult[];
  readonly error?: KubestickError;
}

export function finishedEvent({ ok, ms, changed, unchanged, error }: RunOutcome): RunEvent {
  return {
    type: "run-finished", ok, ms, changed, unchanged,
    ...(error === undefined ? {} : { error: { code: error.code, attempted: error.attempted, happened: error.happened, next: error.next, details: error.details } }),
  };
}

/** Whatever was thrown, in words. What is not a `KubestickError` is a mistake of this program and says so. */
export function toFailure(thrown: unknown, attempted: string): KubestickError {
  if (isKubestickError(thrown)) return thrown;
  return new KubestickError({
    code: "INTERNAL",
    attempted,
    happened: messageOf(thrown),
    next: "This is a mistake in kubestick. Running the same command again continues where it stopped; please report it with the lines below.",
    details: thrown instanceof Error ? (thrown.stack ?? "").split("\n").slice(1, 6).map((line) => line.trim()) : [],
    cause: thrown,
  });
}

export function interrupted(flow: string, phase: string | undefined, left: readonly string[]): KubestickError {
  return new KubestickError({
    code: "INTERRUPTED",
    attempted: phase === undefined ? `running ${flow}` : `running phase ${phase} of ${flow}`,
    happened: left.length === 0 ? "It was interrupted." : `It was interrupted; still to be done: ${left.join(", ")}.`,
    next: "Run the same command again: it continues where it stopped. To take everything back instead: kubestick reset",
    details: left,
    exitCode: 130,
  });
}
