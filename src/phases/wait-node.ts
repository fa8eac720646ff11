/** Phase `wait-node`: the end that people mean when they say "it works". kubeadm stops before; somebody with a stick and no second try should not. */
import type { Action, Finding, Phase } from "../engine/types.ts";
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
      ...(cluster.proxy.disabled === true || init.skipPhases.includes("addon") || init.skipPhases.includes("addon/kube-proxy") ? [] : [{ apiVersion: "apps/v1", kind: "DaemonSet", name: "kube-proxy", namespace: "kube-system" }]),
      ...(cluster.dns.disabled === true || init.skipPhases.includes("addon") || init.skipPhases.includes("addon/coredns") ? [] : [{ apiVersion: "apps/v1", kind: "Deployment", name: "coredns", namespace: "kube-system" }]),
    ];
    const actions: Action[] = [
      wait("node", `node ${node} is Ready`, { type: "node-ready", node, socket }, init.timeouts.controlPlaneComponentHealthCheck),
      ...(install.waitFor === "node" ? [] : [wait("addons", "network, DNS and proxy are Ready", { type: "workloads", workloads, node, socket }, init.timeouts.controlPlaneComponentHealthCheck)]),
    ];
    return { actions, output: {}, findings };
  },
};
