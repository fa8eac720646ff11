/** Phase mark-control-plane: labels and taints of this node. Facts: kubeadm phases/markcontrolplane. */
import type { KubeObject } from "../cluster/types.ts";
import type { ResolvedConfig, Taint } from "../config/types.ts";
import { labels } from "./names.ts";

/** Taints a control-plane node gets: the configured ones, an empty list included; by default the one that keeps workloads away. */
export function controlPlaneTaints(config: ResolvedConfig): readonly Taint[] {
  return config.init.nodeRegistration.taints ?? [{ key: labels.controlPlane, effect: "NoSchedule" }];
}

/**
 * Body of a strategic-merge PATCH of the node. `existing` are the node's taints now: the list is atomic in the API (core/v1 NodeSpec), so
 * those not ours must be sent along or they vanish.
 */
export function markControlPlanePatch(config: ResolvedConfig, existing: readonly Taint[] = []): KubeObject {
  const wanted = controlPlaneTaints(config).map(taint);
  const others = existing.filter((present) => !wanted.some((own) => own.key === present.key && own.effect === present.effect && (own.value ?? "") === (present.value ?? "")));
  const taints = [...wanted, ...others];
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: config.init.nodeRegistration.name, labels: { [labels.controlPlane]: "", [labels.excludeFromLoadBalancers]: "" } },
    ...(taints.length === 0 ? {} : { spec: { taints } }),
  };
}

function taint({ key, value, effect }: Taint): Taint {
  return value === undefined || value === "" ? { key, effect } : { key, value, effect };
}
