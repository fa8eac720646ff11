import assert from "node:assert/strict";
import { test } from "node:test";
import { startStopwatch } from "../../src/engine/stopwatch.ts";

test("startStopwatch() adds up ordinary steps and takes a clock that was set for half a second", () => {
  let now = 1_000_000;
  const elapsed = startStopwatch({ now: () => new Date(now) });
  now += 700;
  assert.equal(elapsed(), 700);
  now += 3_600_000;
  assert.equal(elapsed(), 1200);
  now -= 7_200_000;
  assert.equal(elapsed(), 1700);
  assert.equal(elapsed(), 1700);
  now += 300;
  assert.equal(elapsed(), 2000);
});
