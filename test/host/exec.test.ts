import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { execute, searchPath } from "../../src/host/exec.ts";

describe("execute()", () => {
  test("passes arguments as they are, without a shell", async () => {
    const { code, stdout } = await execute(["printf", "%s\\n", "a b", "$HOME", "*;`id`"]);
    assert.deepEqual({ code, stdout }, { code: 0, stdout: "a b\n$HOME\n*;`id`\n" });
  });

  test("resolves with the exit code and standard error of a failing program", async () => {
    const { code, stderr } = await execute(["sh", "-c", "echo gone >&2; exit 7"]);
    assert.deepEqual({ code, stderr }, { code: 7, stderr: "gone\n" });
  });

  test("reports a program ended by a signal as 128 and the signal", async () => {
    assert.equal((await execute(["sh", "-c", "kill -TERM $$"])).code, 143);
  });

  test("feeds text and streams to standard input", async () => {
    async function* chunks(): AsyncIterable<Uint8Array> {
      for (let index = 0; index < 50; index += 1) yield new Uint8Array(10_000).fill(97);
    }
    assert.equal((await execute(["cat"], { stdin: "hello" })).stdout, "hello");
    assert.equal((await execute(["wc", "-c"], { stdin: chunks() })).stdout.trim(), "500000");
  });

  test("does not mind a program that never reads its input", async () => {
    assert.equal((await execute(["true"], { stdin: new Uint8Array(1_000_000) })).code, 0);
  });

  test("stops a program and its children when the time is up", async () => {
    const started = performance.now();
    await assert.rejects(execute(["sh", "-c", "sleep 60 & sleep 60"], { timeoutMs: 200 }), { code: "COMMAND_TIMED_OUT" });
    assert.ok(performance.now() - started < 5000);
  });

  test("does not wait for a daemon that keeps the output open", async () => {
    const started = performance.now();
    const { stdout } = await execute(["sh", "-c", "sleep 3 & echo done"]);
    assert.equal(stdout, "done\n");
    assert.ok(performance.now() - started < 2500);
  });

  test("keeps a bounded part of the output", async () => {
    const { stdout } = await execute(["sh", "-c", "head -c 9000000 /dev/zero | tr '\\0' x"]);
    assert.equal(stdout.length, 4 * 1024 * 1024);
  });

  test("fails when the source of its input fails, and ends the program", async () => {
    const broken = (async function* (): AsyncIterable<Uint8Array> {
      yield Buffer.from("x");
      throw new Error("the source broke");
    })();
    await assert.rejects(execute(["cat"], { stdin: broken }), /the source broke/);
  });

  test("adds variables to the environment and asks for untranslated output", async () => {
    const { stdout } = await execute(["sh", "-c", "echo $LC_ALL $EXTRA"], { env: { EXTRA: "1" } });
    assert.equal(stdout, "C 1\n");
  });
});

test("searchPath() adds the directories that sudo drops, and ignores relative ones", () => {
  assert.deepEqual(searchPath("/custom:.:bin:/usr/bin"), ["/custom", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/sbin", "/bin"]);
});
