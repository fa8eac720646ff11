import assert from "node:assert/strict";
import { test } from "node:test";
import { untilHealthy } from "../support/e2e-cluster.ts";
import { initOk } from "../support/e2e-init.ts";
import { scenario } from "../support/e2e-scenario.ts";
import { changes, machine } from "../support/e2e-snapshot.ts";
import type { Snapshot } from "../support/e2e-snapshot.ts";
import type { TestHost } from "../support/hosts/test-host.ts";

scenario("reset after init", ({ boot }) => {
  let host: TestHost;
  let before: Snapshot;

  test("reset gives back the machine as init found it", async () => {
    host = await boot({ name: "cp1" });
    before = await machine(host);
    await initOk(host);
    await untilHealthy(host, 60_000);
    const done = await host.run(["./kubestick", "reset", "--yes"]);
    assert.equal(done.code, 0, done.stderr.slice(-4000));
    await assertAsBefore();
  });

  test("reset again finds nothing to do", async () => {
    const done = await host.run(["./kubestick", "reset", "--yes"]);
    assert.equal(done.code, 0, done.stderr.slice(-4000));
    await assertAsBefore();
  });

  test("init works after reset", async () => {
    await initOk(host);
    await untilHealthy(host, 60_000);
  });

  async function assertAsBefore(): Promise<void> {
    assert.deepEqual(changes(before, await machine(host)), []);
  }
});
