import assert from "node:assert/strict";
import { test } from "node:test";
import { RateMeter, transferLine } from "../../src/cli/progress-bar.ts";
import { displayWidth, formatBytes, formatElapsed, oneLine, printable, truncate, truncateStart, wrap } from "../../src/cli/text-format.ts";

test("formatBytes uses three digits and binary units", () => {
  assert.deepEqual([0, 999, 1000, 1024, 123_456_789, 5_000_000_000].map(formatBytes), ["0 B", "999 B", "1.0 KiB", "1.0 KiB", "117.7 MiB", "4.7 GiB"]);
});

test("formatElapsed grows from seconds to hours", () => {
  assert.deepEqual([0, 440, 59_940, 59_960, 62_000, 3_599_600, 7_500_000].map(formatElapsed), ["0.0s", "0.4s", "59.9s", "1m00s", "1m02s", "1h00m", "2h05m"]);
});

test("displayWidth counts wide characters as two and marks as none", () => {
  assert.equal(displayWidth("abc"), 3);
  assert.equal(displayWidth("日本"), 4);
  assert.equal(displayWidth("e\u0301"), 1);
  assert.equal(displayWidth("✓━⠋…"), 4);
});

test("truncate and truncateStart keep to the width and mark the cut", () => {
  assert.equal(truncate("abcdefgh", 5), "abcd…");
  assert.equal(truncate("日本語", 4), "日…");
  assert.equal(truncateStart("registry.k8s.io/pause:3.10", 12), "…/pause:3.10");
  assert.equal(truncate("abc", 3), "abc");
  assert.equal(truncate("abc", 0), "");
  for (let width = 0; width < 12; width++) assert.ok(displayWidth(truncate("日本語 abc 日本語", width, "...")) <= width);
});

test("wrap breaks at spaces and leaves long words whole", () => {
  assert.equal(wrap("one two three", 7), "one two\nthree");
  assert.equal(wrap("see /a/very/long/path now", 10), "see\n/a/very/long/path\nnow");
  assert.equal(wrap("a\n\nb", 10, "  "), "  a\n\n  b");
});

test("printable removes escape sequences and control characters", () => {
  assert.equal(printable("a\x1b[31mb\x1b[0m\x1b]8;;http://x\x1b\\c\x07\u202ed\te"), "abcd    e");
  assert.equal(oneLine("a\r\n  b\n"), "a b");
});

test("transferLine leaves out the least important part first", () => {
  const glyphs = { full: "#", empty: ".", ellipsis: "..." };
  const transfer = { label: "registry.k8s.io/kube-apiserver:v1.36.2 layer 12", done: 30 * 1048576, total: 120 * 1048576, rate: 10 * 1048576 };
  const at = (width: number): string => transferLine(transfer, width, glyphs);
  assert.match(at(140), /#+\.+ + 25% {2}30\.0 MiB of 120\.0 MiB {2}10\.0 MiB\/s {2}9s left$/);
  assert.doesNotMatch(at(70), /left/);
  assert.match(at(56), /25%/);
  for (let width = 1; width <= 200; width++) assert.ok(displayWidth(at(width)) <= width, `${width}: ${at(width)}`);
});

test("transferLine shows no bar when the size is not known", () => {
  assert.equal(transferLine({ label: "layer", done: 2048, total: undefined, rate: 1024 }, 80, { full: "#", empty: ".", ellipsis: "..." }), "layer                                     2.0 KiB  1.0 KiB/s");
});

test("RateMeter looks at the last seconds only and notices a stall", () => {
  const meter = new RateMeter();
  meter.add(0, 0);
  assert.equal(meter.rate(100), undefined);
  meter.add(1000, 1000);
  assert.equal(meter.rate(1000), 1000);
  for (let second = 2; second <= 20; second++) meter.add(second * 1000, 1000 + (second - 1) * 100);
  assert.ok(Math.abs((meter.rate(20_000) as number) - 100) < 1);
  assert.ok((meter.rate(40_000) as number) < 30);
  meter.add(41_000, 5);
  assert.equal(meter.rate(41_100), undefined, "it goes on counting over a new start");
});
