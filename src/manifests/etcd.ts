/** The etcd member of a stacked control plane. Facts: kubeadm phases/etcd/local.go; flags are those of etcd 3.6. */
import type { KubeObject } from "../cluster/types.ts";
import { joinHostPort } from "../config/address.ts";
import type { LocalEtcd, ResolvedConfig } from "../config/types.ts";
import { lastValue, mergeArguments } from "./arguments.ts";
import { isIPv6Node } from "./endpoints.ts";
import { imageReference } from "./images.ts";
import { annotations } from "./names.ts";
import { mergeEnvironment, staticPod, type ProbeTarget } from "./static-pod.ts";
import { samePath } from "./volumes.ts";

const clientPort = 2379;
const peerPort = 2380;
const metricsPort = 2381;

export interface EtcdPeer {
  readonly name: string;
  readonly peerUrl: string;
}

export function etcdClientUrl(address: string): string {
  return `https://${joinHostPort(address, clientPort)}`;
}

export function etcdPeerUrl(address: string): string {
  return `https://${joinHostPort(address, peerPort)}`;
}

/** Loopback of the node's family: etcd listens there for the API server beside it. */
export function etcdLoopback(config: ResolvedConfig): string {
  return isIPv6Node(config) ? "::1" : "127.0.0.1";
}

/** `peers` are all members, the new one included, when it joins an existing cluster; empty for the first member. */
export function etcdPod(config: ResolvedConfig, local: LocalEtcd, peers: readonly EtcdPeer[] = []): KubeObject {
  const { certificatesDir } = config.cluster;
  const { advertiseAddress } = config.init.localAPIEndpoint;
  const { name } = config.init.nodeRegistration;
  const clientUrl = etcdClientUrl(advertiseAddress);
  const peerUrl = etcdPeerUrl(advertiseAddress);
  const metrics = metricsTarget(config, local);
  const data = samePath("etcd-data", local.dataDir, "DirectoryOrCreate", false);
  const certificates = samePath("etcd-certs", `${certificatesDir}/etcd`, "DirectoryOrCreate", false);
  return staticPod(config, {
    name: "etcd",
    image: imageReference(config, "etcd"),
    command: mergeArguments(
      {
        name,
        "listen-client-urls": `${etcdClientUrl(etcdLoopback(config))},${clientUrl}`,
        "advertise-client-urls": clientUrl,
        "listen-peer-urls": peerUrl,
        "initial-advertise-peer-urls": peerUrl,
        "initial-cluster": peers.length === 0 ? `${name}=${peerUrl}` : peers.map((peer) => `${peer.name}=${peer.peerUrl}`).join(","),
        "initial-cluster-state": peers.length === 0 ? undefined : "existing",
        "data-dir": local.dataDir,
        "cert-file": `${certificatesDir}/etcd/server.crt`,
        "key-file": `${certificatesDir}/etcd/server.key`,
        "trusted-ca-file": `${certificatesDir}/etcd/ca.crt`,
        "client-cert-auth": "true",
        "peer-cert-file": `${certificatesDir}/etcd/peer.crt`,
        "peer-key-file": `${certificatesDir}/etcd/peer.key`,
        "peer-trusted-ca-file": `${certificatesDir}/etcd/ca.crt`,
        "peer-client-cert-auth": "true",
        "snapshot-count": "10000",
        "listen-metrics-urls": `http://${joinHostPort(etcdLoopback(config), metricsPort)}`,
        ...config.version.etcdFlags,
      },
      local.extraArgs,
    ),
    annotations: { [annotations.etcdClientUrls]: clientUrl },
    env: mergeEnvironment(local.extraEnvs),
    requests: { cpu: "100m", memory: "100Mi" },
    port: metrics.port,
    probes: metrics.probes,
    volumes: [certificates, data],
    mounts: [data, certificates],
  });
}

/** Answers while a member cannot vote yet. */
export function etcdLivenessUrl(config: ResolvedConfig, local: LocalEtcd): string {
  const { port, probes: { scheme, host, liveness } } = metricsTarget(config, local);
  return `${(scheme ?? "HTTP").toLowerCase()}://${joinHostPort(host ?? etcdLoopback(config), port)}${liveness}`;
}

/** Where the probes find etcd: the first of `listen-metrics-urls`, when the user moved it. */
function metricsTarget(config: ResolvedConfig, local: LocalEtcd): { readonly port: number; readonly probes: ProbeTarget } {
  const paths = { liveness: "/livez", readiness: "/readyz", startup: "/readyz" };
  const [first = ""] = (lastValue(local.extraArgs, "listen-metrics-urls") ?? "").split(",");
  const match = /^(https?):\/\/(?:\[([^\]]+)\]|([^:/]*))(?::(\d+))?/.exec(first.trim());
  return {
    port: Number(match?.[4] ?? metricsPort),
    probes: { ...paths, host: match?.[2] || match?.[3] || etcdLoopback(config), scheme: match?.[1] === "https" ? "HTTPS" : "HTTP" },
  };
}
