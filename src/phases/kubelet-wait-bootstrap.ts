/**
 * Phase `kubelet-wait-bootstrap`: the kubelet is healthy and has its own certificate; then what it began with goes.
 *
 * The kubelet of a control plane asks the API server that it starts itself. Until that one serves, each of its clients fails a few times (refused,
 * then `Unauthorized`) and waits twice as long before each next try: the request for a certificate up to 32 s, the registration 7 s, the list
 * of its pods 30 s. Started anew once the API server is ready, it does all of it at once; the static pods run on meanwhile.
 *
 * What has run for ten seconds when a kubelet starts, it takes for started (since 1.35, prober/worker.go); of what is younger it waits for the startup
 * probe once more, and tells that it is Ready ten to twenty seconds later. So a few seconds of patience before save more after.
 */
import type { Action, Phase, WaitAction } from "../engine/types.ts";
import { localEndpoint } from "../manifests/endpoints.ts";
import { kubeletDirectory } from "../manifests/names.ts";
import { fingerprint, unit, wait } from "./actions.ts";
import { bootstrapKubeconfigPath, joiningOf } from "./join-preflight.ts";
import { hasOwnCertificate } from "./join-kubelet-start.ts";
import { kubeletConfPath } from "./kubeconfig.ts";
import { kubeletHealthWaits } from "./kubelet-health.ts";
import { staticPodRefs } from "./wait-node.ts";

/** Between the creation of a container and its start lie some tenths of a second. */
const settledSeconds = 10.5;

export const kubeletWaitBootstrap: Phase<"kubelet-wait-bootstrap", Record<never, never>, Record<never, never>> = {
  id: "kubelet-wait-bootstrap",
  title: "Wait until the kubelet has its certificate",
  needs: [],
  async plan({ config, read }) {
    const { timeouts, nodeRegistration } = config.init;
    const socket = nodeRegistration.criSocket;
    const pods = staticPodRefs(config).map(({ name }) => name);
    const settled: WaitAction = { ...wait("static-pods/settled", "The static pods have run for ten seconds", { type: "container-age", socket, pods, seconds: settledSeconds }, 15_000), onlyOrder: true };
    const bootstrap = joiningOf(config).role === "control-plane" && !(await hasOwnCertificate(read)) ? await read.readText(bootstrapKubeconfigPath) : undefined;
    const actions: readonly Action[] = [
      ...kubeletHealthWaits(config),
      ...(bootstrap === undefined ? [] : [
        wait("kube-apiserver/ready", "The API server of this node is ready", { type: "api", url: localEndpoint(config), path: "/readyz", socket }, timeouts.controlPlaneComponentHealthCheck),
        ...(config.install.waitFor === "system" ? [settled] : []),
        unit("kubelet.service", fingerprint(bootstrap), { key: "bootstrap", why: "so that it asks the API server at once, which was not there before" }),
      ]),
      wait("kubelet-certificate", "The kubelet has its certificate", { type: "kubelet-certificate", kubeconfig: kubeletConfPath, node: nodeRegistration.name, socket }, timeouts.tlsBootstrap),
      { kind: "remove", id: `remove${bootstrapKubeconfigPath}`, path: bootstrapKubeconfigPath, settles: [kubeletConfPath, `${kubeletDirectory}/pki/kubelet-client-current.pem`], why: "a secret that is not needed any more" },
    ];
    return { actions, output: {} };
  },
};
