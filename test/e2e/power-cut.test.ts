import assert from "node:assert/strict";
import { before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertServiceAnswersByName, differences, endState, untilHealthy } from "../support/e2e-cluster.ts";
import { followEvents } from "../support/e2e-events.ts";
import type { RunEvent } from "../support/e2e-events.ts";
import { initOk } from "../support/e2e-init.ts";
import { scenario } from "../support/e2e-scenario.ts";
import type { TestHost } from "../support/hosts/test-host.ts";

/** As a cut right after the kubelet's rotation leaves it: the older client certificate is whole, everything newer is empty. */
const LOSE_UNFLUSHED = `cd /var/lib/kubelet/pki && cp "$(readlink -f kubelet-client-current.pem)" kubelet-client-2020-01-01-00-00-00.pem
  for path in kubelet.crt kubelet.key "$(readlink -f kubelet-client-current.pem)" ../cpu_manager_state ../memory_manager_state; do : > "$path"; done; sync`;

/**
 * A power cut here is one: whatever was written and not flushed is lost (the test host's disk is shut down without its journal), and network,
 * control groups and processes are gone.
 */
scenario("power cuts", ({ boot, remove }) => {
  let reference: readonly string[];

  /** Never disturbed until its end state is known; then it is the one that has run for a while. */
  let undisturbed: TestHost;

  before(async () => {
    undisturbed = await boot({ name: "cp1" });
    await initOk(undisturbed);
    await untilHealthy(undisturbed, 60_000);
    reference = await endState(undisturbed);
  });

  test("the cluster comes back by itself after it has run for a while, twice", async (t) => {
    await sleep(20_000);
    for (const time of ["first", "second"]) {
      // What the kubelet has not flushed is lost in one cut out of several; here it is lost for certain.
      if (time === "second") await undisturbed.check(["sh", "-c", LOSE_UNFLUSHED]);
      undisturbed.kill();
      await undisturbed.boot();
      t.diagnostic(`${time} time: healthy ${await untilHealthy(undisturbed, 180_000)} ms after boot`);
    }
    const again = await initOk(undisturbed);
    assert.equal(again.document.changed, 0, JSON.stringify(again.document.actions.filter((action) => action.status !== "unchanged"), null, 2));
    await assertServiceAnswersByName(undisturbed);
    remove(undisturbed);
  });

  test("the cluster comes back by itself when the power fails right after init", async (t) => {
    const host = await boot({ name: "cp1" });
    await initOk(host);
    host.kill();
    await host.boot();
    t.diagnostic(`healthy ${await untilHealthy(host, 180_000)} ms after boot`);
    assert.deepEqual(differences(reference, await endState(host)), []);
    await assertServiceAnswersByName(host);
    remove(host);
  });

  const moments: Readonly<Record<string, (event: RunEvent) => boolean>> = {
    "while images are loaded": (event) => event.type === "progress" && event.phase === "images" && (event.done ?? 0) > 0.5 * (event.total ?? Infinity),
    "after the certificates": (event) => event.type === "phase-finished" && event.phase === "certs",
    "while the control plane starts": (event) => event.type === "phase-started" && event.phase === "wait-control-plane",
    "while the addons are installed": (event) => event.type === "phase-started" && event.phase === "addon",
  };
  // One machine with very bad luck: each run gets as far as the next moment, and the last one to the end.
  test(`power cuts ${Object.keys(moments).join(", ")}, each time boot, init again`, async () => {
    const host = await boot({ name: "cp1" });
    for (const [moment, isMoment] of Object.entries(moments)) {
      let cut = false;
      const run = followEvents(host, [], (event) => {
        if (cut || !isMoment(event)) return;
        cut = true;
        host.kill();
      });
      const ended = await run.result;
      assert.ok(cut, `the moment never came: ${moment}\n${ended.stdout.slice(-2000)}`);
      await host.boot();
    }
    const last = await initOk(host);
    assert.ok(last.document.changed > 0);
    await untilHealthy(host, 120_000);
    assert.deepEqual(differences(reference, await endState(host)), []);
    remove(host);
  });
});
