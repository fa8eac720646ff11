/** Work that tells its progress through a callback, as the events of a run with one phase, so that the same renderers show it. */
import type { Finding, PhaseResult, RunEvent } from "../engine/types.ts";
import { asKubestickError, errorDocument } from "./errors.ts";

export interface WorkPhase {
  readonly id: string;
  readonly title: string;
}

/** Progress of one thing; a newer event of the same thing replaces one nobody has seen yet. */
export interface WorkProgress {
  readonly id: string;
  readonly done: number;
  readonly total?: number;
  readonly label?: string;
}

export interface WorkReport {
  /** Ends the phase before it. A title that says more than the one in the list replaces it. */
  phase(id: string, title?: string): void;
  progress(event: WorkProgress): void;
  /** Something is complete, in kubectl's grammar: `registry.k8s.io/pause:3.10.2`, `resolved sha256:...`. */
  done(id: string, detail: string): void;
  finding(finding: Finding): void;
}

export async function* workEvents(flow: string, phases: readonly WorkPhase[], work: (report: WorkReport) => Promise<PhaseResult>, clock: () => number): AsyncGenerator<RunEvent> {
  const queue: RunEvent[] = [];
  let wake: () => void = () => undefined;
  const emit = (event: RunEvent): void => {
    const last = queue.at(-1);
    if (event.type === "progress" && last?.type === "progress" && last.id === event.id) queue.pop();
    queue.push(event);
    wake();
  };
  const begin = clock();
  let current: { readonly phase: WorkPhase; readonly since: number } | undefined;
  const finishPhase = (): void => {
    if (current === undefined) return;
    emit({ type: "phase-finished", phase: current.phase.id, ms: clock() - current.since, changed: 0, unchanged: 0 });
    current = undefined;
  };
  const report: WorkReport = {
    phase(id, title) {
      if (current?.phase.id === id) return;
      finishPhase();
      const index = phases.findIndex((phase) => phase.id === id);
      const phase = { id, title: title ?? phases[index]?.title ?? id };
      current = { phase, since: clock() };
      emit({ type: "phase-started", phase: phase.id, title: phase.title, index, total: phases.length });
    },
    progress(event) {
      emit({ type: "progress", phase: current?.phase.id ?? flow, unit: "bytes", ...event });
    },
    done(id, detail) {
      emit({ type: "action", phase: current?.phase.id ?? flow, id, kind: "payload", status: "applied", detail });
    },
    finding(finding) {
      emit({ type: "finding", phase: current?.phase.id ?? flow, finding });
    },
  };

  emit({ type: "run-started", flow, dryRun: false, phases });
  let over = false;
  const working = work(report).then(
    (result) => {
      const phase = current?.phase.id ?? flow;
      finishPhase();
      emit({ type: "result", phase, result });
      emit({ type: "run-finished", ok: true, ms: clock() - begin, changed: 0, unchanged: 0 });
    },
    (error: unknown) => {
      // A bare abort has no words yet; whoever shows the run finds them.
      if (error instanceof Error && error.name === "AbortError") throw error;
      emit({ type: "run-finished", ok: false, ms: clock() - begin, changed: 0, unchanged: 0, error: errorDocument(asKubestickError(error, `running "kubestick ${flow}"`)) });
      throw error;
    },
  ).finally(() => {
    over = true;
    wake();
  });
  // Its failure is thrown below, when its events have been seen.
  working.catch(() => undefined);
  for (;;) {
    const event = queue.shift();
    if (event !== undefined) yield event;
    else if (over) break;
    else await new Promise<void>((resolve) => { wake = resolve; });
  }
  await working;
}
