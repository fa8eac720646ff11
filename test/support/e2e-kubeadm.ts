/** A configuration for the real kubeadm on test hosts: what they need and kubeadm does not find out itself: cgroup v1, no default route, read-only conntrack settings. */
export function kubeadmConfiguration(address: string): string {
  return `apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: ${address}}
bootstrapTokens: [{token: abcdef.0123456789abcdef}]
nodeRegistration: {kubeletExtraArgs: [{name: node-ip, value: ${address}}]}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.36.2
networking: {podSubnet: 10.244.0.0/16}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
conntrack: {maxPerCore: 0, min: 0, tcpCloseWaitTimeout: 0s, tcpEstablishedTimeout: 0s}
`;
}
