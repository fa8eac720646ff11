/**
 * A phase left out by `--skip-phases` (or not named, when single phases run) may still be read by a later one. Then its plan must find
 * its things in place: the output of a plan that was not carried out could describe a key that was never written.
 * kubeadm knows this as "unresolved dependencies".
 */
import { KubestickError } from "../errors.ts";
import { handlerOf } from "./actions/table.ts";
import type { ActionContext } from "./context.ts";
import type { AnyPhase } from "./flow.ts";
import type { Action } from "./types.ts";

/** Kinds whose content an output can carry. That a unit does not run or an image is not there changes nothing about it. */
const telling: ReadonlySet<Action["kind"]> = new Set(["file", "object"]);

export async function refuseUnmade(phase: AnyPhase, actions: readonly Action[], context: ActionContext): Promise<void> {
  const absent: string[] = [];
  for (const action of actions.filter(({ kind }) => telling.has(kind))) {
    const observed = await handlerOf(action.kind).observe(action, context, () => undefined);
    if (observed.state === "differs") absent.push(`${action.id}: ${observed.detail}`);
  }
  if (absent.length === 0) return;
  throw new KubestickError({
    code: "PHASE_NEEDED",
    attempted: `reading what phase ${phase.id} makes, without running it`,
    happened: `A later phase needs it, but ${absent.length} of its things ${absent.length === 1 ? "is" : "are"} not as they should be.`,
    next: `Run phase ${phase.id} too, or leave out the phases that need it as well.`,
    details: absent,
  });
}
