import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { open } from "node:fs/promises";
import { resolve } from "node:path";
import { test } from "node:test";
import { zstdDecompressSync } from "node:zlib";
import { digestOf } from "../../src/package/digest.ts";
import { openPackage } from "../../src/package/reader.ts";
import { writePackage } from "../../src/package/writer.ts";
import { identityEntry, kubelet, scratch, smallContent, writeExecutable } from "./fixtures.ts";

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
