/** Which images a cluster needs, and under which references. Facts: kubeadm images.go; the order is that of `kubeadm config images list`. */
import type { ResolvedConfig } from "../config/types.ts";

export type ImageRole = "kube-apiserver" | "kube-controller-manager" | "kube-scheduler" | "kube-proxy" | "coredns" | "pause" | "etcd";

export interface RequiredImage {
  readonly role: ImageRole;
  readonly reference: string;
}

const officialRepository = "registry.k8s.io";

/** Every image kubeadm's part of this node uses; the CNI's images come from its manifest. A DNS pod may be moved to a worker at any time. */
export function requiredImages(config: ResolvedConfig): readonly RequiredImage[] {
  const { cluster, joining } = config;
  const controlPlane = joining?.role !== "worker";
  const roles: readonly (ImageRole | false)[] = [
    controlPlane && "kube-apiserver",
    controlPlane && "kube-controller-manager",
    controlPlane && "kube-scheduler",
    cluster.proxy.disabled !== true && "kube-proxy",
    cluster.dns.disabled !== true && "coredns",
    "pause",
    controlPlane && cluster.etcd.local !== undefined && "etcd",
  ];
  return roles.filter((role) => role !== false).map((role) => ({ role, reference: imageReference(config, role) }));
}

export function imageReference(config: ResolvedConfig, role: ImageRole): string {
  const { cluster, version } = config;
  switch (role) {
    case "coredns": {
      const repository = cluster.dns.imageRepository || cluster.imageRepository;
      // The official image moved one level down; mirrors keep the flat name.
      const path = repository === officialRepository ? `${repository}/coredns` : repository;
      return `${path}/coredns:${cluster.dns.imageTag || version.corednsTag}`;
    }
    case "etcd":
      return `${cluster.etcd.local?.imageRepository || cluster.imageRepository}/etcd:${cluster.etcd.local?.imageTag || version.etcdTag}`;
    case "pause":
      return `${cluster.imageRepository}/pause:${version.pauseTag}`;
    default:
      // A build suffix such as `+abc` is legal in a version and not in a tag.
      return `${cluster.imageRepository}/${role}:${cluster.kubernetesVersion.replaceAll("+", "_")}`;
  }
}
