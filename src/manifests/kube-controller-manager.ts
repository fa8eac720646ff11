/** The controller manager. Facts: kubeadm phases/controlplane/manifests.go. */
import type { KubeObject } from "../cluster/types.ts";
import type { ResolvedConfig } from "../config/types.ts";
import { lastValue, mergeArguments } from "./arguments.ts";
import { imageReference } from "./images.ts";
import { kubernetesDirectory } from "./names.ts";
import { mergeEnvironment, probeHost, proxyVariables, staticPod, type StaticPodContext } from "./static-pod.ts";
import { certificateVolumes, samePath, withExtraVolumes } from "./volumes.ts";

const kubeconfig = `${kubernetesDirectory}/controller-manager.conf`;

export function controllerManagerPod(config: ResolvedConfig, context: StaticPodContext): KubeObject {
  const { controllerManager, certificatesDir: pki, clusterName, networking } = config.cluster;
  // Without its key, signing must be off, or the signer's controllers fail and take the process with them.
  const signer = (file: string): string => (context.keylessCa === true ? "" : `${pki}/${file}`);
  const { podSubnet } = networking;
  return staticPod(config, {
    name: "kube-controller-manager",
    image: imageReference(config, "kube-controller-manager"),
    command: mergeArguments(
      {
        "allocate-node-cidrs": podSubnet === undefined ? undefined : "true",
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": "127.0.0.1",
        "client-ca-file": `${pki}/ca.crt`,
        "cluster-cidr": podSubnet,
        "cluster-name": clusterName,
        "cluster-signing-cert-file": signer("ca.crt"),
        "cluster-signing-key-file": signer("ca.key"),
        // The two that sign cluster-info and remove expired tokens are off by default.
        controllers: "*,bootstrapsigner,tokencleaner",
        kubeconfig,
        "leader-elect": "true",
        "requestheader-client-ca-file": `${pki}/front-proxy-ca.crt`,
        "root-ca-file": `${pki}/ca.crt`,
        "service-account-private-key-file": `${pki}/sa.key`,
        "service-cluster-ip-range": podSubnet === undefined ? undefined : networking.serviceSubnet,
        "use-service-account-credentials": "true",
      },
      controllerManager.extraArgs,
    ),
    env: mergeEnvironment(proxyVariables(context), controllerManager.extraEnvs),
    requests: { cpu: "200m" },
    port: 10257,
    // It has no readiness endpoint.
    probes: { host: probeHost(lastValue(controllerManager.extraArgs, "bind-address") ?? "127.0.0.1"), scheme: "HTTPS", liveness: "/healthz", startup: "/healthz" },
    volumes: withExtraVolumes([...certificateVolumes(config, context.caDirectories), samePath("kubeconfig", kubeconfig, "FileOrCreate")], controllerManager.extraVolumes),
  });
}
