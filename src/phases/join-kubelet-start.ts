/**
 * Phase `kubelet-start` of a join: the CA, the kubeconfig with which the kubelet asks for its certificate, the kubelet's three files in
 * kubeadm's order for joins, then the kubelet. The kubelet of a control plane asks its own API server, which comes up beside it; with ha a
 * worker's asks this node's haproxy, which the kubelet itself starts as a static pod.
 */
import type { ResolvedConfig } from "../config/types.ts";
import type { Action, Phase, PlanInput } from "../engine/types.ts";
import type { HostReader } from "../host/types.ts";
import { clusterEndpoint, localEndpoint } from "../manifests/endpoints.ts";
import { kubeletDirectory, manifestsDirectory } from "../manifests/names.ts";
import { parseKubeconfig, renderKubeconfig } from "../pki/kubeconfig.ts";
import { splitPemBundle } from "../pki/pem.ts";
import { directory, file, fingerprint, unit } from "./actions.ts";
import { bootstrapKubeconfigPath, joiningOf } from "./join-preflight.ts";
import { kubeletConfPath } from "./kubeconfig.ts";
import { kubeletStartFiles } from "./kubelet-start.ts";
import type { NodeOutput } from "./node.ts";

export interface JoinKubeletOutput {
  /** The kubelet has its own certificate: the kubeconfig it began with is gone, or has to go. */
  readonly bootstrapped: boolean;
}

export const joinKubeletStart: Phase<"kubelet-start", { readonly node: NodeOutput }, JoinKubeletOutput> = {
  id: "kubelet-start",
  title: "Configure and start the kubelet",
  needs: ["node"],
  async plan(input) {
    const { config, read } = input;
    const bootstrapped = await hasOwnCertificate(read);
    const kubeconfig = bootstrapKubeconfig(config);
    const { flags, instance, configuration, fingerprint: started } = await kubeletStartFiles(input);
    return {
      actions: [
        // Once the kubelet has its own certificate, the secret it began with must not lie about.
        bootstrapped ? { kind: "remove", id: `file${bootstrapKubeconfigPath}`, path: bootstrapKubeconfigPath }
          : file(bootstrapKubeconfigPath, 0o600, kubeconfig, { secret: true }),
        ...(await authority(input)),
        directory(kubeletDirectory, 0o700),
        // On a worker nobody else makes it, and the kubelet complains of its absence for ever.
        directory(manifestsDirectory, 0o700),
        instance, configuration, flags,
        { ...unit("kubelet.service", started), ...(bootstrapped ? {} : { once: fingerprint(kubeconfig) }) },
      ],
      output: { bootstrapped },
    };
  },
};

/** On a control plane the shared certificates brought it. */
async function authority({ config, read }: PlanInput<unknown>): Promise<readonly Action[]> {
  const { role, caPem, caCertPath } = joiningOf(config);
  if (role === "control-plane") return [];
  // The same authority in other words (a bundle, comments) stays as it is; another one was refused by the checks.
  const found = await read.readText(caCertPath);
  const same = found !== undefined && splitPemBundle(found).join("") === splitPemBundle(caPem).join("");
  return [file(caCertPath, 0o644, same ? found : splitPemBundle(caPem).join(""))];
}

/** As kubeadm writes it (phases/join/kubelet.go): the kubelet reads it once and replaces it by kubelet.conf. */
function bootstrapKubeconfig(config: ResolvedConfig): string {
  const { role, server, clusterName, caPem, identity } = joiningOf(config);
  return renderKubeconfig({ clusterName, server: role === "control-plane" ? localEndpoint(config) : config.install.ha ? clusterEndpoint(config) : server, userName: "tls-bootstrap-token-user", caPem, credentials: identity });
}

export async function hasOwnCertificate(read: HostReader): Promise<boolean> {
  const text = await read.readText(kubeletConfPath);
  if (text === undefined) return false;
  const { credentials } = parseKubeconfig(text, kubeletConfPath);
  return "certificatePath" in credentials && (await read.stat(credentials.certificatePath)) !== undefined;
}
