/** Phase `mark-control-plane`: labels and taints of this node. */
import type { Taint } from "../config/types.ts";
import type { Phase } from "../engine/types.ts";
import { markControlPlanePatch } from "../manifests/mark-control-plane.ts";
import { object } from "./actions.ts";

export const markControlPlane: Phase<"mark-control-plane", Record<never, never>, Record<never, never>> = {
  id: "mark-control-plane",
  title: "Mark this node as control plane",
  needs: [],
  async plan({ config, cluster }) {
    const live = await cluster?.get({ apiVersion: "v1", kind: "Node", name: config.init.nodeRegistration.name });
    const taints = (live?.["spec"] as { readonly taints?: readonly Taint[] } | undefined)?.taints ?? [];
    return { actions: [object(markControlPlanePatch(config, taints), "patch", config.init.timeouts.kubernetesAPICall)], output: {} };
  },
};
