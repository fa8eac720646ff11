/**
 * The manifests room: Kubernetes objects and node files as values.
 *
 * Owns what the control plane, the kubelet and the addons are told, as plain objects and text computed from the configuration and a few
 * host facts given as parameters. Refuses to read, write or ask anything: phases do that. Start here for what runs as a static pod, in
 * `kubelet.ts` for the node, and in `bootstrap-rbac.ts`, `coredns.ts`, `kube-proxy.ts` for what lives in the API; `yaml.ts` makes text of it.
 */
import type { KubeObject } from "../cluster/types.ts";
import type { ResolvedConfig } from "../config/types.ts";
import { etcdPod } from "./etcd.ts";
import { apiServerPod } from "./kube-apiserver.ts";
import { controllerManagerPod } from "./kube-controller-manager.ts";
import { schedulerPod } from "./kube-scheduler.ts";
import { manifestsDirectory } from "./names.ts";
import type { ControlPlaneComponent, StaticPodContext } from "./static-pod.ts";

/** The three components of phase `control-plane`, in kubeadm's order. */
export function controlPlanePods(config: ResolvedConfig, context: StaticPodContext): readonly KubeObject[] {
  return [apiServerPod(config, context), controllerManagerPod(config, context), schedulerPod(config, context)];
}

/** The first etcd member (phase `etcd`); undefined with an external etcd. */
export function firstEtcdPod(config: ResolvedConfig): KubeObject | undefined {
  const { local } = config.cluster.etcd;
  return local === undefined ? undefined : etcdPod(config, local);
}

export function staticPodPath(component: ControlPlaneComponent): string {
  return `${manifestsDirectory}/${component}.yaml`;
}
