import assert from "node:assert/strict";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout } from "node:timers/promises";
import { after, before, test } from "node:test";
import { errnoOf } from "../../src/errors.ts";

const program = resolve("src/main.ts");
const env = { ...process.env, NO_COLOR: "" };

function kubestick(...argv: readonly string[]): { readonly code: number | null; readonly stdout: string; readonly stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...argv], { encoding: "utf8", env });
  return { code: status, stdout, stderr };
}

test("main exits 0 with results on standard output and nothing on standard error", () => {
  const version = kubestick("version", "-o", "json");
  assert.deepEqual({ code: version.code, stderr: version.stderr }, { code: 0, stderr: "" });
  const document = JSON.parse(version.stdout) as Record<string, unknown>;
  assert.match(document["kubestickVersion"] as string, /^\d+\.\d+\.\d+$/);
  assert.equal(document["package"], null);
  assert.match(kubestick("token", "generate").stdout, /^[a-z0-9]{6}\.[a-z0-9]{16}\n$/);
  assert.equal(kubestick("version", "-o", "short").stdout, `${document["kubestickVersion"] as string}\n`);
  assert.match(kubestick("version", "-o", "yaml").stdout, /^kubestickVersion: /);
  assert.match(kubestick("--version").stdout, /^kubestick \d/);
});

test("main exits 1 with one clear error on standard error for a mistake in the arguments", () => {
  for (const argv of [["init", "--dryrun"], ["nit"], ["init", "extra"], ["config"], ["completion", "fish"], ["init", "--config", "/does/not/exist.yaml"]]) {
    const { code, stderr } = kubestick(...argv);
    assert.equal(code, 1, argv.join(" "));
    assert.equal(stderr.match(/^error: [A-Z_]+ while /gm)?.length, 1, stderr);
    assert.match(stderr, /^next: \S/m);
    assert.doesNotMatch(stderr, /\n\s+at /);
  }
});

test("main tells an error as one JSON document, or one JSON line, when that was asked for", () => {
  const json = kubestick("init", "--bogus", "-o", "json");
  assert.equal(json.code, 1);
  assert.equal((JSON.parse(json.stdout) as { ok: boolean; error: { code: string } }).error.code, "CLI_UNKNOWN_FLAG");
  const jsonl = kubestick("init", "--bogus", "-o", "jsonl");
  assert.deepEqual(Object.keys(JSON.parse(jsonl.stdout) as object), ["type", "ok", "error"]);
  assert.match(jsonl.stderr, /^error: CLI_UNKNOWN_FLAG/);
});

test("main prints one document also when init fails before its first phase", () => {
  const folder = mkdtempSync(join(tmpdir(), "kubestick-cli-"));
  try {
    const file = join(folder, "bad.yaml");
    writeFileSync(file, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nnodeRegistraton: {}\n");
    const { code, stdout, stderr } = kubestick("init", "--dry-run", "--config", file, "-o", "json");
    assert.equal(code, 1);
    const document = JSON.parse(stdout) as { ok: boolean; error: { code: string; happened: string } };
    assert.equal(document.ok, false);
    assert.equal(document.error.code, "CONFIG_INVALID");
    assert.match(document.error.happened, /bad\.yaml:3:1.*nodeRegistration/);
    assert.match(stderr, /^error: CONFIG_INVALID/m);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("main adds the stack with --v=5, and only then", () => {
  assert.match(kubestick("init", "--bogus", "--v=5").stderr, /\n {4}at .*flags\.ts:\d+/);
  assert.match(kubestick("-v", "5", "nit").stderr, /\n {4}at /);
  assert.doesNotMatch(kubestick("init", "--bogus", "--v=4").stderr, /\n {4}at /);
});

test("main prints the images and defaults that kubeadm prints", () => {
  assert.deepEqual(kubestick("config", "images", "list").stdout.split("\n").slice(0, 2), ["registry.k8s.io/kube-apiserver:v1.36.2", "registry.k8s.io/kube-controller-manager:v1.36.2"]);
  assert.match(kubestick("config", "images", "list", "--image-repository=r.example/k8s", "-o", "json").stdout, /"r\.example\/k8s\/etcd:/);
  assert.equal(kubestick("config", "images", "list", "--package", "/bin/sh").code, 1);
  assert.match(kubestick("config", "print", "init-defaults", "--component-configs", "KubeletConfigurtion").stderr, /Did you mean KubeletConfiguration\?/);
});

test("main survives a reader that goes away", async () => {
  const child = spawn(process.execPath, [program, "completion", "zsh"], { stdio: ["ignore", "pipe", "pipe"], env });
  child.stdout.destroy();
  const stderr = text(child.stderr);
  const [code] = await once(child, "close") as [number];
  assert.deepEqual({ code, stderr: await stderr }, { code: 0, stderr: "" });
});

test("reset refuses to go on without a terminal and without --yes", () => {
  const { code, stderr } = kubestick("reset");
  assert.equal(code, 1);
  assert.match(stderr, process.getuid?.() === 0 ? /RESET_NOT_CONFIRMED[^]*kubestick reset --yes/ : /NOT_ROOT/);
});

/** `pack` against a server that never answers: the one command that runs long and changes nothing. */
let server: Server;
let folder: string;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "kubestick-cli-"));
  server = createServer(() => undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
after(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

async function hangingPack(...more: readonly string[]): Promise<{ readonly child: ChildProcess; readonly stdout: Promise<string>; readonly stderr: Promise<string>; ended(): Promise<number> }> {
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const mirrors = ["registry.k8s.io", "ghcr.io", "docker.io"].flatMap((host) => ["--registry-mirror", `${host}=${address}`]);
  const downloads = ["dl.k8s.io", "github.com"].flatMap((host) => ["--download-mirror", `${host}=${address}`]);
  const asked = once(server, "request");
  const child = spawn(process.execPath, [program, "pack", "--executable", process.execPath, "--cache", join(folder, "cache"), "-o", join(folder, "out"), ...mirrors, ...downloads, ...more], { stdio: ["ignore", "pipe", "pipe"], env });
  const closed = once(child, "close") as Promise<[number]>;
  const streams = { stdout: text(child.stdout), stderr: text(child.stderr) };
  await asked;
  return { child, ...streams, ended: async () => (await closed)[0] };
}

test("main ends cleanly with 130 after one Ctrl-C and says how to go on", { timeout: 60_000 }, async () => {
  const run = await hangingPack();
  run.child.kill("SIGINT");
  assert.equal(await run.ended(), 130);
  const stderr = await run.stderr;
  assert.match(stderr, /^\[resolve\] /m);
  assert.match(stderr, /^Stopping after the action under way\. Ctrl-C again stops at once\.$/m);
  assert.match(stderr, /^error: [A-Z_]*INTERRUPTED while /m);
  assert.match(stderr, /^next: Run the same command again/m);
});

test("main ends with 143 after SIGTERM, with one JSON document", { timeout: 60_000 }, async () => {
  const run = await hangingPack("--output", "json");
  run.child.kill("SIGTERM");
  assert.equal(await run.ended(), 143);
  assert.match((JSON.parse(await run.stdout) as { error: { code: string } }).error.code, /INTERRUPTED$/);
});

/** Opening a pipe for writing without waiting fails until somebody opens it for reading (fifo(7)). */
async function openedForReading(pipe: string): Promise<number> {
  for (;;) {
    try {
      return openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch (error) {
      if (errnoOf(error) !== "ENXIO") throw error;
    }
    await setTimeout(20);
  }
}

test("main stops at once after a second Ctrl-C, although something hangs", { timeout: 60_000 }, async () => {
  const pipe = join(folder, "pipe");
  assert.equal(spawnSync("mkfifo", [pipe]).status, 0);
  // Reading from a pipe into which nobody writes blocks for ever and knows no signal.
  const child = spawn(process.execPath, [program, "init", "--dry-run", "--config", pipe], { stdio: ["ignore", "ignore", "pipe"], env });
  const closed = once(child, "close") as Promise<[number | null, string | null]>;
  let stderr = "";
  const stopping = new Promise<void>((told) => {
    child.stderr.setEncoding("utf8").on("data", (part: string) => {
      stderr += part;
      if (stderr.includes("Stopping after the action under way")) told();
    });
  });
  const writer = await openedForReading(pipe);
  child.kill("SIGINT");
  await stopping;
  child.kill("SIGINT");
  assert.deepEqual(await closed, [null, "SIGINT"]);
  assert.match(stderr, /Stopped at once\. Run the same command again/);
  closeSync(writer);
});
