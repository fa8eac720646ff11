import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { joinDefaultsText } from "../../src/cli/config-documents.ts";
import { pullEvents } from "../../src/cli/config-images-pull.ts";
import { migrateCommand } from "../../src/cli/config-migrate.ts";
import { commands } from "../../src/cli/commands.ts";
import { readInvocation, runInvocation } from "../../src/cli/dispatch.ts";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import type { RunEvent } from "../../src/engine/types.ts";
import { toYaml } from "../../src/manifests/yaml.ts";
import { airgappedFacts, plainFacts } from "../support/facts.ts";
import { goldenCases, goldenFacts, goldenText } from "../support/golden.ts";
import { MemoryHost } from "../support/memory-host.ts";
import { memoryPackage } from "../support/memory-package.ts";
import { MemoryRuntimeStore } from "../support/memory-runtime.ts";
import { packageIndexFor } from "../support/package-index.ts";
import { repositoryAssets } from "../support/repository-assets.ts";
import { testIo, TextSink } from "./screen.ts";

const golden = (path: string): string => readFileSync(new URL(`../golden/${path}`, import.meta.url), "utf8");
const goldenPath = (path: string): string => new URL(`../golden/${path}`, import.meta.url).pathname;

async function run(...argv: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const io = testIo();
  await runInvocation(readInvocation(argv), io);
  return { stdout: (io.stdout as TextSink).text, stderr: (io.stderr as TextSink).text };
}

async function migrate(flags: Parameters<typeof migrateCommand>[0], facts = goldenFacts): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const io = testIo();
  await migrateCommand(flags, io, facts);
  return { stdout: (io.stdout as TextSink).text, stderr: (io.stderr as TextSink).text };
}

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "kubestick-config-"));
  try { await body(folder); } finally { rmSync(folder, { recursive: true }); }
}

test("config print gives kubeadm's defaults of every operation", async () => {
  assert.equal((await run("config", "print", "init-defaults")).stdout, golden("defaults/init-defaults.yaml"));
  assert.equal((await run("config", "print", "init-defaults", "--component-configs", "KubeProxyConfiguration,KubeletConfiguration")).stdout, golden("defaults/init-defaults-with-components.yaml"));
  assert.equal(joinDefaultsText("<hostname>"), golden("defaults/join-defaults.yaml"));
  assert.equal((await run("config", "print", "reset-defaults")).stdout, golden("defaults/reset-defaults.yaml"));
  assert.equal((await run("config", "print", "upgrade-defaults")).stdout, golden("defaults/upgrade-defaults.yaml"));
});

test("config validate accepts what config print gives", async () => {
  await inFolder(async (folder) => {
    for (const operation of ["init", "join", "reset", "upgrade"]) {
      const file = join(folder, `${operation}.yaml`);
      writeFileSync(file, (await run("config", "print", `${operation}-defaults`)).stdout);
      assert.deepEqual(await run("config", "validate", "--config", file), { stdout: "ok\n", stderr: "" });
    }
  });
});

test("config validate reports every finding, and warns about v1beta3 unless told not to", async () => {
  await inFolder(async (folder) => {
    const file = join(folder, "bad.yaml");
    writeFileSync(file, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\ntimeout: {}\n---\napiVersion: kubestick.io/v1alpha1\nkind: InstallConfiguration\ncni: flanel\n");
    await assert.rejects(run("config", "validate", "--config", file), (error: { code: string; details: readonly string[] }) => {
      assert.equal(error.code, "CONFIG_INVALID");
      assert.match(error.details[0] ?? "", /bad\.yaml:3:1: .*did you mean "timeouts"\?$/);
      assert.match(error.details[1] ?? "", /bad\.yaml:7:6: .*did you mean flannel\?$/);
      return true;
    });
  });
  const old = ["config", "validate", "--config", goldenPath("defaults/v1beta3-input.yaml")];
  assert.match((await run(...old)).stderr, /v1beta3 is deprecated/);
  const quiet = await run(...old, "--allow-deprecated-api");
  assert.equal(quiet.stdout, "ok\n");
  assert.doesNotMatch(quiet.stderr, /deprecated/);
  await assert.rejects(run("config", "validate"), { code: "CLI_FLAG_NEEDS_VALUE" });
});

test("config migrate gives kubeadm's result, without its lost time-out", async () => {
  for (const name of goldenCases) {
    const { stdout } = await migrate({ "old-config": goldenPath(`${name}/config.yaml`) });
    const wanted = goldenText(name, "config-migrate-output.yaml").replace("controlPlaneComponentHealthCheck: 0s", `controlPlaneComponentHealthCheck: ${name === "custom" ? "6m35s" : "4m0s"}`);
    assert.equal(stdout, wanted, name);
  }
  const old = await migrate({ "old-config": goldenPath("defaults/v1beta3-input.yaml") });
  assert.equal(old.stdout, golden("defaults/v1beta3-migrated.yaml"));
  assert.match(old.stderr, /v1beta3 is deprecated[^]*unix:\/\/\/var\/run\/containerd\/containerd\.sock is meant/);
});

test("config migrate fills what is open from the machine, keeps every field, and its result migrates to itself", async () => {
  await inFolder(async (folder) => {
    const file = join(folder, "all.yaml");
    const version = "apiVersion: kubeadm.k8s.io/v1beta4\n";
    writeFileSync(file, [
      `${version}kind: InitConfiguration\ndryRun: true\nskipPhases: [addon/kube-proxy]\nnodeRegistration: {taints: [], ignorePreflightErrors: [Swap, Mem], imagePullSerial: false}\n`,
      `${version}kind: JoinConfiguration\ncontrolPlane: {certificateKey: ${"ab".repeat(32)}}\ndiscovery: {file: {kubeConfigPath: /etc/d.conf}}\n`,
      `${version}kind: ResetConfiguration\nforce: true\nunmountFlags: [MNT_FORCE]\n`,
      `${version}kind: UpgradeConfiguration\napply: {forceUpgrade: true, patches: {directory: /p}, etcdUpgrade: false}\ndiff: {contextLines: 5}\nplan: {printConfig: true}\n`,
      "apiVersion: kubestick.io/v1alpha1\nkind: InstallConfiguration\ncni: bridge\n",
    ].join("---\n"));
    const { stdout } = await migrate({ "old-config": file }, plainFacts());
    const documents = stdout.split("---\n").map((text) => parse(text) as Record<string, Record<string, unknown>>);
    assert.deepEqual(documents.map(({ kind }) => kind), ["InitConfiguration", "ClusterConfiguration", "JoinConfiguration", "ResetConfiguration", "UpgradeConfiguration", "InstallConfiguration"]);
    const [init, cluster, joined, reset, upgrade] = documents;
    assert.deepEqual(init?.["localAPIEndpoint"], { advertiseAddress: "192.0.2.10", bindPort: 6443 });
    assert.deepEqual([init?.["dryRun"], init?.["nodeRegistration"]?.["taints"], init?.["nodeRegistration"]?.["ignorePreflightErrors"], init?.["nodeRegistration"]?.["name"]], [true, [], ["Swap", "Mem"], "cp1"]);
    assert.match(((init?.["bootstrapTokens"] as unknown as { token: string }[])[0])?.token ?? "", /^[a-z0-9]{6}\.[a-z0-9]{16}$/);
    assert.deepEqual([cluster?.["proxy"], cluster?.["networking"]], [{}, { dnsDomain: "cluster.local", serviceSubnet: "10.96.0.0/12" }]);
    assert.deepEqual([joined?.["nodeRegistration"]?.["taints"], joined?.["discovery"]], [[{ effect: "NoSchedule", key: "node-role.kubernetes.io/control-plane" }], { file: { kubeConfigPath: "/etc/d.conf" } }]);
    assert.deepEqual([reset?.["force"], reset?.["unmountFlags"]], [true, ["MNT_FORCE"]]);
    assert.deepEqual(upgrade?.["apply"], { certificateRenewal: true, etcdUpgrade: false, forceUpgrade: true, imagePullPolicy: "IfNotPresent", imagePullSerial: true, patches: { directory: "/p" } });
    assert.deepEqual([upgrade?.["diff"], upgrade?.["plan"]], [{ contextLines: 5 }, { etcdUpgrade: true, printConfig: true }]);
    writeFileSync(file, stdout);
    assert.equal((await migrate({ "old-config": file }, airgappedFacts())).stdout, stdout);
  });
});

test("config migrate writes a file only its owner reads, whole or not at all", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "new.yaml");
    assert.equal((await migrate({ "old-config": goldenPath("default/config.yaml"), "new-config": path })).stdout, "");
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.match(readFileSync(path, "utf8"), /^apiVersion: kubeadm\.k8s\.io\/v1beta4\n[^]*kind: ClusterConfiguration/);
    await assert.rejects(migrate({ "old-config": goldenPath("default/config.yaml"), "new-config": join(folder, "absent/new.yaml") }), { code: "CONFIG_UNWRITABLE" });
    assert.deepEqual(readdirSync(folder), ["new.yaml"]);
  });
  await assert.rejects(migrate({}), { code: "CLI_FLAG_NEEDS_VALUE" });
});

test("beside --config stand the flags kubeadm allows there, and our own", () => {
  const allowed = ["config", "ignore-preflight-errors", "dry-run", "kubeconfig", "node-name", "kubeconfig-dir", "upload-certs", "print-manifest", "allow-missing-template-keys", "output", "show-managed-fields", "print-join-command", "rootfs", "v", "log-file", "yes"];
  const ours = ["cni", "fix", "ha", "out", "package", "part", "signature-policy", "trust-key", "use-cluster-endpoint", "wait"];
  for (const { path, flags } of commands) {
    // kubeconfig user is made of both: the configuration says which cluster, the flags who.
    if (flags["config"] === undefined || path[0] === "config" || path.join(" ") === "kubeconfig user") continue;
    for (const [name, spec] of Object.entries(flags)) {
      if (!ours.includes(name)) assert.equal(spec.withConfig === true, allowed.includes(name) || name.startsWith("skip-"), `${path.join(" ")} --${name}`);
    }
  }
  assert.throws(() => readInvocation(["init", "--config", "a.yaml", "--patches", "/p", "--node-name", "n"]), { code: "CLI_MIXED_CONFIG", message: /patches/ });
  assert.doesNotThrow(() => readInvocation(["init", "--config", "a.yaml", "--node-name", "n", "--skip-phases", "addon", "--ignore-preflight-errors", "Swap"]));
  assert.doesNotThrow(() => readInvocation(["config", "images", "list", "--config", "a.yaml", "--image-repository", "r.example"]));
});

test("config images list gives kubeadm's list for a file, flags, and as data", async () => {
  for (const name of goldenCases) assert.equal((await run("config", "images", "list", "--config", goldenPath(`${name}/config.yaml`))).stdout, goldenText(name, "images.txt"), name);
  assert.match((await run("config", "images", "list", "--image-repository", "registry.example/k8s", "--kubernetes-version", "v1.35.2")).stdout, /^registry\.example\/k8s\/kube-apiserver:v1\.35\.2\n[^]*k8s\/coredns:v1\.13\.1\nregistry\.example\/k8s\/pause:3\.10\.1\nregistry\.example\/k8s\/etcd:3\.6\.6-0\n$/);
  const wanted = { apiVersion: "output.kubeadm.k8s.io/v1alpha3", kind: "Images", images: goldenText("default", "images.txt").trim().split("\n") };
  assert.deepEqual(JSON.parse((await run("config", "images", "list", "--kubernetes-version", "1.36.2", "-o", "json")).stdout), wanted);
  assert.deepEqual(parse((await run("config", "images", "list", "--kubernetes-version", "stable-1", "-o", "yaml")).stdout), wanted);
  await assert.rejects(run("config", "images", "list", "--kubernetes-version", "v1.34.1"), { code: "CONFIG_INVALID" });
  await assert.rejects(run("config", "images", "list", "--feature-gates", "Bogus=true"), { code: "CONFIG_INVALID" });
});

test("config images pull loads what the package carries, and nothing else changes", async () => {
  const { config } = resolveInitConfig({ options: { cni: "bridge" }, facts: plainFacts() });
  const host = new MemoryHost({ facts: plainFacts() });
  const store = new MemoryRuntimeStore(host.ledger);
  const ports = {
    host, runtime: (socket: string) => store.connect(socket), connect: () => { throw new Error("no cluster is asked"); }, assets: repositoryAssets, toYaml,
    lock: () => Promise.resolve({ release: () => Promise.resolve() }),
  };
  const index = { ...packageIndexFor(config, []), cni: "bridge" as const };
  const pull = async (flags: Parameters<typeof pullEvents>[0], carried: typeof index = index): Promise<readonly RunEvent[]> => {
    const events: RunEvent[] = [];
    const stream = pullEvents(flags, new AbortController().signal, memoryPackage(carried), ports);
    for (let step = await stream.next(); ; step = await stream.next()) {
      if (step.done === true) return events;
      events.push(step.value);
    }
  };
  const before = host.snapshot();
  await assert.rejects(pull({}, { ...index, arch: "arm64", platforms: [{ arch: "arm64", images: [], binaries: [] }] }), { code: "PACKAGE_ARCHITECTURE", happened: /^It is for arm64; this machine is amd64\. Nothing was changed\.$/ });
  await assert.rejects(pull({}, { ...index, arch: "arm64", platforms: ["amd64", "arm64"].map((arch) => ({ arch, images: [], binaries: [] })) }), { code: "PACKAGE_ARCHITECTURE", happened: /this program is the one for arm64; this machine is amd64/ });
  assert.deepEqual(host.snapshot(), before);
  await pull({});
  const wanted = goldenText("default", "images.txt").trim().split("\n");
  assert.deepEqual([...store.names.keys()].filter((name) => wanted.includes(name)).sort(), [...wanted].sort());
  const after = host.snapshot();
  assert.deepEqual(Object.keys(after.files).filter((path) => !path.startsWith("/var/lib/kubestick")), Object.keys(before.files).filter((path) => !path.startsWith("/var/lib/kubestick")));
  const failed = (await pull({ "image-repository": "registry.example/k8s" })).find((event) => event.type === "run-finished");
  assert.match(JSON.stringify(failed), /registry\.example\/k8s\/kube-apiserver:v1\.36\.2/);
});
