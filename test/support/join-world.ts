/** A machine in memory for the real join flows, beside a cluster of one control plane: API server, etcd, and a kubelet that gets its certificate. */
import { resolveInitConfig } from "../../src/config/resolve.ts";
import { joinedConfig, resolveJoinRequest } from "../../src/config/resolve-join.ts";
import type { ExternalEtcd, Joining, ResolvedConfig } from "../../src/config/types.ts";
import { clusterConfigurationText } from "../../src/manifests/kubeadm-config.ts";
import { haproxyImage } from "../../src/manifests/haproxy.ts";
import { requiredImages } from "../../src/manifests/images.ts";
import { kubeletConfiguration } from "../../src/manifests/kubelet.ts";
import { generateKey, publicKeyPem } from "../../src/pki/keys.ts";
import { renderKubeconfig } from "../../src/pki/kubeconfig.ts";
import type { World } from "../engine/laws.ts";
import { issueControlPlane } from "./control-plane-pki.ts";
import { airgappedFacts } from "./facts.ts";
import { MemoryClusterStore } from "./memory-cluster.ts";
import { MemoryEtcdStore } from "./memory-etcd.ts";
import { MemoryHost } from "./memory-host.ts";
import { memoryPackage } from "./memory-package.ts";
import { MemoryRuntimeStore } from "./memory-runtime.ts";
import { packageIndexFor } from "./package-index.ts";
import { repositoryAssets } from "./repository-assets.ts";

const first = { name: "cp1", address: "192.0.2.10" };
export const own = { name: "n1", address: "192.0.2.20" };
export const peerUrl = `https://${own.address}:2380`;
const server = `https://${first.address}:6443`;
const token = "abcdef.0123456789abcdef";
const now = new Date("2026-11-21T03:00:00Z");

const facts = airgappedFacts({
  hostname: own.name, addresses: [{ interface: "eth0", address: own.address, family: 4, prefixLength: 24, global: true }],
});

export interface JoinWorld extends World {
  readonly etcd: MemoryEtcdStore;
  readonly config: ResolvedConfig;
}

export interface JoinWorldOptions {
  readonly joining?: Partial<Joining>;
  /** Members besides cp1's. */
  readonly members?: MemoryEtcdStore["members"];
  /** The cluster's data is in this etcd and not on its control planes. */
  readonly externalEtcd?: ExternalEtcd;
}

/** What all worlds share, because keys are slow to make. */
const shared = await sharedPki();

async function sharedPki(): Promise<{ readonly caPem: string; readonly files: Readonly<Record<string, string>>; readonly cluster: ResolvedConfig["cluster"]; readonly kubelet: Readonly<Record<string, unknown>> }> {
  const { config } = resolveInitConfig({ options: { controlPlaneEndpoint: `${first.address}:6443` }, facts: airgappedFacts() });
  const key = await generateKey("ECDSA-P256");
  const { certificates, keys } = await issueControlPlane(config, now, async () => await generateKey("ECDSA-P256"));
  const take = (path: string): string => certificates.get(path) ?? keys.get(path) ?? "";
  return {
    caPem: take("ca.crt"),
    files: {
      "ca.crt": take("ca.crt"), "ca.key": take("ca.key"), "front-proxy-ca.crt": take("front-proxy-ca.crt"), "front-proxy-ca.key": take("front-proxy-ca.key"),
      "etcd-ca.crt": take("etcd/ca.crt"), "etcd-ca.key": take("etcd/ca.key"), "sa.key": key, "sa.pub": publicKeyPem(key),
    },
    cluster: { ...config.cluster, encryptionAlgorithm: "ECDSA-P256" },
    kubelet: kubeletConfiguration(config),
  };
}

export function joinWorld(role: Joining["role"], given: JoinWorldOptions = {}): JoinWorld {
  const request = resolveJoinRequest({
    options: { endpoint: `${first.address}:6443`, token, caCertHashes: [`sha256:${"a".repeat(64)}`], ...(role === "control-plane" ? { controlPlane: true, certificateKey: "b".repeat(64) } : {}) }, facts,
  });
  const joining: Joining = {
    role, server, clusterName: "kubernetes", caPem: shared.caPem, caCertPath: request.join.caCertPath, identity: { token }, kubelet: shared.kubelet, apiServerVersion: "v1.36.2",
    ...(role === "control-plane" ? { certificates: shared.files } : {}), ...given.joining,
  };
  const { externalEtcd } = given;
  const ha = joining.controlPlanes !== undefined;
  const clusterText = clusterConfigurationText({
    ...shared.cluster, ...(externalEtcd === undefined ? {} : { etcd: { external: externalEtcd } }), ...(ha ? { controlPlaneEndpoint: "kube-api.kubernetes.internal:7443" } : {}),
  });
  const config = joinedConfig({ ...request, joining, clusterText, facts });
  const known = new Set(requiredImages(config).map(({ reference }) => reference));
  const flannel = [...repositoryAssets.text("bundle/cni/flannel.yaml").matchAll(/image: (\S+)/g)].map((match) => match[1] as string);
  const index = packageIndexFor(config, [...new Set([...flannel, ...(ha ? [haproxyImage] : [])])].filter((reference) => !known.has(reference)));

  const host = new MemoryHost({ facts, now, routes: [{ destination: "192.0.2.0/24", family: 4, device: "eth0", source: own.address }] });
  const runtime = new MemoryRuntimeStore(host.ledger);
  const cluster = new MemoryClusterStore(host.ledger);
  const etcd = new MemoryEtcdStore(host.ledger, [{ id: "1", name: first.name, peerUrls: [`https://${first.address}:2380`], clientUrls: [`https://${first.address}:2379`], learner: false }, ...(given.members ?? [])]);
  const started = new Map<string, number>();
  const upFor = (name: string): number => (host.units.state(name).active === "active" ? host.now().getTime() - (started.get(name) ?? Number.POSITIVE_INFINITY) : Number.NEGATIVE_INFINITY);
  const fill = (paths: readonly string[]): void => { for (const path of paths) if (host.files.look(path) === undefined) host.files.plant(path, "written by the cluster"); };
  const manifest = (name: string): string | undefined => host.files.look(`/etc/kubernetes/manifests/${name}.yaml`)?.type;
  const votes = (): boolean => externalEtcd !== undefined || etcd.members.some((member) => member.peerUrls.includes(peerUrl) && !member.learner);
  const pod = (name: string, namespace: string, kind: string): void => {
    cluster.plant({ apiVersion: "v1", kind: "Pod", metadata: { name, namespace, ownerReferences: [{ kind, name: name.replace(/-a$/, "") }] }, spec: { nodeName: own.name }, status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] } });
  };

  cluster.plant({
    apiVersion: "v1", kind: "Pod",
    metadata: { name: `etcd-${first.name}`, namespace: "kube-system", labels: { component: "etcd", tier: "control-plane" }, annotations: { "kubeadm.kubernetes.io/etcd.advertise-client-urls": `https://${first.address}:2379` } },
    spec: { nodeName: first.name }, status: {},
  });
  runtime.answers = () => upFor("containerd.service") >= 1000;
  etcd.runs = (url) => url !== peerUrl || (upFor("kubelet.service") >= 2000 && manifest("etcd") !== undefined);
  etcd.caughtUp = (url) => etcd.runs(url) && upFor("kubelet.service") >= 3000;
  host.units.onStop = (name) => { if (name === "containerd.service") host.openSockets.clear(); };
  host.units.onStart = (name) => {
    started.set(name, host.now().getTime());
    if (name === "containerd.service") {
      host.openSockets.add(config.init.nodeRegistration.criSocket);
      fill(["/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db", "/run/containerd/containerd.sock"]);
    }
    if (name !== "kubelet.service") return;
    fill(["/var/lib/kubelet/pods/a/etc-hosts", "/var/log/pods/kube-system_kube-proxy/0.log", "/etc/cni/net.d/10-flannel.conflist", "/opt/cni/bin/flannel", "/run/flannel/subnet.env"]);
    if (manifest("etcd") !== undefined) {
      fill(["/var/lib/etcd/member/wal/0.wal"]);
      etcd.start(peerUrl, own.name);
    }
    for (const link of ["flannel.1", "cni0"]) host.links.add(link);
    // What the kubelet does when its request was signed.
    if (host.files.look("/etc/kubernetes/bootstrap-kubelet.conf") !== undefined) {
      const pem = "/var/lib/kubelet/pki/kubelet-client-current.pem";
      fill([pem]);
      host.files.plant("/etc/kubernetes/kubelet.conf", renderKubeconfig({ clusterName: "kubernetes", server, userName: "default-auth", caPem: shared.caPem, credentials: { certificatePath: pem, keyPath: pem } }), 0o600);
    }
    if (cluster.live({ apiVersion: "v1", kind: "Node", name: own.name }) !== undefined) return;
    cluster.plant({ apiVersion: "v1", kind: "Node", metadata: { name: own.name, labels: { "kubernetes.io/hostname": own.name } }, spec: {}, status: { conditions: [{ type: "Ready", status: "True" }] } });
    for (const file of ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubestick-haproxy"]) if (manifest(file) !== undefined) pod(`${file}-${own.name}`, "kube-system", "Node");
    pod("kube-proxy-a", "kube-system", "DaemonSet");
    pod("kube-flannel-ds-a", "kube-flannel", "DaemonSet");
  };
  return {
    host, runtime, cluster, etcd, config,
    secrets: () => [token, token.split(".")[1] as string],
    context: (changes = {}) => ({
      host, config, pkg: memoryPackage(index), assets: repositoryAssets, dryRun: false, skipPhases: [], ignorePreflightErrors: [],
      runtime: (socket) => runtime.connect(socket),
      connect: (text, to) => {
        const client = cluster.connect(text);
        const local = to === `https://${own.address}:6443`;
        return local ? { ...client, get: (ref) => client.get(ref), raw: async (path) => (votes() && upFor("kubelet.service") >= 4000 ? await client.raw(path) : { status: 500, body: "[-]etcd failed" }), close: () => client.close() } : client;
      },
      connectEtcd: ({ server: endpoint }) => etcd.connect(endpoint),
      signal: new AbortController().signal,
      httpGet: async () => {
        if (upFor("kubelet.service") < 2000) throw new Error("connect ECONNREFUSED 127.0.0.1:10248");
        return { status: 200, body: "ok" };
      },
      ...changes,
    }),
  };
}
