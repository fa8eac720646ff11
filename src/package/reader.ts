/**
 * Reads the offline package a kubestick executable carries. Room: src/package.
 *
 * Owns: finding the package behind the ELF image, telling absent from truncated from damaged from too new, and streams that verify
 * what they hand out. Refuses: writing anything, and knowing what images or binaries are for.
 * Start at `openPackage`; the layout is in `format.ts`, the rules for an index in `package-index.ts`.
 */
import { open, type FileHandle } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createZstdDecompress } from "node:zlib";
import { isKubestickError, messageOf } from "../errors.ts";
import { Digester, digestOf } from "./digest.ts";
import { ELF_HEADER_SIZE, ELF_MAGIC, readElf } from "./elf.ts";
import { entryAbsent, packageAbsent, packageCorrupt, packageFormat, packageTruncated, packageUnreadable } from "./failures.ts";
import { readAt, readRange, scanRange } from "./file-bytes.ts";
import { FOOTER_SIZE, FORMAT_VERSION, HEADER_SIZE, MAX_INDEX_SIZE, ZSTD_WINDOW_LOG, decodeFooter, decodeHeader, payloadStartFor, type PackageHeader } from "./format.ts";
import { decodeIndex } from "./package-index.ts";
import type { ByteProgress, Digest, PackageEntry, PackageIndex, PackageReader } from "./types.ts";

const MAX_READ = 16 * 1024 * 1024;

const EXECUTABLE = "the executable";

/**
 * Opens the package in the file at `path`. Checks the layout and the index, not yet the entries: that is `verify()`, or each stream's end.
 * Rejects with PACKAGE_ABSENT, PACKAGE_TRUNCATED, PACKAGE_CORRUPT, PACKAGE_FORMAT, PACKAGE_INDEX or PACKAGE_UNREADABLE.
 */
export async function openPackage(path: string): Promise<PackageReader> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    const { header, index } = await locate(handle, path);
    return new FilePackage(path, handle, header, index);
  } catch (error) {
    await handle?.close();
    throw isKubestickError(error) ? error : packageUnreadable(path, error);
  }
}

async function locate(handle: FileHandle, path: string): Promise<{ header: PackageHeader; index: PackageIndex }> {
  const stat = await handle.stat();
  if (!stat.isFile()) throw packageAbsent(path, "It is not a regular file.");
  const size = stat.size;
  const footerBytes = await readAt(handle, Math.max(0, size - FOOTER_SIZE), FOOTER_SIZE);
  const footer = decodeFooter(footerBytes);
  const elf = await readElf((offset, length) => readAt(handle, offset, length));

  if (elf === undefined) {
    if (footer.is !== "foreign") throw packageCorrupt(path, EXECUTABLE, "its ELF header is not one of a 64-bit executable");
    const head = await readAt(handle, 0, ELF_MAGIC.length);
    const cutElf = size < ELF_HEADER_SIZE && Buffer.compare(head, ELF_MAGIC.subarray(0, head.length)) === 0;
    if (cutElf) throw packageTruncated(path, size, undefined);
    throw packageAbsent(path, "It is not a kubestick executable (no 64-bit little-endian ELF file).");
  }
  if (size <= elf.end) {
    if (footer.is !== "foreign") throw packageCorrupt(path, EXECUTABLE, `its headers describe ${elf.end} bytes, more than the file has`);
    if (size < elf.end) throw packageTruncated(path, size, elf.end);
    throw packageAbsent(path, "This executable carries no package: the file ends where the program ends.");
  }

  const start = payloadStartFor(elf.end);
  const headerBytes = await readAt(handle, start, HEADER_SIZE);
  if (headerBytes.length < HEADER_SIZE && footer.is !== "intact") throw packageTruncated(path, size, undefined);
  const decoded = decodeHeader(headerBytes);
  if (decoded.is === "newer") throw packageFormat(path, decoded.version, FORMAT_VERSION);
  if (decoded.is === "damaged") throw packageCorrupt(path, "the package header", "its checksum does not match");
  if (decoded.is === "foreign") {
    if (footer.is === "newer") throw packageFormat(path, footer.version, FORMAT_VERSION);
    if (footer.is === "intact" && footer.value.payloadStart !== start) throw packageCorrupt(path, EXECUTABLE, "its headers describe another length than the one that was packed");
    if (footer.is !== "foreign") throw packageCorrupt(path, "the package header", "it does not begin with its magic bytes");
    throw packageAbsent(path, `${size - elf.end} bytes follow the program, but they are no kubestick package.`);
  }

  const header = decoded.value;
  if (size < header.fileLength) throw packageTruncated(path, size, header.fileLength);
  if (size > header.fileLength) throw packageCorrupt(path, "the end of the file", `${size - header.fileLength} bytes stand behind the package`);
  if (header.executableLength !== elf.end) throw packageCorrupt(path, EXECUTABLE, `its headers describe ${elf.end} bytes, packed were ${header.executableLength}`);
  if (!isZero(await readAt(handle, elf.end, start - elf.end))) throw packageCorrupt(path, "the padding behind the executable", "it is not all zero");
  if (footer.is !== "intact") {
    const why = isZero(footerBytes) ? "it is all zero, as after a copy that reserved its space but was not finished" : "its checksum does not match";
    throw packageCorrupt(path, "the package footer", why);
  }
  const { payloadStart, indexOffset, indexLength } = footer.value;
  const indexFits = indexOffset >= start + HEADER_SIZE && indexLength <= MAX_INDEX_SIZE && indexOffset + indexLength === size - FOOTER_SIZE;
  if (payloadStart !== start || !indexFits) throw packageCorrupt(path, "the package footer", "the places it names do not fit the file");

  const indexBytes = await readAt(handle, indexOffset, indexLength);
  if (digestOf(indexBytes) !== footer.value.index) throw packageCorrupt(path, "the package index", "its bytes do not match the digest in the footer");
  return { header, index: decodeIndex(indexBytes, { start: start + HEADER_SIZE, end: indexOffset }, path) };
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

class FilePackage implements PackageReader {
  readonly path: string;
  readonly index: PackageIndex;
  readonly #handle: FileHandle;
  readonly #header: PackageHeader;
  readonly #entries: ReadonlyMap<Digest, PackageEntry>;

  constructor(path: string, handle: FileHandle, header: PackageHeader, index: PackageIndex) {
    this.path = path;
    this.index = index;
    this.#handle = handle;
    this.#header = header;
    this.#entries = new Map(index.entries.map((entry) => [entry.digest, entry]));
  }

  async *open(digest: Digest): AsyncGenerator<Uint8Array> {
    const entry = this.#entry(digest);
    const content = new Digester();
    for await (const chunk of entry.encoding === "zstd" ? this.#inflate(entry) : this.#stored(entry)) {
      content.update(chunk);
      if (content.size > entry.size) throw packageCorrupt(this.path, entry.label, `it unpacks to more than its ${entry.size} bytes`);
      yield chunk;
    }
    if (content.size !== entry.size) throw packageCorrupt(this.path, entry.label, `it has ${content.size} bytes instead of ${entry.size}`);
    const found = content.digest();
    if (found !== entry.digest) throw packageCorrupt(this.path, entry.label, `its digest is ${found} instead of ${entry.digest}`);
  }

  async read(digest: Digest): Promise<Uint8Array> {
    const entry = this.#entry(digest);
    if (entry.size > MAX_READ) throw new RangeError(`Entry ${entry.label} has ${entry.size} bytes; only entries up to ${MAX_READ} bytes are read whole`);
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.open(digest)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  async verify(progress?: ByteProgress, signal?: AbortSignal): Promise<void> {
    const { executableLength, executable } = this.#header;
    const total = this.index.entries.reduce((sum, entry) => sum + entry.length, executableLength);
    let done = 0;
    const check = async (label: string, offset: number, length: number, expected: Digest): Promise<void> => {
      const digester = new Digester();
      const scan = scanRange(
        this.#handle,
        offset,
        length,
        (chunk) => {
          digester.update(chunk);
          done += chunk.length;
          progress?.({ done, total, label });
        },
        signal,
      );
      await scan.catch((error: unknown) => {
        throw signal?.aborted === true ? error : packageUnreadable(this.path, error);
      });
      const found = digester.digest();
      if (found !== expected) throw packageCorrupt(this.path, label, `the digest of its stored bytes is ${found} instead of ${expected}`);
    };
    await check(EXECUTABLE, 0, executableLength, executable);
    for (const entry of this.index.entries) await check(entry.label, entry.offset, entry.length, entry.stored);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  #entry(digest: Digest): PackageEntry {
    const entry = this.#entries.get(digest);
    if (entry === undefined) throw entryAbsent(this.path, digest);
    return entry;
  }

  async *#stored(entry: PackageEntry): AsyncGenerator<Uint8Array> {
    try {
      yield* readRange(this.#handle, entry.offset, entry.length);
    } catch (error) {
      throw packageUnreadable(this.path, error);
    }
  }

  async *#inflate(entry: PackageEntry): AsyncGenerator<Uint8Array> {
    const inflate = createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG } });
    const source = Readable.from(this.#stored(entry), { objectMode: false });
    // A failure reaches the loop below through the last stream; here it only must not go unhandled.
    const piping = pipeline(source, inflate).catch(() => undefined);
    try {
      for await (const chunk of inflate) yield chunk as Uint8Array;
    } catch (error) {
      throw isKubestickError(error) ? error : packageCorrupt(this.path, entry.label, `it cannot be unpacked: ${messageOf(error)}`, error);
    } finally {
      inflate.destroy();
      await piping;
    }
  }
}
