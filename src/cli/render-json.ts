/** A run for scripts: `-o json` is one document when all is over, `-o jsonl` every event as it happens, one in each line. */
import type { RunEvent } from "../engine/types.ts";
import type { ErrorDocument } from "./errors.ts";
import type { TextOutput } from "./io.ts";
import { foldEvent, newRunState } from "./run-state.ts";

/** A renderer on standard output; `fail` is told about an error that no event spoke of. */
export interface MachineRenderer {
  event(event: RunEvent): void;
  end(error: ErrorDocument | undefined): void;
}

export function createJsonRenderer(out: TextOutput, flow: string): MachineRenderer {
  const state = newRunState(flow);
  return {
    event(event) {
      foldEvent(state, event);
    },
    end(error) {
      const { finished } = state;
      const phases = [...state.phases.values()].map(({ id, title, status, ms, changed, unchanged, reason }) => ({ id, title, status, ms, changed, unchanged, reason }));
      const actions = [...state.actions.values()].map(({ type: _, ...action }) => action);
      const document = {
        flow: state.flow,
        ok: finished?.ok === true && error === undefined,
        dryRun: state.dryRun,
        ms: finished?.ms,
        changed: finished?.changed ?? phases.reduce((sum, { changed }) => sum + changed, 0),
        unchanged: finished?.unchanged ?? phases.reduce((sum, { unchanged }) => sum + unchanged, 0),
        result: Object.fromEntries(state.results.map(({ result }) => [result.name, result.value])),
        findings: state.findings.map(({ phase, finding, ignored }) => ({ phase, ...finding, ignored })),
        phases,
        actions,
        error: error ?? finished?.error,
      };
      out.write(`${JSON.stringify(document, null, 2)}\n`);
    },
  };
}

export function createJsonlRenderer(out: TextOutput): MachineRenderer {
  let last: RunEvent | undefined;
  let changed = 0;
  let unchanged = 0;
  return {
    event(event) {
      if (event.type === "action" && (event.status === "applied" || event.status === "removed")) changed++;
      if (event.type === "action" && (event.status === "unchanged" || event.status === "kept")) unchanged++;
      // Written at the end, when it is certain that it is the last word.
      if (last?.type === "run-finished") out.write(`${JSON.stringify(last)}\n`);
      last = event;
      if (event.type !== "run-finished") out.write(`${JSON.stringify(event)}\n`);
    },
    end(error) {
      const finished = last?.type === "run-finished" ? last : { type: "run-finished" as const, ok: error === undefined, ms: 0, changed, unchanged };
      out.write(`${JSON.stringify(error === undefined ? finished : { ...finished, ok: false, error })}\n`);
    },
  };
}
