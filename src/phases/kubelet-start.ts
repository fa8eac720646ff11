/** Phase `kubelet-start`: the kubelet's three files in kubeadm's order, then the kubelet. By now every image is in the runtime. */
import type { Phase } from "../engine/types.ts";
import type { HostReader } from "../host/types.ts";
import { instanceConfigText, kubeletFiles, kubeletFlagsText, nodeKubeletConfiguration } from "../manifests/kubelet.ts";
import { kubeletDirectory } from "../manifests/names.ts";
import { applyPatches } from "../manifests/patches.ts";
import { staticPodPath } from "../manifests/static-pods.ts";
import { toYaml } from "../manifests/yaml.ts";
import { directory, file, fingerprint, unit } from "./actions.ts";
import type { NodeOutput } from "./node.ts";
import { configuredPatches } from "./patches.ts";

export const kubeletStart: Phase<"kubelet-start", { readonly node: NodeOutput }, Record<never, never>> = {
  id: "kubelet-start",
  title: "Configure and start the kubelet",
  needs: ["node"],
  async plan({ config, facts, read, from }) {
    const { machine, kubeletFingerprint } = from.node;
    const configuration = toYaml(applyPatches(await configuredPatches(config, read), "kubeletconfiguration", nodeKubeletConfiguration(config, {
      ...(machine.resolvConf === undefined ? {} : { resolvConf: machine.resolvConf }),
      ...(machine.cgroupV1 ? { failCgroupV1: false as const } : {}),
      ...(machine.swapOn ? { failSwapOn: false as const } : {}),
    })));
    const flags = kubeletFlagsText(config, { hostname: facts.hostname, ...(machine.nodeIp === undefined ? {} : { nodeIp: machine.nodeIp }) });
    const instance = instanceConfigText(config);
    return {
      actions: [
        directory(kubeletDirectory, 0o700),
        file(kubeletFiles.flags, 0o644, flags),
        file(kubeletFiles.instance, 0o644, instance),
        file(kubeletFiles.configuration, 0o644, configuration),
        unit("kubelet.service", fingerprint(kubeletFingerprint, flags, configuration, ...(await staticPods(read)))),
      ],
      output: {},
    };
  },
};

/**
 * The static pods on disk count among what the kubelet starts from. It notices a changed one by itself, but replaces the pod only after it has
 * heard the API server once (kubelet_pods.go, HandlePodCleanups waits for all sources): a pod corrected before the first API server came up
 * would wait for ever, for itself.
 */
async function staticPods(read: HostReader): Promise<readonly string[]> {
  const names = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"] as const;
  return await Promise.all(names.map(async (name) => (await read.readText(staticPodPath(name))) ?? ""));
}
