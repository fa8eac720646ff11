/** Names that Kubernetes and kubeadm agree on across components. Facts: kubeadm constants.go. */

export const labels = {
  controlPlane: "node-role.kubernetes.io/control-plane",
  excludeFromLoadBalancers: "node.kubernetes.io/exclude-from-external-load-balancers",
} as const;

export const annotations = {
  etcdClientUrls: "kubeadm.kubernetes.io/etcd.advertise-client-urls",
  apiServerEndpoint: "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint",
  componentConfigHash: "kubeadm.kubernetes.io/component-config.hash",
} as const;

export const groups = {
  nodes: "system:nodes",
  masters: "system:masters",
  /** Every token kubeadm makes carries it; RBAC for joining nodes hangs on it. */
  bootstrapTokens: "system:bootstrappers:kubeadm:default-node-token",
  clusterAdmins: "kubeadm:cluster-admins",
} as const;

export const namespaces = { system: "kube-system", public: "kube-public" } as const;

export const kubernetesDirectory = "/etc/kubernetes";
export const manifestsDirectory = "/etc/kubernetes/manifests";
export const kubeletDirectory = "/var/lib/kubelet";
