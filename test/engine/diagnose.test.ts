import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { diagnoseWaits, type NamedDiagnosis } from "../../src/engine/diagnose.ts";
import { lastError, parseCriLog, parseKlog } from "../../src/engine/diagnose-log.ts";
import { diagnosisPatterns, type DiagnosisPattern, type Threshold } from "../../src/engine/diagnose-patterns.ts";
import type { Probe, WaitAction } from "../../src/engine/types.ts";
import { examples, type Example } from "./diagnose-examples.ts";
import { ago, container, crashing, criLog, exited, klog, kubeletPid, look, manifestsOfAll, now, sandbox, type Scene, sceneHost, sceneRuntime, unreachable } from "./diagnose-scene.ts";

/** What a wait that has to do with this component waits for: itself, or the node that its pod is on. */
const waitFor = (component: string): Parameters<typeof look>[1] => (`/etc/kubernetes/manifests/${component}.yaml` in manifestsOfAll ? { component } : { node: "n1" });

/** The example of a row, seen `times` times after `seconds` of waiting. */
async function observe(row: DiagnosisPattern, example: Example, { times, seconds }: Threshold): Promise<NamedDiagnosis | undefined> {
  const base: Scene = { seconds, ...example.scene };
  const { component = "etcd" } = example;
  const withHeader = (line: string, at: Date): string => (/^\w+\.go:\d+\] /.test(line) ? klog(at, line) : line);
  switch (row.where) {
    case "runtime-exit":
      return await look({ ...base, status: unreachable(), containerd: { ...crashing, restarts: times - 1 }, containerdLog: example.lines }, { component: "containerd" });
    case "kubelet-exit":
      return await look({ ...base, kubelet: { ...crashing, restarts: times - 1 }, kubeletLog: example.lines.map((line) => withHeader(line, ago(1))) }, { component: "kubelet" });
    case "kubelet-log":
    case "node-log": {
      const kubeletLog = Array.from({ length: times }, (_, index) => ago((times - 1 - index) * (seconds / (times + 1)))).flatMap((at) => example.lines.map((line) => withHeader(line, at)));
      return await look({ ...base, kubeletLog }, row.where === "node-log" ? { node: "n1" } : waitFor(component));
    }
    case "container-exit": {
      const ended = exited(component, { attempt: times - 1, finishedAt: ago(Math.min(1, seconds)) });
      const others = ["etcd", "kube-apiserver"].filter((name) => name !== component).map((name) => container(name));
      const scene = { ...base, containers: [...others, ended], files: { ...manifestsOfAll, [ended.logPath]: criLog(...example.lines) } };
      return await look(scene, waitFor(component));
    }
  }
}

describe("the table of patterns", () => {
  test("has one example for each row and none without a row", () => {
    assert.deepEqual(Object.keys(examples), diagnosisPatterns.map(({ id }) => id));
  });

  for (const row of diagnosisPatterns) {
    test(`${row.id} is found in the program's own words`, async () => {
      const example = examples[row.id] as Example;
      const threshold = row.certainAfter === "never" ? { times: 9, seconds: 300 } : row.certainAfter;
      const cause = await observe(row, example, threshold);
      assert.equal(cause?.code, row.code, String(cause?.summary));
      assert.match(cause?.summary ?? "", example.summary);
      assert.doesNotMatch(`${cause?.summary} ${cause?.next}`, /\$\d|\{subject\}|undefined/);
      assert.equal(cause?.certain, row.certainAfter !== "never");
      if (row.certainAfter === "never") return;
      if (row.certainAfter.times > 1) assert.equal((await observe(row, example, { times: row.certainAfter.times - 1, seconds: 300 }))?.certain ?? false, false, "certain too early by count");
      if (row.certainAfter.seconds > 0) assert.equal((await observe(row, example, { times: 9, seconds: row.certainAfter.seconds - 1 }))?.certain ?? false, false, "certain too early by time");
    });
  }
});

describe("diagnose the container runtime", () => {
  test("says nothing when everything runs", async () => {
    assert.equal(await look({}, { component: "kubelet" }), undefined);
    assert.equal(await look({ status: { runtimeReady: true, networkReady: false, problems: ["NetworkReady is false: cni"] } }, { component: "kubelet" }), undefined);
  });

  test("tells a stopped, an absent and a failed unit apart, and waits for one that is starting", async () => {
    const status = unreachable();
    const of = async (scene: Scene): Promise<[string | undefined, boolean | undefined]> => {
      const cause = await look({ status, ...scene }, { component: "kube-apiserver" });
      return [cause?.code, cause?.certain];
    };
    assert.deepEqual(await of({ containerd: { active: "inactive", sub: "dead" }, seconds: 9 }), ["RUNTIME_STOPPED", false]);
    assert.deepEqual(await of({ containerd: { active: "inactive", sub: "dead" }, seconds: 10 }), ["RUNTIME_STOPPED", true]);
    assert.deepEqual(await of({ containerd: { exists: false }, seconds: 10 }), ["RUNTIME_ABSENT", false]);
    assert.deepEqual(await of({ containerd: { exists: false }, seconds: 30 }), ["RUNTIME_ABSENT", true]);
    assert.deepEqual(await of({ containerd: { active: "failed", sub: "failed", result: "exit-code" }, seconds: 1 }), ["RUNTIME_FAILED", true]);
    assert.deepEqual(await of({ containerd: { active: "activating", sub: "start" }, seconds: 200 }), ["RUNTIME_UNREACHABLE", false]);
    assert.deepEqual(await of({ containerd: { ...crashing, restarts: 2 }, containerdLog: ["panic: something odd"] }), ["RUNTIME_FAILED", false]);
    assert.deepEqual(await of({ containerd: { ...crashing, restarts: 3 }, containerdLog: ["panic: something odd"] }), ["RUNTIME_FAILED", true]);
    assert.deepEqual(await of({ status: unreachable("RUNTIME_CRI_DISABLED"), seconds: 4 }), ["RUNTIME_CRI_DISABLED", false]);
    assert.deepEqual(await of({ status: unreachable("RUNTIME_CRI_DISABLED"), seconds: 5 }), ["RUNTIME_CRI_DISABLED", true]);
    assert.deepEqual(await of({ status: unreachable("RUNTIME_WRONG_PROTOCOL"), seconds: 0 }), ["RUNTIME_WRONG_PROTOCOL", true]);
  });

  test("carries the last error of a runtime that does not stay up, also into a wait for the kubelet", async () => {
    const scene: Scene = {
      status: unreachable(), containerd: { ...crashing, restarts: 5 }, containerdLog: ["time=\"2026-11-21T04:32:56Z\" level=info msg=\"starting containerd\"", "panic: something odd", "goroutine 1 [running]:"],
      kubelet: { ...crashing, restarts: 5 }, kubeletLog: [klog(ago(1), (examples["kubelet-cri-down"] as Example).lines[0] as string)],
    };
    const cause = await look(scene, { component: "kubelet" });
    assert.equal(cause?.code, "RUNTIME_FAILED");
    assert.match(cause?.summary ?? "", /Its last error: panic: something odd$/);
  });
});

describe("diagnose the kubelet", () => {
  test("names a missing, a stopped and a failed unit", async () => {
    const of = async (scene: Scene): Promise<[string | undefined, boolean | undefined]> => {
      const cause = await look(scene, { component: "kubelet" });
      return [cause?.code, cause?.certain];
    };
    assert.deepEqual(await of({ kubelet: { exists: false }, seconds: 0 }), ["KUBELET_NOT_INSTALLED", true]);
    assert.deepEqual(await of({ kubelet: { active: "inactive", sub: "dead" }, seconds: 5 }), ["KUBELET_STOPPED", false]);
    assert.deepEqual(await of({ kubelet: { active: "inactive", sub: "dead" }, seconds: 10 }), ["KUBELET_STOPPED", true]);
    assert.deepEqual(await of({ kubelet: { active: "failed", sub: "failed", result: "start-limit-hit" }, seconds: 0 }), ["KUBELET_FAILED", true]);
    assert.deepEqual(await of({ kubelet: { active: "activating", sub: "start-pre" } }), [undefined, undefined]);
  });

  test("takes the last error of the last process only", async () => {
    const kubeletLog = [
      klog(ago(40), (examples["kubelet-swap"] as Example).lines[0] as string, "E", 100),
      "kubelet.service: Main process exited, code=exited, status=1/FAILURE",
      "kubelet.service: Scheduled restart job, restart counter is at 1.",
      klog(ago(5), "server.go:500] \"Kubelet version\" kubeletVersion=\"v1.36.2\"", "I", 200),
      klog(ago(4), "run.go:72] \"command failed\" err=\"something that nobody knows\"", "E", 200),
      "kubelet.service: Main process exited, code=exited, status=1/FAILURE",
    ];
    const cause = await look({ kubelet: { ...crashing, restarts: 1 }, kubeletLog }, { component: "kubelet" });
    assert.equal(cause?.code, "KUBELET_FAILED");
    assert.match(cause?.summary ?? "", /Its last error: something that nobody knows$/);
    assert.equal(cause?.certain, false);
  });

  test("ignores what was logged before the wait, by another process, long ago, or is healed by now", async () => {
    const line = (examples["image-never-pull"] as Example).lines[0] as string;
    const code = async (scene: Scene): Promise<string | undefined> => (await look({ containers: [container("etcd")], ...scene }, { component: "etcd" }))?.code;
    assert.equal(await code({ kubeletLog: [klog(ago(5), line)] }), "IMAGE_ABSENT");
    assert.equal(await code({ kubeletLog: [klog(ago(61), line)] }), "COMPONENT_NOT_HEALTHY");
    assert.equal(await code({ kubeletLog: [klog(ago(5), line, "E", kubeletPid - 1)] }), "COMPONENT_NOT_HEALTHY");
    assert.equal(await code({ kubeletLog: [klog(ago(120), line)], seconds: 600 }), "COMPONENT_NOT_HEALTHY");
    assert.equal(await code({ kubeletLog: [klog(ago(5), line)], images: ["registry.test/etcd:v1"] }), "COMPONENT_NOT_HEALTHY");
    const failing = (examples["sandbox-failed"] as Example).lines[0] as string;
    const log = [20, 10, 1].map((seconds) => klog(ago(seconds), failing));
    assert.equal(await code({ kubeletLog: log }), "SANDBOX_FAILED");
    assert.equal(await code({ kubeletLog: log, sandboxes: [sandbox("etcd")] }), "COMPONENT_NOT_HEALTHY");
  });

  test("does not blame another pod than those that the component needs", async () => {
    const kubeletLog = [5, 3, 1].map((seconds) => klog(ago(seconds), ((examples["image-never-pull"] as Example).lines[0] as string).replaceAll("etcd-n1", "kube-scheduler-n1")));
    assert.equal((await look({ kubeletLog, containers: [container("etcd")] }, { component: "etcd" }))?.code, "COMPONENT_NOT_HEALTHY");
    assert.equal((await look({ kubeletLog }, { component: "kube-scheduler" }))?.code, "IMAGE_ABSENT");
    assert.equal((await look({ kubeletLog }, { node: "n1" }))?.code, "IMAGE_ABSENT");
  });
});

describe("diagnose containers", () => {
  const files = (...ended: readonly [ReturnType<typeof exited>, ...string[]][]): Record<string, string> => ({ ...manifestsOfAll, ...Object.fromEntries(ended.map(([detail, ...lines]) => [detail.logPath, criLog(...lines)])) });
  const odd = "E1121 04:31:01.631803    5299 run.go:72] \"command failed\" err=\"an odd thing number 17\"";

  test("an API server that ends before etcd answers is no reason to stop, however often", async () => {
    const api = exited("kube-apiserver", { attempt: 6 });
    const lines = (examples["component-waits"] as Example).lines;
    const cause = await look({ seconds: 200, containers: [container("etcd"), api], files: files([api, ...lines]) }, { component: "kube-apiserver" });
    assert.equal(cause?.code, "COMPONENT_WAITS");
    assert.equal(cause?.certain, false);
    assert.ok(cause?.details.some((line) => line.includes("context deadline exceeded")));
    assert.ok(cause?.details[0]?.includes("exit code 1, 7th run; log /var/log/pods/kube-system_kube-apiserver-n1_u/kube-apiserver/6.log"));
  });

  test("etcd's failure is told before that of the API server which needs it", async () => {
    const etcd = exited("etcd", { attempt: 3 });
    const api = exited("kube-apiserver", { attempt: 2 });
    const scene: Scene = { containers: [api, etcd], files: files([etcd, ...(examples["etcd-membership"] as Example).lines], [api, ...(examples["component-waits"] as Example).lines]) };
    const cause = await look(scene, { component: "kube-scheduler" });
    assert.equal(cause?.code, "ETCD_MEMBERSHIP_WRONG");
    assert.equal(cause?.certain, true);
    const soon = await look({ ...scene, seconds: 5 }, { component: "kube-scheduler" });
    assert.equal(soon?.certain, false);
    assert.ok(soon?.details.some((line) => line.startsWith("also: kube-apiserver ended because something it needs")));
  });

  test("a component that nobody waits for does not end the wait", async () => {
    const scheduler = exited("kube-scheduler", { attempt: 5 });
    const scene: Scene = { containers: [container("etcd"), container("kube-apiserver"), scheduler], files: files([scheduler, ...(examples["component-flag"] as Example).lines]) };
    assert.equal((await look(scene, { component: "kube-apiserver" }))?.code, "COMPONENT_NOT_HEALTHY");
    assert.equal((await look(scene, { component: "kube-scheduler" }))?.code, "COMPONENT_FLAG_UNKNOWN");
  });

  test("an unknown error is certain from the fourth end on, if the words stay the same and the end is of this wait", async () => {
    const certain = async (attempt: number, change: { readonly seconds?: number; readonly finishedAt?: Date; readonly exitCode?: number; readonly before?: string } = {}): Promise<boolean | undefined> => {
      const detail = exited("etcd", { attempt, finishedAt: change.finishedAt ?? ago(1), exitCode: change.exitCode ?? 1 });
      const before = change.before === undefined ? {} : { [detail.logPath.replace(`${attempt}.log`, `${attempt - 1}.log`)]: criLog(change.before) };
      const cause = await look({ seconds: change.seconds ?? 60, containers: [detail], files: { ...files([detail, odd]), ...before } }, { component: "etcd" });
      assert.equal(cause?.code, "COMPONENT_EXITS");
      assert.match(cause?.summary ?? "", /^etcd ended \(exit code \d+, \d+(?:st|nd|rd|th) run\): an odd thing number 17$/);
      return cause?.certain;
    };
    assert.equal(await certain(2), false);
    assert.equal(await certain(3), true);
    assert.equal(await certain(3, { seconds: 10 }), false);
    assert.equal(await certain(9, { finishedAt: ago(61) }), false);
    assert.equal(await certain(9, { exitCode: 137 }), false);
    assert.equal(await certain(3, { before: odd.replace("17", "16") }), true);
    assert.equal(await certain(3, { before: odd.replace("odd", "other") }), false);
  });

  test("a container killed for memory is told as such", async () => {
    const detail = exited("kube-apiserver", { attempt: 2, exitCode: 137, reason: "OOMKilled" });
    const cause = await look({ containers: [container("etcd"), detail], files: files([detail, "fine so far"]) }, { component: "kube-apiserver" });
    assert.deepEqual([cause?.code, cause?.certain], ["OUT_OF_MEMORY", true]);
  });

  test("a port held by an earlier instance of the same component goes free by itself", async () => {
    const detail = exited("kube-controller-manager", { attempt: 4 });
    const line = "E1121 04:31:01.631803    5299 run.go:72] \"command failed\" err=\"failed to create listener: failed to listen on 127.0.0.1:10257: listen tcp 127.0.0.1:10257: bind: address already in use\"";
    const scene: Scene = { containers: [container("etcd"), container("kube-apiserver"), detail], files: files([detail, line]) };
    const at = async (process: string | undefined): Promise<NamedDiagnosis | undefined> =>
      await look({ ...scene, facts: { listening: process === undefined ? [] : [{ port: 10257, address: "127.0.0.1", pid: 5, process }] } }, { component: "kube-controller-manager" });
    assert.equal((await at("kube-controller"))?.certain, false);
    assert.equal((await at(undefined))?.certain, false);
    assert.equal((await at("haproxy"))?.certain, true);
  });

  test("a certificate that becomes valid within two minutes is waited for, one that has become so is forgotten", async () => {
    const detail = exited("kube-apiserver", { attempt: 4 });
    const of = async (limit: Date): Promise<NamedDiagnosis | undefined> =>
      await look({ containers: [container("etcd"), detail], files: files([detail, `E1121 04:31:01.631803    5299 run.go:72] "command failed" err="x509: certificate has expired or is not yet valid: current time ${ago(5).toISOString()} is before ${limit.toISOString()}"`]) }, { component: "kube-apiserver" });
    const soon = await of(new Date(now.getTime() + 40_000));
    assert.deepEqual([soon?.code, soon?.certain], ["CLOCK_WRONG", false]);
    assert.match(soon?.summary ?? "", /valid in 40 s\.$/);
    assert.equal((await of(new Date(now.getTime() + 3_600_000)))?.certain, true);
    assert.equal((await of(ago(1)))?.code, "COMPONENT_EXITS");
  });

  test("what has not begun is told by manifest, sandbox and container", async () => {
    const of = async (scene: Scene): Promise<[string | undefined, boolean | undefined, string | undefined]> => {
      const cause = await look(scene, { component: "etcd" });
      return [cause?.code, cause?.certain, cause?.summary];
    };
    assert.deepEqual(await of({}), ["COMPONENT_NOT_STARTED", false, "The kubelet has not started the pod of etcd yet."]);
    assert.deepEqual(await of({ sandboxes: [sandbox("etcd", false)] }), ["COMPONENT_NOT_STARTED", false, "The sandbox of the pod of etcd is not ready."]);
    assert.deepEqual(await of({ sandboxes: [sandbox("etcd")] }), ["COMPONENT_NOT_STARTED", false, "The pod of etcd is there, its container not yet."]);
    assert.deepEqual((await of({ files: {}, seconds: 24 })).slice(0, 2), ["MANIFEST_ABSENT", false]);
    assert.deepEqual((await of({ files: {}, seconds: 25 })).slice(0, 2), ["MANIFEST_ABSENT", true]);
    // With etcd elsewhere its manifest is rightly absent.
    const { "/etc/kubernetes/manifests/etcd.yaml": _absent, ...external } = manifestsOfAll;
    assert.match((await look({ files: external }, { component: "kube-apiserver" }))?.summary ?? "", /pod of kube-apiserver/);
  });

  test("a running component that is not healthy shows its last complaint", async () => {
    const api = container("kube-apiserver");
    const scene: Scene = { containers: [container("etcd"), api], files: files([api, "E1121 04:29:59.631803       1 controller.go:95] \"Unable to reach etcd\" err=\"slow\"", "I1121 04:29:59.731803       1 x.go:1] fine"]) };
    assert.equal((await look(scene, { component: "kube-apiserver" }))?.summary, "kube-apiserver runs but is not healthy yet; it last complained: \"Unable to reach etcd\" err=\"slow\"");
  });

  test("a node is waited for with every system container and the pod network in view", async () => {
    const init = exited("install-cni", { exitCode: 0, reason: "Completed", namespace: "kube-flannel", pod: "kube-flannel-ds-x" });
    const users = exited("app", { namespace: "default", attempt: 9 });
    const status = { runtimeReady: true, networkReady: false, problems: ["NetworkReady is false: NetworkPluginNotReady: cni plugin not initialized"] };
    const cause = await look({ status, containers: [init, users] }, { node: "n1" });
    assert.deepEqual([cause?.code, cause?.certain], ["NETWORK_NOT_READY", false]);
    assert.deepEqual(cause?.details, ["/etc/cni/net.d has no configuration"]);
    assert.equal(await look({ containers: [init, users] }, { node: "n1" }), undefined);
  });

  test("the newest attempt of a container tells, not an older one that is kept", async () => {
    const old = exited("etcd", { attempt: 0, createdAt: ago(40) });
    const scene: Scene = { containers: [container("etcd", { attempt: 1, createdAt: ago(20) }), old], files: files([old, odd]) };
    assert.equal((await look(scene, { component: "etcd" }))?.code, "COMPONENT_NOT_HEALTHY");
  });
});

describe("reading logs", () => {
  test("parseKlog gives severity, time and process, and unwraps nested quotes", () => {
    const line = parseKlog(klog(ago(3), "pod_workers.go:1324] \"Error syncing pod, skipping\" err=\"failed to \\\"X\\\" with Y: \\\"a \\\\\\\"b\\\\\\\"\\\\nc\\\"\""), now);
    assert.deepEqual(line, { severity: "E", at: ago(3), pid: kubeletPid, text: "\"Error syncing pod, skipping\" err=\"failed to \"X\" with Y: \"a \"b\" c\"\"" });
    assert.equal(parseKlog("kubelet.service: Scheduled restart job", now), undefined);
    assert.equal(parseKlog("E1231 23:59:59.000000       1 a.go:1] b", new Date(2027, 0, 1, 0, 0, 5))?.at.getFullYear(), 2026);
  });

  test("parseCriLog joins partial lines of one stream and skips what is not a log line", () => {
    const text = ["2026-11-21T04:28:03Z stdout P one ", "2026-11-21T04:28:03Z stderr F between", "2026-11-21T04:28:03Z stdout F two", "torn", "2026-11-21T04:28:03Z stdout F ", "2026-11-21T04:28:03Z stdout P cut"].join("\n");
    assert.deepEqual(parseCriLog(text), ["between", "one two", "", "cut"]);
  });

  test("lastError prefers what ends a program over what it complained about", () => {
    assert.equal(lastError(["panic: broken", "", "goroutine 1 [running]:", "main.main()"]), "panic: broken");
    assert.equal(lastError(["E1121 04:31:01.631803    5299 run.go:72] \"command failed\" err=\"open \\\"x\\\": no\"", "E1121 04:31:01.731803    5299 late.go:1] later"]), "open \"x\": no");
    assert.equal(lastError(["time=\"2026-11-21T04:28:03Z\" level=error msg=\"No help topic for 'x'\""]), "No help topic for 'x'");
    assert.equal(lastError(["{\"level\":\"fatal\",\"msg\":\"listener failed\",\"error\":\"open /x\"}"]), "listener failed: open /x");
    assert.equal(lastError(["just", "words", " "]), "words");
    assert.equal(lastError([]), undefined);
  });
});

test("diagnoseWaits looks for what a probe waits for and closes its connection", async () => {
  const scene: Scene = { kubelet: { exists: false } };
  let closed = 0;
  const ask = diagnoseWaits(sceneHost(scene), (socket) => ({ ...sceneRuntime(scene), socket, close: async () => void (closed += 1) }));
  const action = (probe: Probe): WaitAction => ({ kind: "wait", id: "wait/x", title: "Wait", probe, timeoutMs: 1000 });
  const socket = "unix:///run/containerd/containerd.sock";
  assert.equal(await ask(action({ type: "package", onlyRead: false }), 1000), undefined);
  assert.equal(await ask(action({ type: "images", socket, references: [] }), 1000), undefined);
  assert.equal(await ask(action({ type: "runtime", socket }), 1000), undefined);
  for (const probe of [{ type: "http", url: "http://127.0.0.1:10248/healthz", component: "kubelet", socket }, { type: "api", url: "https://x", socket }, { type: "node-ready", node: "n1", socket }] as const) {
    const cause = (await ask(action(probe), 1000)) as NamedDiagnosis | undefined;
    assert.deepEqual([cause?.code, cause?.certain], ["KUBELET_NOT_INSTALLED", true]);
  }
  assert.equal(closed, 4);
});
