/** Phase `wait-node`: the end that people mean when they say "it works". kubeadm stops before; somebody with a stick and no second try should not. */
import type { ObjectRef } from "../cluster/types.ts";
import type { ResolvedConfig } from "../config/types.ts";
import type { Action, Finding, Phase } from "../engine/types.ts";
import { haproxyPodName } from "../manifests/haproxy.ts";
import { controlPlaneTaints } from "../manifests/mark-control-plane.ts";
import { wait } from "./actions.ts";
import type { CniOutput } from "./cni.ts";

export const waitNode: Phase<"wait-node", { readonly cni: CniOutput }, Record<never, never>> = {
  id: "wait-node",
  title: "Wait until the node and the addons are Ready",
  needs: ["cni"],
  async plan({ config, from }) {
    const { cluster, install, init } = config;
    const findings: Finding[] = [{ check: "NextStep", severity: "info", message: "administrators use /etc/kubernetes/admin.conf", hint: "export KUBECONFIG=/etc/kubernetes/admin.conf" }];
    if (controlPlaneTaints(config).some((taint) => taint.effect !== "PreferNoSchedule")) {
      findings.push({ check: "NextStep", severity: "info", message: `workloads are kept away from ${init.nodeRegistration.name} by its control-plane taint`, hint: "For a one-node cluster: kubectl taint nodes --all node-role.kubernetes.io/control-plane-" });
    }
    // Without a pod network the node cannot become Ready, and nothing could be waited for.
    if (install.waitFor === "none" || install.cni === "none") return { actions: [], output: {}, findings };
    const socket = init.nodeRegistration.criSocket;
    const node = init.nodeRegistration.name;
    const workloads = [
      ...from.cni.workloads,
      ...staticPodRefs(config),
      ...(cluster.proxy.disabled === true || init.skipPhases.includes("addon") || init.skipPhases.includes("addon/kube-proxy") ? [] : [{ apiVersion: "apps/v1", kind: "DaemonSet", name: "kube-proxy", namespace: "kube-system" }]),
      ...(cluster.dns.disabled === true || init.skipPhases.includes("addon") || init.skipPhases.includes("addon/coredns") ? [] : [{ apiVersion: "apps/v1", kind: "Deployment", name: "coredns", namespace: "kube-system" }]),
    ];
    const actions: Action[] = [
      wait("node", `node ${node} is Ready`, { type: "node-ready", node, socket }, init.timeouts.controlPlaneComponentHealthCheck),
      ...(install.waitFor === "node" ? [] : [wait("addons", "network, DNS and proxy are Ready", { type: "workloads", workloads, node, socket, remind: true }, init.timeouts.controlPlaneComponentHealthCheck)]),
    ];
    return { actions, output: {}, findings };
  },
};

/**
 * The static pods of this node as the cluster shows them. The kubelet shows one at its next look at it, a minute and a half later at most, when there was no API
 * server at the first; who ends before leaves a person before a cluster that seems to lack its own parts.
 */
export function staticPodRefs({ cluster, init, install, joining }: ResolvedConfig): readonly ObjectRef[] {
  const node = init.nodeRegistration.name;
  // What a run leaves out may be made by somebody else, in another way.
  const made = (phase: string): boolean => !init.skipPhases.some((path) => path.split("/")[0] === phase);
  const names = [
    ...(joining?.role === "worker" || cluster.etcd.local === undefined || !made("etcd") ? [] : [`etcd-${node}`]),
    ...(joining?.role === "worker" || !made("control-plane") || !made("control-plane-prepare") ? [] : ["kube-apiserver", "kube-controller-manager", "kube-scheduler"].map((component) => `${component}-${node}`)),
    ...(install.ha && made("ha") ? [haproxyPodName(node)] : []),
  ];
  return names.map((name) => ({ apiVersion: "v1", kind: "Pod", name, namespace: "kube-system" }));
}
