/** What each kind of action knows how to do. One file per kind implements it; `table.ts` lists them. */
import type { ActionContext, Progress } from "../context.ts";
import type { Action, JournalEntry } from "../types.ts";
import type { Sandboxes } from "./sandboxes.ts";

export type Observation =
  | { readonly state: "same"; readonly detail?: string }
  /** `detail` is one line; `body` the content or a diff, never of a secret. `absent`: there is nothing in its place. */
  | { readonly state: "differs"; readonly detail: string; readonly body?: string; readonly absent?: true };

export interface Applied {
  readonly what: Exclude<JournalEntry["what"], "intent">;
  /** Begins with a verb: `created 0600, 5432 bytes`. */
  readonly detail: string;
  readonly body?: string;
  readonly fingerprint?: string;
}

/** What was found before the change: plain data, enough to bring it back, never a secret. */
export type UndoRecord = Readonly<Record<string, unknown>>;

export interface Undone {
  readonly status: "removed" | "kept";
  readonly detail: string;
}

export interface UndoContext extends ActionContext {
  readonly sandboxes: Sandboxes;
  /** What is left for the end: systemd reads its unit files again, units that ran before us their old configuration. */
  readonly afterwards: { reload: boolean; readonly restart: Set<string> };
}

export interface Handler<A extends Action> {
  /** Reported as `started` before it is applied, because it takes time. */
  readonly slow: boolean;
  /** How many that follow each other in a plan may be performed at once, because none needs another; 1 when left out. */
  readonly together?: number;
  /** Makes something that an earlier or later run should know of. */
  readonly journaled: boolean;
  observe(action: A, context: ActionContext, progress: Progress): Promise<Observation>;
  /** Called before the first change of a thing; its answer goes to the journal. undefined: leaves nothing that could be undone. */
  record(action: A, context: ActionContext): Promise<UndoRecord | undefined>;
  apply(action: A, context: ActionContext, progress: Progress, observed: Extract<Observation, { state: "differs" }>): Promise<Applied>;
  /** A second look after `apply`, where looking is cheap. */
  verify?(action: A, context: ActionContext): Promise<Observation>;
  /** undefined: nothing to undo and nothing to say. */
  undo(entry: JournalEntry, context: UndoContext): Promise<Undone | undefined>;
}

export function modeText(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
