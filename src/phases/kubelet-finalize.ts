/**
 * Phase `kubelet-finalize`: from the first certificate, embedded in kubelet.conf, to the file the kubelet itself renews.
 * Without it the kubelet would lose the cluster when the embedded certificate ends after a year.
 *
 * The kubelet does not flush what it writes, and kubelet.conf is all it has to start with: the certificate is flushed before it is pointed to.
 *
 * kubeadm restarts the kubelet as well. It is not needed: from its first start a kubelet that rotates its certificate connects with the one in
 * its store, to which this file now points, and not with the one in the file (cmd/kubelet/app/server.go, buildKubeletClientConfig).
 */
import { lastValue } from "../manifests/arguments.ts";
import type { Phase } from "../engine/types.ts";
import { kubeletDirectory } from "../manifests/names.ts";
import { parseKubeconfig, renderKubeconfig } from "../pki/kubeconfig.ts";
import { file } from "./actions.ts";
import { kubeletConfPath } from "./kubeconfig.ts";

export const kubeletFinalize: Phase<"kubelet-finalize", Record<never, never>, Record<never, never>> = {
  id: "kubelet-finalize",
  title: "Let the kubelet use the client certificate it renews itself",
  needs: [],
  steps: [{ id: "enable-client-cert-rotation", title: "Point kubelet.conf to the certificate the kubelet rotates" }],
  async plan({ config, read }) {
    const directory = lastValue(config.init.nodeRegistration.kubeletExtraArgs, "cert-dir") ?? `${kubeletDirectory}/pki`;
    const pem = `${directory}/kubelet-client-current.pem`;
    const text = await read.readText(kubeletConfPath);
    if (text === undefined || (await read.stat(pem)) === undefined) return { actions: [], output: {} };
    const kubeconfig = parseKubeconfig(text);
    const content = renderKubeconfig({ ...kubeconfig, credentials: { certificatePath: pem, keyPath: pem } });
    const step = "enable-client-cert-rotation";
    return { actions: [file(kubeletConfPath, 0o600, content, { step, secret: true, settles: [pem] })], output: {} };
  },
};
