/** `images load`, `list`, `status` and `prune` with real packages and a real containerd: who owns an image, and when it goes. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { imagesListCommand, imagesLoadCommand, imagesPruneCommand, imagesStatusCommand } from "../../src/cli/images.ts";
import type { MachinePorts } from "../../src/cli/machine.ts";
import { toYaml } from "../../src/manifests/yaml.ts";
import { addToPackage } from "../../src/package/add.ts";
import { pack } from "../../src/package/pack.ts";
import { openPackage } from "../../src/package/reader.ts";
import { connectRuntime } from "../../src/runtime/connect.ts";
import { noise } from "../package/fixtures.ts";
import { dockerArchiveFiles, tarOf } from "../package/images.ts";
import { startWorld, type World } from "../package/world.ts";
import { ContainerdProcess, containerdDirectories } from "../runtime/containerd-process.ts";
import { output, type Output } from "../cli/cluster-bench.ts";
import { plainFacts } from "../support/facts.ts";
import { MemoryHost } from "../support/memory-host.ts";

const [directory] = process.getuid?.() === 0 ? containerdDirectories() : [];
const skip = directory === undefined ? "needs root, containerd and ctr" : false;

interface Listed {
  readonly images: readonly { readonly image: string; readonly id: string; readonly pinned: boolean; readonly users: number; readonly orphaned: boolean; readonly origin: string | null; readonly packages: readonly { readonly digest: string; readonly path: string | null }[] }[];
}

interface Status {
  readonly totals: Readonly<Record<"all" | "pinned" | "used" | "orphaned" | "prunable", { readonly images: number; readonly bytes: number }>>;
  readonly packages: readonly { readonly digest: string; readonly path: string | null; readonly images: number }[];
}

describe("images of a node", { skip, timeout: 240_000 }, () => {
  let world: World;
  let daemon: ContainerdProcess;
  let ports: MachinePorts;
  let host: MemoryHost;
  /** A base package, and two that add an application to it: one image in both, one that differs under the same name. */
  let one: string;
  let two: string;

  before(async () => {
    world = await startWorld();
    daemon = new ContainerdProcess(directory as string, "registry.k8s.io/pause:3.10.2");
    await daemon.start();
    host = new MemoryHost({ facts: plainFacts() });
    const absent = (): never => { throw new Error("not asked for in these tests"); };
    ports = { host, runtime: connectRuntime, connect: absent, assets: { text: absent, list: () => [] }, lock: async () => ({ release: async () => undefined }), toYaml };
    const base = (await pack(world.options({ output: world.at("base") }), () => undefined)).path;
    const archive = async (name: string, reference: string, seed: number): Promise<string> => {
      await writeFile(world.at(name), await tarOf(dockerArchiveFiles(reference, [await tarOf({ app: noise(50_000, seed) })])));
      return world.at(name);
    };
    const shared = await archive("shared.tar", "example.test/shared:1", 21);
    one = (await addToPackage({ base, output: world.at("one"), items: [shared, await archive("v1.tar", "example.test/app:1", 22)] }, () => undefined)).path;
    two = (await addToPackage({ base, output: world.at("two"), items: [shared, await archive("v2.tar", "example.test/app:1", 23)] }, () => undefined)).path;
  });
  after(async () => {
    await daemon?.remove();
    await world?.[Symbol.asyncDispose]();
  });

  /** CRI knows pins since containerd 1.7. */
  const tellsPins = (): boolean => !/^v?1\.6\./.test(daemon.version);
  const flags = (): { "cri-socket": string } => ({ "cri-socket": daemon.socket });
  const run = async (work: (io: Output) => Promise<void>): Promise<Output> => {
    const io = output();
    await work(io);
    return io;
  };
  const listed = async (): Promise<Listed> => JSON.parse((await run((io) => imagesListCommand({ ...flags(), output: "json" }, io, ports))).out()) as Listed;
  const status = async (): Promise<Status> => JSON.parse((await run((io) => imagesStatusCommand({ ...flags(), output: "json" }, io, ports))).out()) as Status;
  const digestOf = async (path: string): Promise<string> => {
    const reader = await openPackage(path);
    await reader.close();
    return reader.indexDigest;
  };
  const load = (from: string): Promise<Output> => run((io) => imagesLoadCommand({ ...flags(), from }, io, ports));

  test("load brings all images of a package, pinned and owned, and a second load changes nothing", async () => {
    await load(one);
    const { images } = await listed();
    assert.deepEqual(images.map(({ image }) => image), ["example.test/app:1", "example.test/shared:1", "ghcr.io/flannel-io/flannel:v1", "registry.k8s.io/kube-apiserver:v1.36.2", "registry.k8s.io/pause:3.10.2"]);
    for (const image of images) {
      assert.deepEqual(image.packages, [{ digest: await digestOf(one), path: one }], image.image);
      assert.deepEqual([image.pinned, image.users, image.orphaned, image.origin], [tellsPins(), 0, false, "created"]);
    }
    const again = await run((io) => imagesLoadCommand({ ...flags(), from: one, output: "json" }, io, ports));
    assert.equal((JSON.parse(again.out()) as { changed: number }).changed, 0);
  });

  test("a second package becomes one more owner of what both carry, and takes over a name", async () => {
    await load(two);
    const { images } = await listed();
    const [a, b] = [await digestOf(one), await digestOf(two)].sort();
    assert.deepEqual(images.find(({ image }) => image === "example.test/shared:1")?.packages.map(({ digest }) => digest), [a, b]);
    assert.deepEqual(images.find(({ image }) => image === "example.test/app:1")?.packages.map(({ digest }) => digest), [await digestOf(two)]);
    // The former image of that name lives on under its digest, for the package that owns it.
    const former = images.filter(({ image }) => image.startsWith("example.test/app@"));
    assert.deepEqual(former.map(({ packages }) => packages.map(({ digest }) => digest)), [[await digestOf(one)]]);
    const { totals, packages } = await status();
    assert.deepEqual([totals.all.images, totals.pinned.images, totals.orphaned.images], [6, tellsPins() ? 6 : 0, 0]);
    assert.ok(totals.all.bytes > 100_000);
    assert.deepEqual(packages.map(({ path, images: count }) => [path, count]), [[one, 5], [two, 5]]);
    const text = (await run((io) => imagesStatusCommand(flags(), io, ports))).out();
    assert.match(text, tellsPins() ? /^pinned +6 +[\d.]+ \w+$/m : /^pinned +0 /m);
    assert.match(text, new RegExp(`^${(await digestOf(two)).slice(7, 19)} +v1\\.36\\.2 +5 +${two} +\\d{4}-`, "m"));
  });

  test("prune shows what would go, and changes nothing without consent", async () => {
    const before = await listed();
    const nothing = await run((io) => imagesPruneCommand({ ...flags(), yes: true }, io, ports));
    assert.match(nothing.err(), /nothing to remove/);
    const release = [(await digestOf(one)).slice(7, 19)];
    const plan = await run((io) => imagesPruneCommand({ ...flags(), release, "dry-run": true }, io, ports));
    assert.match(plan.out(), /image\/example\.test\/app@sha256:[0-9a-f]+.*to be removed/);
    assert.match(plan.out(), /image\/example\.test\/shared:1.*to be released, another package owns it/);
    await assert.rejects(run((io) => imagesPruneCommand({ ...flags(), release }, io, ports)), { code: "PRUNE_NOT_CONFIRMED", next: /--yes/ });
    await assert.rejects(run((io) => imagesPruneCommand({ ...flags(), release }, { ...io, ask: async () => "no" }, ports)), { code: "PRUNE_NOT_CONFIRMED" });
    await assert.rejects(run((io) => imagesPruneCommand({ ...flags(), release: ["abcdef012345"], yes: true }, io, ports)), { code: "IMAGES_PACKAGE_UNKNOWN" });
    assert.deepEqual(await listed(), before);
  });

  test("prune of a released package removes what it alone owned, and keeps what is in use, needed or owned by another", async () => {
    const former = (await listed()).images.find(({ image }) => image.startsWith("example.test/app@"));
    assert.ok(former !== undefined);
    const asked: string[] = [];
    await run((io) => imagesPruneCommand({ ...flags(), release: [one] }, { ...io, ask: async (question) => (asked.push(question), "yes") }, ports));
    assert.equal(asked.length, 1);
    const after = await listed();
    assert.ok(!after.images.some(({ id }) => id === former.id));
    assert.deepEqual(after.images.map(({ packages }) => packages.map(({ path }) => path)), after.images.map(() => [two]));
    assert.equal(daemon.ctr("images", "ls", "-q").includes(former.image), false);
    assert.deepEqual((await status()).packages.map(({ path }) => path), [two]);

    // Now the last owner: a container of one image, a static pod's and the sandbox image stay.
    daemon.ctr("containers", "create", "example.test/app:1", "app1");
    host.files.plant("/etc/kubernetes/manifests/kube-apiserver.yaml", "spec:\n  containers:\n  - image: registry.k8s.io/kube-apiserver:v1.36.2\n");
    host.files.plant("/etc/containerd/config.toml", "    sandbox = 'registry.k8s.io/pause:3.10.2'\n");
    const pruned = await run((io) => imagesPruneCommand({ ...flags(), release: [two], yes: true }, io, ports));
    const left = await listed();
    assert.deepEqual(left.images.map(({ image }) => image), ["example.test/app:1", "registry.k8s.io/kube-apiserver:v1.36.2", "registry.k8s.io/pause:3.10.2"]);
    assert.match(pruned.err(), /no package owns example\.test\/app:1, but 1 container or sandbox was made from it/);
    assert.match(pruned.err(), /kube-apiserver\.yaml names it/);
    assert.equal(left.images[0]?.users, 1);
    assert.equal(left.images[0]?.pinned, tellsPins());
    assert.equal((await status()).totals.orphaned.images, 1);

    // When the container is gone, so is the reason to keep its image.
    daemon.ctr("containers", "rm", "app1");
    await run((io) => imagesPruneCommand({ ...flags(), yes: true }, io, ports));
    assert.deepEqual((await listed()).images.map(({ image }) => image), ["registry.k8s.io/kube-apiserver:v1.36.2", "registry.k8s.io/pause:3.10.2"]);
  });

  test("prune takes only the pin from an image that was there before", async () => {
    const name = "registry.k8s.io/kube-apiserver:v1.36.2";
    const found = (await listed()).images.find(({ image }) => image === name);
    assert.ok(found !== undefined);
    for (const record of daemon.ctr("images", "ls", "-q").split("\n").filter((line) => line.includes("kube-apiserver") || line === found.id)) daemon.ctr("images", "label", record, "kubestick.io/image=adopted");
    host.files.plant("/etc/kubernetes/manifests/kube-apiserver.yaml", "");
    const release = [(found.packages[0]?.digest ?? "").slice("sha256:".length, 25)];
    await run((io) => imagesPruneCommand({ ...flags(), release, yes: true }, io, ports));
    // CRI follows containerd's events.
    const until = Date.now() + 10_000;
    for (;;) {
      const left = (await listed()).images.find(({ id }) => id === found.id);
      if (left?.pinned === false || Date.now() > until) {
        assert.deepEqual([left?.image, left?.pinned, left?.origin, left?.packages, left?.orphaned], [name, false, null, [], false]);
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });
});
