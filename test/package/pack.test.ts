import assert from "node:assert/strict";
import { readFile, readdir, rm, stat, writeFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { zstdDecompressSync } from "node:zlib";
import { digestOf } from "../../src/package/digest.ts";
import { summarize } from "../../src/package/inspect.ts";
import { pack, type PackEvent } from "../../src/package/pack.ts";
import { payloadStartFor } from "../../src/package/format.ts";
import { openPackage } from "../../src/package/reader.ts";
import { failure, noise, writeExecutable } from "./fixtures.ts";
import { makeImage, serve, tarOf } from "./images.ts";
import { hex, lists, startWorld, type World } from "./world.ts";

const ignore = (): void => undefined;

async function read(path: string): Promise<Awaited<ReturnType<typeof openPackage>>> {
  const reader = await openPackage(path);
  await reader.verify();
  return reader;
}

test("pack writes a package with every program and image of the lists, in the order init reads them", async () => {
  await using world = await startWorld();
  const events: PackEvent[] = [];
  const result = await pack(world.options(), (event) => events.push(event));
  const reader = await read(result.path);
  const { index } = reader;

  assert.equal(index.kubernetesVersion, "v1.36.2");
  assert.equal(index.arch, "amd64");
  assert.equal(index.cni, "flannel");
  assert.deepEqual(index.images.map(({ role, reference }) => [role, reference]), [
    ["pause", "registry.k8s.io/pause:3.10.2"],
    ["kube-apiserver", "registry.k8s.io/kube-apiserver:v1.36.2"],
    ["flannel", "ghcr.io/flannel-io/flannel:v1"],
  ]);
  assert.deepEqual(index.binaries.map(({ name, version, path, mode, source }) => [name, version, path, mode, source]), [
    ["kubelet", "v1.36.2", "/usr/local/bin/kubelet", 0o755, "https://dl.k8s.io/release/v1.36.2/bin/linux/amd64/kubelet"],
    ["cni/bridge", "v1.9.1", "/opt/cni/bin/bridge", 0o755, "https://github.com/plugins/v1.9.1/plugins-amd64-v1.9.1.tgz"],
    ["cni/loopback", "v1.9.1", "/opt/cni/bin/loopback", 0o755, "https://github.com/plugins/v1.9.1/plugins-amd64-v1.9.1.tgz"],
  ]);
  assert.deepEqual(index.entries.map(({ label }) => label), [
    "kubelet", "cni/bridge", "cni/loopback",
    "registry.k8s.io/pause:3.10.2 index", "registry.k8s.io/pause:3.10.2 manifest", "registry.k8s.io/pause:3.10.2 config", "registry.k8s.io/pause:3.10.2 layer 1",
    "registry.k8s.io/kube-apiserver:v1.36.2 index", "registry.k8s.io/kube-apiserver:v1.36.2 manifest", "registry.k8s.io/kube-apiserver:v1.36.2 config",
    "registry.k8s.io/kube-apiserver:v1.36.2 layer 1", "registry.k8s.io/kube-apiserver:v1.36.2 layer 2",
    "ghcr.io/flannel-io/flannel:v1 index", "ghcr.io/flannel-io/flannel:v1 manifest", "ghcr.io/flannel-io/flannel:v1 config", "ghcr.io/flannel-io/flannel:v1 layer 2",
    "sbom spdx", "sbom cyclonedx",
  ]);
  assert.deepEqual(Buffer.from(await reader.read(digestOf(world.kubelet))), world.kubelet);
  assert.deepEqual(Buffer.from(await reader.read(digestOf(world.plugins.loopback))), world.plugins.loopback);
  const apiserver = index.images[1];
  assert.equal(apiserver?.target.digest, world.images.apiserver.target.descriptor.digest);
  assert.equal(apiserver.manifest.digest, world.images.apiserver.manifests[0]?.descriptor.digest);
  assert.deepEqual(Buffer.from(await reader.read(apiserver.target.digest)), world.images.apiserver.target.bytes);
  for (const layer of apiserver.layers) assert.ok(layer.unpackedSize > 0 && layer.diffId !== layer.digest);
  await reader.close();

  assert.deepEqual(events.filter((event) => event.type === "step").map(({ step }) => step), ["resolve", "fetch", "write", "verify"]);
  assert.equal(events.filter((event) => event.type === "resolved").length, 5);
  for (const step of ["fetch", "write", "verify"] as const) {
    const last = events.filter((event) => event.type === "progress" && event.step === step).at(-1);
    assert.ok(last?.type === "progress" && last.done <= last.total && last.done > last.total * 0.9, `${step}: ${JSON.stringify(last)}`);
  }
  const { sizes, platforms } = summarize(index, [], 0);
  assert.equal(sizes.shared, index.entries.find(({ label }) => label === "registry.k8s.io/kube-apiserver:v1.36.2 layer 1")?.length);
  assert.equal(sizes.binaries + sizes.images + sizes.documents + sizes.other, index.entries.reduce((total, { length }) => total + length, 0));
  assert.ok((platforms[0]?.installedBytes ?? 0) > sizes.binaries + sizes.images);
});

test("pack compresses nothing twice: the second takes every program and layer from the cache, members of archives too, and a damaged one is made again", async () => {
  await using world = await startWorld();
  const first = await pack(world.options(), ignore);
  const [store = ""] = (await readdir(world.at("cache"))).filter((name) => name.startsWith("zstd-"));
  const stored = async (): Promise<Record<string, number>> => Object.fromEntries(await Promise.all((await readdir(world.at("cache", store))).map(async (name) => [name, (await stat(world.at("cache", store, name))).ino] as const)));
  const before = await stored();
  const [bridge, loopback] = [hex(world.plugins.bridge), hex(world.plugins.loopback)];
  assert.ok(bridge in before && loopback in before && hex(world.kubelet) in before);
  assert.equal((await pack(world.options({ output: world.at("again") }), ignore)).digest, first.digest);
  assert.deepEqual(await stored(), before);

  await writeFile(world.at("cache", store, loopback), "rot");
  assert.equal((await pack(world.options({ output: world.at("mended") }), ignore)).digest, first.digest);
  const { [loopback]: made, ...others } = await stored();
  const { [loopback]: rotten, ...same } = before;
  assert.deepEqual(others, same);
  assert.ok(made !== undefined && rotten !== undefined);
});

test("pack carries a layer as the zstd of its tar when that is smaller, and always as published when told so", async () => {
  await using world = await startWorld();
  // Repeats farther away than gzip looks back.
  const smaller = await tarOf({ a: Buffer.concat([noise(100_000, 31), noise(100_000, 31)]) });
  const gzipped = makeImage({ layers: [smaller] });
  serve(world.registry, "team/gzip", "1", gzipped);
  const extraImages = [`${world.registry.host}/team/gzip:1`];
  const result = await pack(world.options({ extraImages }), ignore);
  const reader = await read(result.path);
  const gzip = reader.index.images.find(({ reference }) => reference === extraImages[0]);
  const entryOf = (digest: string) => reader.index.entries.find((entry) => entry.digest === digest) ?? assert.fail(digest);
  for (const { digest, diffId, size, entry } of reader.index.images.flatMap(({ layers }) => layers)) assert.ok(entry === digest ? entryOf(entry).length === size : entry === diffId && entryOf(entry).length < size);
  // Manifest and digests stay as published.
  const [layer] = gzip?.layers ?? [];
  assert.equal(layer?.entry, digestOf(smaller));
  assert.equal(gzip?.manifest.digest, gzipped.manifests[0]?.descriptor.digest);
  assert.deepEqual([layer.digest, layer.size], [[...gzipped.blobs.keys()].at(0), [...gzipped.blobs.values()].at(0)?.length]);
  assert.ok(entryOf(layer.entry).length < layer.size * 0.6);
  const content: Uint8Array[] = [];
  for await (const chunk of reader.open(layer.entry)) content.push(chunk);
  assert.deepEqual(Buffer.concat(content), smaller);
  const stored = reader.stored(layer.entry);
  const bytes: Uint8Array[] = [];
  for await (const chunk of stored.open()) bytes.push(chunk);
  assert.deepEqual([stored.encoding, stored.digest, stored.size], ["zstd", digestOf(Buffer.concat(bytes)), Buffer.concat(bytes).length]);
  assert.deepEqual(zstdDecompressSync(Buffer.concat(bytes)), smaller);
  await reader.close();

  const published = await pack(world.options({ extraImages, layers: "published", output: world.at("published") }), ignore);
  assert.ok(published.images.flatMap(({ layers }) => layers).every(({ entry, digest }) => entry === digest));
  assert.ok(published.size > result.size);
});

test("pack writes parts of a size, which hold what the whole holds, and refuses a size before anything is fetched", async () => {
  await using world = await startWorld();
  const executable = await writeExecutable(world.at("padded"), "amd64", 400_000);
  serve(world.registry, "shop/app", "v1", makeImage({ layers: [await tarOf({ data: noise(2_500_000, 77) })] }));
  const options = world.options({ executable, extraImages: [`${world.registry.host}/shop/app:v1`] });
  const small = await failure(pack({ ...options, split: 300_000 }, (event) => assert.fail(JSON.stringify(event))));
  assert.equal(small.code, "PACK_SPLIT_SIZE");
  assert.match(small.next, /4095M for FAT32/);
  const whole = await pack(options, ignore);
  const split = await pack({ ...options, output: world.at("in-parts"), split: 1_600_000 }, ignore);
  assert.ok(split.files.length >= 2 && split.files.every(({ size }) => size <= 1_600_000), JSON.stringify(split.files));
  assert.equal(split.digest, whole.digest);
  const [one, other] = [await read(whole.path), await read(split.path)];
  assert.equal(one.indexDigest, other.indexDigest);
  await one.close();
  await other.close();
});

test("pack tells what the bytes of its file are for", async () => {
  await using world = await startWorld();
  const { sizes, size, path } = await pack(world.options(), ignore);
  const { executable, binaries, images, documents, other, tables } = sizes;
  const padding = payloadStartFor(executable) - executable;
  assert.equal(executable + padding + binaries + images + documents + other + tables, size);
  assert.ok(images > 700_000 && binaries > 300_000 && other === 0, JSON.stringify(sizes));
  assert.equal((await stat(path)).size, size);
});

test("pack fetches a layer once however many images share it, and nothing again on the second run", async () => {
  await using world = await startWorld();
  const first = await pack(world.options(), ignore);
  const shared = first.images[1]?.layers[0]?.digest ?? "";
  assert.equal(world.registry.asked(shared).length, 1);
  assert.ok(first.fetched > 500_000);
  world.registry.requests.length = 0;
  const second = await pack(world.options({ output: world.at("again") }), ignore);
  assert.equal(second.fetched, 0);
  assert.equal(second.digest, first.digest);
  assert.deepEqual(world.registry.requests.filter(({ path }) => path.includes("/blobs/") && !first.images.some(({ config }) => path.endsWith(config.digest))), []);
});

test("pack gives equal bytes from an empty cache, and again when packing with the packed executable", async () => {
  await using world = await startWorld();
  const first = await pack(world.options(), ignore);
  const second = await pack(world.options({ output: world.at("other"), cache: world.at("cache2"), executable: first.path }), ignore);
  assert.equal(second.digest, first.digest);
  assert.deepEqual(await readFile(second.path), await readFile(first.path));
});

test("pack takes the platform, the network and further images it is told", async () => {
  await using world = await startWorld();
  const extra = makeImage({ layers: [await tarOf({ web: noise(1000, 11) })], single: true, arches: ["arm64"], compress: "zstd" });
  serve(world.registry, "team/web", "2", extra);
  const executable = await writeExecutable(world.at("kubestick-arm64"), "arm64");
  const result = await pack(world.options({ executable, arch: "arm64", cni: "bridge", extraImages: [`${world.registry.host}/team/web:2`, "registry.k8s.io/pause:3.10.2"] }), ignore);
  assert.deepEqual(result.images.map(({ role }) => role), ["pause", "kube-apiserver", "extra"]);
  assert.equal(result.images[0]?.manifest.digest, world.images.pause.manifests[1]?.descriptor.digest);
  const web = result.images[2];
  assert.equal(web?.reference, `${world.registry.host}/team/web:2`);
  assert.equal(web.target.digest, web.manifest.digest);
  assert.equal(result.cni, "bridge");
});

test("pack refuses before any download what cannot work", async () => {
  await using world = await startWorld();
  const cases: [Parameters<World["options"]>[0], string, RegExp][] = [
    [{ arch: "arm64" }, "PACK_EXECUTABLE_ARCH", /is for amd64/],
    [{ executable: await writeExecutable(world.at("riscv"), "riscv64"), arch: "riscv64" }, "PACK_EXECUTABLE_ARCH", /is for machine 0/],
    [{ kubernetesVersion: "v1.12.1" }, "PACK_VERSION", /no list offline-images\/v1.12/],
    [{ kubernetesVersion: "latest" }, "PACK_VERSION", /not a version/],
    [{ output: world.at("no/such/folder/stick") }, "PACK_WRITE", /ENOENT/],
    [{ output: world.path }, "PACK_WRITE", /a folder or device has that name/],
    [{ extraImages: ["Not A Reference"] }, "IMAGE_REFERENCE", /not a valid image reference/],
    [{ registryMirrors: ["registry.k8s.io"] }, "PACK_MIRROR", /joined by =/],
    [{ registryMirrors: ["registry.k8s.io=/some/dir"] }, "PACK_MIRROR", /http/],
    [{ registryMirrors: ["registry.k8s.io=https://me:secret@host"] }, "PACK_MIRROR", /password does not belong/],
    [{ downloadMirrors: [`dl.k8s.io=${world.at("absent")}`] }, "PACK_MIRROR", /does not exist/],
    [{ imagesDirectory: world.at("absent") }, "IMAGES_DIRECTORY", /does not exist/],
  ];
  for (const [options, code, happened] of cases) {
    const error = await failure(pack(world.options(options), ignore));
    assert.equal(error.code, code, error.message);
    assert.match(error.happened, happened);
    assert.ok(!JSON.stringify(error).includes("secret") && !error.attempted.includes("secret"));
  }
  assert.equal(world.registry.requests.length, 0);
  assert.deepEqual((await readdir(world.path)).filter((name) => name.startsWith("stick") || name.startsWith(".stick")), []);
});

test("pack names the image and where it looked when nobody has it", async () => {
  await using world = await startWorld();
  const error = await failure(pack(world.options({ extraImages: [`${world.registry.host}/nobody/has:1`] }), ignore));
  assert.equal(error.code, "IMAGE_NOT_FOUND");
  assert.match(error.attempted, /127\.0\.0\.1:\d+\/nobody\/has:1/);
});

test("pack refuses images that no node could use", async () => {
  await using world = await startWorld();
  const layers = [await tarOf({ a: noise(2000, 1) })];
  const wrongDiff = [digestOf("another tar")];
  const cases: [string, Parameters<typeof makeImage>[0], string, RegExp][] = [
    ["other-arch", { layers, arches: ["s390x"] }, "IMAGE_PLATFORM", /no variant for linux\/amd64; it has linux\/s390x/],
    ["single-arch", { layers, arches: ["arm64"], single: true }, "IMAGE_PLATFORM", /is for linux\/arm64/],
    ["foreign", { layers, layerType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" }, "IMAGE_FOREIGN_LAYER", /not distributable/],
    ["diff", { layers, diffIds: wrongDiff }, "IMAGE_INVALID", /unpacks to sha256:/],
    ["count", { layers, diffIds: [] }, "IMAGE_INVALID", /1 layers and 0 diff_ids/],
    ["broken", { layers, override: { layers: "none" } }, "IMAGE_INVALID", /layers is no list/],
    ["artifact", { layers, override: { config: { mediaType: "x", digest: "md5:1", size: 1 } } }, "IMAGE_INVALID", /no sha256 digest/],
  ];
  for (const [name, recipe, code, happened] of cases) {
    serve(world.registry, `bad/${name}`, "1", makeImage(recipe));
    const error = await failure(pack(world.options({ extraImages: [`${world.registry.host}/bad/${name}:1`] }), ignore));
    assert.equal(error.code, code, `${name}: ${error.message}`);
    assert.match(error.happened, happened);
  }
  await assert.rejects(stat(world.at("stick")), { code: "ENOENT" });
});

test("pack says exactly how many bytes are missing before it fetches a layer", async () => {
  await using world = await startWorld();
  const size = 2 ** 50;
  const layer = { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: digestOf("huge"), size };
  serve(world.registry, "huge", "1", makeImage({ layers: [await tarOf({ a: noise(10) })], override: { layers: [layer] } }));
  const error = await failure(pack(world.options({ extraImages: [`${world.registry.host}/huge:1`] }), ignore));
  assert.equal(error.code, "PACK_NO_SPACE");
  const [needed = 0, free = 0, missing = 0] = [...error.happened.matchAll(/\d+/g)].map(([number]) => Number(number));
  assert.ok(needed >= size && missing === needed - free, error.happened);
  assert.equal(world.registry.asked(layer.digest).length, 0);
  assert.equal(world.registry.asked("/kubelet").length, 0);
});

test("pack keeps an image to the digest its reference names", async () => {
  await using world = await startWorld();
  const image = makeImage({ layers: [await tarOf({ a: noise(500, 21) })] });
  serve(world.registry, "pinned", "1", image);
  const { digest } = image.target.descriptor;
  const result = await pack(world.options({ extraImages: [`${world.registry.host}/pinned@${digest}`] }), ignore);
  assert.equal(result.images.at(-1)?.reference, `${world.registry.host}/pinned@${digest}`);
  serve(world.registry, "pinned", "1", makeImage({ layers: [await tarOf({ a: noise(500, 22) })] }));
  const again = await pack(world.options({ extraImages: [`${world.registry.host}/pinned:1@${digest}`] }), ignore);
  assert.equal(again.images.at(-1)?.reference, `${world.registry.host}/pinned:1`);
  assert.equal(again.images.at(-1)?.target.digest, digest);
});

test("pack writes a lock file and later refuses every digest that moved or is new", async () => {
  await using world = await startWorld();
  const lockFile = world.at("kubestick.lock");
  assert.equal((await pack(world.options({ lockFile }), ignore)).lock, "written");
  const text = await readFile(lockFile, "utf8");
  assert.match(text, new RegExp(`registry.k8s.io/pause:3.10.2: ${world.images.pause.target.descriptor.digest}`));
  assert.match(text, /https:\/\/dl\.k8s\.io\/release\/v1\.36\.2\/bin\/linux\/amd64\/kubelet: sha256:/);
  assert.equal((await pack(world.options({ lockFile }), ignore)).lock, "enforced");
  assert.equal(await readFile(lockFile, "utf8"), text);

  const added = await failure(pack(world.options({ lockFile, extraImages: [`${world.registry.host}/pause:3.10.2`] }), ignore));
  assert.equal(added.code, "PACK_LOCK");
  assert.match(added.happened, /pause:3\.10\.2 is not in the lock file/);

  const before = await readFile(world.at("stick"));
  serve(world.registry, "pause", "3.10.2", makeImage({ layers: [await tarOf({ pause: noise(10, 33) })] }));
  const moved = await failure(pack(world.options({ lockFile }), ignore));
  assert.equal(moved.code, "PACK_LOCK");
  assert.match(moved.happened, new RegExp(`registry.k8s.io/pause:3.10.2 is locked to ${world.images.pause.target.descriptor.digest}, but is now sha256:`));
  assert.deepEqual(await readFile(world.at("stick")), before);

  await writeFile(lockFile, "lockVersion: 1\nimages: { a: b }\n");
  assert.equal((await failure(pack(world.options({ lockFile }), ignore))).code, "PACK_LOCK_FILE");
});

test("pack takes downloads from a folder laid out as host and path", async () => {
  await using world = await startWorld();
  for (const [path, bytes] of world.registry.files) {
    const host = path.startsWith("/release") ? "dl.k8s.io" : "github.com";
    const file = world.at("downloads", host, path);
    await mkdir(join(file, ".."), { recursive: true });
    await writeFile(file, bytes);
  }
  const downloadMirrors = [`dl.k8s.io=${world.at("downloads")}`, `github.com=${world.at("downloads")}`];
  world.registry.files.clear();
  const result = await pack(world.options({ downloadMirrors }), ignore);
  assert.equal(result.binaries.length, 3);
  assert.deepEqual(world.registry.requests.filter(({ path }) => !path.startsWith("/v2/")), []);

  const kubelet = world.at("downloads/dl.k8s.io/release/v1.36.2/bin/linux/amd64/kubelet");
  await writeFile(kubelet, "another kubelet");
  const wrong = await failure(pack(world.options({ downloadMirrors }), ignore));
  assert.equal(wrong.code, "PACK_DIGEST");
  assert.ok(wrong.happened.includes(kubelet));
  await rm(kubelet);
  const absent = await failure(pack(world.options({ downloadMirrors }), ignore));
  assert.equal(absent.code, "PACK_MIRROR_FILE");
  assert.ok(absent.happened.includes(`${kubelet} is not there`));
});

test("pack says which member a release archive lacks", async () => {
  await using world = await startWorld();
  const text = lists.text("offline-images/v1.36/binaries.yaml").replace("from: loopback", "from: loopback2");
  const assets = { text: (path: string) => (path.endsWith("binaries.yaml") ? text : lists.text(path)) };
  const error = await failure(pack(world.options({ assets }), ignore));
  assert.equal(error.code, "PACK_ARCHIVE");
  assert.match(error.happened, /has no loopback2/);
});
