import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, open, readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { test } from "node:test";
import { zstdDecompressSync } from "node:zlib";
import { diffPackages } from "../../src/package/delta.ts";
import { digestOf } from "../../src/package/digest.ts";
import { inspectExecutables } from "../../src/package/executables.ts";
import { openPackage } from "../../src/package/reader.ts";
import { splitPackage } from "../../src/package/split.ts";
import { writePackage } from "../../src/package/writer.ts";
import { chunkyPackage, flip, identityEntry, kubelet, noise, scratch, smallContent, writeExecutable } from "./fixtures.ts";

const READER = resolve(import.meta.dirname, "../support/package-reader.py");
const missing = spawnSync("python3", ["--version"]).status === 0 ? false : "there is no python3 here";

function python(...argv: readonly string[]): { readonly code: number | null; readonly stdout: Buffer; readonly stderr: string } {
  const { status, stdout, stderr } = spawnSync("python3", [READER, ...argv], { maxBuffer: 64 << 20 });
  return { code: status, stdout, stderr: stderr.toString() };
}

test("a reader written from docs/package-format.md reads what pack writes", { skip: missing }, async () => {
  await using dir = await scratch();
  const { content, entries } = smallContent();
  const large = Buffer.alloc(2_500_000, "more than two chunks");
  const document = { kind: "test", name: "large", mediaType: "text/plain", digest: digestOf(large), size: large.length };
  const executable = await writeExecutable(dir.at("bare"));
  const { path } = await writePackage({ executable, output: dir.at("stick"), content: { ...content, documents: [document] }, entries: [...entries, identityEntry("large", large)] });

  const listed = python(path);
  assert.equal(listed.code, 0, listed.stderr);
  const theirs = JSON.parse(listed.stdout.toString()) as Record<string, unknown>;
  const ours = await openPackage(path);
  await ours.close();
  const { formatVersion, kubernetesVersion, cni, chunkSize, executable: program, platforms, documents, entries: placed } = ours.index;
  const hex = (value: unknown): unknown => JSON.parse(JSON.stringify(value, (_, field: unknown) => (field instanceof Uint8Array ? Buffer.from(field).toString("hex") : field), 0));
  // Buffers turn themselves into objects before a replacer sees them.
  const plain = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);
  assert.deepEqual(theirs, hex({
    formatVersion, kubernetesVersion, cni, chunkSize, platforms, documents, executable: { ...program, chunks: plain(program.chunks) },
    entries: placed.map((entry) => ({ ...entry, chunks: plain(entry.chunks) })),
  }));

  const stored = placed.find(({ label }) => label === "kubelet")?.stored ?? assert.fail();
  const extracted = python(path, stored);
  assert.equal(extracted.code, 0, extracted.stderr);
  assert.deepEqual(zstdDecompressSync(extracted.stdout), Buffer.from(kubelet));
});

test("the second reader reads a file for two architectures, whole and in parts, and sees a byte of either half", { skip: missing }, async () => {
  await using dir = await scratch();
  const { content, entries } = smallContent();
  const [amd64] = content.platforms;
  const other = noise(1_200_000, 31);
  const [binary] = amd64?.binaries ?? [];
  if (amd64 === undefined || binary === undefined) return assert.fail();
  const arm64 = { ...amd64, arch: "arm64", binaries: [{ ...binary, digest: digestOf(other), size: other.length }] };
  const executable = (await Promise.all(["amd64", "arm64"].map(async (arch) => inspectExecutables(await writeExecutable(dir.at(arch), arch))))).flat();
  const { path } = await writePackage({ executable, output: dir.at("stick"), content: { ...content, platforms: [amd64, arm64] }, entries: [...entries, identityEntry("kubelet (arm64)", other)] });
  const listed = python(path);
  assert.equal(listed.code, 0, listed.stderr);
  const theirs = JSON.parse(listed.stdout.toString()) as { readonly executable: { readonly arch: string }; readonly platforms: readonly { readonly arch: string; readonly program: { readonly digest: string } }[]; readonly entries: readonly { readonly digest: string; readonly offset: number; readonly stored: string }[] };
  assert.deepEqual([theirs.executable.arch, theirs.platforms.map(({ arch }) => arch)], ["any", ["amd64", "arm64"]]);
  for (const [number, arch] of ["amd64", "arm64"].entries()) {
    assert.equal(theirs.entries[number]?.digest, theirs.platforms[number]?.program.digest);
    assert.deepEqual(python(path, theirs.entries[number]?.stored ?? "").stdout, await readFile(dir.at(arch)));
  }
  await mkdir(dir.at("parts"));
  const { files } = await splitPackage({ path, directory: dir.at("parts"), size: 1_150_000 });
  const [first = "", ...others] = files.map((file) => file.path);
  assert.ok(others.length > 0 && python(first, ...others.flatMap((part) => ["--part", part])).stdout.equals(listed.stdout));
  for (const place of [(theirs.entries[1]?.offset ?? 0) + 3, (theirs.entries.at(-1)?.offset ?? 0) + 3, 2000]) {
    await flip(path, place);
    assert.match(python(path).stderr, /^bad package: .*(?:: chunk |the digest of the executable)/);
    await flip(path, place);
  }
});

test("the second reader sees a flipped byte in each part", { skip: missing }, async () => {
  await using dir = await scratch();
  const executable = await writeExecutable(dir.at("bare"));
  const { path } = await writePackage({ executable, output: dir.at("stick"), ...smallContent() });
  const reader = await openPackage(path);
  await reader.close();
  const { footer, header } = reader.layout;
  const { offset } = reader.index.entries[1] ?? assert.fail();
  for (const at of [100, header.executableLength, footer.payloadStart + 60, offset, footer.indexOffset + 5, header.fileLength - 150]) {
    const file = await open(path, "r+");
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, at);
    const flipped = Buffer.from([(byte[0] as number) ^ 1]);
    await file.write(flipped, 0, 1, at);
    const found = python(path);
    await file.write(byte, 0, 1, at);
    await file.close();
    assert.equal(found.code, 1, `byte ${at}`);
    assert.match(found.stderr, /^bad package: /);
  }
  assert.equal(python(path).code, 0);
});

test("the second reader reads a package in parts, in any order, and misses one that is not there", { skip: missing }, async () => {
  await using dir = await scratch();
  const whole = await chunkyPackage(dir.path);
  await mkdir(dir.at("parts"));
  const { files } = await splitPackage({ path: whole, directory: dir.at("parts"), size: 1_200_000 });
  const [first = "", second = "", third = ""] = files.map(({ path }) => path);
  const listed = python(first, "--part", third, "--part", second);
  assert.equal(listed.code, 0, listed.stderr);
  assert.ok(listed.stdout.equals(python(whole).stdout));
  assert.match(python(first, "--part", third).stderr, /^bad package: a part is missing/);
  await flip(second, 100_000);
  assert.match(python(first, "--part", third, "--part", second).stderr, /^bad package: .*: chunk /);
  await flip(second, 100_000);
  await flip(second, 60);
  assert.equal(python(first, "--part", third, "--part", second).code, 0, "the other record still tells");
});

test("the second reader makes the new package from a delta and its base", { skip: missing }, async () => {
  await using dir = await scratch();
  const { content, entries } = smallContent();
  const executable = await writeExecutable(dir.at("bare"));
  const make = async (name: string, contents: readonly Buffer[]): Promise<string> => {
    const documents = contents.map((bytes, number) => ({ kind: "test", name: String(number), mediaType: "application/octet-stream", digest: digestOf(bytes), size: bytes.length }));
    return (await writePackage({ executable, output: dir.at(name), content: { ...content, documents }, entries: [...entries, ...contents.map((bytes, number) => identityEntry(String(number), bytes))] })).path;
  };
  const old = await make("old", [noise(1_500_000, 1), noise(10_000, 2)]);
  const twice = Buffer.alloc(2 << 20, noise(1 << 20, 3));
  const next = await make("new", [noise(10_000, 2), twice, noise(1_500_000, 1), noise(700_000, 4)]);
  const { carried } = await diffPackages({ old, new: next, output: dir.at("delta") });
  assert.equal(carried, (1 << 20) + 700_000);
  const made = python("--apply", dir.at("delta"), old);
  assert.equal(made.code, 0, made.stderr);
  assert.ok(made.stdout.equals(await readFile(next)));
  assert.match(python("--apply", dir.at("delta"), next).stderr, /^bad package: this is another base/);
  await flip(dir.at("delta"), (1 << 20) + 200_000);
  assert.match(python("--apply", dir.at("delta"), old).stderr, /^bad package: a piece of /);
});
