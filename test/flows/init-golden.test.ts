/** `init --dry-run --out` against what the real kubeadm 1.36.2 wrote for the same configuration. Differences that we want are named below; nothing else is left out. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";
import { goldenCases, goldenConfig, goldenContext, goldenFacts, goldenText, type GoldenCase } from "../support/golden.ts";
import { comparableRequests, goldenRun, placeOf, type GoldenRun } from "../support/golden-run.ts";
import { MemoryHost } from "../support/memory-host.ts";

const dryRun = (golden: GoldenCase): Promise<GoldenRun> =>
  goldenRun(goldenText(golden, "config.yaml"), { uploadCerts: golden === "ha-vip", ...(golden === "custom" ? { files: customPatches() } : {}) });

/** The case's patches, where its configuration names them. */
function customPatches(): Record<string, { content: string; mode: number }> {
  const names = readdirSync(new URL("../golden/custom/patches", import.meta.url));
  return Object.fromEntries(names.map((name) => [`/etc/kubeadm/patches/${name}`, { content: goldenText("custom", `patches/${name}`), mode: 0o644 }]));
}

const manifests = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"];

for (const golden of goldenCases) {
  test(`init --dry-run --out writes kubeadm's static pods, case ${golden}`, async () => {
    const { text } = await dryRun(golden);
    for (const name of manifests.filter((candidate) => golden !== "external-etcd" || candidate !== "etcd")) {
      assert.equal(await text(`files/etc/kubernetes/manifests/${name}.yaml`), goldenText(golden, `manifests/${name}.yaml`), name);
    }
  });

  test(`init --dry-run --out writes kubeadm's kubelet files, case ${golden}`, async () => {
    const { text } = await dryRun(golden);
    for (const name of ["config.yaml", "instance-config.yaml", "kubeadm-flags.env"]) {
      assert.equal(await text(`files/var/lib/kubelet/${name}`), goldenText(golden, `kubelet/${name}`), name);
    }
  });

  test(`init --dry-run --out writes kubeadm's kubeconfigs, case ${golden}`, async () => {
    const { text } = await dryRun(golden);
    for (const name of ["admin", "super-admin", "kubelet", "controller-manager", "scheduler"]) {
      const written = (await text(`files/etc/kubernetes/${name}.conf`)).replaceAll(/(-data): \S+/g, "$1: REDACTED");
      assert.deepEqual(parse(written), parse(goldenText(golden, `kubeconfigs/${name}.conf`)), name);
    }
  });
}

test("init --dry-run --out gives kubeadm's files the modes kubeadm gives them", async () => {
  const { host } = await dryRun("default");
  for (const line of goldenText("default", "modes.txt").split("\n").filter((candidate) => /^[0-7]{4} /.test(candidate))) {
    const [mode = "", name = ""] = line.split(" ");
    const path = placeOf(name.replace(/\/$/, ""));
    assert.equal((await host.stat(`/out/files${path}`))?.mode.toString(8).padStart(4, "0"), mode, path);
  }
});

for (const golden of goldenCases) {
  test(`init --dry-run --out records kubeadm's API requests in kubeadm's order, case ${golden}`, async () => {
    const { text } = await dryRun(golden);
    const ours = comparableRequests(await text("api-actions.yaml"));
    const wanted = comparableRequests(goldenText(golden, "api-actions.yaml"));
    // kubeadm creates this binding before everything else, outside its own record (docs: the dry run does not show it).
    const compared = ours.filter(({ head }) => !head.includes("name=kubeadm:cluster-admins"));
    assert.equal(ours.length - compared.length, 1);
    assert.deepEqual(compared.map(({ head }) => head), wanted.map(({ head }) => head));
    compared.forEach((request, index) => assert.deepEqual(request.body, wanted[index]?.body, request.head));
  });

  test(`init prints kubeadm's join commands under its own name, case ${golden}`, async () => {
    const { events } = await dryRun(golden);
    const results = events.flatMap((event) => (event.type === "result" ? [event.result] : []));
    const commands = results.find(({ name }) => name === "joinCommands")?.text ?? "";
    assert.equal(commands.replaceAll(/sha256:[0-9a-f]{64}/g, "sha256:<hex>").replaceAll(/^kubestick/gm, "kubeadm"), goldenText(golden, "join-commands.txt"));
    assert.deepEqual(results.filter(({ name }) => name === "certificateKey").map(({ value }) => value), golden === "ha-vip" ? [goldenConfig(golden).init.certificateKey] : []);
  });
}

test("init --dry-run writes nothing but its output", async () => {
  const { host } = await dryRun("default");
  const { files } = await host.snapshot();
  const { files: before } = await new MemoryHost({ facts: goldenFacts, directories: Object.fromEntries(goldenContext.caDirectories.map((path) => [path, 0o755])) }).snapshot();
  assert.deepEqual(Object.keys(files).filter((path) => !path.startsWith("/out") && !(path in before)), []);
});
