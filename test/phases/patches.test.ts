import assert from "node:assert/strict";
import { test } from "node:test";
import { applyPatches } from "../../src/manifests/patches.ts";
import { configuredPatches, ignoredPatchFindings, patchFindings } from "../../src/phases/patches.ts";
import { goldenConfig, goldenFacts } from "../support/golden.ts";
import { MemoryHost } from "../support/memory-host.ts";

const config = goldenConfig("custom");

function host(files: Readonly<Record<string, string>>): MemoryHost {
  return new MemoryHost({ facts: goldenFacts, files });
}

test("configuredPatches walks sub-directories where their names stand, whose own names say nothing", async () => {
  const read = host({
    "/etc/kubeadm/patches/b/etcd.yaml": "order: second",
    "/etc/kubeadm/patches/a/etcd.yaml": "order: first\na: 1",
    "/etc/kubeadm/patches/kube-scheduler.d/etcd9.yaml": "order: third",
  });
  const patches = await configuredPatches(config, read);
  assert.deepEqual(patches.patches.map(({ path }) => path.slice("/etc/kubeadm/patches/".length)), ["a/etcd.yaml", "b/etcd.yaml", "kube-scheduler.d/etcd9.yaml"]);
  assert.deepEqual(applyPatches(patches, "etcd", {}), { order: "third", a: 1 });
});

test("configuredPatches without a folder in the configuration is no patch", async () => {
  assert.deepEqual(await configuredPatches(goldenConfig("default"), host({})), { patches: [], ignored: [] });
});

test("patchFindings tells of a folder that is missing or a file, and of a file that cannot be read as a patch", async () => {
  for (const files of [{}, { "/etc/kubeadm/patches": "x" }, { "/etc/kubeadm/patches/etcd+yaml.yaml": "a: 1" }, { "/etc/kubeadm/patches/etcd.yaml": "a: [" }] as readonly Record<string, string>[]) {
    const [finding, ...others] = await patchFindings(config, host(files));
    assert.deepEqual([finding?.check, finding?.severity, others], ["Patches", "error", []]);
  }
  assert.deepEqual(await patchFindings(config, host({ "/etc/kubeadm/patches/etcd.yaml": "a: 1" })), []);
});

test("ignoredPatchFindings names each file that is not used, with the reason", async () => {
  const patches = await configuredPatches(config, host({ "/etc/kubeadm/patches/ectd.yaml": "a: 1", "/etc/kubeadm/patches/etcd.yml": "a: 1" }));
  assert.deepEqual(ignoredPatchFindings(patches).map(({ severity, message }) => [severity, message.split(" ")[0]]), [["warning", "/etc/kubeadm/patches/ectd.yaml"], ["warning", "/etc/kubeadm/patches/etcd.yml"]]);
});
