/** Events folded into the state of a run: what every renderer and the closing words are made from. */
import type { Finding, PhaseResult, RunEvent } from "../engine/types.ts";

type EventOf<Type extends RunEvent["type"]> = Extract<RunEvent, { readonly type: Type }>;
export type ActionEvent = EventOf<"action">;
export type ProgressEvent = EventOf<"progress">;

export interface PhaseState {
  readonly id: string;
  title: string;
  status: "pending" | "active" | "done" | "skipped" | "failed";
  changed: number;
  unchanged: number;
  /** A reset goes on after one. */
  failures: number;
  ms?: number;
  reason?: string;
  /** The action under way, newest. */
  current?: string;
}

export interface RunState {
  flow: string;
  dryRun: boolean;
  readonly phases: Map<string, PhaseState>;
  /** Last status of every action by phase and id, in order of appearance. */
  readonly actions: Map<string, ActionEvent>;
  readonly findings: { readonly phase: string; readonly finding: Finding; readonly ignored: boolean }[];
  readonly results: { readonly phase: string; readonly result: PhaseResult }[];
  finished?: EventOf<"run-finished">;
}

export function newRunState(flow: string): RunState {
  return { flow, dryRun: false, phases: new Map(), actions: new Map(), findings: [], results: [] };
}

export function foldEvent(state: RunState, event: RunEvent): void {
  switch (event.type) {
    case "run-started":
      state.flow = event.flow;
      state.dryRun = event.dryRun;
      for (const { id, title } of event.phases) state.phases.set(id, newPhase(id, title));
      return;
    case "phase-started":
      Object.assign(phaseOf(state, event.phase), { title: event.title, status: "active" });
      return;
    case "action": {
      const phase = phaseOf(state, event.phase);
      state.actions.set(`${event.phase} ${event.id}`, event);
      if (event.status === "started") phase.current = event.id;
      else if (phase.current === event.id) delete phase.current;
      if (event.status === "unchanged" || event.status === "kept") phase.unchanged++;
      if (event.status === "applied" || event.status === "removed") phase.changed++;
      if (event.status === "failed") phase.failures++;
      return;
    }
    case "phase-finished": {
      const phase = phaseOf(state, event.phase);
      phase.status = phase.failures > 0 ? "failed" : "done";
      phase.ms = event.ms;
      phase.changed = event.changed;
      phase.unchanged = event.unchanged;
      delete phase.current;
      return;
    }
    case "phase-skipped": {
      const phase = phaseOf(state, event.phase);
      phase.status = "skipped";
      phase.reason = event.reason;
      return;
    }
    case "finding":
      state.findings.push({ phase: event.phase, finding: event.finding, ignored: event.ignored === true });
      return;
    case "result":
      state.results.push({ phase: event.phase, result: event.result });
      return;
    case "run-finished":
      state.finished = event;
      if (!event.ok) {
        for (const phase of state.phases.values()) if (phase.status === "active") phase.status = "failed";
      }
      return;
    case "progress":
      return;
  }
}

/** Which phases are done, which one was under way, which have not begun. For somebody who stopped the run. */
export function whatIsLeft(state: RunState): readonly string[] {
  const named = (...statuses: readonly PhaseState["status"][]): string => [...state.phases.values()].filter(({ status }) => statuses.includes(status)).map(({ id }) => id).join(", ");
  return [
    ["done", named("done", "skipped")],
    ["stopped in", named("active", "failed")],
    ["not begun", named("pending")],
  ].flatMap(([label, names]) => (names === "" ? [] : [`${label}: ${names}`]));
}

/** kubectl's grammar: `file/etc/kubernetes/admin.conf created`, `unit/kubelet.service restarted: configuration changed`. */
export function actionLine(event: ActionEvent): string {
  const { id, status, detail } = event;
  if (detail === undefined || detail === "") return `${id} ${status}`;
  // A detail that begins with a verb of its own says more exactly what `applied` or `removed` means.
  if ((status === "applied" || status === "removed" || status === "planned") && /^[a-z]+ed\b/.test(detail)) return `${id} ${detail}`;
  return `${id} ${status}: ${detail}`;
}

function phaseOf(state: RunState, id: string): PhaseState {
  const known = state.phases.get(id);
  if (known !== undefined) return known;
  const phase = newPhase(id, id);
  state.phases.set(id, phase);
  return phase;
}

function newPhase(id: string, title: string): PhaseState {
  return { id, title, status: "pending", changed: 0, unchanged: 0, failures: 0 };
}
