import assert from "node:assert/strict";
import { open, readFile, readdir, stat, truncate, writeFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { digestOf } from "../../src/package/digest.ts";
import { readElf } from "../../src/package/elf.ts";
import { readAt } from "../../src/package/file-bytes.ts";
import { openPackage } from "../../src/package/reader.ts";
import { writePackage } from "../../src/package/writer.ts";
import type { Digest, PackageReader } from "../../src/package/types.ts";
import { bareExecutable, config, identityEntry, kubelet, layer, noise, scratch, smallContent, smallPackage, sparsePackage, writeExecutable, zstdEntry } from "./fixtures.ts";

async function contentOf(reader: PackageReader, digest: Digest): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of reader.open(digest)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test("openPackage gives back what writePackage wrote", async () => {
  await using dir = await scratch();
  const path = await smallPackage(dir.path);
  const reader = await openPackage(path);
  const { content } = smallContent();
  const { entries, formatVersion, kubernetesVersion, cni, platforms, documents } = reader.index;
  assert.equal(formatVersion, 2);
  assert.deepEqual({ kubernetesVersion, cni, platforms, documents }, content);
  assert.deepEqual(reader.index.images, content.platforms[0]?.images);
  assert.deepEqual(await contentOf(reader, digestOf(kubelet)), kubelet);
  assert.deepEqual(await contentOf(reader, digestOf(layer)), layer);
  assert.deepEqual(Buffer.from(await reader.read(digestOf(config))), config);
  assert.equal(entries[0]?.encoding, "zstd");
  assert.ok((entries[0]?.length ?? 0) < kubelet.length);

  const seen: number[] = [];
  await reader.verify(({ done, total }) => {
    assert.ok(done <= total);
    seen.push(done / total);
  });
  assert.equal(seen.at(-1), 1);
  await reader.close();
  assert.equal((await stat(path)).mode & 0o777, 0o755);
});

test("writePackage reports the size and the digest of the finished file", async () => {
  await using dir = await scratch();
  const executable = await writeExecutable(dir.at("bare"));
  const written = await writePackage({ executable, output: dir.at("stick"), ...smallContent() });
  const bytes = await readFile(dir.at("stick"));
  assert.equal(written.size, bytes.length);
  assert.equal(written.digest, digestOf(bytes));
});

test("writePackage gives equal bytes for equal content however the sources are chunked", async () => {
  await using dir = await scratch();
  const executable = await writeExecutable(dir.at("bare"));
  const bytes = noise(20_001);
  const digests = new Set<string>();
  for (const chunk of [13, 999, 4096, 65_537]) {
    const { content } = smallContent();
    const entries = [...smallContent().entries, identityEntry("odd", bytes, chunk), zstdEntry("packed", kubelet.subarray(450_001), chunk)];
    const { digest } = await writePackage({ executable, output: dir.at(`stick-${chunk}`), content, entries });
    digests.add(digest);
  }
  assert.equal(digests.size, 1);
});

test("writePackage makes the same stick from a bare executable and from a packed one", async () => {
  await using dir = await scratch();
  const executable = await writeExecutable(dir.at("bare"));
  const first = await writePackage({ executable, output: dir.at("first"), ...smallContent() });
  const second = await writePackage({ executable: first.path, output: dir.at("second"), ...smallContent() });
  assert.equal(second.digest, first.digest);
  const inPlace = await writePackage({ executable: first.path, output: first.path, ...smallContent() });
  assert.equal(inPlace.digest, first.digest);
});

test("writePackage stores an entry once when it is listed twice", async () => {
  await using dir = await scratch();
  const executable = await writeExecutable(dir.at("bare"));
  const { content, entries } = smallContent();
  await writePackage({ executable, output: dir.at("stick"), content, entries: [...entries, identityEntry("the same layer", layer)] });
  const reader = await openPackage(dir.at("stick"));
  assert.equal(reader.index.entries.filter((entry) => entry.digest === digestOf(layer)).length, 1);
  await reader.close();
});

test("writePackage leaves an existing output alone when a source changes under it", async () => {
  await using dir = await scratch();
  const path = await smallPackage(dir.path);
  const before = await readFile(path);
  const { content, entries } = smallContent();
  const broken = { ...identityEntry("x", noise(100)), open: () => identityEntry("x", noise(101)).open() };
  await assert.rejects(writePackage({ executable: dir.at("bare"), output: path, content, entries: [...entries, broken] }), { code: "PACK_SOURCE_CHANGED" });
  assert.deepEqual(await readFile(path), before);
});

test("writePackage refuses a file that is no executable, a cut one, and one with somebody else's bytes behind it", async () => {
  await using dir = await scratch();
  await writeFile(dir.at("text"), "hello");
  await writeFile(dir.at("cut"), bareExecutable().subarray(0, 4000));
  await writeFile(dir.at("signed"), Buffer.concat([bareExecutable(), noise(10_000)]));
  for (const name of ["text", "cut", "absent", "signed"]) {
    await assert.rejects(writePackage({ executable: dir.at(name), output: dir.at("out"), ...smallContent() }), { code: "PACK_EXECUTABLE" });
  }
});

test("PackageReader reads entries beyond 4 GiB", async () => {
  await using dir = await scratch();
  const { hole, tailOffset } = await sparsePackage(dir.at("sparse"), 5 * 2 ** 30, "beyond four gibibytes");
  const reader = await openPackage(dir.at("sparse"));
  assert.equal(reader.index.entries[1]?.offset, tailOffset);
  assert.equal((await contentOf(reader, digestOf("beyond four gibibytes"))).toString(), "beyond four gibibytes");
  // Back-pressure: a consumer that stops early has not made the reader go through five gibibytes.
  for await (const chunk of reader.open(hole)) {
    assert.equal(createHash("sha256").update(chunk).digest("hex").length, 64);
    break;
  }
  await reader.close();

  await truncate(dir.at("sparse"), 2 ** 32 + 17);
  await assert.rejects(openPackage(dir.at("sparse")), { code: "PACKAGE_TRUNCATED" });
});

test("PackageReader stops verifying when its signal fires", async () => {
  await using dir = await scratch();
  const reader = await openPackage(await smallPackage(dir.path));
  await assert.rejects(reader.verify(undefined, AbortSignal.abort()), { name: "AbortError" });
  await reader.close();
});

test("PackageReader refuses a digest it does not carry and a whole read of a large entry", async () => {
  await using dir = await scratch();
  const executable = await writeExecutable(dir.at("bare"));
  const large = Buffer.alloc(17 * 1024 * 1024);
  const { content, entries } = smallContent();
  await writePackage({ executable, output: dir.at("stick"), content, entries: [...entries, zstdEntry("large", large)] });
  const reader = await openPackage(dir.at("stick"));
  await assert.rejects(reader.read(digestOf("nothing")), { code: "PACKAGE_ENTRY_ABSENT" });
  await assert.rejects(reader.read(digestOf(large)), RangeError);
  await reader.close();
});

test("writePackage clears away what a killed run left for the same output, and nothing else", async () => {
  await using dir = await scratch();
  const executable = await writeExecutable(dir.at("bare"));
  // The largest pid Linux gives is 2^22.
  for (const name of [".stick.4194305.partial", ".other.4194305.partial", `.stick.${process.ppid}.partial`, ".stick.partial"]) await writeFile(dir.at(name), "x");
  await writePackage({ executable, output: dir.at("stick"), ...smallContent() });
  assert.deepEqual((await readdir(dir.path)).sort(), [".other.4194305.partial", `.stick.${process.ppid}.partial`, ".stick.partial", "bare", "stick"].sort());
});

test("readElf finds the end of the Node executable at the end of its file", async () => {
  const handle = await open(process.execPath);
  const elf = await readElf((offset, length) => readAt(handle, offset, length));
  assert.equal(elf?.end, (await handle.stat()).size);
  assert.ok(elf.arch === "amd64" || elf.arch === "arm64");
  await handle.close();
});

test("a reader of lent chunks gets the same bytes in one buffer, one that keeps them gets each in its own", async () => {
  await using dir = await scratch();
  const content = noise(600_000, 4);
  const document = { kind: "test", name: "large", mediaType: "application/octet-stream", digest: digestOf(content), size: content.length };
  const { path } = await writePackage({ executable: await writeExecutable(dir.at("bare")), output: dir.at("stick"), content: { ...smallContent().content, documents: [document] }, entries: [...smallContent().entries, identityEntry("large", content)] });
  const reader = await openPackage(path);
  for (const [open, buffers] of [[() => reader.open(document.digest, "lent"), 1], [() => reader.stored(document.digest).open("lent"), 1], [() => reader.open(document.digest), 3], [() => reader.stored(document.digest).open(), 3]] as const) {
    const [used, copies]: [Set<ArrayBufferLike>, Uint8Array[]] = [new Set(), []];
    for await (const chunk of open()) {
      used.add(chunk.buffer);
      copies.push(Uint8Array.from(chunk));
    }
    assert.deepEqual(Buffer.concat(copies), content);
    assert.equal(used.size, buffers);
  }
  await reader.close();
});
