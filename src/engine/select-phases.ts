/** Which phases and steps of a flow run: kubeadm's rules for `--skip-phases` and for single phases (workflow/runner.go). */
import { KubestickError } from "../errors.ts";
import type { AnyPhase } from "./flow.ts";
import type { Action } from "./types.ts";

export interface SelectedPhase {
  readonly phase: AnyPhase;
  /**
   * `run`: planned and acted on. `output`: not to run, but a later phase reads what it makes, so it is planned and must find its
   * things already there. `skip`: left out. `hidden`: not asked for.
   */
  readonly mode: "run" | "output" | "skip" | "hidden";
  /** Named in `--skip-phases`: said in the output, whatever else. */
  readonly leftOut: boolean;
  /** Whether an action of a phase in mode `run` is to be done. */
  acts(action: Pick<Action, "step">): boolean;
  /** What is not done now, but must be there: in mode `run` of a left-out step that a running one needs, in mode `output` what later phases read. */
  mustBeMade(action: Pick<Action, "step">): boolean;
}

export function selectPhases(flow: { readonly name: string; readonly phases: readonly AnyPhase[] }, skip: readonly string[], only: readonly string[] | undefined): readonly SelectedPhase[] {
  const skipped = new Set(skip.map((path) => knownPath(flow, path, "skipping")));
  const wanted = only === undefined ? undefined : new Set(only.map((path) => knownPath(flow, path, "running")));

  const asked = flow.phases.map((phase) => {
    const chosen = wanted === undefined || wanted.has(phase.id) || (phase.steps ?? []).some((step) => wanted.has(`${phase.id}/${step.id}`));
    return { phase, mode: !chosen ? "hidden" as const : skipped.has(phase.id) ? "skip" as const : "run" as const };
  });

  // Backwards, because a phase planned for its output reads outputs of its own.
  /** By phase: the steps that must be in place, `undefined` for all of them. */
  const needed = new Map<string, ReadonlySet<string> | undefined>();
  return asked.toReversed().map(({ phase, mode }): SelectedPhase => {
    const reads = mode === "run" || needed.has(phase.id);
    if (reads) {
      for (const need of phase.needs) {
        const steps = (phase.reads as Readonly<Record<string, readonly string[]>> | undefined)?.[need];
        const known = needed.has(need) ? needed.get(need) : new Set<string>();
        needed.set(need, known === undefined || steps === undefined ? undefined : new Set([...known, ...steps]));
      }
    }
    const runs = (step: string): boolean => {
      const path = `${phase.id}/${step}`;
      return !skipped.has(path) && (wanted === undefined || wanted.has(phase.id) || wanted.has(path));
    };
    const neededSteps = new Set((phase.steps ?? []).filter(({ id }) => runs(id)).flatMap(({ needs }) => needs ?? []).filter((id) => !runs(id)));
    return {
      phase,
      leftOut: mode === "skip",
      mode: mode !== "run" && needed.has(phase.id) ? "output" : mode,
      acts: ({ step }) => step === undefined || runs(step),
      mustBeMade: ({ step }) => {
        if (mode === "run") return step !== undefined && neededSteps.has(step);
        const steps = needed.get(phase.id);
        return steps === undefined || (step !== undefined && steps.has(step));
      },
    };
  }).reverse();
}

/** Names as kubeadm spells them, in any case. */
function knownPath(flow: { readonly name: string; readonly phases: readonly AnyPhase[] }, path: string, doing: string): string {
  const known = flow.phases.flatMap((phase) => [phase.id, ...(phase.steps ?? []).map((step) => `${phase.id}/${step.id}`)]);
  const found = known.find((candidate) => candidate.toLowerCase() === path.trim().toLowerCase());
  if (found !== undefined) return found;
  throw new KubestickError({
    code: "UNKNOWN_PHASE",
    attempted: `${doing} phase ${JSON.stringify(path)} of ${flow.name}`,
    happened: `${flow.name} has no phase of that name.`,
    next: `Use one of: ${flow.phases.map((phase) => phase.id).join(", ")}.`,
    details: known,
  });
}
