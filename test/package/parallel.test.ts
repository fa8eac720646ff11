import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { parallel } from "../../src/package/parallel.ts";

test("parallel keeps the order of the items and the limit", async () => {
  let running = 0;
  let most = 0;
  const results = await parallel([30, 5, 20, 1, 10], 2, undefined, async (ms) => {
    most = Math.max(most, (running += 1));
    await sleep(ms);
    running -= 1;
    return ms * 2;
  });
  assert.deepEqual(results, [60, 10, 40, 2, 20]);
  assert.equal(most, 2);
});

test("parallel stops the others at the first failure and throws that one", async () => {
  const started: number[] = [];
  const stopped: number[] = [];
  await assert.rejects(
    parallel([1, 2, 3, 4, 5], 2, undefined, async (item, signal) => {
      started.push(item);
      if (item === 2) throw new Error("item 2 broke");
      await sleep(5_000, undefined, { signal }).catch((error: unknown) => {
        stopped.push(item);
        throw error;
      });
    }),
    /item 2 broke/,
  );
  assert.deepEqual(started, [1, 2]);
  assert.deepEqual(stopped, [1]);
});

test("parallel starts nothing when its signal has fired", async () => {
  await assert.rejects(parallel([1], 2, AbortSignal.abort(), async () => assert.fail("started")), { name: "AbortError" });
  assert.deepEqual(await parallel([], 2, undefined, async () => 1), []);
});
