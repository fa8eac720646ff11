/** What the kubelet of a node is told: its configuration, the node's own part of it, and its flags. Facts: kubeadm componentconfigs/kubelet.go, phases/kubelet. */
import type { ResolvedConfig, Taint } from "../config/types.ts";
import { lastValue, mergeArguments } from "./arguments.ts";
import { overlay, type Fields } from "./component-config.ts";
import { dnsServiceAddress } from "./endpoints.ts";
import { kubeletDirectory, manifestsDirectory } from "./names.ts";

export const kubeletFiles = {
  configuration: `${kubeletDirectory}/config.yaml`,
  instance: `${kubeletDirectory}/instance-config.yaml`,
  flags: `${kubeletDirectory}/kubeadm-flags.env`,
} as const;

/** Fields of the Go type that are written even when they are zero. */
const zeroes: Fields = {
  apiVersion: "kubelet.config.k8s.io/v1beta1",
  authentication: { anonymous: {}, webhook: { cacheTTL: "0s" }, x509: {} },
  authorization: { webhook: { cacheAuthorizedTTL: "0s", cacheUnauthorizedTTL: "0s" } },
  containerRuntimeEndpoint: "",
  cpuManagerReconcilePeriod: "0s",
  crashLoopBackOff: {},
  evictionPressureTransitionPeriod: "0s",
  fileCheckFrequency: "0s",
  httpCheckFrequency: "0s",
  imageMaximumGCAge: "0s",
  imageMinimumGCAge: "0s",
  kind: "KubeletConfiguration",
  logging: { flushFrequency: 0, options: { json: { infoBufferSize: "0" }, text: { infoBufferSize: "0" } }, verbosity: 0 },
  memorySwap: {},
  nodeStatusReportFrequency: "0s",
  nodeStatusUpdateFrequency: "0s",
  runtimeRequestTimeout: "0s",
  shutdownGracePeriod: "0s",
  shutdownGracePeriodCriticalPods: "0s",
  streamingConnectionIdleTimeout: "0s",
  syncFrequency: "0s",
  volumeStatsAggPeriod: "0s",
};

/**
 * The KubeletConfiguration every node of the cluster starts from (ConfigMap kubelet-config): kubeadm's defaults under the user's document.
 * A node that joins was given it by the cluster.
 */
export function kubeletConfiguration(config: ResolvedConfig): Fields {
  if (config.joining !== undefined) return { ...overlay(zeroes, config.joining.kubelet), rotateCertificates: true };
  const defaults = overlay(zeroes, {
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: `${config.cluster.certificatesDir}/ca.crt` },
    },
    authorization: { mode: "Webhook" },
    cgroupDriver: "systemd",
    clusterDNS: [dnsServiceAddress(config)],
    clusterDomain: config.cluster.networking.dnsDomain,
    healthzBindAddress: "127.0.0.1",
    healthzPort: 10248,
    staticPodPath: manifestsDirectory,
  });
  // kubeadm overrules the user here: without rotation the kubelet loses the cluster after a year.
  return { ...overlay(defaults, config.kubelet), rotateCertificates: true };
}

/** What observation of this host adds; nothing here means exactly kubeadm's file. */
export interface KubeletHost {
  /** A resolv.conf pods and the DNS addon may inherit, when /etc/resolv.conf is not one. */
  readonly resolvConf?: string;
  /** The host runs cgroup v1, with which kubelets from 1.35 on refuse to start unless told otherwise. */
  readonly failCgroupV1?: false;
  /** The host has swap on. */
  readonly failSwapOn?: false;
}

/**
 * config.yaml of this node. The user's document wins over host facts; the runtime's socket wins over everything, as instance-config.yaml
 * is applied last. Host facts stay out of the ConfigMap, into which kubeadm lets resolvConf leak: other nodes have their own.
 */
export function nodeKubeletConfiguration(config: ResolvedConfig, host: KubeletHost = {}): Fields {
  const facts = Object.fromEntries(Object.entries(host).filter(([key, value]) => value !== undefined && !chosen(config, key)));
  return { ...kubeletConfiguration(config), ...facts, containerRuntimeEndpoint: config.init.nodeRegistration.criSocket };
}

/** kubeadm writes the place of its own host's resolver into the ConfigMap; nobody chose that for another host. */
const leakedResolvConf = "/run/systemd/resolve/resolv.conf";

function chosen({ joining, kubelet }: ResolvedConfig, key: string): boolean {
  const value = (joining?.kubelet ?? kubelet)?.[key] ?? undefined;
  return value !== undefined && !(joining !== undefined && key === "resolvConf" && value === leakedResolvConf);
}

/** instance-config.yaml: what of the configuration belongs to this node alone. */
export function instanceConfigText(config: ResolvedConfig): string {
  return `containerRuntimeEndpoint: ${JSON.stringify(config.init.nodeRegistration.criSocket)}\n`;
}

/**
 * kubeadm-flags.env. A worker registers its taints by flag; a control plane is tainted through the API, so `taints` stays undefined.
 * `nodeIp` is beyond kubeadm: the kubelet finds its address by the default route, and without one it registers none.
 */
export function kubeletFlagsText(config: ResolvedConfig, host: { readonly hostname: string; readonly taints?: readonly Taint[]; readonly nodeIp?: string }): string {
  const { name, kubeletExtraArgs } = config.init.nodeRegistration;
  const nodeName = lastValue(kubeletExtraArgs, "hostname-override") ?? name;
  const taints = host.taints ?? [];
  const flags = mergeArguments(
    {
      "hostname-override": nodeName === host.hostname.trim().toLowerCase() ? undefined : nodeName,
      "node-ip": host.nodeIp,
      "register-with-taints": taints.length === 0 ? undefined : taints.map(taintText).join(","),
    },
    kubeletExtraArgs,
  );
  return `KUBELET_KUBEADM_ARGS=${JSON.stringify(flags.join(" "))}\n`;
}

function taintText({ key, value, effect }: Taint): string {
  return value === undefined || value === "" ? `${key}:${effect}` : `${key}=${value}:${effect}`;
}
