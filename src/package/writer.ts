/**
 * Writes a stick: the bare executable, the entries, the index and the footer, as one file.
 *
 * Nothing about the file is decided while it is written: sizes and digests of all entries are known before, so the header at the front
 * can name the final length and no byte is ever written twice. Equal inputs give equal bytes: no times, no host names, the given order.
 */
import { createHash } from "node:crypto";
import { access, constants, open, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { KubestickError, errnoOf, isKubestickError, messageOf } from "../errors.ts";
import { removeAbandoned, temporaryName } from "./abandoned.ts";
import { CHUNK_HASH_SIZE, ChunkList, chunkCount } from "./chunks.ts";
import { Digester, digestOf } from "./digest.ts";
import { readElf } from "./elf.ts";
import { readAt, readRange, scanRange } from "./file-bytes.ts";
import { FOOTER_SIZE, HASH_CHUNK_SIZE, HEADER_SIZE, decodeHeader, encodeFooter, encodeHeader, payloadStartFor } from "./format.ts";
import { encodeIndex } from "./package-index.ts";
import { openPackage } from "./reader.ts";
import { freeSpace, noSpace } from "./space.ts";
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
  readonly progress?: (phase: "write" | "verify", event: Parameters<ByteProgress>[0]) => void;
  readonly signal?: AbortSignal;
}

export interface WrittenPackage {
  readonly path: string;
  readonly size: number;
  /** Of the whole file, what `sha256sum` prints. */
  readonly digest: Digest;
}

/** The program part of an executable: what a stick is made from. */
export interface BareExecutable {
  readonly arch: string;
  readonly length: number;
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
    const behind = size > elf.end && decodeHeader(await readAt(file, payloadStartFor(elf.end), HEADER_SIZE)).is === "foreign";
    if (behind) throw refuse(`${size - elf.end} bytes follow the program that are no kubestick package.`);
    return { arch: elf.arch, length: elf.end };
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
  const { executable, output, content, progress, signal } = options;
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
  const fileLength = indexOffset + indexLength + FOOTER_SIZE;
  await requireWritable(output);
  const free = await freeSpace(dirname(output));
  if (free < fileLength) throw noSpace(dirname(output), fileLength, free, "-o");

  await removeAbandoned(dirname(output), basename(output));
  const temporary = temporaryName(output);
  let out: FileHandle | undefined;
  let source: FileHandle | undefined;
  try {
    source = await open(executable, "r");
    const executableDigester = new Digester();
    const executableChunks = new ChunkList(HASH_CHUNK_SIZE);
    const hash = (bytes: Uint8Array): void => {
      executableDigester.update(bytes);
      executableChunks.update(bytes);
    };
    await scanRange(source, 0, bare.length, hash, signal);
    const executableDigest = executableDigester.digest();
    const header = encodeHeader({ fileLength, executableLength: bare.length, executable: executableDigest });

    out = await open(temporary, "wx", 0o600);
    const file = new SequentialFile(out);
    for await (const chunk of readRange(source, 0, bare.length)) await file.write(chunk);
    await file.write(new Uint8Array(start - bare.length));
    await file.write(header);
    const chunks: Uint8Array[] = [];
    for (const entry of sources) chunks.push(await writeEntry(file, entry, fileLength, progress, signal));
    const index = indexWith(executableDigest, executableChunks.end(), chunks);
    await file.write(index);
    await file.write(encodeFooter({ payloadStart: start, indexOffset, indexLength, index: digestOf(index), signaturesLength: 0, signatures: digestOf("") }));
    await makeExecutable(out);
    await out.sync();
    await out.close();
    out = undefined;

    const written = await openPackage(temporary);
    try {
      await written.verify((event) => progress?.("verify", event), signal);
    } finally {
      await written.close();
    }
    await rename(temporary, output);
    await syncDirectory(dirname(output));
    return { path: output, size: fileLength, digest: file.digest() };
  } catch (error) {
    await out?.close();
    await rm(temporary, { force: true });
    if (isKubestickError(error) || signal?.aborted === true) throw error;
    throw writeFailed(output, error);
  } finally {
    await source?.close();
  }
}

/** On FAT and its relatives, which USB sticks come with, the mount decides about permissions and chmod is refused. */
async function makeExecutable(file: FileHandle): Promise<void> {
  try {
    await file.chmod(0o755);
  } catch (error) {
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL"].includes(errnoOf(error) ?? "")) throw error;
  }
}

/** The chunk hashes of what was written. */
async function writeEntry(file: SequentialFile, entry: EntrySource, total: number, progress: WriteOptions["progress"], signal: AbortSignal | undefined): Promise<Uint8Array> {
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

/** Appends, hashing what it writes. FileHandle.write may write less than asked (a full pipe, a signal), so it loops. */
class SequentialFile {
  readonly #handle: FileHandle;
  readonly #hash = createHash("sha256");
  length = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let from = 0; from < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, from, bytes.length - from, this.length);
      from += bytesWritten;
      this.length += bytesWritten;
    }
    this.#hash.update(bytes);
  }

  digest(): Digest {
    return `sha256:${this.#hash.digest("hex")}`;
  }
}

/** Throws PACK_WRITE when `path` cannot become a file: better said before an hour of downloads than after. */
export async function requireWritable(path: string): Promise<void> {
  try {
    const found = await stat(path).catch((error: unknown) => {
      if (errnoOf(error) === "ENOENT") return undefined;
      throw error;
    });
    if (found !== undefined && !found.isFile()) throw new Error("a folder or device has that name");
    await access(dirname(path), constants.W_OK);
  } catch (error) {
    throw writeFailed(path, error);
  }
}

function writeFailed(output: string, error: unknown): KubestickError {
  const errno = errnoOf(error);
  const next =
    errno === "ENOENT" ? `Make the folder first: \`mkdir -p ${dirname(output)}\`.`
    : errno === "ENOSPC" ? `Free some space (\`df -h ${dirname(output)}\`) or name another place with -o.`
    : errno === "EFBIG" ? "The file system does not take files of this size (FAT32 ends at 4 GiB): name a place on another one with -o."
    : `Check that you may write there: \`ls -ld ${dirname(output)}\`.`;
  return new KubestickError({ code: "PACK_WRITE", attempted: `writing ${output}`, happened: `The file could not be written: ${messageOf(error)}.`, next, cause: error });
}

/** A renamed file survives a power cut only when its directory is on disk too. */
async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } catch (error) {
    // Some network and FUSE file systems refuse fsync on directories; there is nothing more one can do for the name.
    if (errnoOf(error) !== "EINVAL" && errnoOf(error) !== "ENOTSUP") throw error;
  } finally {
    await handle.close();
  }
}
