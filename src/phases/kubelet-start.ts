/** Phase `kubelet-start`: the kubelet's three files in kubeadm's order, then the kubelet. By now every image of the static pods that are there is in the runtime. */
import type { Action, Phase, PlanInput } from "../engine/types.ts";
import { instanceConfigText, kubeletFiles, kubeletFlagsText, nodeKubeletConfiguration } from "../manifests/kubelet.ts";
import { haproxyManifestPath } from "../manifests/haproxy.ts";
import { kubeletDirectory } from "../manifests/names.ts";
import { applyPatches } from "../manifests/patches.ts";
import type { ControlPlaneComponent } from "../manifests/static-pod.ts";
import { staticPodPath } from "../manifests/static-pods.ts";
import { toYaml } from "../manifests/yaml.ts";
import { directory, file, fingerprint, unit } from "./actions.ts";
import { plannedApiServer } from "./control-plane.ts";
import type { NodeOutput } from "./node.ts";
import { configuredPatches } from "./patches.ts";

type Input = PlanInput<{ readonly node: NodeOutput }>;

export const kubeletStart: Phase<"kubelet-start", { readonly node: NodeOutput }, Record<never, never>> = {
  id: "kubelet-start",
  title: "Configure and start the kubelet",
  needs: ["node"],
  async plan(input) {
    const { flags, instance, configuration, fingerprint } = await kubeletStartFiles(input);
    return { actions: [directory(kubeletDirectory, 0o700), flags, instance, configuration, unit("kubelet.service", fingerprint)], output: {} };
  },
};

/** What a kubelet is told, at init and at join alike. A worker registers its taints by itself. */
export async function kubeletStartFiles(input: Input): Promise<{ readonly flags: Action; readonly instance: Action; readonly configuration: Action; readonly fingerprint: string }> {
  const { config, facts, read, from } = input;
  const { machine, kubeletFingerprint } = from.node;
  const configuration = toYaml(applyPatches(await configuredPatches(config, read), "kubeletconfiguration", nodeKubeletConfiguration(config, {
    ...(machine.resolvConf === undefined ? {} : { resolvConf: machine.resolvConf }),
    ...(machine.cgroupV1 ? { failCgroupV1: false as const } : {}),
    ...(machine.swapOn ? { failSwapOn: false as const } : {}),
  })));
  const taints = config.joining?.role === "worker" ? config.init.nodeRegistration.taints : undefined;
  const flags = kubeletFlagsText(config, { hostname: facts.hostname, ...(machine.nodeIp === undefined ? {} : { nodeIp: machine.nodeIp }), ...(taints === undefined ? {} : { taints }) });
  return {
    flags: file(kubeletFiles.flags, 0o644, flags),
    instance: file(kubeletFiles.instance, 0o644, instanceConfigText(config)),
    configuration: file(kubeletFiles.configuration, 0o644, configuration),
    fingerprint: fingerprint(kubeletFingerprint, flags, configuration, ...(await staticPods(input))),
  };
}

/**
 * The static pods count among what the kubelet starts from. It notices a changed one by itself, but replaces the pod only after it has heard the API server
 * once (kubelet_pods.go, HandlePodCleanups waits for all sources): a pod corrected before the first API server came up would wait for ever, for itself.
 * At `init` that is true of etcd and the API server, whose manifest may come after the kubelet's start; the other two are replaced when it serves.
 */
async function staticPods(input: Input): Promise<readonly string[]> {
  const { config, read } = input;
  const onDisk = (name: ControlPlaneComponent): Promise<string | undefined> => read.readText(staticPodPath(name));
  const pods = config.joining === undefined ? [await onDisk("etcd"), (await onDisk("kube-apiserver")) ?? (await plannedApiServer(input))]
    : await Promise.all((["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"] as const).map(onDisk));
  // A node's haproxy, without which a worker's kubelet hears of no API server at all.
  const haproxy = await read.readText(haproxyManifestPath);
  return [...pods.map((text) => text ?? ""), ...(haproxy === undefined ? [] : [haproxy])];
}
