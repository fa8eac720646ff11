import assert from "node:assert/strict";
import { test } from "node:test";
import { untilHealthy } from "../support/e2e-cluster.ts";
import { followEvents } from "../support/e2e-events.ts";
import { init, initOk } from "../support/e2e-init.ts";
import type { FailureDocument } from "../support/e2e-init.ts";
import { scenario } from "../support/e2e-scenario.ts";

const HEAD = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n";

interface Fault {
  readonly config: string;
  /** What must stand in the error: who failed, and its own last words. */
  readonly names: readonly RegExp[];
}

const faults: Readonly<Record<string, Fault>> = {
  "etcd that exits": { config: `${HEAD}etcd:\n  local:\n    extraArgs: [{name: no-such-flag, value: "1"}]\n`, names: [/etcd/, /no-such-flag/] },
  "an API server that exits": { config: `${HEAD}apiServer:\n  extraArgs: [{name: no-such-flag, value: "1"}]\n`, names: [/kube-apiserver/, /no-such-flag/] },
  "a scheduler that exits": { config: `${HEAD}scheduler:\n  extraArgs: [{name: no-such-flag, value: "1"}]\n`, names: [/kube-scheduler/, /no-such-flag/] },
  "a kubelet that refuses its configuration": {
    config: "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\ntopologyManagerPolicy: no-such-policy\n",
    names: [/kubelet/, /no-such-policy/],
  },
};

scenario("waiting tells the truth and fails as soon as the cause is certain", ({ boot, remove }) => {
  for (const [what, { config, names }] of Object.entries(faults)) {
    test(`init names ${what}, and works once that is corrected`, async (t) => {
      const host = await boot({ name: "cp1" });
      host.write("/root/faulty.yaml", config);
      const done = await init(host, ["--config", "faulty.yaml"]);
      t.diagnostic(`failed after ${done.ms} ms: ${done.document.error?.code}`);
      assert.notEqual(done.code, 0);
      assertNamed(done.document.error, names);
      // The time-out it must not sit out is four minutes.
      assert.ok(done.ms < 90_000, `${done.ms} ms`);
      await initOk(host);
      await untilHealthy(host, 60_000);
      remove(host);
    });
  }

  test("init names a runtime that is stopped under it, and continues when it is run again", async () => {
    const host = await boot({ name: "cp1" });
    let stopped: Promise<unknown> | undefined;
    let failure: FailureDocument | undefined;
    const run = followEvents(host, [], (event) => {
      if (event.type === "phase-started" && event.phase === "wait-control-plane") stopped ??= host.run(["sh", "-c", "systemctl stop containerd; pkill -9 -f containerd-shim"]);
      if (event.type === "run-finished") failure = (event as { error?: FailureDocument }).error;
    });
    const done = await run.result;
    assert.ok(stopped !== undefined, "the control plane was never waited for");
    assert.notEqual(done.code, 0);
    assertNamed(failure, [/containerd/]);
    assert.ok(done.ms < 90_000, `${done.ms} ms`);
    await initOk(host);
    await untilHealthy(host, 90_000);
    remove(host);
  });
});

function assertNamed(error: FailureDocument | undefined, names: readonly RegExp[]): void {
  const text = [error?.happened, ...(error?.details ?? [])].join("\n");
  for (const name of names) assert.match(text, name);
  assert.match(error?.next ?? "", /\S/);
  assert.match(error?.code ?? "", /^[A-Z][A-Z_]+$/);
}
