/** The scheduler. Facts: kubeadm phases/controlplane/manifests.go. */
import type { KubeObject } from "../cluster/types.ts";
import type { ResolvedConfig } from "../config/types.ts";
import { lastValue, mergeArguments } from "./arguments.ts";
import { imageReference } from "./images.ts";
import { kubernetesDirectory } from "./names.ts";
import { mergeEnvironment, probeHost, proxyVariables, staticPod, type StaticPodContext } from "./static-pod.ts";
import { samePath, withExtraVolumes } from "./volumes.ts";

const kubeconfig = `${kubernetesDirectory}/scheduler.conf`;

export function schedulerPod(config: ResolvedConfig, context: StaticPodContext): KubeObject {
  const { scheduler } = config.cluster;
  return staticPod(config, {
    name: "kube-scheduler",
    image: imageReference(config, "kube-scheduler"),
    command: mergeArguments(
      {
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": "127.0.0.1",
        kubeconfig,
        "leader-elect": "true",
      },
      scheduler.extraArgs,
    ),
    env: mergeEnvironment(proxyVariables(context), scheduler.extraEnvs),
    requests: { cpu: "100m" },
    port: 10259,
    probes: { host: probeHost(lastValue(scheduler.extraArgs, "bind-address") ?? "127.0.0.1"), scheme: "HTTPS", liveness: "/livez", readiness: "/readyz", startup: "/livez" },
    volumes: withExtraVolumes([samePath("kubeconfig", kubeconfig, "FileOrCreate")], scheduler.extraVolumes),
  });
}
