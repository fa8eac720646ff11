/** Phase `wait-node` of a join: the node is Ready, and so are the pods of network and proxy on it. */
import type { Action, Finding, Phase } from "../engine/types.ts";
import { wait } from "./actions.ts";
import { flannelObjects } from "./cni.ts";
import { joiningOf } from "./join-preflight.ts";
import { staticPodRefs } from "./wait-node.ts";

export const joinWaitNode: Phase<"wait-node", Record<never, never>, Record<never, never>> = {
  id: "wait-node",
  title: "Wait until the node is Ready",
  needs: [],
  async plan({ config, assets }) {
    const { cluster, init, install } = config;
    const { role } = joiningOf(config);
    const findings: Finding[] = [{
      check: "NextStep", severity: "info", message: `see the node on a control plane: kubectl get node ${init.nodeRegistration.name} -o wide`,
    }];
    if (install.waitFor === "none" || install.cni === "none") return { actions: [], output: {}, findings };
    const socket = init.nodeRegistration.criSocket;
    const node = init.nodeRegistration.name;
    // Only the kubelet's certificate is on a worker; it may see its own node and the pods on it.
    const as = role === "worker" ? { as: "kubelet" as const } : {};
    const network = install.cni === "flannel" ? flannelObjects(assets.text("bundle/cni/flannel.yaml"), []).filter(({ kind }) => kind === "DaemonSet") : [];
    const workloads = [
      ...staticPodRefs(config),
      ...network.map(({ apiVersion, kind, metadata }) => ({ apiVersion, kind, name: metadata.name, namespace: metadata.namespace as string })),
      ...(cluster.proxy.disabled === true ? [] : [{ apiVersion: "apps/v1", kind: "DaemonSet", name: "kube-proxy", namespace: "kube-system" }]),
    ];
    const actions: Action[] = [
      wait("node", `node ${node} is Ready`, { type: "node-ready", node, socket, ...as }, init.timeouts.controlPlaneComponentHealthCheck),
      ...(install.waitFor === "node" ? [] : [wait("addons", "network and proxy are Ready", { type: "workloads", workloads, node, socket, ...as }, init.timeouts.controlPlaneComponentHealthCheck)]),
    ];
    return { actions, output: {}, findings };
  },
};
