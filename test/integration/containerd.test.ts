import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { isKubestickError } from "../../src/errors.ts";
import { connectRuntime } from "../../src/runtime/connect.ts";
import type { Digest, StoredBytes } from "../../src/package/types.ts";
import type { Runtime } from "../../src/runtime/types.ts";
import { noise } from "../package/fixtures.ts";
import { ContainerdProcess, containerdDirectories } from "../runtime/containerd-process.ts";
import { bigLayer, generatedImage, recompressed, smallLayer } from "../runtime/generated-image.ts";

const directories = process.getuid?.() === 0 ? containerdDirectories() : [];
/** glibc brings it without libraries on every distribution: something that runs in an empty image. */
const program = "/sbin/ldconfig";

if (directories.length === 0) {
  test("containerd import", { skip: process.getuid?.() === 0 ? "no containerd and ctr in KUBESTICK_CONTAINERD_DIRS, KUBESTICK_E2E_ASSETS/bin or PATH" : "needs root to run containerd" }, () => undefined);
}

for (const directory of directories) {
  describe(`containerd in ${directory}`, { timeout: 180_000 }, () => {
    const daemon = new ContainerdProcess(directory, "kubestick.test/pause:3.10");
    let runtime: Runtime;
    const children: ChildProcess[] = [];

    before(async () => {
      await daemon.start();
      runtime = connectRuntime(daemon.socket);
    });
    after(async () => {
      for (const child of children) child.kill("SIGKILL");
      await runtime.close();
      await daemon.remove();
    });

    const pinned = !daemon.version.replace(/^v/, "").startsWith("1.6.");
    const layers = async (seed: string) => [await smallLayer({ "etc/first": seed, "bin/none": "x" }), await smallLayer({ "etc/second": seed }), await bigLayer(seed, 8)];

    test("status tells readiness, the sandbox image where containerd tells it, and the cgroup driver", async () => {
      const info = await runtime.info();
      const status = await runtime.status();
      assert.equal(info.name, "containerd");
      assert.equal(status.runtimeReady, true);
      assert.equal(status.networkReady, false);
      assert.match(status.problems.join("\n"), /^NetworkReady is false: NetworkPluginNotReady: .*cni/);
      assert.equal(status.problems.length, 1);
      assert.equal(status.cgroupDriver, "systemd");
      if (/^v?1\./.test(daemon.version)) assert.equal(status.sandboxImage, "kubestick.test/pause:3.10");
    });

    test("importImage makes CRI answer by tag, digest and id, pinned, and a second run opens nothing", async () => {
      const { image, open } = generatedImage("kubestick.test/app/one:v1", await layers("one"));
      assert.equal(await runtime.hasImage(image), false);
      const events: { done: number; total: number }[] = [];
      await runtime.importImage(image, { open, alsoAs: ["mirror.test/else:v1"], progress: (event) => events.push(event) });

      for (const reference of [image.reference, `kubestick.test/app/one@${image.target.digest}`, "mirror.test/else:v1", `mirror.test/else@${image.target.digest}`, image.config.digest]) {
        const found = await runtime.image(reference);
        assert.equal(found?.id, image.config.digest, reference);
        assert.equal(found?.pinned, pinned, reference);
      }
      const seen = await runtime.image(image.reference);
      assert.deepEqual([...(seen?.tags ?? [])].sort(), ["kubestick.test/app/one:v1", "mirror.test/else:v1"]);
      assert.deepEqual([...(seen?.digests ?? [])].sort(), [`kubestick.test/app/one@${image.target.digest}`, `mirror.test/else@${image.target.digest}`]);
      assert.ok((await runtime.images()).some(({ id }) => id === image.config.digest));

      const total = [image.target, image.manifest, image.config, ...image.layers].reduce((sum, { size }) => sum + size, 0);
      assert.deepEqual({ done: events.at(-1)?.done, total: events.at(-1)?.total }, { done: total, total });
      assert.ok(events.every((event, position) => position === 0 || event.done >= (events[position - 1]?.done ?? 0)), "progress only grows");

      assert.equal(await runtime.hasImage(image, ["mirror.test/else:v1"]), true);
      assert.equal(await runtime.hasImage(image, ["mirror.test/third:v1"]), false);
      const opened: string[] = [];
      await runtime.importImage(image, { open: (digest) => (opened.push(digest), open(digest)), alsoAs: ["mirror.test/else:v1"] });
      assert.deepEqual(opened, []);
      assert.match(daemon.ctr("images", "ls"), /kubestick\.test\/app\/one:v1 .*io\.cri-containerd\.image=managed,io\.cri-containerd\.pinned=pinned/);
    });

    test("what is there is known at a glance by whoever comes later, and what came or went meanwhile is asked for", async () => {
      const [first, second] = [generatedImage("kubestick.test/app/glance:v1", await layers("glance")), generatedImage("kubestick.test/app/glance:v2", await layers("another glance"))];
      await runtime.importImage(first.image, { open: first.open });
      const later = connectRuntime(daemon.socket);
      try {
        assert.equal(await later.hasImage(first.image), true);
        assert.equal(await later.hasImage(second.image), false);
        await later.importImage(second.image, { open: second.open });
        assert.equal(await later.hasImage(second.image), true);
        await later.removeImage(first.image.reference);
        assert.equal(await later.hasImage(first.image), false);
        // A blob that somebody took away is missed by the next one who looks.
        daemon.ctr("content", "rm", second.image.config.digest);
        const last = connectRuntime(daemon.socket);
        assert.equal(await last.hasImage(second.image).finally(() => last.close()), false);
        await later.removeImage(second.image.reference);
      } finally {
        await later.close();
      }
    });

    test("importImage leaves nothing that the garbage collector takes, nor a lease", async () => {
      const { image, open } = generatedImage("kubestick.test/app/gc:v1", await layers("gc"));
      await runtime.importImage(image, { open });
      assert.doesNotMatch(daemon.ctr("leases", "ls"), /kubestick/);
      const blobs = (): string => daemon.ctr("content", "ls", "-q");
      const snapshots = (): string => daemon.ctr("snapshots", "ls");
      const [blobsBefore, snapshotsBefore] = [blobs(), snapshots()];
      for (const { digest } of [image.target, image.manifest, image.config, ...image.layers]) assert.ok(blobsBefore.includes(digest));
      daemon.ctr("leases", "create", "--id", "collect");
      daemon.ctr("leases", "delete", "--sync", "collect");
      assert.equal(blobs(), blobsBefore);
      assert.equal(snapshots(), snapshotsBefore);
      assert.equal(await runtime.hasImage(image), true);
    });

    test("an imported image is there after containerd restarts", async () => {
      const { image, open } = generatedImage("kubestick.test/app/restart:v1", [await smallLayer({ a: "restart" })], { withIndex: false });
      await runtime.importImage(image, { open });
      await daemon.stop();
      await assert.rejects(runtime.info(), (error) => isKubestickError(error) && error.code === "RUNTIME_UNREACHABLE");
      await daemon.start();
      assert.equal(await runtime.hasImage(image), true);
      assert.equal((await runtime.image(`kubestick.test/app/restart@${image.target.digest}`))?.pinned, pinned);
    });

    test("importImage shares layers between images and takes an image that was there without a pin", async () => {
      const shared = await smallLayer({ shared: "yes" });
      const first = generatedImage("kubestick.test/app/shared-a:v1", [shared]);
      const second = generatedImage("kubestick.test/app/shared-b:v1", [shared, await smallLayer({ own: "b" })]);
      await runtime.importImage(first.image, { open: first.open });
      const opened: string[] = [];
      await runtime.importImage(second.image, { open: (digest) => (opened.push(digest), second.open(digest)) });
      assert.ok(!opened.includes(shared.digest));

      daemon.ctr("images", "label", first.image.reference, "io.cri-containerd.pinned=");
      assert.equal(await runtime.hasImage(first.image), false);
      await runtime.importImage(first.image, { open: first.open });
      assert.equal(await runtime.hasImage(first.image), true);
    });

    test("a layer that occurs twice in an image and an image without layers import", async () => {
      const layer = await smallLayer({ twice: "yes" });
      const twice = generatedImage("kubestick.test/app/twice:v1", [layer, await smallLayer({ between: "yes" }), layer]);
      await runtime.importImage(twice.image, { open: twice.open });
      assert.equal(await runtime.hasImage(twice.image), true);
      const bare = generatedImage("kubestick.test/app/bare:v1", []);
      await runtime.importImage(bare.image, { open: bare.open });
      assert.equal(await runtime.hasImage(bare.image), true);
    });

    test("an unpacked image runs", { skip: existsSync(program) ? false : `no ${program}` }, async () => {
      const { image, open } = generatedImage("kubestick.test/app/run:v1", [await smallLayer({ program: readFileSync(program) })], { entrypoint: ["/program", "--version"] });
      await runtime.importImage(image, { open });
      assert.match(daemon.ctr("run", "--rm", image.reference, "run-once"), /^ldconfig /);
    });

    test("a layer that travels as the zstd of its tar leaves its snapshot, and the image is whole for CRI, also after a restart and a collection", async () => {
      const base = await recompressed(await smallLayer({ "etc/base": "travelling", "bin/none": "x".repeat(200_000) }));
      const layers = [base, await recompressed(await smallLayer({ program: existsSync(program) ? readFileSync(program) : "none", "etc/own": "travelling" })), base];
      const { image, open, stored } = generatedImage("kubestick.test/app/travelling:v1", layers, { entrypoint: ["/program", "--version"] });
      assert.equal(await runtime.hasImage(image), false);
      const taken: string[] = [];
      const events: { done: number; total: number }[] = [];
      await runtime.importImage(image, { open, stored: (digest) => ({ ...stored(digest), open: () => (taken.push(digest), stored(digest).open()) }), progress: (event) => events.push(event) });
      assert.ok(taken.includes(base.diffId), "read as it travels");
      assert.deepEqual(events.at(-1)?.done, events.at(-1)?.total);

      daemon.ctr("leases", "create", "--id", "collect");
      daemon.ctr("leases", "delete", "--sync", "collect");
      const blobs = daemon.ctr("content", "ls", "-q");
      for (const { digest } of [image.target, image.manifest, image.config]) assert.ok(blobs.includes(digest));
      for (const layer of layers) assert.ok(!blobs.includes(layer.digest) && !blobs.includes(layer.stored.digest), "neither form of a layer stays");
      assert.doesNotMatch(daemon.ctr("leases", "ls"), /kubestick/);
      await daemon.stop();
      await daemon.start();
      assert.equal(await runtime.hasImage(image), true);
      for (const name of [image.reference, `kubestick.test/app/travelling@${image.target.digest}`]) assert.equal((await runtime.image(name))?.pinned, pinned, name);
      if (existsSync(program)) assert.match(daemon.ctr("run", "--rm", image.reference, "run-travelling"), /^ldconfig /);

      // Another image on the same layers: nothing is read again.
      const next = generatedImage("kubestick.test/app/travelling:v2", layers);
      await runtime.importImage(next.image, { open: next.open, stored: () => { throw new Error("the layers are unpacked already"); } });
      assert.equal(await runtime.hasImage(next.image), true);
    });

    test("images that share a travelling layer import at the same time, and one whose tar is not the promised one fails alone", async () => {
      const shared = await recompressed(await smallLayer({ shared: "x".repeat(300_000), name: "at once" }));
      const images = await Promise.all(["a", "b", "c"].map(async (name) => generatedImage(`kubestick.test/app/at-once-${name}:v1`, [shared, await recompressed(await smallLayer({ name }))])));
      const [own, other] = [await recompressed(await smallLayer({ name: "wrong" })), await recompressed(await smallLayer({ name: "other" }))];
      const broken = generatedImage("kubestick.test/app/at-once-wrong:v1", [shared, own]);
      const wrong = { ...broken, stored: (digest: Digest) => (digest === own.entry ? other.stored : broken.stored(digest)) };
      const results = await Promise.allSettled([...images, wrong].map(({ image, open, stored }) => runtime.importImage(image, { open, stored })));
      assert.deepEqual(results.map(({ status }) => status), ["fulfilled", "fulfilled", "fulfilled", "rejected"]);
      const failure = (results[3] as PromiseRejectedResult).reason as unknown;
      assert.ok(isKubestickError(failure) && failure.code === "RUNTIME_IMAGE_CORRUPT", String(failure));
      for (const { image } of images) assert.equal(await runtime.hasImage(image), true);
      assert.equal(await runtime.image(wrong.image.reference), undefined);
      assert.equal(daemon.ctr("content", "active").includes("kubestick-"), false);
      await runtime.importImage(broken.image, { open: broken.open, stored: broken.stored });
      assert.equal(await runtime.hasImage(broken.image), true);
      assert.doesNotMatch(daemon.ctr("leases", "ls"), /kubestick/);
    });

    test("an image that was imported with its blobs keeps them when it comes again with travelling layers", async () => {
      const layer = await smallLayer({ "etc/older": "package" });
      const older = generatedImage("kubestick.test/app/older:v1", [layer]);
      await runtime.importImage(older.image, { open: older.open });
      const newer = generatedImage("kubestick.test/app/older:v1", [await recompressed(layer)]);
      assert.equal(newer.image.target.digest, older.image.target.digest);
      assert.equal(await runtime.hasImage(newer.image), true);
      daemon.ctr("images", "label", older.image.reference, "io.cri-containerd.pinned=");
      await runtime.importImage(newer.image, { open: newer.open, stored: newer.stored });
      assert.equal(await runtime.hasImage(older.image), true);
      assert.match(daemon.ctr("images", "check"), /older:v1 .*complete \(2\/2\)/);
    });

    test("importImage names the blob whose bytes are wrong, and gives no name", async () => {
      const { image, open } = generatedImage("kubestick.test/app/corrupt:v1", await layers("corrupt"));
      const bad = image.layers[1]?.digest;
      async function* flipped(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
        for await (const chunk of source) {
          const copy = Uint8Array.from(chunk);
          copy[copy.length >> 1] = (copy[copy.length >> 1] as number) ^ 1;
          yield copy;
        }
      }
      async function* short(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
        for await (const chunk of source) yield chunk.subarray(0, chunk.length - 1);
      }
      for (const damage of [flipped, short]) {
        await assert.rejects(runtime.importImage(image, { open: (digest) => (digest === bad ? damage(open(digest)) : open(digest)) }), (error) => isKubestickError(error) && error.code === "RUNTIME_IMAGE_CORRUPT" && error.attempted.includes(bad as string));
        assert.equal(await runtime.image(image.reference), undefined);
      }
      assert.equal(daemon.ctr("content", "active").includes("kubestick-"), false);
      const failure = new Error("the stick was pulled out");
      await assert.rejects(
        runtime.importImage(image, {
          open: (digest) => {
            if (digest === bad) throw failure;
            return open(digest);
          },
        }),
        (error) => error === failure || (isKubestickError(error) && error.cause === failure),
      );
      await runtime.importImage(image, { open });
      assert.equal(await runtime.hasImage(image), true);
    });

    test("a blob whose descriptor says that it is empty, and which is not, is refused", { timeout: 60_000 }, async () => {
      const { image, open } = generatedImage("kubestick.test/app/empty:v1", await layers("said to be empty"));
      const claimed = { ...image, layers: image.layers.map((layer, position) => (position === 1 ? { ...layer, size: 0 } : layer)) };
      await assert.rejects(runtime.importImage(claimed, { open }), { code: "RUNTIME_IMAGE_CORRUPT" });
      assert.equal(await runtime.image(image.reference), undefined);
      // What came before it is kept for the next try, which takes the lease away.
      await runtime.importImage(image, { open });
    });

    test("a layer that was passing through when an import failed is given back", async () => {
      const [good, bad] = [await recompressed(await smallLayer({ good: noise(3 << 20, 1) })), await recompressed(await smallLayer({ bad: noise(3 << 20, 2) }))];
      const { image, open, stored } = generatedImage("kubestick.test/app/passing:v1", [good, bad]);
      const failure = new Error("the stick was pulled out");
      async function* broken(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
        for await (const chunk of source) {
          yield chunk;
          throw failure;
        }
      }
      const options = { open, stored: (digest: Digest): StoredBytes => (digest === bad.entry ? { ...stored(digest), open: () => broken(stored(digest).open()) } : stored(digest)) };
      await assert.rejects(runtime.importImage(image, options), (error) => error === failure || (isKubestickError(error) && error.cause === failure));
      // The image's own stays, for the next try.
      assert.equal((daemon.ctr("leases", "ls").match(/^kubestick-/gm) ?? []).length, 1);
      await runtime.importImage(image, { open, stored });
      assert.doesNotMatch(daemon.ctr("leases", "ls"), /kubestick-/);
    });

    test("one image under several names, imported side by side, takes nothing from itself", async () => {
      const made = ["one", "two", "three", "four"].map((tag) => `kubestick.test/app/names:${tag}`);
      const layer = await recompressed(await smallLayer({ names: noise(3 << 20, 3) }));
      await Promise.all(made.map(async (reference) => {
        const { image, open, stored } = generatedImage(reference, [layer]);
        await runtime.importImage(image, { open, stored });
      }));
      for (const reference of made) assert.equal((await runtime.image(reference))?.pinned, pinned, reference);
      assert.doesNotMatch(daemon.ctr("leases", "ls"), /kubestick-/);
    });

    test("importImage stops with the signal's reason and can be run again", async () => {
      const { image, open } = generatedImage("kubestick.test/app/abort:v1", await layers("abort"));
      const controller = new AbortController();
      const reason = new Error("Ctrl-C");
      const progress = (event: { done: number }): void => {
        if (event.done > 2_000_000) controller.abort(reason);
      };
      await assert.rejects(runtime.importImage(image, { open, signal: controller.signal, progress }), (error) => error === reason || (isKubestickError(error) && error.cause === reason));
      await runtime.importImage(image, { open });
      assert.equal(await runtime.hasImage(image), true);
    });

    test("removeImage takes the names and the pin it gave and leaves those of others", async () => {
      const { image, open } = generatedImage("kubestick.test/app/remove:v1", await layers("remove"));
      await runtime.importImage(image, { open, alsoAs: ["kubestick.test/app/remove:v2"] });
      daemon.ctr("images", "tag", image.reference, "kubestick.test/users/own:v1");
      await runtime.removeImage("kubestick.test/app/remove:v2");
      assert.equal((await waited(() => runtime.image(`kubestick.test/app/remove@${image.target.digest}`), (seen) => seen?.tags.includes("kubestick.test/app/remove:v2") === false))?.pinned, pinned);
      await runtime.removeImage(image.reference);
      const left = await waited(() => runtime.image("kubestick.test/users/own:v1"), (seen) => seen?.tags.length === 1);
      assert.deepEqual(left?.tags, ["kubestick.test/users/own:v1"]);
      assert.equal(await runtime.image(image.reference), undefined);
      await runtime.removeImage(image.reference);

      const lone = generatedImage("kubestick.test/app/lone:v1", [await smallLayer({ lone: "yes" })]);
      await runtime.importImage(lone.image, { open: lone.open });
      await runtime.removeImage(lone.image.reference);
      assert.equal(await waited(() => runtime.image(lone.image.config.digest), (seen) => seen === undefined), undefined);
      assert.equal(daemon.ctr("content", "ls", "-q").includes(lone.image.layers[0]?.digest as string), false);
    });

    test("removeImage takes only the pin from a record that was there before the import", async () => {
      const { image, open } = generatedImage("kubestick.test/app/adopted:v1", [await smallLayer({ adopted: "yes" })]);
      await runtime.importImage(image, { open });
      for (const name of [image.reference, `kubestick.test/app/adopted@${image.target.digest}`, image.config.digest]) daemon.ctr("images", "label", name, "kubestick.io/image=", "io.cri-containerd.pinned=");
      assert.equal(await runtime.hasImage(image), false);
      await runtime.importImage(image, { open });
      assert.equal(await runtime.hasImage(image), true);
      await runtime.removeImage(image.reference);
      const left = await waited(() => runtime.image(image.reference), (seen) => seen?.pinned === false);
      assert.deepEqual(left?.tags, [image.reference]);
      assert.equal(left?.pinned, false);
    });

    test("an import killed in the middle of a blob is finished by the next, in little memory", async () => {
      const reference = "kubestick.test/app/killed:v1";
      const program = join(import.meta.dirname, "..", "runtime", "import-child.ts");
      const run = (...args: readonly string[]): ChildProcess & { readonly output: Promise<string> } => {
        const child = spawn(process.execPath, [program, daemon.socket, reference, "192", ...args], { stdio: ["ignore", "pipe", "inherit"] });
        children.push(child);
        const output = (async () => {
          let text = "";
          for await (const chunk of child.stdout) {
            text += String(chunk);
            if (text.includes("halfway")) child.kill("SIGKILL");
          }
          return text;
        })();
        return Object.assign(child, { output });
      };

      assert.equal(await run("80").output, "halfway\n");
      assert.equal(await runtime.image(reference), undefined);
      assert.match(daemon.ctr("content", "active"), /kubestick-sha256:/);
      assert.match(daemon.ctr("leases", "ls"), /kubestick-/);

      const peak = Number(await run().output);
      assert.ok(peak > 0 && peak < 200 * 1024 * 1024, `peak resident memory ${Math.round(peak / 1024 / 1024)} MiB`);
      assert.equal((await runtime.image(reference))?.pinned, pinned);
      assert.doesNotMatch(daemon.ctr("content", "active"), /kubestick-/);
      assert.doesNotMatch(daemon.ctr("leases", "ls"), /kubestick-/);
    });
  });
}

/** CRI follows containerd's events: a moment may pass. */
async function waited<T>(ask: () => Promise<T>, enough: (value: T) => boolean): Promise<T> {
  const until = Date.now() + 10_000;
  for (;;) {
    const value = await ask();
    if (enough(value) || Date.now() > until) return value;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
