/** What every Host must do: run against the real machine (in a directory of its own) and the one in memory. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { describe, test } from "node:test";
import { isKubestickError } from "../../src/errors.ts";
import type { Host } from "../../src/host/types.ts";

export interface HostUnderTest {
  readonly host: Host;
  /** An empty directory that the tests may fill. */
  readonly directory: string;
  cleanup(): Promise<void>;
}

export function hostSuite(name: string, make: () => Promise<HostUnderTest>, root: boolean): void {
  const within = (title: string, body: (host: Host, at: (path: string) => string) => Promise<void>, options: { readonly skip?: string | false } = {}): void => {
    test(title, { skip: options.skip ?? false }, async () => {
      const { host, directory, cleanup } = await make();
      try {
        await body(host, (path) => join(directory, path));
      } finally {
        await cleanup();
      }
    });
  };
  const failsWith = (code: string) => (error: unknown): boolean => {
    assert.ok(isKubestickError(error), `expected a KubestickError, got ${String(error)}`);
    assert.equal(error.code, code);
    assert.notEqual(error.next, "");
    return true;
  };

  describe(`${name}: files`, () => {
    within("writeFile() creates a file with exactly the mode, whatever the umask", async (host, at) => {
      await host.writeFile(at("a"), "text\n", { mode: 0o666 });
      assert.equal(await host.readText(at("a")), "text\n");
      const { type, mode, size } = (await host.stat(at("a")))!;
      assert.deepEqual({ type, mode, size }, { type: "file", mode: 0o666, size: 5 });
    });

    within("writeFile() replaces content and mode of an existing file", async (host, at) => {
      await host.writeFile(at("a"), "old content, longer", { mode: 0o644 });
      await host.writeFile(at("a"), new Uint8Array([1, 2, 3]), { mode: 0o600 });
      assert.deepEqual([...(await host.readFile(at("a")))!], [1, 2, 3]);
      assert.equal((await host.stat(at("a")))!.mode, 0o600);
      assert.deepEqual(await host.list(at(".")), ["a"]);
    });

    within("flush() takes a file, a link to one, and nothing at all", async (host, at) => {
      await host.writeFile(at("a"), "text", { mode: 0o600 });
      await host.symlink(at("link"), at("a"));
      for (const path of ["a", "link", "absent", "absent/too"]) await host.flush(at(path));
      assert.deepEqual(await host.list(at(".")), ["a", "link"]);
      assert.equal(await host.readText(at("a")), "text");
    });

    within("writeFile() takes a stream chunk by chunk", async (host, at) => {
      async function* chunks(): AsyncIterable<Uint8Array> {
        for (let index = 0; index < 100; index += 1) yield new Uint8Array(1000).fill(index);
      }
      await host.writeFile(at("big"), chunks(), { mode: 0o755 });
      const expected = createHash("sha256");
      for await (const chunk of chunks()) expected.update(chunk);
      assert.equal(await host.hashFile(at("big")), expected.digest("hex"));
    });

    within("writeFile() keeps the old content and leaves nothing behind when its source fails", async (host, at) => {
      await host.writeFile(at("a"), "old", { mode: 0o644 });
      const broken = (async function* (): AsyncIterable<Uint8Array> {
        yield Buffer.from("half of the new");
        throw new Error("the source broke");
      })();
      await assert.rejects(host.writeFile(at("a"), broken, { mode: 0o600 }), /the source broke/);
      assert.equal(await host.readText(at("a")), "old");
      assert.deepEqual(await host.list(at(".")), ["a"]);
    });

    within("writeFile() replaces what an interrupted write of the same file left behind", async (host, at) => {
      await host.writeFile(at(".a.kubestick-new"), "torn", { mode: 0o600 });
      await host.writeFile(at("a"), "whole", { mode: 0o644 });
      assert.deepEqual(await host.list(at(".")), ["a"]);
      assert.equal(await host.readText(at("a")), "whole");
    });

    within("writeFile() fails with words when the directory is missing", async (host, at) => {
      await assert.rejects(host.writeFile(at("absent/a"), "x", { mode: 0o644 }), failsWith("HOST_FILE_FAILED"));
    });

    within("writeFile() refuses to replace a directory", async (host, at) => {
      await host.makeDirectory(at("d"), 0o755);
      await assert.rejects(host.writeFile(at("d"), "x", { mode: 0o644 }), failsWith("HOST_FILE_FAILED"));
      assert.deepEqual(await host.list(at(".")), ["d"]);
    });

    within("writeFile() sets the owner", async (host, at) => {
      await host.writeFile(at("a"), "x", { mode: 0o640, uid: 1234, gid: 4321 });
      const { uid, gid, mode } = (await host.stat(at("a")))!;
      assert.deepEqual({ uid, gid, mode }, { uid: 1234, gid: 4321, mode: 0o640 });
    }, { skip: root ? false : "only root may give files away" });

    within("append() creates the file, then adds at its end", async (host, at) => {
      await host.append(at("log"), "one\n", 0o600);
      await host.append(at("log"), "two\n", 0o644);
      assert.equal(await host.readText(at("log")), "one\ntwo\n");
      assert.equal((await host.stat(at("log")))!.mode, 0o600);
    });

    within("append() fails with words when the directory is missing", async (host, at) => {
      await assert.rejects(host.append(at("absent/log"), "x", 0o600), failsWith("HOST_FILE_FAILED"));
    });

    within("chmod() changes the mode alone", async (host, at) => {
      await host.writeFile(at("a"), "x", { mode: 0o644 });
      await host.chmod(at("a"), 0o400);
      assert.equal((await host.stat(at("a")))!.mode, 0o400);
      assert.equal(await host.readText(at("a")), "x");
    });

    within("chmod() fails with words when the file is missing", async (host, at) => {
      await assert.rejects(host.chmod(at("absent"), 0o600), failsWith("HOST_FILE_FAILED"));
    });

    within("makeDirectory() returns what it created, outermost first, parents with 0755", async (host, at) => {
      assert.deepEqual(await host.makeDirectory(at("a/b/c"), 0o700), [at("a"), at("a/b"), at("a/b/c")]);
      assert.equal((await host.stat(at("a/b")))!.mode, 0o755);
      assert.equal((await host.stat(at("a/b/c")))!.mode, 0o700);
    });

    within("makeDirectory() leaves an existing directory as it is", async (host, at) => {
      await host.makeDirectory(at("d"), 0o750);
      assert.deepEqual(await host.makeDirectory(at("d"), 0o700), []);
      assert.equal((await host.stat(at("d")))!.mode, 0o750);
    });

    within("makeDirectory() accepts a link to a directory", async (host, at) => {
      await host.makeDirectory(at("real"), 0o755);
      await host.symlink(at("link"), at("real"));
      assert.deepEqual(await host.makeDirectory(at("link/sub"), 0o755), [at("link/sub")]);
      assert.deepEqual(await host.list(at("real")), ["sub"]);
    });

    within("makeDirectory() fails with words when a file is in the way", async (host, at) => {
      await host.writeFile(at("file"), "x", { mode: 0o644 });
      await assert.rejects(host.makeDirectory(at("file/sub"), 0o755), failsWith("HOST_FILE_FAILED"));
    });

    within("symlink() is seen by stat() as a link, followed by readText(), and replaced", async (host, at) => {
      await host.writeFile(at("one"), "1", { mode: 0o644 });
      await host.writeFile(at("two"), "2", { mode: 0o644 });
      await host.symlink(at("link"), at("one"));
      await host.symlink(at("link"), "two");
      const { type, target } = (await host.stat(at("link")))!;
      assert.deepEqual({ type, target }, { type: "symlink", target: "two" });
      assert.equal(await host.readText(at("link")), "2");
    });

    within("writeFile() replaces a link and leaves its target alone", async (host, at) => {
      await host.writeFile(at("target"), "theirs", { mode: 0o644 });
      await host.symlink(at("link"), at("target"));
      await host.writeFile(at("link"), "ours", { mode: 0o644 });
      assert.equal((await host.stat(at("link")))!.type, "file");
      assert.equal(await host.readText(at("target")), "theirs");
    });

    within("remove() takes files, links and empty directories, and does not mind what is missing", async (host, at) => {
      await host.writeFile(at("file"), "x", { mode: 0o644 });
      await host.symlink(at("link"), at("file"));
      await host.makeDirectory(at("empty"), 0o755);
      for (const name of ["link", "file", "empty", "absent", "absent/below"]) await host.remove(at(name));
      assert.deepEqual(await host.list(at(".")), []);
    });

    within("remove() takes a full directory only when told to", async (host, at) => {
      await host.makeDirectory(at("full/sub"), 0o755);
      await host.writeFile(at("full/sub/file"), "x", { mode: 0o644 });
      await assert.rejects(host.remove(at("full")), failsWith("HOST_FILE_FAILED"));
      await host.remove(at("full"), { recursive: true });
      assert.equal(await host.stat(at("full")), undefined);
    });

    within("reads answer undefined for what does not exist, also below a file", async (host, at) => {
      await host.writeFile(at("file"), "x", { mode: 0o644 });
      for (const path of [at("absent"), at("file/below")]) {
        assert.equal(await host.readFile(path), undefined);
        assert.equal(await host.readText(path), undefined);
        assert.equal(await host.stat(path), undefined);
        assert.equal(await host.list(path), undefined);
        assert.equal(await host.hashFile(path), undefined);
      }
      assert.equal(await host.list(at("file")), undefined);
    });

    within("readText() of a directory fails with words", async (host, at) => {
      await assert.rejects(host.readText(at(".")), failsWith("HOST_FILE_FAILED"));
    });

    within("list() is sorted", async (host, at) => {
      for (const name of ["b", "a", "C", ".d"]) await host.writeFile(at(name), "", { mode: 0o644 });
      assert.deepEqual(await host.list(at(".")), [".d", "C", "a", "b"]);
    });

    within("hashFile() is the SHA-256 of the content", async (host, at) => {
      await host.writeFile(at("a"), "abc", { mode: 0o644 });
      assert.equal(await host.hashFile(at("a")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    });
  });

  describe(`${name}: machine`, () => {
    within("disk() answers for a path that does not exist yet", async (host, at) => {
      const [here, later] = [await host.disk(at(".")), await host.disk(at("not/yet/there"))];
      assert.equal(later.id, here.id);
      assert.equal(later.mount, here.mount);
      assert.ok(later.freeBytes > 0 && later.totalBytes >= later.freeBytes);
    });

    within("unit(), sysctl(), moduleLoaded() and unitLog() know when a thing does not exist", async (host) => {
      assert.equal((await host.unit("kubestick-no-such-unit.service")).exists, false);
      assert.equal(await host.sysctl("kernel.kubestick_no_such_key"), undefined);
      assert.equal(await host.moduleLoaded("kubestick_no_such_module"), false);
      assert.deepEqual(await host.unitLog("kubestick-no-such-unit.service", 5), []);
    });

    within("facts() are complete and plain data", async (host) => {
      const facts = await host.facts();
      assert.deepEqual(JSON.parse(JSON.stringify(facts)), facts);
      assert.ok(facts.cpus >= 1);
      assert.ok(facts.memoryTotal > 64 * 1024 * 1024);
      assert.match(facts.arch, /^(amd64|arm64)$/);
      assert.ok(facts.addresses.some((address) => address.address === "127.0.0.1" && !address.global));
      assert.deepEqual(await host.routes(), facts.routes);
    });

    within("exec() of a program that does not exist fails with words", async (host) => {
      await assert.rejects(host.exec(["kubestick-no-such-program"]), failsWith("COMMAND_NOT_FOUND"));
    });

    within("sleep() ends early when its signal aborts", async (host) => {
      const controller = new AbortController();
      const sleeping = host.sleep(60_000, controller.signal);
      controller.abort();
      await assert.rejects(sleeping, { name: "AbortError" });
    });
  });
}
