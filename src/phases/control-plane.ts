/**
 * Phase `control-plane`: the static pods of API server, controller manager and scheduler. A kubelet that has etcd to start need not wait for them: each comes
 * as soon as its image is in the runtime. One that is there and changes is written before the kubelet is started anew (`kubelet-start.ts` tells why it is).
 */
import type { KubeObject } from "../cluster/types.ts";
import type { Action, Phase, PlanInput } from "../engine/types.ts";
import { controlPlanePods, staticPodPath } from "../manifests/static-pods.ts";
import { optionalCaDirectories } from "../manifests/volumes.ts";
import { applyPatches } from "../manifests/patches.ts";
import { toYaml } from "../manifests/yaml.ts";
import { file } from "./actions.ts";
import type { CertsOutput } from "./certs.ts";
import type { KubeconfigOutput } from "./kubeconfig.ts";
import { configuredPatches, ignoredPatchFindings } from "./patches.ts";

const steps = [
  { id: "apiserver", title: "Write the static pod of kube-apiserver", component: "kube-apiserver" },
  { id: "controller-manager", title: "Write the static pod of kube-controller-manager", component: "kube-controller-manager" },
  { id: "scheduler", title: "Write the static pod of kube-scheduler", component: "kube-scheduler" },
] as const;

export const controlPlane: Phase<"control-plane", { readonly certs: CertsOutput; readonly kubeconfig: KubeconfigOutput }, Record<never, never>> = {
  id: "control-plane",
  title: "Write the static pods of the control plane",
  needs: ["certs", "kubeconfig"],
  steps,
  async plan(input) {
    const { config, read } = input;
    const pods = await podsOf(input, input.from.certs.keylessCa);
    const patches = await configuredPatches(config, read);
    const actions: Action[] = [];
    for (const { id, component } of steps) {
      const pod = patched(pods, patches, component);
      const [path, text] = [staticPodPath(component), toYaml(pod)];
      const found = await read.readText(path);
      actions.push(file(path, 0o600, text, { step: id, parentMode: 0o700, after: imagesOf(pod).map((reference) => `image/${reference}`), ...(found === undefined || found === text ? { late: true as const } : {}) }));
    }
    return { actions, output: {}, findings: ignoredPatchFindings(patches) };
  },
};

/** What the manifest of this node's API server is going to be. */
export async function plannedApiServer(input: Pick<PlanInput<never>, "config" | "facts" | "read">): Promise<string> {
  // Whether there is a key of the CA is for kube-controller-manager.
  return toYaml(patched(await podsOf(input, false), await configuredPatches(input.config, input.read), "kube-apiserver"));
}

async function podsOf({ config, facts, read }: Pick<PlanInput<never>, "config" | "facts" | "read">, keylessCa: boolean): Promise<readonly KubeObject[]> {
  const caDirectories: string[] = [];
  for (const path of optionalCaDirectories) if ((await read.stat(path)) !== undefined) caDirectories.push(path);
  return controlPlanePods(config, { caDirectories, proxyEnvironment: facts.proxyEnvironment, keylessCa });
}

function patched(pods: readonly KubeObject[], patches: Awaited<ReturnType<typeof configuredPatches>>, component: (typeof steps)[number]["component"]): KubeObject {
  const pod = pods.find((candidate) => candidate.metadata.name === component);
  if (pod === undefined) throw new TypeError(`no pod is named ${component}`);
  return applyPatches(patches, component, pod);
}

function imagesOf(pod: KubeObject): readonly string[] {
  const { initContainers = [], containers = [] } = pod["spec"] as { readonly initContainers?: readonly { readonly image?: string }[]; readonly containers?: readonly { readonly image?: string }[] };
  return [...initContainers, ...containers].flatMap(({ image }) => image ?? []);
}
