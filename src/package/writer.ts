/**
 * Writes a stick: the bare executable, the entries, the index and the footer, as one file.
 *
 * Nothing about the file is decided while it is written: sizes and digests of all entries are known before, so the header at the front
 * can name the final length and no byte is ever written twice. Equal inputs give equal bytes: no times, no host names, the given order.
 */
import { open, type FileHandle } from "node:fs/promises";
import { KubestickError, isKubestickError, messageOf } from "../errors.ts";
import { CHUNK_HASH_SIZE, ChunkList, chunkCount } from "./chunks.ts";
import { Digester, digestOf } from "./digest.ts";
import { EXECUTABLE } from "./damage.ts";
import { readElf } from "./elf.ts";
import { packageCorrupt } from "./failures.ts";
import { readAt, readRange, scanRange } from "./file-bytes.ts";
import { FOOTER_SIZE, HASH_CHUNK_SIZE, HEADER_SIZE, decodeHeader, encodeFooter, encodeHeader, payloadStartFor } from "./format.ts";
import { encodeIndex } from "./package-index.ts";
import { leftOverParts, plannedParts, titleOf, writeOutput, type OutputFile, type PackageOutput } from "./package-output.ts";
import { PART_RECORD_SIZE, decodePartRecord } from "./part-format.ts";
import { encodeSignatures, signIndex, signaturesLength, type PackageSigningKey } from "./signatures.ts";
import type { ByteProgress, Digest, PackageContent, PackageEntry } from "./types.ts";

/** An entry before it has a place in a file. `open` gives its stored bytes; they are verified against `stored` and `length` while written. */
export interface EntrySource extends Omit<PackageEntry, "offset" | "chunks"> {
  readonly open: () => AsyncIterable<Uint8Array>;
}

export interface WriteOptions {
  /** A kubestick executable, with or without a package: only its program part is taken. */
  readonly executable: string;
  readonly output: string;
  readonly content: PackageContent;
  /** In the order they are to be read. Of several with the same digest the first is written. */
  readonly entries: readonly EntrySource[];
  /** Largest file, in bytes: a package that is longer becomes several files. Default: one file. */
  readonly split?: number | undefined;
  /** Who signs the index; nobody when left out. */
  readonly signingKeys?: readonly PackageSigningKey[] | undefined;
  readonly progress?: (phase: "write" | "verify", event: Parameters<ByteProgress>[0]) => void;
  readonly signal?: AbortSignal;
}

export interface WrittenPackage {
  readonly path: string;
  readonly size: number;
  /** Of the whole file, what `sha256sum` prints. */
  readonly digest: Digest;
  /** One, or the parts in order. */
  readonly files: readonly OutputFile[];
  /** Files with names of its parts that an earlier package left. */
  readonly leftOver: readonly string[];
}

/** The program part of an executable: what a stick is made from. */
export interface BareExecutable {
  readonly arch: string;
  readonly length: number;
  /** What it was when a package was put behind it; undefined when there is none. */
  readonly packed?: Digest;
}

/** Throws PACK_EXECUTABLE when the file is no executable a package can be put behind. */
export async function inspectExecutable(path: string): Promise<BareExecutable> {
  const refuse = (happened: string, cause?: unknown): KubestickError =>
    new KubestickError({
      code: "PACK_EXECUTABLE",
      attempted: `taking ${path} as the executable of the new package`,
      happened,
      next: "Name a kubestick executable of the wanted architecture with --executable, e.g. `--executable ./kubestick-linux-arm64`.",
      cause,
    });
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    const file = handle;
    const { size } = await file.stat();
    const elf = await readElf((offset, length) => readAt(file, offset, length));
    if (elf === undefined) throw refuse("It is not a 64-bit ELF executable.");
    if (elf.end > size) throw refuse(`It is cut: its headers describe ${elf.end} bytes, the file has ${size}.`);
    // Other bytes there (a signature, another tool's payload) would silently be lost.
    const next = await readAt(file, payloadStartFor(elf.end), PART_RECORD_SIZE);
    const header = decodeHeader(next);
    const behind = size > elf.end && header.is === "foreign" && decodePartRecord(next).is === "foreign";
    if (behind) throw refuse(`${size - elf.end} bytes follow the program that are no kubestick package.`);
    return { arch: elf.arch, length: elf.end, ...(header.is === "intact" ? { packed: header.value.executable } : {}) };
  } catch (error) {
    throw isKubestickError(error) ? error : refuse(`It cannot be read: ${messageOf(error)}.`, error);
  } finally {
    await handle?.close();
  }
}

/**
 * Writes to a temporary file beside `output`, reads it back and verifies every byte, then renames. An existing output is replaced only
 * by a verified one; it may be the running executable itself.
 */
export async function writePackage(options: WriteOptions): Promise<WrittenPackage> {
  const { executable, output, content, split, progress, signal, signingKeys = [] } = options;
  const bare = await inspectExecutable(executable);
  const sources = firstOfEachDigest(options.entries);
  const start = payloadStartFor(bare.length);
  const entries = placed(sources, start + HEADER_SIZE);
  const indexOffset = entries.reduce((_, entry) => entry.offset + entry.length, start + HEADER_SIZE);
  // Chunk hashes are found while writing. Their place in the index has the same length before.
  const indexWith = (executableDigest: Digest, executableChunks: Uint8Array, chunks: readonly Uint8Array[]): Uint8Array =>
    encodeIndex({
      ...content,
      chunkSize: HASH_CHUNK_SIZE,
      executable: { arch: bare.arch, length: bare.length, digest: executableDigest, chunks: executableChunks },
      entries: entries.map((entry, number) => ({ ...entry, chunks: chunks[number] ?? entry.chunks })),
    });
  const unknown = (length: number): Uint8Array => new Uint8Array(chunkCount(length, HASH_CHUNK_SIZE) * CHUNK_HASH_SIZE);
  const indexLength = indexWith(`sha256:${"0".repeat(64)}`, unknown(bare.length), []).length;
  const signed = signaturesLength(signingKeys);
  const fileLength = indexOffset + indexLength + signed + FOOTER_SIZE;
  const shape = { payloadStart: start, entriesOffset: start + HEADER_SIZE, indexOffset, fileLength, chunkSize: HASH_CHUNK_SIZE, entries };
  const plan = split === undefined ? undefined : plannedParts(output, shape, split, digestOf(""), titleOf(content, bare.arch));

  let source: FileHandle | undefined;
  try {
    const file = await open(executable, "r");
    source = file;
    const executableDigester = new Digester();
    const executableChunks = new ChunkList(HASH_CHUNK_SIZE);
    const hash = (bytes: Uint8Array): void => {
      executableDigester.update(bytes);
      executableChunks.update(bytes);
    };
    await scanRange(file, 0, bare.length, hash, signal);
    const executableDigest = executableDigester.digest();
    // Else the new package would vouch for bytes that the one they come from does not know.
    if (bare.packed !== undefined && bare.packed !== executableDigest) throw packageCorrupt(executable, EXECUTABLE, "its bytes are not the ones that were packed");
    const header = encodeHeader({ fileLength, executableLength: bare.length, executable: executableDigest });

    const { digest, files } = await writeOutput(output, { fileLength, plan }, async (out) => {
      for await (const chunk of readRange(file, 0, bare.length)) await out.write(chunk);
      await out.write(new Uint8Array(start - bare.length));
      await out.write(header);
      const chunks: Uint8Array[] = [];
      for (const entry of sources) chunks.push(await writeEntry(out, entry, fileLength, progress, signal));
      const index = indexWith(executableDigest, executableChunks.end(), chunks);
      const id = digestOf(index);
      await out.write(index);
      const signatures = encodeSignatures(signingKeys.map((key) => signIndex(index, key)));
      await out.write(signatures);
      await out.write(encodeFooter({ payloadStart: start, indexOffset, indexLength: index.length, index: id, signaturesLength: signed, signatures: digestOf(signatures) }));
      return { id, value: undefined };
    }, (event) => progress?.("verify", event), signal);
    return { path: output, size: fileLength, digest, files, leftOver: plan === undefined ? [] : await leftOverParts(output, files) };
  } finally {
    await source?.close();
  }
}

/** The chunk hashes of what was written. */
async function writeEntry(file: PackageOutput, entry: EntrySource, total: number, progress: WriteOptions["progress"], signal: AbortSignal | undefined): Promise<Uint8Array> {
  const digester = new Digester();
  const chunks = new ChunkList(HASH_CHUNK_SIZE);
  for await (const chunk of entry.open()) {
    signal?.throwIfAborted();
    digester.update(chunk);
    if (digester.size > entry.length) break;
    chunks.update(chunk);
    await file.write(chunk);
    progress?.("write", { done: file.length, total, label: entry.label });
  }
  const found = digester.digest();
  if (digester.size === entry.length && found === entry.stored) return chunks.end();
  throw new KubestickError({
    code: "PACK_SOURCE_CHANGED",
    attempted: `writing ${entry.label} into the package`,
    happened: `Its bytes are not the ones found when it was collected: ${found} (${digester.size} bytes) instead of ${entry.stored} (${entry.length} bytes).`,
    next: "Run the same command again; if it happens again, the disk that holds the cache or the --images folder is failing.",
  });
}

function firstOfEachDigest(sources: readonly EntrySource[]): readonly EntrySource[] {
  const kept = new Map<Digest, EntrySource>();
  for (const source of sources) if (!kept.has(source.digest)) kept.set(source.digest, source);
  return [...kept.values()];
}

function placed(sources: readonly EntrySource[], first: number): readonly PackageEntry[] {
  let offset = first;
  return sources.map(({ digest, size, encoding, length, stored, label }) => {
    const chunks = new Uint8Array(chunkCount(length, HASH_CHUNK_SIZE) * CHUNK_HASH_SIZE);
    const entry: PackageEntry = { digest, size, encoding, offset, length, stored, label, chunks };
    offset += length;
    return entry;
  });
}
