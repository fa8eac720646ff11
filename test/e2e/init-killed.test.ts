import assert from "node:assert/strict";
import { before, test } from "node:test";
import { differences, endState, untilHealthy } from "../support/e2e-cluster.ts";
import { initOk } from "../support/e2e-init.ts";
import { followEvents } from "../support/e2e-events.ts";
import type { RunEvent } from "../support/e2e-events.ts";
import { scenario } from "../support/e2e-scenario.ts";
import type { TestHost } from "../support/hosts/test-host.ts";

/** The name all hosts of this file have, so that their end states can be compared line by line. */
const NAME = "cp1";
const POINTS = 20;
/** Which points it are; a failed run is had again with the one it told. */
const SEED = Number(process.env["KUBESTICK_E2E_SEED"] ?? Date.now() % 1_000_000);

/**
 * Twenty kills at random points of what an undisturbed init does, images and keys at once, and one in the middle of an image. Each of two machines is killed at
 * every other point on its one way to a cluster: kill, run again until the next point, and so on; the last run must end as if nothing had happened.
 */
scenario("init killed at any moment and run again", ({ boot, remove }) => {
  let reference: readonly string[];
  /** What only a run brings about, and under the same name every time, in its order. */
  let applied: readonly string[];
  let images: readonly string[];
  /** Indexes of `applied`, rising. */
  let points: readonly number[];

  before(async () => {
    const host = await boot({ name: NAME });
    const events: RunEvent[] = [];
    const done = await followEvents(host, [], (event) => void events.push(event)).result;
    assert.equal(done.code, 0, done.stdout.slice(-4000));
    await untilHealthy(host, 60_000);
    reference = await endState(host);
    const made = events.filter((event) => event.type === "action" && event.status === "applied");
    applied = made.filter(({ kind, id }) => kind !== "wait" && id?.includes("bootstrap-token-") !== true).map(({ id }) => id ?? "");
    points = drawn(POINTS, applied.length, SEED);
    images = made.filter(({ kind }) => kind === "image").map(({ id }) => id ?? "");
    remove(host);
  });

  for (const [machine, first] of [["one machine", 1], ["another", 2]] as const) {
    test(`kill -9 again and again: ${machine}, init until it ends`, async (t) => {
      const host = await boot({ name: NAME });
      t.diagnostic(`KUBESTICK_E2E_SEED=${SEED}`);
      const image = images[Math.floor(images.length / 2)] ?? "";
      let imageLeft = first === 2;
      for (const index of points.filter((_, number) => number % 2 === first - 1)) {
        // Before any image can be there: what runs beside it may be faster than in the undisturbed run.
        if (imageLeft && index >= applied.indexOf(images[0] ?? "")) {
          imageLeft = false;
          t.diagnostic(await killAt(host, `in the middle of ${image}`, (event) => event.type === "progress" && event.id === image && (event.done ?? 0) > 0 && (event.done ?? 0) < (event.total ?? 0)));
        }
        // Or the first one after it: a run goes on for the moment that a kill needs, and may have made this one before the last kill reached it.
        t.diagnostic(await killAt(host, `after ${applied[index]}`, (event) => event.type === "action" && event.status === "applied" && applied.indexOf(event.id ?? "") >= index));
      }
      assert.equal(imageLeft, false);
      await initOk(host);
      await untilHealthy(host, 60_000);
      assert.deepEqual(differences(reference, await endState(host)), []);
      remove(host);
    });
  }

  /** Different numbers below `below`, rising; the same ones for the same seed (a linear congruential generator, Numerical Recipes). */
  function drawn(count: number, below: number, seed: number): readonly number[] {
    const numbers = new Set<number>();
    for (let state = seed >>> 0; numbers.size < Math.min(count, below); ) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      numbers.add(Math.floor((state / 2 ** 32) * below));
    }
    return [...numbers].sort((a, b) => a - b);
  }

  async function killAt(host: TestHost, point: string, isPoint: (event: RunEvent) => boolean): Promise<string> {
    let hit: string | undefined;
    const run = followEvents(host, [], (event) => {
      if (hit === undefined && isPoint(event)) {
        hit = event.id ?? "";
        run.kill("SIGKILL");
      }
    });
    const killed = await run.result;
    assert.ok(hit !== undefined, `the point was never reached: ${point}\n${killed.stdout.slice(-2000)}`);
    assert.equal(killed.code, 137, killed.stdout.slice(-2000));
    return `killed ${point}${point.endsWith(hit) ? "" : `, at ${hit}`}`;
  }
});
