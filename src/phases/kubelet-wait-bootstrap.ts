/** Phase `kubelet-wait-bootstrap`: the kubelet is healthy and has its own certificate; then what it began with goes. */
import { joinHostPort } from "../config/address.ts";
import type { Action, Phase } from "../engine/types.ts";
import { kubeletConfiguration } from "../manifests/kubelet.ts";
import { wait } from "./actions.ts";
import { bootstrapKubeconfigPath } from "./join-preflight.ts";
import { kubeletConfPath } from "./kubeconfig.ts";

export const kubeletWaitBootstrap: Phase<"kubelet-wait-bootstrap", Record<never, never>, Record<never, never>> = {
  id: "kubelet-wait-bootstrap",
  title: "Wait until the kubelet has its certificate",
  needs: [],
  async plan({ config }) {
    const { timeouts, nodeRegistration } = config.init;
    const socket = nodeRegistration.criSocket;
    const { healthzBindAddress, healthzPort } = kubeletConfiguration(config);
    const actions: Action[] = [];
    // Port 0 switches the kubelet's endpoint off (kubeadm waits for nothing then).
    if (healthzPort !== 0) {
      actions.push(wait("kubelet", "The kubelet is healthy", { type: "http", url: `http://${joinHostPort(String(healthzBindAddress), Number(healthzPort))}/healthz`, component: "kubelet", socket }, timeouts.kubeletHealthCheck));
    }
    actions.push(
      wait("kubelet-certificate", "The kubelet has its certificate", { type: "kubelet-certificate", kubeconfig: kubeletConfPath, node: nodeRegistration.name, socket }, timeouts.tlsBootstrap),
      { kind: "remove", id: `remove${bootstrapKubeconfigPath}`, path: bootstrapKubeconfigPath, why: "a secret that is not needed any more" },
    );
    return { actions, output: {} };
  },
};
