/**
 * Kernel settings that the kubelet and kube-proxy change by themselves, and to what (kubernetes pkg/kubelet/cm/container_manager_linux.go,
 * cmd/kube-proxy). Surveyed before the cluster starts, put back by a reset where they still have the cluster's value.
 */
export const clusterSettings: Readonly<Record<string, string>> = {
  "vm.overcommit_memory": "1",
  "vm.panic_on_oom": "0",
  "kernel.panic": "10",
  "kernel.panic_on_oops": "1",
  "kernel.keys.root_maxkeys": "1000000",
  "kernel.keys.root_maxbytes": "25000000",
  "net.ipv4.conf.all.route_localnet": "1",
  "net.netfilter.nf_conntrack_tcp_timeout_established": "86400",
  "net.netfilter.nf_conntrack_tcp_timeout_close_wait": "3600",
};
