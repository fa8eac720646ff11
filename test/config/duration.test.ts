import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDuration, parseDuration } from "../../src/config/duration.ts";

test("parseDuration reads what Go writes", () => {
  for (const [text, ms] of [["24h0m0s", 86_400_000], ["4m0s", 240_000], ["6m35s", 395_000], ["1.5h", 5_400_000], ["500ms", 500], ["0s", 0], ["0", 0], ["-2m", -120_000], ["8760h0m0s", 31_536_000_000]] as const) assert.equal(parseDuration(text), ms, text);
});

test("parseDuration refuses what Go refuses", () => {
  for (const bad of ["", "5", "4 m", "h", "1d", "m4", "4m0", "--4m"]) assert.equal(parseDuration(bad), undefined, bad);
});

test("formatDuration gives Go's canonical text", () => {
  for (const text of ["24h0m0s", "4m0s", "6m35s", "0s", "500ms", "8760h0m0s", "1.5s"]) assert.equal(formatDuration(parseDuration(text) as number), text);
});
