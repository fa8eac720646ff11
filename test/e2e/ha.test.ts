import assert from "node:assert/strict";
import { before, test } from "node:test";
import { kubectl } from "../support/e2e-cluster.ts";
import { documentOf, initOk, type InitRun } from "../support/e2e-init.ts";
import { joinOk, wordsOf } from "../support/e2e-join.ts";
import { lastFailureOf, untilAllReady } from "../support/e2e-nodes.ts";
import { scenario } from "../support/e2e-scenario.ts";
import type { TestHost } from "../support/hosts/test-host.ts";

/** A cluster of one control plane and one worker, made without a thought of more; then with it. */
scenario("becoming highly available", ({ boot }) => {
  let cp1: TestHost;
  let w1: TestHost;

  async function enable(host: TestHost): Promise<InitRun> {
    const done = await host.run(["./kubestick", "ha", "enable", "-o", "json"], { timeoutMs: 300_000 });
    assert.equal(done.code, 0, `ha enable on ${host.name} ended with ${done.code}\n${done.stderr.slice(-6000)}`);
    return { ...done, document: documentOf(done) };
  }

  const steps = ({ document }: InitRun): readonly string[] => document.findings.filter(({ check }) => check === "NextStep").map(({ message }) => message);

  before(async () => {
    cp1 = await boot({ name: "cp1" });
    const done = await initOk(cp1);
    const [worker = ""] = done.document.result["joinCommands"] as string[];
    w1 = await boot({ name: "w1" });
    await joinOk(w1, wordsOf(worker));
    await untilAllReady(cp1, ["cp1", "w1"], 120_000);
  });

  test("a worker is told that the control planes come first, and nothing is changed", async () => {
    const done = await w1.run(["./kubestick", "ha", "enable"], { timeoutMs: 60_000 });
    assert.equal(done.code, 1);
    assert.match(done.stderr, /HA_CONTROL_PLANES_FIRST/);
    assert.doesNotMatch(w1.read("/etc/hosts"), /kubestick/);
  });

  test("ha enable, node by node, and nobody misses the API meanwhile", async () => {
    const failed = lastFailureOf(cp1, 20_000);
    assert.deepEqual(steps(await enable(cp1)), ["kube-proxy keeps its endpoint for now, because w1 has no haproxy yet"]);
    await enable(w1);
    assert.deepEqual(steps(await enable(cp1)), []);
    assert.deepEqual((await failed).said, []);
    assert.match(await w1.check(["grep", "server:", "/etc/kubernetes/kubelet.conf"]), /https:\/\/kube-api\.kubernetes\.internal:7443/);
    await untilAllReady(cp1, ["cp1", "w1"], 120_000);
    const log = await kubectl(cp1, ["-n", "kube-system", "get", "configmap", "kube-proxy", "-o", "jsonpath={.data.kubeconfig\\.conf}"]);
    assert.match(log.stdout, /kube-api\.kubernetes\.internal:7443/);
    for (const host of [cp1, w1]) assert.equal((await enable(host)).document.changed, 0, host.name);
  });

  test("a further control plane joins, every node learns of it by itself, and the worker goes on without the first one", async () => {
    const cp2 = await boot({ name: "cp2" });
    const key = (await cp1.check(["./kubestick", "init", "phase", "upload-certs", "--upload-certs", "-o", "json"], { timeoutMs: 120_000 }));
    const certificateKey = /[0-9a-f]{64}/.exec(key)?.[0] ?? "";
    const command = await cp1.check(["./kubestick", "token", "create", "--print-join-command", "--certificate-key", certificateKey]);
    assert.match(command, new RegExp(`^kubestick join ${cp1.address}:6443 `));
    await joinOk(cp2, wordsOf(command));
    await untilAllReady(cp1, ["cp1", "cp2", "w1"], 240_000);
    for (const host of [cp1, w1]) await host.check(["sh", "-c", `for i in $(seq 90); do grep -q '${cp2.address}:6443' /etc/kubernetes/haproxy/control-planes.cfg && exit 0; sleep 1; done; exit 1`], { timeoutMs: 120_000 });
    // Two members of etcd are no majority without one of them, so it is the API server alone that goes.
    await cp1.check(["mv", "/etc/kubernetes/manifests/kube-apiserver.yaml", "/root/"]);
    await cp1.check(["sh", "-c", "for i in $(seq 90); do crictl ps -q --name kube-apiserver | grep -q . || exit 0; sleep 1; done; exit 1"], { timeoutMs: 120_000 });
    const { failedFor, said } = await lastFailureOf(w1, 25_000);
    assert.ok(failedFor < 15_000, said.join("\n"));
  });
});
