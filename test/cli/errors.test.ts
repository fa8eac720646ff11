import assert from "node:assert/strict";
import { test } from "node:test";
import { asKubestickError, errorText } from "../../src/cli/errors.ts";
import { KubestickError } from "../../src/errors.ts";

const error = new KubestickError({
  code: "PACKAGE_CORRUPT", attempted: "verifying the package in ./kubestick", happened: "The digest of kubelet is sha256:aa instead of sha256:bb.",
  next: "Copy the file again and compare: sha256sum ./kubestick", details: ["entry 12 of 90", "log: \x1b[31mbad\x1b[0m\nline two"],
});

test("errorText says what was attempted, what happened and what to type next", () => {
  assert.equal(errorText(error, { color: false, columns: undefined, verbosity: 0 }), [
    "error: PACKAGE_CORRUPT while verifying the package in ./kubestick",
    "  The digest of kubelet is sha256:aa instead of sha256:bb.",
    "    entry 12 of 90",
    "    log: bad",
    "    line two",
    "next: Copy the file again and compare: sha256sum ./kubestick",
    "",
  ].join("\n"));
});

test("errorText breaks lines at words for a terminal and never in the middle of a path", () => {
  const long = new KubestickError({ code: "X", attempted: "writing", happened: `It could not be written ${"and so on ".repeat(10)}.`, next: `rm ${"/long".repeat(20)} now` });
  const lines = errorText(long, { color: false, columns: 50, verbosity: 0 }).split("\n");
  for (const line of lines) assert.ok(line.length < 50 || line.includes("/long"), line);
  assert.ok(lines.some((line) => line.trim() === "/long".repeat(20)));
});

test("errorText does not repeat in details what the sentence says", () => {
  const stopped = new KubestickError({ code: "X", attempted: "a", happened: "Still to be done: images, certs.", next: "c", details: ["images", "certs", "log line"] });
  assert.deepEqual(errorText(stopped, { color: false, columns: undefined, verbosity: 0 }).split("\n").slice(1, -2), ["  Still to be done: images, certs.", "    log line"]);
});

test("errorText colours only when asked to", () => {
  assert.match(errorText(error, { color: true, columns: 80, verbosity: 0 }), /^\x1b\[31merror:\x1b\[0m \x1b\[1mPACKAGE_CORRUPT\x1b\[0m while/);
});

test("errorText adds stack and causes from verbosity 5 on", () => {
  const caused = new KubestickError({ code: "X", attempted: "a", happened: "b", next: "c", cause: new Error("deep", { cause: new Error("deeper") }) });
  assert.match(errorText(caused, { color: false, columns: undefined, verbosity: 5 }), /caused by: Error: deep\n[^]*caused by: Error: deeper\n/);
  assert.doesNotMatch(errorText(caused, { color: false, columns: undefined, verbosity: 4 }), /deep/);
});

test("asKubestickError makes INTERNAL of what nobody foresaw and leaves known errors alone", () => {
  assert.equal(asKubestickError(error, "x"), error);
  for (const thrown of [new TypeError("x is not a function"), "a string", undefined]) {
    const internal = asKubestickError(thrown, "running \"kubestick init\"");
    assert.equal(internal.code, "INTERNAL");
    assert.equal(internal.exitCode, 1);
    assert.match(internal.next, /--v=5/);
  }
  assert.match(asKubestickError(new TypeError("x is not a function"), "a").happened, /x is not a function/);
});
