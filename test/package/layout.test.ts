import assert from "node:assert/strict";
import { mkdir, open, readdir, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { type KubestickError } from "../../src/errors.ts";
import { digestOf } from "../../src/package/digest.ts";
import { pack } from "../../src/package/pack.ts";
import { openPackage } from "../../src/package/reader.ts";
import { readTarIndex } from "../../src/package/tar-index.ts";
import { failure, noise, scratch } from "./fixtures.ts";
import { dockerArchiveFiles, layoutFiles, makeImage, tarOf, writeFiles, type TestImage } from "./images.ts";
import { startWorld, type World } from "./world.ts";

const ignore = (): void => undefined;

/** All listed images as layouts and archives in `images`, each in another form. */
async function putImages(world: World): Promise<void> {
  const { pause, apiserver, flannel } = world.images;
  await writeFiles(world.at("images/deep/pause-layout"), layoutFiles([{ image: pause, annotations: { "org.opencontainers.image.ref.name": "registry.k8s.io/pause:3.10.2" } }]));
  await writeFile(world.at("images/apiserver.tar"), await tarOf(layoutFiles([{ image: apiserver, annotations: { "io.containerd.image.name": "registry.k8s.io/kube-apiserver:v1.36.2", "org.opencontainers.image.ref.name": "v1.36.2" } }])));
  await writeFile(world.at("images/flannel.tar.gz"), gzipSync(await tarOf(layoutFiles([{ image: flannel, annotations: { "io.containerd.image.name": "ghcr.io/flannel-io/flannel:v1" } }]))));
}

test("pack takes images from layouts and archives before it asks any registry", async () => {
  await using world = await startWorld();
  const online = await pack(world.options({ output: world.at("online") }), ignore);
  await putImages(world);
  world.registry.requests.length = 0;
  const result = await pack(world.options({ imagesDirectory: world.at("images"), cache: world.at("cache2") }), ignore);
  assert.deepEqual(world.registry.requests.filter(({ path }) => path.startsWith("/v2/")), []);
  assert.equal(result.digest, online.digest);
  assert.deepEqual(await readdir(world.at("cache2/spool")), []);
  // Nothing local was copied: the cache holds the downloads, no image blob.
  assert.equal((await readdir(world.at("cache2/blobs"))).length, 2);
});

test("pack asks the registry for what the folder lacks", async () => {
  await using world = await startWorld();
  await putImages(world);
  const extra = world.images.flannel;
  await pack(world.options({ imagesDirectory: world.at("images/deep") }), ignore);
  assert.equal(world.registry.asked("/pause/manifests/3.10.2").length, 0);
  assert.equal(world.registry.asked("/kube-apiserver/manifests/v1.36.2").length, 1);
  const pinned = await pack(world.options({ imagesDirectory: world.at("images"), extraImages: [`example.org/renamed@${extra.target.descriptor.digest}`] }), ignore);
  assert.equal(pinned.images.at(-1)?.target.digest, extra.target.descriptor.digest);
});

test("pack makes a manifest for a docker archive and carries its plain layers compressed", async () => {
  await using world = await startWorld();
  const layers = [await tarOf({ a: Buffer.alloc(300_000, 0x61) }), await tarOf({ b: noise(3000, 8) })];
  const files = dockerArchiveFiles("web:1", layers);
  await mkdir(world.at("images"));
  await writeFile(world.at("images/web.tar"), await tarOf(files));
  const result = await pack(world.options({ imagesDirectory: world.at("images"), extraImages: ["web:1"] }), ignore);
  const web = result.images.at(-1);
  assert.equal(web?.reference, "docker.io/library/web:1");
  assert.deepEqual(web.layers.map(({ diffId, digest }) => [diffId, digest]), layers.map((tar) => [digestOf(tar), digestOf(tar)]));
  const reader = await openPackage(result.path);
  await reader.verify();
  const entry = reader.index.entries.find(({ digest }) => digest === digestOf(layers[0] ?? ""));
  assert.equal(entry?.encoding, "zstd");
  assert.ok(entry.length < 10_000);
  assert.deepEqual(JSON.parse(Buffer.from(await reader.read(web.manifest.digest)).toString()).config.digest, web.config.digest);
  const chunks: Uint8Array[] = [];
  for await (const chunk of reader.open(entry.digest)) chunks.push(chunk);
  assert.deepEqual(Buffer.concat(chunks), layers[0]);
  await reader.close();

  await writeFile(world.at("images/web.tar"), zstdCompressSync(await tarOf(files)));
  const again = await pack(world.options({ output: world.at("again"), imagesDirectory: world.at("images"), extraImages: ["web:1"] }), ignore);
  assert.equal(again.digest, result.digest);
});

test("pack chooses by architecture between archives of the same name, and refuses two of the same", async () => {
  await using world = await startWorld();
  await mkdir(world.at("images"));
  const make = async (arch: string, seed: number): Promise<TestImage> => makeImage({ layers: [await tarOf({ a: noise(900, seed) })], arches: [arch], single: true });
  const put = async (name: string, image: TestImage): Promise<void> => writeFile(world.at("images", name), await tarOf(layoutFiles([{ image, annotations: { "io.containerd.image.name": "docker.io/library/tool:1" } }])));
  const amd64 = await make("amd64", 1);
  await put("tool-arm64.tar", await make("arm64", 2));
  await put("tool-amd64.tar", amd64);
  await put("tool-amd64-copy.tar", amd64);
  const options = world.options({ imagesDirectory: world.at("images"), extraImages: ["tool:1"] });
  assert.equal((await pack(options, ignore)).images.at(-1)?.target.digest, amd64.target.descriptor.digest);
  await put("other.tar", await make("amd64", 3));
  const error = await failure(pack(options, ignore));
  assert.equal(error.code, "IMAGE_AMBIGUOUS");
  assert.match(error.happened, /other\.tar.*tool-amd64-copy\.tar|tool-amd64-copy\.tar.*other\.tar/);
});

test("pack names the archive that is cut, damaged or lacks a blob", async () => {
  await using world = await startWorld();
  await mkdir(world.at("images"));
  const image = makeImage({ layers: [await tarOf({ a: noise(40_000, 5) })], single: true, arches: ["amd64"] });
  const files = layoutFiles([{ image, annotations: { "io.containerd.image.name": "docker.io/library/tool:1" } }]);
  const whole = await tarOf(files);
  const options = world.options({ imagesDirectory: world.at("images"), extraImages: ["tool:1"] });
  const attempt = async (bytes: Uint8Array): Promise<KubestickError> => {
    await writeFile(world.at("images/tool.tar"), bytes);
    return failure(pack(options, ignore));
  };

  const cut = await attempt(whole.subarray(0, 30_000));
  assert.equal(cut.code, "IMAGES_ARCHIVE");
  assert.match(cut.happened, /ends in the middle of blobs\/sha256/);
  assert.equal((await attempt(gzipSync(whole).subarray(0, 20_000))).code, "IMAGES_ARCHIVE");
  assert.equal((await attempt(noise(20_000))).code, "IMAGES_ARCHIVE");

  const layer = image.manifests[0]?.bytes.toString().match(/"layers":\[\{[^}]*sha256:([0-9a-f]{64})/)?.[1] ?? "";
  const damaged = { ...files, [`blobs/sha256/${layer}`]: Buffer.from(files[`blobs/sha256/${layer}`] ?? "") };
  damaged[`blobs/sha256/${layer}`]?.fill(0x55, 5000, 5010);
  const wrong = await attempt(await tarOf(damaged));
  assert.equal(wrong.code, "IMAGE_INVALID");
  assert.match(wrong.attempted, /docker\.io\/library\/tool:1 layer 1/);

  const { [`blobs/sha256/${layer}`]: _, ...incomplete } = files;
  const absent = await attempt(await tarOf(incomplete));
  assert.equal(absent.code, "IMAGES_ARCHIVE");
  assert.match(absent.happened, new RegExp(`blobs/sha256/${layer} is missing`));
});

test("readTarIndex finds members under long names and through links, and refuses a damaged header", async () => {
  await using dir = await scratch();
  const long = `${"d".repeat(90)}/${"e".repeat(90)}/${"f".repeat(90)}`;
  const { pack: tarPack } = await import("tar-stream");
  const archive = tarPack();
  archive.entry({ name: long }, "long");
  archive.entry({ name: "./a/layer.tar" }, "layer");
  archive.entry({ name: "b/layer.tar", type: "symlink", linkname: "../a/layer.tar" });
  archive.entry({ name: "c/layer.tar", type: "link", linkname: "a/layer.tar" });
  archive.entry({ name: "ümläut" }, "ü");
  archive.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of archive) chunks.push(chunk as Uint8Array);
  const bytes = Buffer.concat(chunks);
  await writeFile(dir.at("x.tar"), bytes);
  const handle = await open(dir.at("x.tar"));
  const members = await readTarIndex(handle);
  const text = (name: string): string => {
    const member = members.get(name);
    return member === undefined ? "absent" : bytes.toString("utf8", member.offset, member.offset + member.size);
  };
  assert.deepEqual([long, "a/layer.tar", "b/layer.tar", "c/layer.tar", "ümläut"].map(text), ["long", "layer", "layer", "layer", "ü"]);
  await handle.close();

  bytes[bytes.indexOf("./a/layer.tar")] = 0x2d;
  await writeFile(dir.at("x.tar"), bytes);
  const damaged = await open(dir.at("x.tar"));
  await assert.rejects(readTarIndex(damaged), /wrong checksum/);
  await damaged.close();
});
