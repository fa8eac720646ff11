/** `init --dry-run --out` against what the real kubeadm 1.36.2 wrote for the same configuration. Differences that we want are named below; nothing else is left out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import { runFlow } from "../../src/engine/run.ts";
import type { RunEvent } from "../../src/engine/types.ts";
import { initFlow } from "../../src/flows/init.ts";
import { toYaml } from "../../src/manifests/yaml.ts";
import { goldenContext, goldenFacts, goldenText, type GoldenCase } from "../support/golden.ts";
import { MemoryHost } from "../support/memory-host.ts";
import { repositoryAssets } from "../support/repository-assets.ts";

interface DryRun {
  readonly host: MemoryHost;
  readonly events: readonly RunEvent[];
  text(path: string): Promise<string>;
}

async function dryRun(golden: GoldenCase): Promise<DryRun> {
  const directories = Object.fromEntries(goldenContext.caDirectories.map((path) => [path, 0o755]));
  const host = new MemoryHost({ facts: goldenFacts, directories });
  const { config } = resolveInitConfig({ options: { cni: "none" }, file: { name: "config.yaml", text: goldenText(golden, "config.yaml") }, facts: goldenFacts });
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

const manifests = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"];

for (const golden of ["default", "ha-vip", "external-etcd"] as const) {
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

test("init --dry-run --out records kubeadm's API requests in kubeadm's order", async () => {
  const { text } = await dryRun("default");
  const ours = requests(await text("api-actions.yaml"));
  // kubeadm creates this binding before everything else, outside its own record (docs: the dry run does not show it).
  const wanted = requests(goldenText("default", "api-actions.yaml"));
  const compared = ours.filter(({ head }) => !head.includes("name=kubeadm:cluster-admins"));
  assert.equal(ours.length - compared.length, 1);
  assert.deepEqual(compared.map(({ head }) => head), wanted.map(({ head }) => head));
  compared.forEach((request, index) => assert.deepEqual(request.body, wanted[index]?.body, request.head));
});

/** Values that differ from run to run, or that the golden files withhold, are compared by their presence. */
function requests(text: string): { readonly head: string; readonly body: unknown }[] {
  return text.split(/^---\n/m).map((part) => {
    const [first = "", ...rest] = part.split("\n");
    const body = rest.join("\n")
      .replace(/certificate-authority-data: \S+/, "certificate-authority-data: REDACTED")
      .replace(/expiration: .+/, "expiration: some time");
    return { head: first.replace(/^# \d+ /, ""), body: parse(body) };
  });
}

test("init prints kubeadm's join command under its own name", async () => {
  const { events } = await dryRun("default");
  const result = events.find((event) => event.type === "result");
  assert.ok(result?.type === "result");
  assert.equal(result.result.text.replace(/sha256:[0-9a-f]{64}/, "sha256:<hex>").replace(/^kubestick/, "kubeadm"), goldenText("default", "join-commands.txt"));
});

test("init --dry-run writes nothing but its output", async () => {
  const { host } = await dryRun("default");
  const { files } = await host.snapshot();
  const { files: before } = await new MemoryHost({ facts: goldenFacts, directories: Object.fromEntries(goldenContext.caDirectories.map((path) => [path, 0o755])) }).snapshot();
  assert.deepEqual(Object.keys(files).filter((path) => !path.startsWith("/out") && !(path in before)), []);
});
