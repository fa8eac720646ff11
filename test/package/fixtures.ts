/** Small executables, entries and packages for the tests of this room and of those that read packages. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { open, writeFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { isKubestickError, type KubestickError } from "../../src/errors.ts";
import { digestOf } from "../../src/package/digest.ts";
import { elfMachine } from "../../src/package/elf.ts";
import { FOOTER_SIZE, HASH_CHUNK_SIZE, HEADER_SIZE, encodeFooter, encodeHeader, payloadStartFor } from "../../src/package/format.ts";
import { encodeIndex } from "../../src/package/package-index.ts";
import { openPackage, type OpenedPackage } from "../../src/package/reader.ts";
import { writePackage, type EntrySource } from "../../src/package/writer.ts";
import type { Digest, PackageContent } from "../../src/package/types.ts";

/** The error with which this must end. */
export async function failure(work: Promise<unknown>): Promise<KubestickError> {
  try {
    await work;
  } catch (error) {
    assert.ok(isKubestickError(error), String(error instanceof Error ? error.stack : error));
    return error;
  }
  return assert.fail("it succeeded");
}

/** Opens, looks, closes. */
export async function withPackage<T>(path: string, use: (reader: OpenedPackage) => T | Promise<T>): Promise<T> {
  const reader = await openPackage(path);
  try {
    return await use(reader);
  } finally {
    await reader.close();
  }
}

/** A directory that is removed at the end of the `await using` scope. */
export async function scratch(): Promise<AsyncDisposable & { readonly path: string; at(...names: string[]): string }> {
  const path = await mkdtemp(join(tmpdir(), "kubestick-package-"));
  return {
    path,
    at: (...names) => join(path, ...names),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

/** The smallest ELF file with one segment that covers all of it. */
export function bareExecutable(size = 5000, arch = "amd64"): Uint8Array {
  const bytes = Buffer.alloc(size, 0xc3);
  bytes.fill(0, 0, 120);
  bytes.write("\x7fELF\x02\x01\x01", 0, "latin1");
  bytes.writeUInt16LE(2, 16);
  bytes.writeUInt16LE(elfMachine(arch) ?? 0, 18);
  bytes.writeUInt32LE(1, 20);
  bytes.writeBigUInt64LE(64n, 32);
  bytes.writeUInt16LE(64, 52);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(1, 56);
  bytes.writeUInt32LE(1, 64);
  bytes.writeBigUInt64LE(BigInt(size), 64 + 32);
  return bytes;
}

export async function writeExecutable(path: string, arch = "amd64", size = 5000): Promise<string> {
  await writeFile(path, bareExecutable(size, arch), { mode: 0o755 });
  return path;
}

export async function* inChunks(bytes: Uint8Array, size = bytes.length): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

export function identityEntry(label: string, content: Uint8Array, chunk?: number): EntrySource {
  const digest = digestOf(content);
  return { digest, size: content.length, encoding: "identity", length: content.length, stored: digest, label, open: () => inChunks(content, chunk) };
}

export function zstdEntry(label: string, content: Uint8Array, chunk?: number): EntrySource {
  const stored = zstdCompressSync(content);
  return { digest: digestOf(content), size: content.length, encoding: "zstd", length: stored.length, stored: digestOf(stored), label, open: () => inChunks(stored, chunk) };
}

/** Reproducible bytes that do not compress well. */
export function noise(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed >>> 0 || 1;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

export const kubelet = Buffer.concat([Buffer.from("#!kubelet\n"), noise(300_000, 7), Buffer.alloc(200_000, 0x20)]);
export const layer = noise(120_000, 9);
export const manifest = Buffer.from('{"schemaVersion":2}');
export const config = Buffer.from('{"architecture":"amd64","os":"linux"}');

/** One binary (zstd) and one image with one layer. */
export function smallContent(): { content: PackageContent; entries: EntrySource[] } {
  const entries = [
    zstdEntry("kubelet", kubelet, 1000),
    identityEntry("registry.k8s.io/pause:3.10.2 manifest", manifest),
    identityEntry("registry.k8s.io/pause:3.10.2 config", config),
    identityEntry("registry.k8s.io/pause:3.10.2 layer 1", layer, 777),
  ];
  const target = { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: digestOf(manifest), size: manifest.length };
  return {
    entries,
    content: {
      kubernetesVersion: "v1.36.2",
      cni: "bridge",
      platforms: [
        {
          arch: "amd64",
          images: [
            {
              reference: "registry.k8s.io/pause:3.10.2",
              role: "pause",
              target,
              manifest: target,
              config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: digestOf(config), size: config.length },
              layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar", digest: digestOf(layer), size: layer.length, diffId: digestOf(layer), unpackedSize: layer.length, entry: digestOf(layer) }],
            },
          ],
          binaries: [{ name: "kubelet", version: "v1.36.2", path: "/usr/local/bin/kubelet", mode: 0o755, digest: digestOf(kubelet), size: kubelet.length, source: "https://dl.k8s.io/release/v1.36.2/bin/linux/amd64/kubelet" }],
        },
      ],
      documents: [],
    },
  };
}

/** Writes `smallContent` to `directory/stick`. */
export async function smallPackage(directory: string): Promise<string> {
  const executable = await writeExecutable(join(directory, "bare"));
  const { path } = await writePackage({ executable, output: join(directory, "stick"), ...smallContent() });
  return path;
}

/** A package whose largest entry has three chunks, the last one short. */
export async function chunkyPackage(directory: string): Promise<string> {
  const { content, entries } = smallContent();
  const large = Buffer.alloc(2 * HASH_CHUNK_SIZE + 12_345, "0123456789abcdefg");
  const executable = await writeExecutable(`${directory}/bare`);
  const document = { kind: "test", name: "large", mediaType: "application/octet-stream", digest: digestOf(large), size: large.length };
  const { path } = await writePackage({ executable, output: `${directory}/stick`, content: { ...content, documents: [document] }, entries: [...entries, identityEntry("a large document", large)] });
  return path;
}

/** Changes one bit. */
export async function flip(path: string, offset: number): Promise<void> {
  const file = await open(path, "r+");
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, offset);
  byte[0] = (byte[0] as number) ^ 0x20;
  await file.write(byte, 0, 1, offset);
  await file.close();
}

/**
 * A package of any length that takes no space: an entry of zeros, which the file system keeps as a hole, and a small one behind it. `holeLength`: of whole
 * chunks. The digest of the zeros is none of theirs: their chunks have hashes, and nobody in these tests reads them to the end.
 */
export async function sparsePackage(path: string, holeLength: number, tailText: string): Promise<{ readonly hole: Digest; readonly tailOffset: number }> {
  const bare = bareExecutable();
  const start = payloadStartFor(bare.length);
  const tail = Buffer.from(tailText);
  const hole: Digest = `sha256:${"0".repeat(64)}`;
  const sha256 = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();
  const zeros = sha256(Buffer.alloc(HASH_CHUNK_SIZE));
  const tailOffset = start + HEADER_SIZE + holeLength;
  const index = encodeIndex({
    kubernetesVersion: "v1.36.2", cni: "none", platforms: [{ arch: "amd64", images: [], binaries: [] }], documents: [],
    entries: [
      { digest: hole, size: holeLength, encoding: "identity", offset: start + HEADER_SIZE, length: holeLength, stored: hole, label: "hole", chunks: Buffer.concat(Array.from({ length: holeLength / HASH_CHUNK_SIZE }, () => zeros)) },
      { digest: digestOf(tail), size: tail.length, encoding: "identity", offset: tailOffset, length: tail.length, stored: digestOf(tail), label: "tail", chunks: sha256(tail) },
    ],
    chunkSize: HASH_CHUNK_SIZE, executable: { arch: "amd64", length: bare.length, digest: digestOf(bare), chunks: sha256(bare) },
  });
  const indexOffset = tailOffset + tail.length;
  const fileLength = indexOffset + index.length + FOOTER_SIZE;
  const file = await open(path, "w");
  for (const [bytes, at] of [
    [bare, 0],
    [encodeHeader({ fileLength, executableLength: bare.length, executable: digestOf(bare) }), start],
    [tail, tailOffset],
    [index, indexOffset],
    [encodeFooter({ payloadStart: start, indexOffset, indexLength: index.length, index: digestOf(index), signaturesLength: 0, signatures: digestOf("") }), indexOffset + index.length],
  ] as const) await file.write(bytes, 0, bytes.length, at);
  await file.close();
  return { hole, tailOffset };
}
