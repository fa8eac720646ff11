/** The objects of one addon as phase `addon` would send them to a new cluster; nothing is asked and nothing is sent. */
import type { ObjectAction, PlanInput } from "../engine/types.ts";
import { addon } from "../phases/addon.ts";
import { decideMachine } from "../phases/machine.ts";

export async function addonObjects(step: string, known: Pick<PlanInput<never>, "config" | "read" | "assets">): Promise<readonly ObjectAction["object"][]> {
  const { config, read } = known;
  const facts = await read.facts();
  const made = { has: () => false };
  const machine = await decideMachine(config, facts, read, made);
  const { actions } = await addon.plan({
    ...known, facts, made, pkg: undefined, cluster: undefined, runtime: async () => undefined, now: read.now(),
    from: { node: { machine, kubeletFingerprint: "" } },
  });
  return actions.flatMap((action) => (action.kind === "object" && action.step === step ? [action.object] : []));
}
