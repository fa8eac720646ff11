import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, copyFile, mkdir, readFile, readdir, stat, truncate, writeFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { addToPackage, type AddEvent } from "../../src/package/add.ts";
import type { ByteSource } from "../../src/package/byte-source.ts";
import { openFileSource } from "../../src/package/byte-source.ts";
import { applyDelta, diffPackages } from "../../src/package/delta.ts";
import { digestOf } from "../../src/package/digest.ts";
import { summarize } from "../../src/package/inspect.ts";
import { licenseReport } from "../../src/package/license-report.ts";
import { defaultName, pack, type PackOptions, type PackResult } from "../../src/package/pack.ts";
import { peekPackage } from "../../src/package/peek.ts";
import { billOf } from "../../src/package/provenance.ts";
import { openPackage, readPackage, type OpenedPackage } from "../../src/package/reader.ts";
import { repairPackage } from "../../src/package/repair.ts";
import { signPackage } from "../../src/package/sign.ts";
import { readSigningKey, writeKeyPair } from "../../src/package/signing-key.ts";
import { joinPackage, splitPackage } from "../../src/package/split.ts";
import { ANY_ARCH, STARTER_SIZE, ownArch, starterText } from "../../src/package/starter.ts";
import type { Digest, PackageEntry, PackagePlatform } from "../../src/package/types.ts";
import { failure, flip, noise, writeExecutable } from "./fixtures.ts";
import { OCI_INDEX, document, dockerArchiveFiles, layoutFiles, makeImage, serve, tarOf, writeFiles, type TestImage } from "./images.ts";
import { cyclonedxProblems, spdxProblems } from "./sbom-rules.ts";
import { hex, startWorld, type World } from "./world.ts";

const ignore = (): void => undefined;
const both = ["amd64", "arm64"];

/** One index, an image for each architecture: some layers in both, some in one. */
async function imageOf(shared: readonly Buffer[], own: Readonly<Record<string, Buffer>>): Promise<TestImage> {
  const images = await Promise.all(Object.entries(own).map(async ([arch, content]) => makeImage({ arches: [arch], single: true, layers: [...shared, await tarOf({ [`bin-${arch}`]: content })] })));
  const target = document(OCI_INDEX, { schemaVersion: 2, mediaType: OCI_INDEX, manifests: images.map(({ target: { descriptor } }, at) => ({ ...descriptor, platform: { os: "linux", architecture: Object.keys(own)[at] } })) });
  return { target, manifests: images.map((image) => image.target), blobs: new Map(images.flatMap(({ blobs }) => [...blobs])) };
}

interface Site extends World {
  readonly both: PackOptions;
  packed(more?: Partial<PackOptions>): Promise<PackResult>;
}

/** A world in which the architectures differ: programs, and one layer of each image, beside what is equal in both. */
async function startSite(): Promise<Site> {
  const world = await startWorld();
  const base = await tarOf({ "etc/base": noise(200_000, 1) });
  serve(world.registry, "kube-apiserver", "v1.36.2", await imageOf([base], { amd64: noise(700_000, 21), arm64: noise(710_000, 22) }));
  serve(world.registry, "flannel-io/flannel", "v1", await imageOf([base], { amd64: noise(50_000, 23), arm64: noise(50_000, 24) }));
  const kubelet = Buffer.concat([noise(200_000, 25), Buffer.alloc(200_000, 0x20)]);
  world.registry.files.set("/release/v1.36.2/bin/linux/arm64/kubelet", kubelet);
  world.registry.files.set("/release/v1.36.2/bin/linux/arm64/kubelet.sha256", Buffer.from(hex(kubelet)));
  const executable = [await writeExecutable(world.at("kubestick-amd64"), "amd64", 30_000), await writeExecutable(world.at("kubestick-arm64"), "arm64", 20_000)];
  const options = world.options({ executable, arch: both });
  return Object.assign(world, { both: options, packed: (more: Partial<PackOptions> = {}) => pack({ ...options, ...(typeof more.arch === "string" ? { executable: world.at(`kubestick-${more.arch}`) } : {}), ...more }, ignore) });
}

async function opened<T>(path: string, arch: string, look: (reader: OpenedPackage) => T | Promise<T>): Promise<T> {
  const reader = await openPackage(path, { arch });
  try {
    return await look(reader);
  } finally {
    await reader.close();
  }
}

function digestsOf({ images, binaries }: PackagePlatform): readonly Digest[] {
  return [...binaries.map(({ digest }) => digest), ...images.flatMap(({ target, manifest, config, layers }) => [target.digest, manifest.digest, config.digest, ...layers.map(({ entry }) => entry)])];
}

/** Every run that is read. */
class CountedSource implements ByteSource {
  readonly runs: { readonly from: number; readonly to: number }[] = [];
  readonly #source: ByteSource;
  readonly name: string;
  readonly size: number;

  constructor(source: ByteSource) {
    this.#source = source;
    this.name = source.name;
    this.size = source.size;
  }

  async read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }> {
    const done = await this.#source.read(buffer, offset, length, position);
    if (done.bytesRead > 0) this.runs.push({ from: position, to: position + done.bytesRead });
    return done;
  }

  close(): Promise<void> {
    return this.#source.close();
  }

}

function bytesIn(runs: CountedSource["runs"], { offset, length }: PackageEntry): number {
  return runs.reduce((sum, { from, to }) => sum + Math.max(0, Math.min(to, offset + length) - Math.max(from, offset)), 0);
}

test("pack writes one file for two architectures, with what is equal in both once", async () => {
  await using site = await startSite();
  const result = await site.packed();
  assert.equal(result.arch, "amd64,arm64");
  await opened(result.path, "arm64", async (reader) => {
    await reader.verify();
    const { index } = reader;
    assert.deepEqual([index.arch, index.executable.arch, index.executable.length], ["arm64", ANY_ARCH, STARTER_SIZE]);
    const [amd64, arm64] = index.platforms as readonly [PackagePlatform, PackagePlatform];
    assert.deepEqual([amd64.arch, arm64.arch, amd64.program?.size, arm64.program?.size], ["amd64", "arm64", 30_000, 20_000]);
    assert.deepEqual(amd64.images.map(({ reference, role }) => [reference, role]), arm64.images.map(({ reference, role }) => [reference, role]));
    assert.deepEqual(arm64.binaries.map(({ name, source }) => [name, source])[0], ["kubelet", "https://dl.k8s.io/release/v1.36.2/bin/linux/arm64/kubelet"]);
    assert.equal(new Set(index.entries.map(({ digest }) => digest)).size, index.entries.length);
    const shared = digestsOf(amd64).filter((digest) => digestsOf(arm64).includes(digest));
    for (const [number, image] of amd64.images.entries()) {
      assert.equal(image.target.digest, arm64.images[number]?.target.digest);
      assert.ok(shared.includes(image.target.digest));
    }
    assert.ok(shared.includes(amd64.images[1]?.layers[0]?.entry ?? "sha256:"), "the layer both have");
    assert.ok(!shared.includes(amd64.images[1]?.layers[1]?.entry ?? "sha256:"));
    assert.deepEqual(index.entries.slice(0, 2).map(({ label }) => label), ["the executable for amd64", "the executable for arm64"]);
    const labels = index.entries.map(({ label }) => label);
    for (const label of ["kubelet (amd64)", "kubelet (arm64)", "registry.k8s.io/kube-apiserver:v1.36.2 index", "registry.k8s.io/kube-apiserver:v1.36.2 config (arm64)", "registry.k8s.io/kube-apiserver:v1.36.2 layer 1", "registry.k8s.io/kube-apiserver:v1.36.2 layer 2 (arm64)"]) assert.ok(labels.includes(label), `${label} in ${labels.join("; ")}`);
    assert.deepEqual(Buffer.from(await reader.read(arm64.program?.digest ?? assert.fail())), await readFile(site.at("kubestick-arm64")));

    const { sizes, platforms } = summarize(index, [], 0);
    assert.equal(sizes.other, 0);
    assert.equal(sizes.executable, STARTER_SIZE + 50_000);
    const stored = (digests: readonly Digest[]): number => index.entries.filter(({ digest }) => digests.includes(digest)).reduce((sum, { length }) => sum + length, 0);
    assert.deepEqual(platforms.map((platform) => [platform.stored, platform.storedShared]), [[30_000 + stored(digestsOf(amd64)), stored(shared)], [20_000 + stored(digestsOf(arm64)), stored(shared)]]);
  });
  // Half of each alone is more than both together.
  const [one, other] = [await site.packed({ arch: "amd64", output: site.at("one") }), await site.packed({ arch: "arm64", output: site.at("other") })];
  assert.ok(result.size < one.size + other.size - 200_000, `${result.size} of ${one.size} and ${other.size}`);
});

test("equal inputs give equal files for two architectures: in any order, from an empty cache, and by any of these files", async () => {
  await using site = await startSite();
  const first = await site.packed();
  const again = await site.packed({ output: site.at("again"), cache: site.at("cache2"), arch: ["arm64", "amd64", "arm64"], executable: [site.at("kubestick-arm64"), site.at("kubestick-amd64")] });
  assert.equal(again.digest, first.digest);
  assert.equal((await site.packed({ output: site.at("itself"), executable: first.path, arch: undefined })).digest, first.digest);
  for (const arch of both) {
    const bare = await site.packed({ output: site.at(`${arch}-bare`), arch, executable: site.at(`kubestick-${arch}`) });
    const taken = await site.packed({ output: site.at(`${arch}-taken`), arch, executable: first.path });
    assert.equal(taken.digest, bare.digest);
    assert.equal(await opened(taken.path, arch, ({ index }) => index.executable.arch), arch);
    // The running executable serves for what is not named.
    assert.equal((await site.packed({ output: site.at("mixed"), executable: site.at(`kubestick-${arch}`), otherwise: first.path })).digest, first.digest);
  }
  assert.deepEqual(peekPackage(first.path), { kubernetesVersion: "v1.36.2", arch: "amd64,arm64", cni: "flannel" });
  assert.equal(defaultName("v1.36.2", both), "kubestick-v1.36.2-linux-amd64-arm64");
});

test("the lock file describes both architectures, and holds for one and for both", async () => {
  await using site = await startSite();
  const lockFile = site.at("lock");
  const first = await site.packed({ lockFile });
  const text = await readFile(lockFile, "utf8");
  assert.match(text, /linux\/amd64\/kubelet: sha256:/);
  assert.match(text, /linux\/arm64\/kubelet: sha256:/);
  assert.equal(text.match(/registry\.k8s\.io\/pause:3\.10\.2/g)?.length, 1);
  assert.deepEqual([first.lock, (await site.packed({ lockFile, output: site.at("again") })).digest], ["written", first.digest]);
  assert.equal((await site.packed({ lockFile, output: site.at("one"), arch: "arm64" })).lock, "enforced");
  const moved = Buffer.from("another kubelet");
  site.registry.files.set("/release/v1.36.2/bin/linux/arm64/kubelet", moved);
  site.registry.files.set("/release/v1.36.2/bin/linux/arm64/kubelet.sha256", Buffer.from(hex(moved)));
  const error = await failure(site.packed({ lockFile, output: site.at("moved") }));
  assert.equal(error.code, "PACK_LOCK");
  assert.match(error.happened, /^https:.*linux\/arm64\/kubelet is locked to /);
  assert.equal((await site.packed({ lockFile, output: site.at("moved"), arch: "amd64" })).lock, "enforced");
});

test("images that come as an archive for each architecture are locked for each", async () => {
  await using site = await startSite();
  await mkdir(site.at("images"));
  for (const [number, arch] of both.entries()) await writeFile(site.at("images", `app-${arch}.tar`), await tarOf(dockerArchiveFiles("registry.example/app:1", [await tarOf({ app: noise(5000, 70 + number) })], arch)));
  const options = { imagesDirectory: site.at("images"), extraImages: ["registry.example/app:1"], lockFile: site.at("lock") };
  const first = await site.packed(options);
  assert.match(await readFile(site.at("lock"), "utf8"), /registry\.example\/app:1 \(amd64\): sha256:\S+\n {2}registry\.example\/app:1 \(arm64\): sha256:/);
  assert.equal((await site.packed({ ...options, output: site.at("again") })).digest, first.digest);
  assert.equal((await site.packed({ ...options, output: site.at("one"), arch: "arm64" })).lock, "enforced");
  await writeFile(site.at("images", "app-arm64.tar"), await tarOf(dockerArchiveFiles("registry.example/app:1", [await tarOf({ app: noise(5000, 99) })], "arm64")));
  assert.match((await failure(site.packed({ ...options, output: site.at("moved") }))).happened, /^registry\.example\/app:1 \(arm64\) is locked to /);
});

test("pack says which executable is missing, twice there, or of the wrong processor, and which image has only one architecture", async () => {
  await using site = await startSite();
  const cases: readonly [Partial<PackOptions>, string, RegExp][] = [
    [{ executable: site.at("kubestick-amd64") }, "PACK_EXECUTABLE_ARCH", /kubestick-amd64 is for amd64; a package runs/],
    [{ executable: site.at("kubestick-amd64"), otherwise: site.at("kubestick-amd64") }, "PACK_EXECUTABLE_ARCH", /kubestick-amd64 is for amd64; a package runs/],
    [{ executable: [site.at("kubestick-amd64"), site.at("kubestick-arm64"), await writeExecutable(site.at("twin"), "amd64")] }, "PACK_EXECUTABLE_ARCH", /kubestick-amd64 and .*twin are both for amd64/],
    [{ executable: [site.at("kubestick-amd64"), site.at("kubestick-arm64")], arch: "amd64" }, "PACK_EXECUTABLE_ARCH", /kubestick-arm64 is for arm64, and the package for amd64/],
  ];
  for (const [more, code, happened] of cases) {
    const error = await failure(site.packed(more));
    assert.equal(error.code, code, error.message);
    assert.match(error.happened, happened);
  }
  serve(site.registry, "team/one", "1", makeImage({ layers: [await tarOf({ a: noise(100) })], arches: ["amd64"] }));
  const error = await failure(site.packed({ extraImages: [`${site.registry.host}/team/one:1`] }));
  assert.equal(error.code, "IMAGE_PLATFORM");
  assert.match(error.happened, /no variant for linux\/arm64; it has linux\/amd64/);
  assert.match(error.next, /package add/);
});

test("a node reads what is for its own architecture, and not a byte of the other half", async () => {
  await using site = await startSite();
  const { path } = await site.packed();
  for (const arch of both) {
    const source = new CountedSource(await openFileSource(path));
    const reader = await readPackage(source, { arch });
    const { index } = reader;
    assert.equal(index.arch, arch);
    const own = new Set([...digestsOf(index), ...index.documents.map(({ digest }) => digest)]);
    const tables = source.runs.splice(0);
    const other = index.platforms.find((platform) => platform.arch !== arch) ?? assert.fail();
    // Asked for before the kubelet starts: the node's own half is intact.
    await reader.verify(undefined, undefined, "rest");
    const verified = source.runs.splice(0);
    for (const entry of index.entries) {
      const foreign = !own.has(entry.digest) && entry.digest !== index.program?.digest;
      assert.ok(!foreign || digestsOf(other).includes(entry.digest) || entry.digest === other.program?.digest, entry.label);
      assert.equal(bytesIn(verified, entry), foreign ? 0 : entry.length, `${entry.label} verified for ${arch}`);
    }
    for (const digest of own) for await (const chunk of digest === index.binaries[0]?.digest ? reader.open(digest) : reader.stored(digest).open()) assert.ok(chunk.length > 0);
    let skipped = 0;
    for (const entry of index.entries) {
      assert.equal(bytesIn(source.runs, entry), own.has(entry.digest) ? entry.length : 0, `${entry.label} for ${arch}`);
      if (!own.has(entry.digest)) skipped += entry.length;
    }
    assert.ok(skipped > 300_000, `${skipped} bytes are the other's`);
    // To find its way it reads the front, where the first program begins, and the tables at the end.
    const { indexOffset } = reader.layout.footer;
    assert.ok(tables.every(({ from, to }) => to <= STARTER_SIZE + 192 || from >= indexOffset), JSON.stringify(tables));
    await reader.close();
  }
});

test("damage in the other half does not keep a node from its own, and is found by whoever verifies all", async () => {
  await using site = await startSite();
  const { path } = await site.packed();
  await flip(path, await opened(path, "amd64", ({ index }) => (index.entries.find(({ label }) => label === "kubelet (arm64)") ?? assert.fail()).offset));
  await opened(path, "amd64", async (reader) => {
    await reader.verify(undefined, undefined, "rest");
    assert.equal((await failure(reader.verify())).code, "PACKAGE_CORRUPT");
  });
  await opened(path, "arm64", async (reader) => { assert.match((await failure(reader.verify(undefined, undefined, "rest"))).happened, /^kubelet \(arm64\) is damaged/); });
});

test("a reader shows the architecture of its own machine, or the one it is asked for", async () => {
  await using site = await startSite();
  const { path } = await site.packed();
  const reader = await openPackage(path);
  assert.equal(reader.index.arch, ownArch);
  await reader.close();
  assert.equal(await opened(path, "riscv64", ({ index }) => index.arch), "amd64");
  const single = await site.packed({ arch: "arm64", output: site.at("single") });
  assert.equal(await opened(single.path, "amd64", ({ index }) => index.arch), "arm64");
});

test("verify finds a flipped byte of the front, of each program and of each half, and repair mends it", async () => {
  await using site = await startSite();
  const { path } = await site.packed();
  await copyFile(path, site.at("copy"));
  const places = await opened(path, "amd64", ({ index, layout }) => [
    ...["the executable for amd64", "the executable for arm64", "kubelet (arm64)", "kubelet (amd64)", "registry.k8s.io/kube-apiserver:v1.36.2 layer 2 (arm64)"].map((label) => [label, (index.entries.find((entry) => entry.label === label) ?? assert.fail(label)).offset + 7] as const),
    ["the executable", 300] as const, ["the executable", STARTER_SIZE - 1] as const, ["the package header", STARTER_SIZE + 60] as const, ["the package index", layout.footer.indexOffset + 3] as const,
  ]);
  for (const [label, offset] of places) {
    await flip(path, offset);
    const error = await failure(opened(path, "amd64", async (reader) => { await reader.verify(); }));
    assert.equal(error.code, "PACKAGE_CORRUPT", label);
    assert.ok(error.happened.startsWith(label), `${label}: ${error.happened}`);
    const { repaired } = await repairPackage({ path, from: site.at("copy") });
    assert.deepEqual(repaired.map(({ part }) => part), [label]);
  }
  // Without the words by which it is known the file is still no other one.
  await flip(path, 3);
  assert.equal((await failure(openPackage(path))).code, "PACKAGE_CORRUPT");
  await repairPackage({ path, from: site.at("copy") });
  assert.equal(digestOf(await readFile(path)), digestOf(await readFile(site.at("copy"))));
  for (const length of [10, 300, STARTER_SIZE, STARTER_SIZE + 50, 40_000]) {
    await copyFile(path, site.at("cut"));
    await truncate(site.at("cut"), length);
    assert.equal((await failure(openPackage(site.at("cut")))).code, "PACKAGE_TRUNCATED", String(length));
  }
});

test("a file for two architectures can be split, signed, put together and led to by a delta, bit for bit", async () => {
  await using site = await startSite();
  const whole = await site.packed();
  const bytes = await readFile(whole.path);
  await mkdir(site.at("parts"));
  const parts = await splitPackage({ path: whole.path, directory: site.at("parts"), size: 1_100_000 });
  assert.ok(parts.files.length > 1);
  const first = parts.files[0]?.path ?? assert.fail();
  // Both programs lie in the first file, where the lines at its front look for them.
  const end = await opened(first, "amd64", (reader) => (reader.index.entries[1]?.offset ?? 0) + (reader.index.entries[1]?.length ?? 0));
  assert.ok(end + 192 < (await stat(first)).size);
  assert.equal((await failure(splitPackage({ path: whole.path, directory: site.at("parts"), size: 50_000 }))).code, "PACK_SPLIT_SIZE");
  assert.equal((await failure(site.packed({ output: site.at("small"), split: 50_000 }))).code, "PACK_SPLIT_SIZE");
  await joinPackage({ path: first, output: site.at("joined") });
  assert.deepEqual(await readFile(site.at("joined")), bytes);
  assert.equal((await site.packed({ output: site.at("from-parts"), executable: first, arch: undefined })).digest, whole.digest);
  assert.equal((await site.packed({ output: site.at("in-parts"), split: 1_100_000 })).digest, whole.digest);

  const single = await site.packed({ arch: "amd64", output: site.at("single") });
  for (const [old, next] of [[single.path, whole.path], [whole.path, single.path]] as const) {
    const { carried, base, target } = await diffPackages({ old, new: next, output: site.at("delta") });
    assert.deepEqual([base.title, target.title].sort(), ["v1.36.2 amd64 flannel", "v1.36.2 amd64,arm64 flannel"]);
    assert.ok(carried < 1_200_000 && (next === whole.path || carried < 100_000), String(carried));
    await applyDelta({ delta: site.at("delta"), base: old, output: site.at("applied") });
    assert.deepEqual(await readFile(site.at("applied")), await readFile(next));
  }

  await writeKeyPair(site.at("key"));
  const { signers } = await signPackage({ path: whole.path, output: site.at("signed"), key: await readSigningKey(site.at("key")) });
  assert.equal(signers.length, 1);
  await opened(site.at("signed"), "arm64", async (reader) => { await reader.verify(); });
});

test("bills of materials and licences tell of both programs, and of what is in each half", async () => {
  await using site = await startSite();
  const { path } = await site.packed();
  await opened(path, "amd64", async (reader) => {
    const [spdx, cyclonedx] = [await billOf(reader, "spdx") ?? "", await billOf(reader, "cyclonedx") ?? ""];
    assert.deepEqual([spdxProblems(spdx), cyclonedxProblems(cyclonedx)], [[], []]);
    assert.match(spdx, /kubestick package for Kubernetes v1\.36\.2, linux\/amd64 and linux\/arm64, CNI flannel/);
    for (const arch of both) {
      const file = hex(await readFile(site.at(`kubestick-${arch}`)));
      assert.ok(spdx.includes(file) && cyclonedx.includes(file), arch);
      assert.ok(spdx.includes(`binary-${arch}-kubelet`));
    }
    assert.equal((await licenseReport(reader)).parts.filter(({ what }) => what === "image").length, 3);
  });
});

describe("package add to a package for two architectures", () => {
  async function add(site: Site, items: readonly string[], more: { readonly strict?: boolean; readonly replace?: boolean; readonly base?: string } = {}): Promise<{ readonly platforms: readonly PackagePlatform[]; readonly warnings: readonly string[]; readonly path: string }> {
    const events: AddEvent[] = [];
    const { path, warnings } = await addToPackage({ base: site.at("stick"), output: site.at("new"), items, ...more }, (event) => events.push(event));
    const platforms = await opened(path, "amd64", async (reader) => {
      await reader.verify();
      assert.equal(reader.index.executable.arch, ANY_ARCH);
      return reader.index.platforms;
    });
    assert.equal(events.filter(({ type }) => type === "item").length, new Set(events.flatMap((event) => (event.type === "item" ? [event.name] : []))).size);
    return { platforms, warnings: warnings.map(({ check, message }) => `${check}: ${message}`), path };
  }
  const archive = async (arch: string, seed: number): Promise<Buffer> => tarOf(dockerArchiveFiles("registry.example/app:1", [await tarOf({ app: noise(9000, seed) })], arch));
  const manifest = "apiVersion: v1\nkind: Pod\nmetadata: { name: app, namespace: default }\nspec: { containers: [{ name: app, image: registry.example/app:1 }] }\n";

  test("takes both images of a layout, and both of two archives of one name", async () => {
    await using site = await startSite();
    await site.packed();
    await writeFiles(site.at("layout"), layoutFiles([{ image: await imageOf([await tarOf({ both: noise(3000, 50) })], { amd64: noise(4000, 51), arm64: noise(4000, 52) }), annotations: { "org.opencontainers.image.ref.name": "registry.example/web:1" } }]));
    for (const [number, arch] of both.entries()) await writeFile(site.at(`app-${arch}.tar`), await archive(arch, 60 + number));
    await writeFile(site.at("app.yaml"), manifest);
    const { platforms, warnings } = await add(site, [site.at("layout"), site.at("app-amd64.tar"), site.at("app-arm64.tar"), site.at("app.yaml")], { strict: true });
    assert.deepEqual(warnings, []);
    for (const { images } of platforms) assert.deepEqual(images.slice(-2).map(({ reference }) => reference), ["registry.example/web:1", "registry.example/app:1"]);
    const [amd64, arm64] = platforms.map(({ images }) => images.at(-2));
    assert.equal(amd64?.target.digest, arm64?.target.digest);
    assert.notEqual(amd64?.manifest.digest, arm64?.manifest.digest);
  });

  test("takes an image of one architecture and says which nodes go without it", async () => {
    await using site = await startSite();
    await site.packed();
    await writeFile(site.at("app.tar"), await archive("amd64", 60));
    await writeFile(site.at("app.yaml"), manifest);
    const { platforms, warnings, path } = await add(site, [site.at("app.tar"), site.at("app.yaml")]);
    assert.deepEqual(platforms.map(({ images }) => images.length), [4, 3]);
    assert.deepEqual(warnings, ["ImagePlatform: registry.example/app:1 comes for linux/amd64 only: nodes with linux/arm64 go without it"]);
    const strict = await failure(add(site, [site.at("app.tar")], { strict: true }));
    assert.equal(strict.code, "ADD_INCOMPLETE");
    assert.match(strict.next, /Add its archive for linux\/arm64, too, .*kubernetes\.io\/arch: amd64/);

    // Another manifest later is told of it, and the missing archive can still come.
    await copyFile(path, site.at("base"));
    await writeFile(site.at("more.yaml"), manifest.replace("name: app,", "name: more,"));
    assert.deepEqual((await add(site, [site.at("more.yaml")], { base: site.at("base") })).warnings, ["ManifestImage: more.yaml: Pod default/more starts registry.example/app:1, which the package does not carry for linux/arm64"]);
    await writeFile(site.at("arm.tar"), await archive("arm64", 61));
    const whole = await add(site, [site.at("arm.tar")], { base: site.at("base") });
    assert.deepEqual([whole.warnings, whole.platforms.map(({ images }) => images.length)], [[], [4, 4]]);

    await copyFile(whole.path, site.at("base"));
    await writeFile(site.at("app.tar"), await archive("amd64", 62));
    const replaced = await add(site, [site.at("app.tar")], { base: site.at("base"), replace: true });
    assert.match(replaced.warnings.join(), /^ImagePlatform: registry\.example\/app:1 comes for linux\/amd64 only: nodes with linux\/arm64 keep what the package had, sha256:/);
  });

  test("refuses an image of a third architecture, and a kubestick file", async () => {
    await using site = await startSite();
    await site.packed();
    await writeFile(site.at("app.tar"), await archive("s390x", 60));
    assert.match((await failure(add(site, [site.at("app.tar")]))).happened, /linux\/s390x, not for linux\/amd64/);
    assert.match((await failure(add(site, [site.at("stick")]))).happened, /kubestick file/);
  });
});

describe("the lines at the front", () => {
  /** For this machine a program that tells its surroundings; a shell starts it as the kernel would, or as `sh FILE` does. */
  async function startable(): Promise<Site & { readonly stick: string }> {
    const site = await startSite();
    const program = site.at(`kubestick-${ownArch}`);
    await copyFile("/usr/bin/env", program);
    const { path } = await site.packed();
    await mkdir(site.at("tmp"));
    return Object.assign(site, { stick: path });
  }
  function start(argv: readonly string[], env: Readonly<Record<string, string>>, cwd = "/"): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
    const [program = "", ...rest] = argv;
    return spawnSync(program, rest, { encoding: "utf8", cwd, env: { PATH: "/usr/bin:/bin", ...env } });
  }

  test("start the program for this machine, tell it where the file is, and leave nothing behind", async () => {
    await using site = await startable();
    const env = { TMPDIR: site.at("tmp") };
    for (const argv of [[site.stick], ["sh", site.stick], ["bash", site.stick], ["./stick"]]) {
      if (argv[0] === "bash" && spawnSync("bash", ["-c", ":"]).status !== 0) continue;
      const { status, stdout, stderr } = start(argv, env, argv[0] === "./stick" ? site.path : "/");
      assert.deepEqual([status, stderr], [0, ""], argv.join(" "));
      assert.match(stdout, new RegExp(`^KUBESTICK_FILE=${site.path}/stick$`, "m"));
      assert.deepEqual(await readdir(site.at("tmp")), []);
    }
    for (const mask of ["0022", "0077"]) assert.equal(start(["sh", "-c", `umask ${mask}; exec ${site.stick} sh -c umask`], env).stdout.trim(), mask);
    // Arguments, standard input and the exit code are the program's.
    assert.deepEqual([start([site.stick, "sh", "-c", "printf %s \"$1\"; exit 7", "x", "a b*"], env).stdout, start([site.stick, "sh", "-c", "exit 7"], env).status], ["a b*", 7]);
    assert.equal(spawnSync(site.stick, ["cat"], { encoding: "utf8", input: "typed", env: { PATH: "/usr/bin:/bin", ...env } }).stdout, "typed");
    await mkdir(site.at("parts"));
    const { files } = await splitPackage({ path: site.stick, directory: site.at("parts"), size: 1_100_000 });
    assert.ok(files.length > 1);
    assert.match(start([files[0]?.path ?? ""], env).stdout, /^KUBESTICK_FILE=.*parts\/stick$/m);
    assert.deepEqual(await readdir(site.at("tmp")), []);
  });

  test("pass over a place without room or right, and say so when there is no other", { skip: process.getuid?.() === 0 ? false : "needs root for a mount" }, async () => {
    await using site = await startable();
    const mounted = (options: string, then: string): { readonly status: number | null; readonly stdout: string; readonly stderr: string } =>
      start(["unshare", "-m", "sh", "-c", `mount -t tmpfs -o ${options} tmpfs ${site.at("tmp")} && ${then}`], { TMPDIR: site.at("tmp") });
    const left = `; code=$?; ls -A ${site.at("tmp")}; exit $code`;
    for (const options of ["noexec", "size=8k"]) assert.match(mounted(options, `${site.stick}${left}`).stdout, /^KUBESTICK_FILE=.*stick$/m);
    // Root takes no folder in which somebody else could exchange the copy.
    const places = (options: string): readonly (string | undefined)[] => {
      const { status, stderr } = mounted(options, `sh -x ${site.stick}`);
      assert.equal(status, 0, stderr);
      return [...stderr.matchAll(/mktemp -d (.+)\/kubestick\.X+$/gm)].map(([, place]) => place);
    };
    assert.deepEqual([places("mode=700"), places("uid=1000,mode=1777")], [[site.at("tmp")], ["/tmp"]]);
    await chmod(site.path, 0o755);
    assert.match(start(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", site.stick], {}).stdout, /^KUBESTICK_FILE=/m);
    const everywhere = ["/tmp", "/var/tmp", "/run", "/dev/shm"].map((place) => `mount -t tmpfs -o noexec tmpfs ${place}`).join(" && ");
    // Below /tmp lies the file itself, so it is bound to another place first.
    const refused = mounted("noexec", `mount --bind ${site.path} /mnt && ${everywhere} && TMPDIR=/tmp /mnt/stick`);
    assert.equal(refused.status, 1, refused.stderr);
    assert.match(refused.stderr, /^error: STARTER_NO_PLACE while starting \/mnt\/stick\n {2}No folder was found [^\n]*noexec[^\n]*\nnext: Name one: TMPDIR=\/root \/mnt\/stick\n$/);
    assert.equal(refused.stdout, "");
  });

  test("say in a sentence what is wrong: the processor, a cut file, a damaged one", async () => {
    await using site = await startable();
    await mkdir(site.at("bin"));
    await writeFile(site.at("bin", "uname"), "#!/bin/sh\necho riscv64\n");
    await chmod(site.at("bin", "uname"), 0o755);
    const other = start([site.stick, "init"], { PATH: `${site.at("bin")}:/usr/bin:/bin`, TMPDIR: site.at("tmp") });
    assert.deepEqual([other.status, other.stdout], [1, ""]);
    assert.equal(other.stderr, `error: STARTER_PROCESSOR while starting ${site.stick}\n  This file has programs for linux/amd64 and linux/arm64, and this machine is riscv64. Nothing was changed.\nnext: Use a machine with one of these processors.\n`);
    const { offset, length } = await opened(site.stick, ownArch, ({ index }) => index.entries.find(({ digest }) => digest === index.program?.digest) ?? assert.fail());
    for (const [size, code] of [[STARTER_SIZE, "PACKAGE_CORRUPT"], [offset + length - 1, "PACKAGE_TRUNCATED"]] as const) {
      await copyFile(site.stick, site.at("cut"));
      await truncate(site.at("cut"), size);
      const cut = start([site.at("cut")], { TMPDIR: site.at("tmp") });
      assert.equal(cut.status, 1);
      assert.match(cut.stderr, new RegExp(`^error: ${code} while starting ${site.at("cut")}\\n {2}[^\\n]+\\nnext: Copy the file again`));
    }
    await copyFile(site.stick, site.at("damaged"));
    await flip(site.at("damaged"), STARTER_SIZE + 3);
    assert.match(start([site.at("damaged")], {}).stderr, /^error: PACKAGE_CORRUPT while starting /);
    assert.deepEqual(await readdir(site.at("tmp")), []);
  });

  test("are equal for equal programs, shell without a doubt, and short enough", () => {
    const text = Buffer.from(starterText([{ arch: "amd64", offset: 4224, size: 999_999_999_999 }, { arch: "arm64", offset: 1e12, size: 999_999_999_999 }])).toString();
    assert.equal(text.length, STARTER_SIZE);
    assert.equal(spawnSync("sh", ["-n"], { input: text }).status, 0);
    assert.throws(() => starterText([{ arch: "riscv64", offset: 0, size: 1 }]), /no machine is known/);
  });
});
