import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { KubestickError } from "../../src/errors.ts";
import { acquireLock } from "../../src/host/lock.ts";

async function lockPath(t: TestContext): Promise<{ directory: string; path: string }> {
  const directory = await mkdtemp(join(tmpdir(), "kubestick-lock-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return { directory, path: join(directory, "lock") };
}

describe("acquireLock()", () => {
  test("refuses a second holder and names the first one's process and command", async (t) => {
    const { path } = await lockPath(t);
    const lock = await acquireLock("kubestick init", path);
    await assert.rejects(acquireLock("kubestick reset", path), (error: unknown) => {
      assert.ok(error instanceof KubestickError);
      assert.equal(error.code, "LOCKED");
      assert.match(error.happened, new RegExp(`process ${process.pid} \\(kubestick init\\)`));
      return true;
    });
    await lock.release();
  });

  test("can be taken again after release, and leaves nothing behind", async (t) => {
    const { directory, path } = await lockPath(t);
    await (await acquireLock("one", path)).release();
    const second = await acquireLock("two", path);
    await second.release();
    await second.release();
    assert.deepEqual(await readdir(directory), []);
  });

  test("takes over the lock of a process that was killed", async (t) => {
    const { path } = await lockPath(t);
    const script = `import { acquireLock } from ${JSON.stringify(new URL("../../src/host/lock.ts", import.meta.url).href)};
      await acquireLock("kubestick init", ${JSON.stringify(path)});
      console.log("locked");
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise<void>((resolve) => { child.stdout.once("data", () => { resolve(); }); });
    await assert.rejects(acquireLock("kubestick init", path), { code: "LOCKED" });
    const ended = new Promise<void>((resolve) => { child.once("exit", () => { resolve(); }); });
    child.kill("SIGKILL");
    await ended;
    const lock = await acquireLock("kubestick init", path);
    assert.equal((JSON.parse(await readFile(path, "utf8")) as { pid: number }).pid, process.pid);
    await lock.release();
  });

  test("takes over a lock of an earlier boot although its process id lives again", async (t) => {
    const { path } = await lockPath(t);
    const mine = await acquireLock("kubestick init", path);
    const holder = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
    await mine.release();
    await writeFile(path, JSON.stringify({ ...holder, boot: "another-boot" }));
    await (await acquireLock("kubestick init", path)).release();
    await writeFile(path, JSON.stringify({ ...holder, startTime: "1" }));
    await (await acquireLock("kubestick init", path)).release();
  });

  test("takes over a lock file that is torn", async (t) => {
    const { path } = await lockPath(t);
    await writeFile(path, `{"pid":`);
    await (await acquireLock("kubestick init", path)).release();
  });

  test("gives the lock to exactly one of many that find it stale at once", async (t) => {
    const { path } = await lockPath(t);
    await writeFile(path, `{"pid":1,"startTime":"never","boot":"never"}`);
    const results = await Promise.allSettled(Array.from({ length: 8 }, (_, index) => acquireLock(`run ${index}`, path)));
    assert.equal(results.filter((result) => result.status === "fulfilled").length, 1);
  });
});
