import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { KubeObject } from "../../src/cluster/types.ts";
import type { Action, ObjectAction } from "../../src/engine/types.ts";
import { actionsOf } from "./laws.ts";
import { bench } from "./one-phase.ts";

const configMap = (data: Record<string, string>): KubeObject => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "c", namespace: "kube-system" }, data });
const ref = { apiVersion: "v1", kind: "ConfigMap", name: "c", namespace: "kube-system" };
const action = (object: KubeObject, policy: ObjectAction["policy"], more: Partial<ObjectAction> = {}): Action => ({ kind: "object", id: `${object.kind.toLowerCase()}/${object.metadata.name}`, object, policy, as: "admin", timeoutMs: 20_000, ...more });
const verbs = (requests: readonly { verb: string }[]): string => requests.map(({ verb }) => verb).join(" ");

describe("object action", () => {
  test("replace creates, then leaves alone what says the same, then replaces the whole", async () => {
    const { cluster, run } = bench();
    await run([action(configMap({ a: "1", b: "2" }), "replace")]);
    assert.equal(actionsOf((await run([action(configMap({ a: "1" }), "replace")])).events)[0]?.status, "unchanged");
    const { events } = await run([action(configMap({ a: "9" }), "replace")]);
    assert.equal(actionsOf(events)[0]?.detail, "configured");
    assert.equal(actionsOf(events)[0]?.body, "data.a: \"1\" -> \"9\"\n");
    assert.deepEqual(cluster.live(ref)?.["data"], { a: "9" });
    assert.equal(verbs(cluster.requests), "CREATE UPDATE");
  });

  test("replace updates a Service, which the server takes only with the version that was read", async () => {
    const { cluster, run } = bench();
    const service = (port: number): KubeObject => ({ apiVersion: "v1", kind: "Service", metadata: { name: "dns", namespace: "kube-system" }, spec: { ports: [{ port }] } });
    cluster.plant(service(1));
    const { outcome } = await run([action(service(53), "replace")]);
    assert.equal(outcome.error?.message, undefined);
    assert.deepEqual(cluster.live({ apiVersion: "v1", kind: "Service", name: "dns", namespace: "kube-system" })?.["spec"], { ports: [{ port: 53 }] });
  });

  test("uses a kubeconfig that was written anew in the same run", async () => {
    const { cluster, run } = bench();
    await run([
      action(configMap({ a: "1" }), "replace"),
      { kind: "file", id: "file/admin", path: "/etc/kubernetes/admin.conf", mode: 0o600, content: "renewed", secret: true },
      action({ ...configMap({ a: "1" }), metadata: { name: "d", namespace: "kube-system" } }, "replace"),
    ]);
    assert.deepEqual(cluster.requests.map(({ by }) => by), ["admin", "renewed"]);
  });

  test("mutate puts its fields over the live object and keeps the rest", async () => {
    const { cluster, run } = bench();
    cluster.plant(configMap({ theirs: "x", ours: "old" }));
    await run([action(configMap({ ours: "new" }), "mutate")]);
    assert.deepEqual(cluster.live(ref)?.["data"], { theirs: "x", ours: "new" });
  });

  test("retain leaves a live object alone, whatever it says", async () => {
    const { cluster, run } = bench();
    cluster.plant(configMap({ theirs: "x" }));
    const { events } = await run([action(configMap({ ours: "y" }), "retain")]);
    assert.equal(actionsOf(events)[0]?.status, "unchanged");
    assert.deepEqual(cluster.requests, []);
  });

  test("patch waits for the node and its hostname label", async () => {
    const { host, cluster, run } = bench();
    const node = (labels: Record<string, string>): KubeObject => ({ apiVersion: "v1", kind: "Node", metadata: { name: "cp1", labels } });
    const sleep = host.sleep.bind(host);
    let slept = 0;
    host.sleep = async (ms, signal) => {
      await sleep(ms, signal);
      slept += ms;
      if (slept === 2000) cluster.plant(node({}));
      if (slept === 4000) cluster.plant(node({ "kubernetes.io/hostname": "cp1" }));
    };
    const { outcome } = await run([action({ ...node({ role: "" }), spec: { taints: [{ key: "t", effect: "NoSchedule" }] } }, "patch")]);
    assert.equal(outcome.error?.message, undefined);
    assert.equal(slept, 4000);
    const live = cluster.live({ apiVersion: "v1", kind: "Node", name: "cp1" });
    assert.deepEqual(live?.metadata["labels"], { "kubernetes.io/hostname": "cp1", role: "" });
    assert.deepEqual(live?.["spec"], { taints: [{ key: "t", effect: "NoSchedule" }] });
  });

  test("patch of a node that never comes ends when the call's time is up", async () => {
    const { run } = bench();
    const { outcome } = await run([action({ apiVersion: "v1", kind: "Node", metadata: { name: "cp1", labels: { a: "" } } }, "patch")]);
    assert.equal(outcome.error?.code, "API_TIMED_OUT");
    assert.match(outcome.error?.happened ?? "", /within 20 s.*does not exist yet/);
  });

  test("tries again while the server is not reached, busy, or somebody else was faster", async () => {
    for (const code of ["API_UNREACHABLE", "API_BUSY", "API_INTERNAL", "API_CONFLICT", "API_TIMEOUT"]) {
      const { host, cluster, run } = bench();
      const ready = host.now().getTime() + 5000;
      cluster.refuse = () => (host.now().getTime() < ready ? code : undefined);
      const { outcome } = await run([action(configMap({ a: "1" }), "replace")]);
      assert.ok(outcome.ok, `${code}: ${outcome.error?.message}`);
    }
  });

  test("ends at once on an answer that time cannot change", async () => {
    for (const code of ["API_INVALID", "API_UNAUTHORIZED", "API_CERTIFICATE_UNTRUSTED"]) {
      const { host, cluster, run } = bench();
      const started = host.now().getTime();
      cluster.refuse = () => code;
      const { outcome } = await run([action(configMap({ a: "1" }), "replace")]);
      assert.equal(outcome.error?.code, code);
      assert.equal(host.now().getTime(), started, code);
    }
  });

  test("gives a new binding five seconds to be known, then takes the refusal for an answer", async () => {
    const { host, cluster, run } = bench();
    const started = host.now().getTime();
    cluster.refuse = () => (host.now().getTime() - started < 3000 ? "API_FORBIDDEN" : undefined);
    assert.ok((await run([action(configMap({ a: "1" }), "replace")])).outcome.ok);
    cluster.refuse = () => "API_FORBIDDEN";
    const again = host.now().getTime();
    assert.equal((await run([action(configMap({ a: "2" }), "replace")])).outcome.error?.code, "API_FORBIDDEN");
    assert.equal(host.now().getTime() - again, 5000);
  });

  test("waits for a namespace that is about to appear", async () => {
    const { host, cluster, run } = bench();
    const sleep = host.sleep.bind(host);
    host.sleep = async (ms, signal) => {
      await sleep(ms, signal);
      cluster.plant({ apiVersion: "v1", kind: "Namespace", metadata: { name: "late" } });
    };
    const { outcome } = await run([action({ ...configMap({ a: "1" }), metadata: { name: "c", namespace: "late" } }, "replace")]);
    assert.equal(outcome.error?.message, undefined);
  });

  test("signs with the kubeconfig it names, and says when that is absent", async () => {
    const { cluster, host, run } = bench();
    await run([action(configMap({ a: "1" }), "replace", { as: "super-admin" })]);
    assert.equal(cluster.requests[0]?.by, "super-admin");
    await host.remove("/etc/kubernetes/super-admin.conf");
    assert.equal((await run([action(configMap({ a: "2" }), "replace", { as: "super-admin" })])).outcome.error?.code, "KUBECONFIG_ABSENT");
  });

  test("names the keys of a Secret and never a value", async () => {
    const { run } = bench();
    const secret = (token: string): Action => action({ apiVersion: "v1", kind: "Secret", metadata: { name: "s", namespace: "kube-system" }, stringData: { token } }, "replace");
    const told = JSON.stringify([
      ...(await run([secret("first-value")], { dryRun: true })).events, ...(await run([secret("first-value")])).events, ...(await run([secret("other-value")])).events,
    ]);
    for (const value of ["first-value", "other-value"]) for (const spelling of [value, Buffer.from(value).toString("base64")]) assert.ok(!told.includes(spelling));
    assert.match(told, /token/);
  });
});
