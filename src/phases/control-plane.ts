/** Phase `control-plane`: the static pods of API server, controller manager and scheduler. They are on disk before the kubelet starts. */
import type { Action, Phase } from "../engine/types.ts";
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
  async plan({ config, facts, read, from }) {
    const caDirectories: string[] = [];
    for (const path of optionalCaDirectories) if ((await read.stat(path)) !== undefined) caDirectories.push(path);
    const pods = controlPlanePods(config, { caDirectories, proxyEnvironment: facts.proxyEnvironment, keylessCa: from.certs.keylessCa });
    const patches = await configuredPatches(config, read);
    const actions: Action[] = [];
    for (const { id, component } of steps) {
      const pod = pods.find((candidate) => candidate.metadata.name === component);
      if (pod === undefined) throw new TypeError(`no pod is named ${component}`);
      actions.push(file(staticPodPath(component), 0o600, toYaml(applyPatches(patches, component, pod)), { step: id, parentMode: 0o700 }));
    }
    return { actions, output: {}, findings: ignoredPatchFindings(patches) };
  },
};
