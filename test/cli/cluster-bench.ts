/** A control plane in memory whose cluster the commands for tokens and tickets work on. */
import type { MachinePorts } from "../../src/cli/machine.ts";
import { generateKey } from "../../src/pki/keys.ts";
import { issueCa } from "../../src/pki/issue.ts";
import { renderKubeconfig } from "../../src/pki/kubeconfig.ts";
import { toYaml } from "../../src/manifests/yaml.ts";
import { plainFacts } from "../support/facts.ts";
import { MemoryClusterStore } from "../support/memory-cluster.ts";
import { MemoryHost } from "../support/memory-host.ts";
import { testIo, TextSink, type TestIo } from "./screen.ts";

export const now = new Date("2026-11-21T03:00:00Z");

export interface Bench {
  readonly host: MemoryHost;
  readonly cluster: MemoryClusterStore;
  readonly ports: MachinePorts;
  readonly caPem: string;
}

/** `ha`: what the cluster says of itself beside kubeadm's words. */
export async function bench(server = "https://192.0.2.10:6443", at = now, ha = false): Promise<Bench> {
  const caKey = await generateKey("ECDSA-P256");
  const caPem = await issueCa("kubernetes", caKey, { notBefore: now, notAfter: new Date(now.getTime() + 1e10) });
  const admin = renderKubeconfig({ clusterName: "kubernetes", server, userName: "kubernetes-admin", caPem, credentials: { token: "t" } });
  const names = ["front-proxy-ca.crt", "front-proxy-ca.key", "sa.pub", "sa.key", "etcd/ca.crt", "etcd/ca.key"];
  const host = new MemoryHost({ facts: plainFacts(), now: at, directories: { "/media/stick": 0o755 }, files: { "/etc/kubernetes/admin.conf": admin, "/etc/kubernetes/pki/ca.crt": caPem, "/etc/kubernetes/pki/ca.key": caKey, ...Object.fromEntries(names.map((name) => [`/etc/kubernetes/pki/${name}`, `content of ${name}`])) } });
  const cluster = new MemoryClusterStore(host.ledger);
  cluster.plant({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "kubeadm-config", namespace: "kube-system" }, data: { ClusterConfiguration: toYaml({ apiVersion: "kubeadm.k8s.io/v1beta4", kind: "ClusterConfiguration", clusterName: "east", kubernetesVersion: "v1.36.2", controlPlaneEndpoint: "api.example:6443" }), ...(ha ? { InstallConfiguration: toYaml({ apiVersion: "kubestick.io/v1alpha1", kind: "InstallConfiguration", ha: true }) } : {}) } });
  cluster.plant({ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", metadata: { name: "kubernetes", namespace: "default" }, endpoints: [{ addresses: ["192.0.2.10"] }, { addresses: ["192.0.2.11"] }], ports: [{ name: "https", port: 6443 }] });
  const absent = (): never => { throw new Error("not asked for in these tests"); };
  return { host, cluster, caPem, ports: { host, runtime: absent, connect: (text) => cluster.connect(text), assets: { text: absent, list: () => [] }, lock: absent, toYaml } };
}

export interface Output extends TestIo {
  readonly out: () => string;
  readonly err: () => string;
}

export function output(env: Readonly<Record<string, string>> = {}): Output {
  const io = testIo();
  return { ...io, env, out: () => (io.stdout as TextSink).text, err: () => (io.stderr as TextSink).text };
}
