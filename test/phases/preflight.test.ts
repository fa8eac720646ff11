import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import { plainFacts } from "../support/facts.ts";
import { packageIndexFor } from "../support/package-index.ts";
import { errorsOf, network, type Case } from "./preflight-bench.ts";

const names = async (given: Case): Promise<readonly string[]> => (await errorsOf(given)).map((finding) => finding.check);

test("preflight passes a plain machine with a complete package", async () => {
  assert.deepEqual(await names({}), []);
});

test("preflight without root reports that alone", async () => {
  assert.deepEqual(await names({ facts: plainFacts({ uid: 1000, cpus: 1, systemd: false }) }), ["IsPrivilegedUser"]);
});

test("preflight reports everything else at once", async () => {
  const facts = plainFacts({ cpus: 1, memoryTotal: 1024 ** 3, systemd: false, kernelRelease: "4.19.0", commands: {}, listening: [{ port: 6443, address: "*", pid: 77, process: "nginx" }] });
  assert.deepEqual(await names({ facts }), ["NumCPU", "Mem", "SystemVerification", "SystemVerification", "FileExisting-mount", "FileExisting-losetup", "FileExisting-cp", "Port-6443"]);
});

test("preflight says how to get a package when the file carries none", async () => {
  const [finding] = await errorsOf({ pkg: undefined });
  assert.equal(finding?.check, "Package");
  assert.match(finding?.hint ?? "", /kubestick pack/);
});

test("preflight refuses a package for another architecture or version", async () => {
  const { config } = resolveInitConfig({ options: {}, facts: plainFacts() });
  assert.deepEqual(await names({ pkg: { ...packageIndexFor(config, network), arch: "arm64", kubernetesVersion: "v1.36.1" } }), ["PackageArchitecture", "KubernetesVersion"]);
});

test("preflight names the process that holds a port, unless an earlier run of ours started it", async () => {
  const facts = plainFacts({ listening: [{ port: 2379, address: "127.0.0.1", pid: 9, process: "etcd" }] });
  const [finding] = await errorsOf({ facts });
  assert.match(finding?.message ?? "", /port 2379 is taken by etcd \(pid 9\)/);
  assert.deepEqual(await names({ facts, made: ["file/etc/kubernetes/manifests/etcd.yaml"] }), []);
  const foreign = plainFacts({ listening: [{ port: 2379, address: "*", process: "redis" }] });
  assert.deepEqual(await names({ facts: foreign, made: ["file/etc/kubernetes/manifests/etcd.yaml"] }), ["Port-2379"]);
});

test("preflight refuses another cluster's manifests and data, under kubeadm's check names", async () => {
  const files = { "/etc/kubernetes/manifests/kube-scheduler.yaml": "x", "/var/lib/etcd/member": "x" };
  assert.deepEqual(await names({ files }), ["FileAvailable--etc-kubernetes-manifests-kube-scheduler.yaml", "DirAvailable--var-lib-etcd"]);
});

test("preflight counts the missing bytes exactly", async () => {
  const { config } = resolveInitConfig({ options: {}, facts: plainFacts() });
  const pkg = packageIndexFor(config, network);
  const binaries = pkg.binaries.reduce((sum, binary) => sum + binary.size, 0);
  const blobs = new Map(pkg.images.flatMap((image) => [
    ...[image.target, image.manifest, image.config].map((blob) => [blob.digest, blob.size] as const), ...image.layers.map((layer) => [layer.digest, layer.size + layer.unpackedSize] as const),
  ]));
  const needed = binaries + [...blobs.values()].reduce((sum, size) => sum + size, 0) + (64 + 32) * 1024 * 1024;
  // Room for everything, and then full: the kubelet would say so.
  assert.deepEqual(await names({ pkg, free: needed }), ["DiskPressure"]);
  const [finding] = await errorsOf({ pkg, free: needed - 1 });
  assert.match(finding?.message ?? "", new RegExp(`^/ has ${needed - 1} bytes free, ${needed} bytes are needed .*: 1 bytes short$`));
});

test("preflight refuses a clock that cannot be", async () => {
  assert.deepEqual(await names({ now: new Date("1970-01-02T00:00:00Z") }), ["Clock"]);
});

test("preflight uses a found containerd and refuses a found runtime it cannot load images into", async () => {
  const containerd = plainFacts({ criSockets: ["unix:///var/run/containerd/containerd.sock"] });
  assert.deepEqual(await names({ facts: containerd, runtime: { name: "containerd", version: "1.7.24" } }), []);
  assert.deepEqual(await names({ facts: containerd }), ["CRI"]);
  const crio = plainFacts({ criSockets: ["unix:///var/run/crio/crio.sock"] });
  const [finding] = await errorsOf({ facts: crio, runtime: { name: "cri-o", version: "1.33.0" } });
  assert.match(`${finding?.message} ${finding?.hint}`, /cri-o 1\.33\.0.*containerd/);
});
