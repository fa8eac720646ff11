import assert from "node:assert/strict";
import { before, test } from "node:test";
import { differences, endState, untilHealthy } from "../support/e2e-cluster.ts";
import { initOk } from "../support/e2e-init.ts";
import { followEvents } from "../support/e2e-events.ts";
import type { RunEvent } from "../support/e2e-events.ts";
import { scenario } from "../support/e2e-scenario.ts";

/** The name all hosts of this file have, so that their end states can be compared line by line. */
const NAME = "cp1";
const POINTS = 10;

scenario("init killed at any moment and run again", ({ boot, remove }) => {
  let reference: readonly string[];
  let applied: readonly string[];
  let images: readonly string[];

  before(async () => {
    const host = await boot({ name: NAME });
    const events: RunEvent[] = [];
    const done = await followEvents(host, [], (event) => void events.push(event)).result;
    assert.equal(done.code, 0, done.stdout.slice(-4000));
    await untilHealthy(host, 60_000);
    reference = await endState(host);
    applied = events.filter((event) => event.type === "action" && event.status === "applied").map((event) => event.id ?? "");
    images = events.filter((event) => event.type === "action" && event.kind === "image" && event.status === "applied").map((event) => event.id ?? "");
    remove(host);
  });

  for (let point = 1; point <= POINTS; point++) {
    test(`kill -9 after ${point} elevenths of the actions, init again`, async (t) => {
      const last = applied[Math.floor((point * applied.length) / (POINTS + 1))] ?? "";
      t.diagnostic(`killed after ${last}`);
      await killAndContinue((event) => event.type === "action" && event.status === "applied" && event.id === last);
    });
  }

  test("kill -9 in the middle of an image, init again", async (t) => {
    const image = images[Math.floor(images.length / 2)] ?? "";
    t.diagnostic(`killed while ${image} was loaded`);
    await killAndContinue((event) => event.type === "progress" && event.id === image && (event.done ?? 0) > 0 && (event.done ?? 0) < (event.total ?? 0));
  });

  async function killAndContinue(isPoint: (event: RunEvent) => boolean): Promise<void> {
    const host = await boot({ name: NAME });
    let hit = false;
    const run = followEvents(host, [], (event) => {
      if (!hit && isPoint(event)) {
        hit = true;
        run.kill("SIGKILL");
      }
    });
    const killed = await run.result;
    assert.ok(hit, "the point was never reached");
    assert.equal(killed.code, 137, killed.stdout.slice(-2000));
    const again = await initOk(host);
    assert.ok(again.document.changed > 0);
    await untilHealthy(host, 60_000);
    assert.deepEqual(differences(reference, await endState(host)), []);
    remove(host);
  }
});
