/** A machine in memory for the real init flow: its daemons come up some time after their units start, and a kubelet brings a node and pods. */
import { resolveInitConfig, type ResolveInput } from "../../src/config/resolve.ts";
import { haproxyImage } from "../../src/manifests/haproxy.ts";
import { requiredImages } from "../../src/manifests/images.ts";
import { toYaml } from "../../src/manifests/yaml.ts";
import type { World } from "../engine/laws.ts";
import { airgappedFacts } from "./facts.ts";
import { MemoryClusterStore } from "./memory-cluster.ts";
import { MemoryHost } from "./memory-host.ts";
import { memoryPackage } from "./memory-package.ts";
import { MemoryRuntimeStore } from "./memory-runtime.ts";
import { packageIndexFor } from "./package-index.ts";
import { repositoryAssets } from "./repository-assets.ts";

const node = "cp1";

/** Images that the CNI's manifest names beyond those of the control plane. */
function cniImages(): readonly string[] {
  return [...repositoryAssets.text("bundle/cni/flannel.yaml").matchAll(/image: (\S+)/g)].map((match) => match[1] as string);
}

export function initWorld(given: Partial<ResolveInput> = {}): World {
  const { config } = resolveInitConfig({ options: {}, facts: airgappedFacts(), ...given });
  const known = new Set(requiredImages(config).map(({ reference }) => reference));
  const index = packageIndexFor(config, [...new Set([...cniImages(), haproxyImage])].filter((reference) => !known.has(reference)));
  const host = new MemoryHost();
  const runtime = new MemoryRuntimeStore(host.ledger);
  const cluster = new MemoryClusterStore(host.ledger);
  const started = new Map<string, number>();
  const upFor = (name: string): number => (host.units.state(name).active === "active" ? host.now().getTime() - (started.get(name) ?? Number.POSITIVE_INFINITY) : Number.NEGATIVE_INFINITY);
  /** What no action describes and a reset must find: data, mounts, interfaces, rules. */
  const fill = (paths: readonly string[]): void => { for (const path of paths) if (host.files.look(path) === undefined) host.files.plant(path, "written by the cluster"); };
  const mount = (path: string, type: string): void => {
    host.files.plantDirectory(path);
    if (!host.mounted.some((other) => other.path === path)) host.mounted.push({ path, type });
  };
  const pod = (name: string, namespace: string, kind: string, owner: string): void => {
    cluster.plant({ apiVersion: "v1", kind: "Pod", metadata: { name, namespace, ownerReferences: [{ kind, name: owner }] }, spec: { nodeName: node }, status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] } });
  };

  /** The static pods as the kubelet shows them. */
  const mirror = (): void => {
    for (const file of ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubestick-haproxy"]) {
      if (host.files.look(`/etc/kubernetes/manifests/${file}.yaml`) !== undefined) pod(`${file}-${node}`, "kube-system", "Node", node);
    }
  };

  runtime.answers = () => upFor("containerd.service") >= 1000;
  cluster.answers = () => upFor("kubelet.service") >= 4000;
  host.units.onStop = (name) => { if (name === "containerd.service") host.openSockets.clear(); };
  host.units.onStart = (name) => {
    started.set(name, host.now().getTime());
    if (name === "containerd.service") {
      host.openSockets.add(config.init.nodeRegistration.criSocket);
      fill(["/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db", "/run/containerd/containerd.sock"]);
    }
    if (name === "kubelet.service") {
      fill(["/var/lib/kubelet/pods/a/etc-hosts", "/var/lib/etcd/member/wal/0.wal", "/var/log/pods/kube-system_etcd/etcd/0.log", "/var/log/containers/etcd.log", "/etc/cni/net.d/10-flannel.conflist", "/opt/cni/bin/flannel", "/run/flannel/subnet.env", "/usr/libexec/kubernetes/kubelet-plugins/x"]);
      mount("/var/lib/kubelet/pods/a/volumes/token", "tmpfs");
      mount("/run/containerd/io.containerd.runtime.v2.task/k8s.io/a/rootfs", "overlay");
      for (const link of ["flannel.1", "cni0", "veth0a1b2c3d"]) host.links.add(link);
      if (runtime.sandboxes.length === 0) runtime.sandboxes.push({ id: "a", name: "etcd", namespace: "kube-system", uid: "u", ready: true, createdAt: new Date(0) });
    }
    if (name === "kubelet.service") mirror();
    if (name !== "kubelet.service" || cluster.live({ apiVersion: "v1", kind: "Node", name: node }) !== undefined) return;
    cluster.plant({ apiVersion: "v1", kind: "Node", metadata: { name: node, labels: { "kubernetes.io/hostname": node } }, spec: {}, status: { conditions: [{ type: "Ready", status: "True" }] } });
    pod("coredns-6d5f9-a", "kube-system", "ReplicaSet", "coredns-6d5f9");
    pod("kube-proxy-a", "kube-system", "DaemonSet", "kube-proxy");
    pod("kube-flannel-ds-a", "kube-flannel", "DaemonSet", "kube-flannel-ds");
  };
  return {
    host, runtime, cluster,
    context: (changes = {}) => ({
      host, config, toYaml, pkg: memoryPackage(index), assets: repositoryAssets, dryRun: false, skipPhases: [], ignorePreflightErrors: [],
      runtime: (socket) => runtime.connect(socket),
      connect: (text) => cluster.connect(text),
      signal: new AbortController().signal,
      httpGet: async () => {
        if (upFor("kubelet.service") < 2000) throw new Error("connect ECONNREFUSED 127.0.0.1:10248");
        return { status: 200, body: "ok" };
      },
      ...changes,
    }),
  };
}
