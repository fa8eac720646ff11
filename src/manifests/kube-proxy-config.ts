/** KubeProxyConfiguration: kubeadm's defaults under the user's document. Facts: kubeadm componentconfigs/kubeproxy.go. */
import type { ResolvedConfig } from "../config/types.ts";
import { overlay, type Fields } from "./component-config.ts";
import { isIPv6Node } from "./endpoints.ts";

/** The v1alpha1 type has no `omitempty`: every field is written, and kube-proxy defaults the zeroes itself. */
const zeroes: Fields = {
  apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
  bindAddress: "",
  bindAddressHardFail: false,
  clientConnection: { acceptContentTypes: "", burst: 0, contentType: "", kubeconfig: "", qps: 0 },
  clusterCIDR: "",
  configSyncPeriod: "0s",
  conntrack: { maxPerCore: null, min: null, tcpBeLiberal: false, tcpCloseWaitTimeout: null, tcpEstablishedTimeout: null, udpStreamTimeout: "0s", udpTimeout: "0s" },
  detectLocal: { bridgeInterface: "", interfaceNamePrefix: "" },
  detectLocalMode: "",
  enableProfiling: false,
  healthzBindAddress: "",
  hostnameOverride: "",
  iptables: { localhostNodePorts: null, masqueradeAll: false, masqueradeBit: null, minSyncPeriod: "0s", syncPeriod: "0s" },
  ipvs: { excludeCIDRs: null, minSyncPeriod: "0s", scheduler: "", strictARP: false, syncPeriod: "0s", tcpFinTimeout: "0s", tcpTimeout: "0s", udpTimeout: "0s" },
  kind: "KubeProxyConfiguration",
  logging: { flushFrequency: 0, options: { json: { infoBufferSize: "0" }, text: { infoBufferSize: "0" } }, verbosity: 0 },
  metricsBindAddress: "",
  mode: "",
  nftables: { masqueradeAll: false, masqueradeBit: null, minSyncPeriod: "0s", syncPeriod: "0s" },
  nodePortAddresses: null,
  oomScoreAdj: null,
  portRange: "",
  showHiddenMetricsForVersion: "",
  winkernel: { enableDSR: false, forwardHealthCheckVip: false, networkName: "", rootHnsEndpointName: "", sourceVip: "" },
};

/**
 * Zero tells kube-proxy to leave the kernel's conntrack settings alone. The time-outs too: where nf_conntrack_max is read-only, so are
 * they, and failing to set one ends the process.
 */
const untouchedConntrack: Fields = { maxPerCore: 0, min: 0, tcpCloseWaitTimeout: "0s", tcpEstablishedTimeout: "0s" };

export interface KubeProxyHost {
  /** false when the host's conntrack sysctls are read-only. Default true. */
  readonly conntrackWritable?: boolean;
}

export function kubeProxyConfiguration(config: ResolvedConfig, host: KubeProxyHost = {}): Fields {
  const defaults = overlay(zeroes, {
    bindAddress: isIPv6Node(config) ? "::" : "0.0.0.0",
    clientConnection: { kubeconfig: "/var/lib/kube-proxy/kubeconfig.conf" },
    clusterCIDR: config.cluster.networking.podSubnet,
    ...(host.conntrackWritable === false ? { conntrack: untouchedConntrack } : {}),
  });
  return overlay(defaults, config.kubeProxy);
}
