/** Phase `kubelet-wait-bootstrap`: the kubelet is healthy and has its own certificate; then what it began with goes. */
import type { Action, Phase } from "../engine/types.ts";
import { kubeletDirectory } from "../manifests/names.ts";
import { wait } from "./actions.ts";
import { bootstrapKubeconfigPath } from "./join-preflight.ts";
import { kubeletConfPath } from "./kubeconfig.ts";
import { kubeletHealthWaits } from "./kubelet-health.ts";

export const kubeletWaitBootstrap: Phase<"kubelet-wait-bootstrap", Record<never, never>, Record<never, never>> = {
  id: "kubelet-wait-bootstrap",
  title: "Wait until the kubelet has its certificate",
  needs: [],
  async plan({ config }) {
    const { timeouts, nodeRegistration } = config.init;
    const socket = nodeRegistration.criSocket;
    const actions: readonly Action[] = [
      ...kubeletHealthWaits(config),
      wait("kubelet-certificate", "The kubelet has its certificate", { type: "kubelet-certificate", kubeconfig: kubeletConfPath, node: nodeRegistration.name, socket }, timeouts.tlsBootstrap),
      { kind: "remove", id: `remove${bootstrapKubeconfigPath}`, path: bootstrapKubeconfigPath, settles: [kubeletConfPath, `${kubeletDirectory}/pki/kubelet-client-current.pem`], why: "a secret that is not needed any more" },
    ];
    return { actions, output: {} };
  },
};
