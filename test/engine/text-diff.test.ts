import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { unifiedDiff } from "../../src/engine/text-diff.ts";

const numbers = (count: number): string => Array.from({ length: count }, (_, index) => `line ${index + 1}\n`).join("");

describe("unifiedDiff()", () => {
  test("shows changed lines with three lines around them", () => {
    assert.equal(unifiedDiff(numbers(10), numbers(10).replace("line 5\n", "line five\n"), "/etc/a"), [
      "--- /etc/a", "+++ /etc/a", "@@ -2 +2 @@", " line 2", " line 3", " line 4", "-line 5", "+line five", " line 6", " line 7", " line 8", "",
    ].join("\n"));
  });

  test("gives changes that are far apart a place each", () => {
    const after = numbers(30).replace("line 2\n", "").replace("line 25\n", "line 25\nnew\n");
    const places = unifiedDiff(numbers(30), after, "a").split("\n").filter((line) => line.startsWith("@@"));
    assert.deepEqual(places, ["@@ -1 +1 @@", "@@ -23 +22 @@"]);
  });

  test("handles an empty side", () => {
    assert.equal(unifiedDiff("", "one\n", "a"), "--- a\n+++ a\n@@ -1 +1 @@\n+one\n");
    assert.equal(unifiedDiff("one\n", "", "a"), "--- a\n+++ a\n@@ -1 +1 @@\n-one\n");
  });

  test("stays short", () => {
    const diff = unifiedDiff(numbers(500), numbers(500).replaceAll("line", "LINE"), "a");
    assert.ok(diff.split("\n").length < 90);
    assert.match(diff, /\.\.\. \d+ more lines\n$/);
  });

  test("copes with texts too large to compare line by line", () => {
    const diff = unifiedDiff(numbers(5000), numbers(5000).replaceAll("line", "LINE"), "a");
    assert.ok(diff.startsWith("--- a\n+++ a\n@@ -1 +1 @@\n-line 1\n"));
  });

  test("withholds credentials of the old text, and a private key in it", () => {
    const before = "server = 1\n  password = \"hunter2\"\nauth: dXNlcjpwdw==\n-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\n-----END RSA PRIVATE KEY-----\nend = 1\n";
    const diff = unifiedDiff(before, "server = 2\nend = 1\n", "a");
    for (const secret of ["hunter2", "dXNlcjpwdw", "MIIEabc"]) assert.ok(!diff.includes(secret), secret);
    assert.match(diff, /-  password = <withheld>/);
  });

  test("shows our own lines as they are, whatever they are called", () => {
    assert.match(unifiedDiff("a: 1\n", "tokenCache: 2\ntoken: none\n", "a"), /\+token: none/);
  });
});
