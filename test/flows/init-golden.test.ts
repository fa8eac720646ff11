/** `init --dry-run --out` against what the real kubeadm 1.36.2 wrote for the same configuration. Differences that we want are named below; nothing else is left out. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import { runFlow } from "../../src/engine/run.ts";
import type { RunEvent } from "../../src/engine/types.ts";
import { initFlow } from "../../src/flows/init.ts";
import { toYaml } from "../../src/manifests/yaml.ts";
import { goldenCases, goldenConfig, goldenContext, goldenFacts, goldenText, type GoldenCase } from "../support/golden.ts";
import { MemoryHost } from "../support/memory-host.ts";
import { repositoryAssets } from "../support/repository-assets.ts";

interface DryRun {
  readonly host: MemoryHost;
  readonly events: readonly RunEvent[];
  text(path: string): Promise<string>;
}

async function dryRun(golden: GoldenCase): Promise<DryRun> {
  const directories = Object.fromEntries(goldenContext.caDirectories.map((path) => [path, 0o755]));
  const host = new MemoryHost({ facts: goldenFacts, directories, files: golden === "custom" ? customPatches() : {} });
  const { config } = resolveInitConfig({ options: { cni: "none" }, file: { name: "config.yaml", text: goldenText(golden, "config.yaml") }, facts: goldenFacts, flags: { uploadCerts: golden === "ha-vip" } });
  const events: RunEvent[] = [];
  const unused = (): never => { throw new Error("a dry run on a bare machine talks to nobody"); };
  const run = runFlow(initFlow, {
    host, config, assets: repositoryAssets, runtime: unused, connect: unused, dryRun: true, skipPhases: [], ignorePreflightErrors: ["all"],
    signal: new AbortController().signal, outputDirectory: "/out", toYaml,
  });
  for await (const event of run) events.push(event);
  return {
    host, events,
    async text(path) {
      const text = await host.readText(`/out/${path}`);
      assert.ok(text !== undefined, `${path} was not written`);
      return text;
    },
  };
}

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

/** kubeadm's dry run writes everything into one folder. */
function placeOf(name: string): string {
  if (name.endsWith(".conf")) return `/etc/kubernetes/${name}`;
  if (name === "config.yaml" || name === "instance-config.yaml" || name === "kubeadm-flags.env") return `/var/lib/kubelet/${name}`;
  if (name.endsWith(".yaml")) return `/etc/kubernetes/manifests/${name}`;
  return `/etc/kubernetes/pki/${name}`;
}

for (const golden of goldenCases) {
  test(`init --dry-run --out records kubeadm's API requests in kubeadm's order, case ${golden}`, async () => {
    const { text } = await dryRun(golden);
    const ours = requests(await text("api-actions.yaml"));
    const wanted = requests(goldenText(golden, "api-actions.yaml"));
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

/**
 * Values that differ from run to run, or that the golden files withhold, are compared by their presence. Of the reads in phase upload-certs none
 * is: we look for certificates an earlier run uploaded, kubeadm asks twice for the token it is about to make.
 */
function requests(text: string): { readonly head: string; readonly body: unknown }[] {
  return text.split(/^---\n/m).map((part) => {
    const [first = "", ...rest] = part.split("\n");
    const redacted = rest.join("\n")
      .replace(/certificate-authority-data: \S+/, "certificate-authority-data: REDACTED")
      .replace(/expiration: .+/, "expiration: some time");
    const random = !first.includes("name=bootstrap-token-abcdef ") && /name=bootstrap-token-\S+/.test(first);
    const body = parse(redacted) as Record<string, unknown> | null;
    return { head: first.replace(/^# \d+ /, "").replace(random ? /bootstrap-token-\S+/ : /^$/, "bootstrap-token-<random-id>"), body: unrandom(body, random) };
  }).filter(({ head }) => !uploadReads.has(head));
}

const uploadReads: ReadonlySet<string> = new Set([
  "GET core/v1 secrets name=bootstrap-token-<random-id> namespace=kube-system",
  "GET core/v1 secrets name=kubeadm-certs namespace=kube-system",
  "LIST core/v1 secrets name=- namespace=-",
]);

function unrandom(body: Record<string, unknown> | null, random: boolean): unknown {
  const metadata = body?.["metadata"] as { name?: string; ownerReferences?: { name: string }[] } | undefined;
  const keys = (value: unknown): string[] => Object.keys((value ?? {}) as object).sort();
  if (body === null || metadata === undefined) return body;
  if (metadata.name === "kubeadm-certs") {
    return { ...body, data: keys(body["data"]), metadata: { ...metadata, ownerReferences: metadata.ownerReferences?.map((owner) => ({ ...owner, name: "bootstrap-token-<random-id>" })) } };
  }
  return random && body["kind"] === "Secret" ? { ...body, data: keys(body["data"]), metadata: { ...metadata, name: "bootstrap-token-<random-id>" } } : body;
}

test("init --dry-run writes nothing but its output", async () => {
  const { host } = await dryRun("default");
  const { files } = await host.snapshot();
  const { files: before } = await new MemoryHost({ facts: goldenFacts, directories: Object.fromEntries(goldenContext.caDirectories.map((path) => [path, 0o755])) }).snapshot();
  assert.deepEqual(Object.keys(files).filter((path) => !path.startsWith("/out") && !(path in before)), []);
});
