import assert from "node:assert/strict";
import { test } from "node:test";
import type { OutputFormat } from "../../src/cli/io.ts";
import { renderRun, type RunView } from "../../src/cli/render.ts";
import type { RunEvent } from "../../src/engine/types.ts";
import { KubestickError } from "../../src/errors.ts";
import { action, bytes, etcdImage, failed, finished, goodRun, joinResult, phaseFinished, phaseStarted, started, streamOf, warning } from "./run-events.ts";
import { FakeClock, Screen, testIo, TextSink } from "./screen.ts";

function view(format: OutputFormat = "text"): RunView {
  return { title: "kubestick init", format, continueWith: "Run it again." };
}

async function run(events: readonly RunEvent[] | AsyncGenerator<RunEvent, unknown>, format: OutputFormat = "text", options: { readonly signal?: AbortSignal; readonly clock?: FakeClock; readonly stderr?: Screen } = {}): Promise<{ readonly stdout: string; readonly stderr: string; readonly error: unknown }> {
  const stdout = new TextSink();
  const stderr = options.stderr ?? new TextSink();
  const stream = Array.isArray(events) ? streamOf(events as readonly RunEvent[]) : (events as AsyncGenerator<RunEvent, unknown>);
  const error: unknown = await renderRun(stream, testIo({ ...options, stdout, stderr }), view(format)).then(() => undefined, (thrown: unknown) => thrown);
  return { stdout: stdout.text, stderr: stderr.text, error };
}

test("renderRun prints one plain line for each finished action and the result on standard output", async () => {
  const { stdout, stderr, error } = await run(goodRun);
  assert.equal(error, undefined);
  assert.equal(stdout, "kubestick join 192.0.2.10:6443 --token abc\n");
  assert.deepEqual(stderr.split("\n"), [
    "kubestick init",
    "[preflight] Check the machine and the package",
    "[preflight] warning Swap: swap is on: /dev/sda2",
    "    The kubelet gets failSwapOn: false. Turn swap off for guaranteed memory limits.",
    "wait/package unchanged",
    "[preflight] 1 unchanged (1.2s)",
    "[images] Load the carried images into the container runtime",
    "image/registry.k8s.io/etcd:3.6.8-0 imported",
    "[images] 1 applied (1.2s)",
    "[certs] Generate the certificates of the control plane",
    "file/etc/kubernetes/pki/ca.key created 0600, 1675 bytes",
    "[certs] 1 applied (1.2s)",
    "[show-join-command] Print the join command",
    "kubestick init: done in 43.2s, 2 applied, 1 unchanged",
    "",
  ]);
  assert.ok(!stderr.includes("\x1b"));
});

test("renderRun tells what to do next when all is done, before the result", async () => {
  const next: RunEvent = { type: "finding", phase: "certs", finding: { check: "NextStep", severity: "info", message: "administrators use /etc/kubernetes/admin.conf", hint: "export KUBECONFIG=/etc/kubernetes/admin.conf" } };
  const good = await run([started(), phaseStarted(2), next, phaseFinished(2), finished()]);
  assert.match(good.stderr, /kubestick init: done [^\n]*\nadministrators use \/etc\/kubernetes\/admin\.conf\n {4}export KUBECONFIG=\/etc\/kubernetes\/admin\.conf\n$/);
  const bad = await run([started(), phaseStarted(2), next, failed()]);
  assert.doesNotMatch(bad.stderr, /administrators/);
});

test("renderRun tells bytes in plain text every few seconds, not more often", async () => {
  const clock = new FakeClock();
  async function* slow(): AsyncGenerator<RunEvent, undefined> {
    yield* [started(), phaseStarted(1)];
    for (let second = 0; second < 20; second++) {
      clock.advance(1000);
      yield await Promise.resolve(bytes(second * 5 * 1024 * 1024));
    }
    yield finished();
    return undefined;
  }
  const { stderr } = await run(slow(), "text", { clock });
  const told = stderr.split("\n").filter((line) => line.includes("layer 2"));
  assert.equal(told.length, 4);
  assert.match(told[1] as string, /^\[images\] registry\.k8s\.io\/etcd:3\.6\.8-0 layer 2: 45%, 45\.0 MiB of 100\.0 MiB, \d\.\d MiB\/s$/);
});

test("renderRun tells what is waited for when it changes, and else twice a minute", async () => {
  const clock = new FakeClock();
  async function* waiting(): AsyncGenerator<RunEvent, undefined> {
    yield* [started(), phaseStarted(1)];
    for (let second = 1; second <= 80; second++) {
      clock.advance(1000);
      yield await Promise.resolve<RunEvent>({ type: "progress", phase: "images", id: "wait/node", done: second, total: 240, unit: "seconds", label: second < 20 ? "the node has not registered" : "the node is not ready" });
    }
    yield finished();
    return undefined;
  }
  const { stderr } = await run(waiting(), "text", { clock });
  assert.deepEqual(stderr.split("\n").filter((line) => line.includes("the node")), [
    "[images] the node has not registered (5.0s of at most 4m00s)",
    "[images] the node is not ready (20.0s of at most 4m00s)",
    "[images] the node is not ready (50.0s of at most 4m00s)",
    "[images] the node is not ready (1m20s of at most 4m00s)",
  ]);
});

test("renderRun -o json prints one document with phases, actions, findings and results", async () => {
  const { stdout, stderr } = await run(goodRun, "json");
  const document = JSON.parse(stdout) as Record<string, unknown>;
  assert.deepEqual({ ...document, phases: undefined, actions: undefined, findings: undefined }, {
    flow: "init", ok: true, dryRun: false, ms: 43_210, changed: 2, unchanged: 1, phases: undefined, actions: undefined, findings: undefined,
    result: { joinCommands: ["kubestick join 192.0.2.10:6443 --token abc"] },
  });
  assert.deepEqual((document["phases"] as { id: string; status: string }[]).map(({ id, status }) => `${id} ${status}`), ["preflight done", "images done", "certs done", "show-join-command done"]);
  assert.deepEqual((document["actions"] as { id: string; status: string }[]).map(({ id, status }) => `${id} ${status}`), ["wait/package unchanged", `${etcdImage} applied`, "file/etc/kubernetes/pki/ca.key applied"]);
  assert.deepEqual((document["findings"] as { check: string }[]).map(({ check }) => check), ["Swap"]);
  assert.match(stderr, /\[certs\]/, "a person beside the script sees progress");
});

test("renderRun -o jsonl prints every event in a line and nothing on standard error", async () => {
  const { stdout, stderr } = await run(goodRun, "jsonl");
  const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line) as RunEvent);
  assert.deepEqual(lines, goodRun);
  assert.equal(stderr, "");
});

for (const format of ["text", "json", "jsonl"] as const) {
  test(`renderRun -o ${format} throws the error of a failed run and tells it`, async () => {
    const { stdout, error } = await run([started(), phaseStarted(1), failed()], format);
    assert.ok(error instanceof KubestickError);
    assert.equal(error.code, "IMAGE_IMPORT");
    assert.deepEqual(error.details, ["free: 0 bytes"]);
    if (format === "json") assert.equal((JSON.parse(stdout) as { error: { code: string } }).error.code, "IMAGE_IMPORT");
    if (format === "jsonl") assert.deepEqual(JSON.parse(stdout.trimEnd().split("\n").at(-1) as string), failed());
    if (format === "text") assert.equal(stdout, "");
  });

  test(`renderRun -o ${format} tells an error that no event spoke of`, async () => {
    async function* broken(): AsyncGenerator<RunEvent, undefined> {
      yield await Promise.resolve(started());
      throw new KubestickError({ code: "CONFIG_YAML", attempted: "a", happened: "b", next: "c" });
    }
    const { stdout, error } = await run(broken(), format);
    assert.equal((error as KubestickError).code, "CONFIG_YAML");
    if (format === "json") assert.deepEqual(JSON.parse(stdout).error, { code: "CONFIG_YAML", attempted: "a", happened: "b", next: "c", details: [] });
    if (format === "jsonl") assert.equal(JSON.parse(stdout.trimEnd().split("\n").at(-1) as string).error.code, "CONFIG_YAML");
  });
}

test("renderRun throws the very error the engine returns, with its cause and exit code", async () => {
  const original = new KubestickError({ code: "X", attempted: "a", happened: "b", next: "c", exitCode: 130, cause: new Error("below") });
  async function* engine(): AsyncGenerator<RunEvent, unknown> {
    yield await Promise.resolve(failed());
    return { error: original };
  }
  assert.equal((await run(engine())).error, original);
});

test("renderRun says what is done and what is left when a run was stopped", async () => {
  const stop = new AbortController();
  async function* stopped(): AsyncGenerator<RunEvent, undefined> {
    yield* await Promise.resolve([started(), phaseStarted(0), phaseFinished(0), phaseStarted(1)]);
    stop.abort();
    throw new DOMException("This operation was aborted", "AbortError");
  }
  const { error } = await run(stopped(), "text", { signal: stop.signal });
  assert.ok(error instanceof KubestickError);
  assert.equal(error.code, "INTERRUPTED");
  assert.equal(error.exitCode, 130);
  assert.deepEqual(error.details, ["done: preflight", "stopped in: images", "not begun: certs, show-join-command"]);
});

test("renderRun gives the terminal back before it throws", async () => {
  const screen = new Screen();
  await run([started(), phaseStarted(1), failed()], "text", { stderr: screen });
  assert.equal(screen.cursorShown, true);
});

test("renderRun prints the plan of a dry run on standard output, without results", async () => {
  const manifest = "apiVersion: v1\nkind: Pod\n";
  const { stdout, stderr } = await run([
    started(true), phaseStarted(0), warning, phaseFinished(0),
    { type: "phase-skipped", phase: "images", reason: "left out by --skip-phases" },
    phaseStarted(2),
    action("certs", "file/etc/kubernetes/manifests/etcd.yaml", "planned", "0600, 26 bytes", "file", manifest),
    action("certs", "file/etc/kubernetes/pki/ca.key", "planned", "0600, 1675 bytes"),
    action("certs", "file/etc/hosts.conf", "planned", "content differs, 0644, 4 bytes", "file", "--- /etc/hosts.conf\n+++ /etc/hosts.conf\n@@ -1 +1 @@\n-a\n+b\n"),
    action("certs", "unit/kubelet.service", "unchanged", undefined, "unit"),
    action("certs", "sysctl/net.ipv4.ip_forward", "planned", "0 becomes 1", "kernel"),
    phaseFinished(2, 4, 1), joinResult, finished(4, 1),
  ]);
  assert.equal(stderr, "kubestick init\n");
  assert.deepEqual(stdout.split("\n"), [
    "# preflight: Check the machine and the package",
    "# warning Swap: swap is on: /dev/sda2",
    "# The kubelet gets failSwapOn: false. Turn swap off for guaranteed memory limits.",
    "",
    "# images: Load the carried images into the container runtime",
    "# skipped: left out by --skip-phases",
    "",
    "# certs: Generate the certificates of the control plane",
    "file/etc/kubernetes/manifests/etcd.yaml: 0600, 26 bytes",
    "    apiVersion: v1",
    "    kind: Pod",
    "file/etc/kubernetes/pki/ca.key: 0600, 1675 bytes",
    "    (content withheld)",
    "file/etc/hosts.conf: content differs, 0644, 4 bytes",
    "    --- /etc/hosts.conf",
    "    +++ /etc/hosts.conf",
    "    @@ -1 +1 @@",
    "    -a",
    "    +b",
    "unit/kubelet.service: unchanged",
    "sysctl/net.ipv4.ip_forward: 0 becomes 1",
    "",
    "# show-join-command: Print the join command",
    "# nothing to do",
    "",
    "Plan: 3 files, 1 kernel setting; 1 already as they should be; 1 warning. Nothing was changed.",
    "",
  ]);
});

test("renderRun shows the plan also when checks failed in a dry run", async () => {
  const { stdout, error } = await run([started(true), phaseStarted(2), action("certs", "file/a", "planned", "0644, 1 bytes", "file", "x"), phaseFinished(2, 1), failed()]);
  assert.match(stdout, /file\/a: 0644, 1 bytes[^]*Plan: 1 file/);
  assert.equal((error as KubestickError).code, "IMAGE_IMPORT");
});
