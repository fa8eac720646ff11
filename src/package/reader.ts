/**
 * Reads the offline package a kubestick executable carries. Room: src/package.
 *
 * Owns: finding the package behind the program, telling absent from truncated from damaged from too new, and streams that verify
 * what they hand out. Refuses: writing anything, and knowing what images or binaries are for.
 * Start at `readPackage`; the layout is in `format.ts`, the rules for an index in `package-index.ts`.
 */
import { constants, createZstdDecompress, type ZstdDecompress } from "node:zlib";
import { isKubestickError, messageOf, type KubestickError } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { ChunkHasher, chunkHash } from "./chunks.ts";
import { EXECUTABLE, damagedChunks, joined, placeText, regionsOf, runText, type Chunk, type PackageLayout, type Region } from "./damage.ts";
import { Digester, digestOf } from "./digest.ts";
import { ELF_HEADER_SIZE } from "./elf.ts";
import { entryAbsent, packageAbsent, packageCorrupt, packageFormat, packageTruncated, packageUnreadable } from "./failures.ts";
import { CHUNK_SIZE, readAt, readInto, readRange } from "./file-bytes.ts";
import { FOOTER_SIZE, FORMAT_VERSION, HEADER_SIZE, MAX_INDEX_SIZE, MAX_SIGNATURES_SIZE, ZSTD_WINDOW_LOG, decodeFooter, decodeHeader, payloadStartFor } from "./format.ts";
import { decodeIndex } from "./package-index.ts";
import { openPackageSource, type PartOptions } from "./part-source.ts";
import { decodeSignatures, verifiedSigners } from "./signatures.ts";
import { ANY_ARCH, isCutFront, readFront } from "./starter.ts";
import { digestsOfPlatform } from "./platform.ts";
import type { ByteProgress, ChunkHold, Damage, Digest, PackageEntry, PackageIndex, PackagePlatform, PackageReader, PackageSigner, StoredBytes } from "./types.ts";

const MAX_READ = 16 * 1024 * 1024;
/** What comes out of the decoder at once. */
const INFLATED_CHUNK = 512 * 1024;

export interface OpenOptions extends PartOptions {
  /** Whose images and programs the index shows, if there are any for it; default this processor's. */
  readonly arch?: string | undefined;
}

/** An opened package with all that says how its bytes have to be. */
export interface OpenedPackage extends PackageReader {
  readonly source: ByteSource;
  readonly layout: PackageLayout;
}

/** Opens the package in the file at `path`, or in the parts of which that is the first; see `openPackageSource` and `readPackage`. */
export async function openPackage(path: string, options: OpenOptions = {}): Promise<OpenedPackage> {
  return readPackage(await openPackageSource(path, options), options);
}

/**
 * Opens a package wherever its bytes are. Checks the layout and the index, not yet the entries: that is `verify()`, or each stream.
 * Rejects with PACKAGE_ABSENT, PACKAGE_TRUNCATED, PACKAGE_CORRUPT, PACKAGE_FORMAT, PACKAGE_INDEX, PACKAGE_SIGNATURES, PACKAGE_SIGNATURE_INVALID or
 * PACKAGE_UNREADABLE, and then closes the source.
 */
export async function readPackage(source: ByteSource, options: OpenOptions = {}): Promise<OpenedPackage> {
  try {
    return new SourcePackage(source, await locate(source, options.arch));
  } catch (error) {
    await source.close();
    throw isKubestickError(error) ? error : packageUnreadable(source.name, error);
  }
}

async function locate(source: ByteSource, arch: string | undefined): Promise<PackageLayout> {
  const { name: path, size } = source;
  const footerBytes = await readAt(source, Math.max(0, size - FOOTER_SIZE), FOOTER_SIZE);
  const footer = decodeFooter(footerBytes);
  const front = await readFront((offset, length) => readAt(source, offset, length));

  if (front === undefined) {
    if (footer.is === "other") throw packageFormat(path, footer.version, FORMAT_VERSION);
    if (footer.is !== "foreign") throw packageCorrupt(path, EXECUTABLE, "its ELF header is not one of a 64-bit executable");
    if (size < ELF_HEADER_SIZE && isCutFront(await readAt(source, 0, size))) throw packageTruncated(path, size, undefined);
    throw packageAbsent(path, "It is not a kubestick executable (no 64-bit little-endian ELF file).");
  }
  if (size <= front.end) {
    if (footer.is !== "foreign") throw packageCorrupt(path, EXECUTABLE, `its headers describe ${front.end} bytes, more than the file has`);
    // The lines that choose a program are nothing without one.
    if (size < front.end || front.arch === ANY_ARCH) throw packageTruncated(path, size, size < front.end ? front.end : undefined);
    throw packageAbsent(path, "This executable carries no package: the file ends where the program ends.");
  }

  const start = payloadStartFor(front.end);
  const headerBytes = await readAt(source, start, HEADER_SIZE);
  if (headerBytes.length < HEADER_SIZE && footer.is !== "intact") throw packageTruncated(path, size, undefined);
  const decoded = decodeHeader(headerBytes);
  if (decoded.is === "other") throw packageFormat(path, decoded.version, FORMAT_VERSION);
  if (decoded.is === "damaged") throw packageCorrupt(path, "the package header", "its checksum does not match");
  if (decoded.is === "foreign") {
    if (footer.is === "other") throw packageFormat(path, footer.version, FORMAT_VERSION);
    if (footer.is === "intact" && footer.value.payloadStart !== start) throw packageCorrupt(path, EXECUTABLE, "its headers describe another length than the one that was packed");
    if (footer.is !== "foreign") throw packageCorrupt(path, "the package header", "it does not begin with its magic bytes");
    throw packageAbsent(path, `${size - front.end} bytes follow the program, but they are no kubestick package.`);
  }

  const header = decoded.value;
  if (size < header.fileLength) throw packageTruncated(path, size, header.fileLength);
  if (size > header.fileLength) throw packageCorrupt(path, "the end of the file", `${size - header.fileLength} bytes stand behind the package`);
  if (header.executableLength !== front.end) throw packageCorrupt(path, EXECUTABLE, `its headers describe ${front.end} bytes, packed were ${header.executableLength}`);
  if (!isZero(await readAt(source, front.end, start - front.end))) throw packageCorrupt(path, "the padding behind the executable", "it is not all zero");
  if (footer.is !== "intact") {
    const why = isZero(footerBytes) ? "it is all zero, as after a copy that reserved its space but was not finished" : "its checksum does not match";
    throw packageCorrupt(path, "the package footer", why);
  }
  const { payloadStart, indexOffset, indexLength, signaturesLength } = footer.value;
  const behindIndex = indexOffset + indexLength;
  const fits = indexOffset >= start + HEADER_SIZE && indexLength <= MAX_INDEX_SIZE && signaturesLength <= MAX_SIGNATURES_SIZE && behindIndex + signaturesLength === size - FOOTER_SIZE;
  if (payloadStart !== start || !fits) throw packageCorrupt(path, "the package footer", "the places it names do not fit the file");

  const indexBytes = await readAt(source, indexOffset, indexLength);
  if (digestOf(indexBytes) !== footer.value.index) throw packageCorrupt(path, "the package index", "its bytes do not match the digest in the footer");
  const signatureBytes = await readAt(source, behindIndex, signaturesLength);
  if (digestOf(signatureBytes) !== footer.value.signatures) throw packageCorrupt(path, "the signatures", "their bytes do not match the digest in the footer");
  // Before the index is looked into: a signed one that was changed is not believed in anything.
  const signers = verifiedSigners(decodeSignatures(signatureBytes, path), indexBytes, path);
  const index = decodeIndex(indexBytes, { start: start + HEADER_SIZE, end: indexOffset }, path, arch);
  const { executable } = index;
  const same = executable.length === front.end && executable.arch === front.arch && executable.digest === header.executable;
  if (!same) throw packageCorrupt(path, EXECUTABLE, `its headers describe ${front.end} bytes for ${front.arch}, the index ${executable.length} bytes for ${executable.arch}`);
  return { header, footer: footer.value, index, indexBytes, signatureBytes, signers };
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

class SourcePackage implements OpenedPackage {
  readonly path: string;
  readonly remote?: true;
  readonly index: PackageIndex;
  readonly indexDigest: Digest;
  readonly signers: readonly PackageSigner[];
  readonly source: ByteSource;
  readonly layout: PackageLayout;
  readonly #entries: ReadonlyMap<Digest, PackageEntry>;
  /** Where the entries begin of which every chunk was seen to be as packed. */
  readonly #intact = new Set<number>();

  constructor(source: ByteSource, layout: PackageLayout) {
    this.path = source.name;
    if (source.remote === true) this.remote = true;
    this.source = source;
    this.layout = layout;
    this.index = layout.index;
    this.indexDigest = layout.footer.index;
    this.signers = layout.signers;
    this.#entries = new Map(layout.index.entries.map((entry) => [entry.digest, entry]));
  }

  async *open(digest: Digest, hold?: ChunkHold): AsyncGenerator<Uint8Array> {
    const entry = this.#entry(digest);
    const content = new Digester();
    for await (const chunk of entry.encoding === "zstd" ? this.#inflate(entry) : this.#stored(entry, hold)) {
      content.update(chunk);
      if (content.size > entry.size) throw packageCorrupt(this.path, entry.label, `it unpacks to more than its ${entry.size} bytes`);
      yield chunk;
    }
    if (content.size !== entry.size) throw packageCorrupt(this.path, entry.label, `it has ${content.size} bytes instead of ${entry.size}`);
    const found = content.digest();
    if (found !== entry.digest) throw packageCorrupt(this.path, entry.label, `its digest is ${found} instead of ${entry.digest}`);
  }

  stored(digest: Digest): StoredBytes {
    const entry = this.#entry(digest);
    return { encoding: entry.encoding, digest: entry.stored, size: entry.length, open: (hold) => this.#stored(entry, hold) };
  }

  async read(digest: Digest): Promise<Uint8Array> {
    const entry = this.#entry(digest);
    if (entry.size > MAX_READ) throw new RangeError(`Entry ${entry.label} has ${entry.size} bytes; only entries up to ${MAX_READ} bytes are read whole`);
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.open(digest)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  async damage(progress?: ByteProgress, signal?: AbortSignal): Promise<readonly Damage[]> {
    return this.#damage(regionsOf(this.layout, this.source.parts), progress, signal);
  }

  async #damage(regions: readonly Region[], progress?: ByteProgress, signal?: AbortSignal): Promise<readonly Damage[]> {
    const found: Chunk[] = [];
    for await (const chunk of damagedChunks(this.source, regions, this.index.chunkSize, progress, signal)) found.push(chunk);
    return joined(found, this.source.parts);
  }

  async verify(progress?: ByteProgress, signal?: AbortSignal, scope: "all" | "rest" = "all"): Promise<void> {
    const leftOut = scope === "rest" ? new Set([...foreignEntries(this.index), ...this.#intact]) : new Set<number>();
    const places = await this.#damage(regionsOf(this.layout, this.source.parts).filter(({ offset, length }) => length === 0 || !leftOut.has(offset)), progress, signal);
    const [first] = places;
    if (first === undefined) return;
    const more = places.length === 1 ? "" : `, the first of ${places.length} such places`;
    const details = places.map((place) => `${place.part}: ${placeText(place)}`);
    throw packageCorrupt(this.path, first.part, `${placeText(first)} are not as packed${more}`, undefined, places.length === 1 ? [] : details);
  }

  async close(): Promise<void> {
    await this.source.close();
  }

  #entry(digest: Digest): PackageEntry {
    const entry = this.#entries.get(digest);
    if (entry === undefined) throw entryAbsent(this.path, digest);
    return entry;
  }

  /** Fails at the first chunk that is not as packed. */
  #hasher(entry: PackageEntry): ChunkHasher {
    return new ChunkHasher(this.index.chunkSize, (hash, { number, offset, length }) => {
      if (Buffer.compare(hash, chunkHash(entry.chunks, number)) === 0) return;
      throw packageCorrupt(this.path, entry.label, `${runText({ offset: entry.offset + offset, length }, this.source.parts)} are not as packed`);
    });
  }

  #end(entry: PackageEntry, hasher: ChunkHasher): void {
    hasher.end();
    this.#intact.add(entry.offset);
  }

  /** Hashed chunk by chunk on the way out. What is damaged has left by then, but nobody's work is finished before the last chunk is right. */
  async *#stored(entry: PackageEntry, hold?: ChunkHold): AsyncGenerator<Uint8Array> {
    const hasher = this.#hasher(entry);
    let done = 0;
    try {
      for await (const bytes of readRange(this.source, entry.offset, entry.length, hold)) {
        hasher.update(bytes);
        done += bytes.length;
        // The end of the run is checked before its last bytes leave.
        if (done === entry.length) this.#end(entry, hasher);
        yield bytes;
      }
    } catch (error) {
      throw isKubestickError(error) ? error : packageUnreadable(this.path, error);
    }
    if (done < entry.length) throw endsEarly(this.path, entry, done);
  }

  /**
   * The decoder is fed by hand from one buffer, which it is done with when it takes the next piece: a gigabyte passes without leaving
   * a gigabyte of buffers for the collector, which V8 only visits every 64 MB of them.
   */
  async *#inflate(entry: PackageEntry): AsyncGenerator<Uint8Array> {
    const inflate = createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG }, chunkSize: INFLATED_CHUNK });
    const feeding = this.#feed(inflate, entry).catch((error: unknown) => { inflate.destroy(error instanceof Error ? error : new Error(String(error))); });
    try {
      for await (const chunk of inflate) yield chunk as Uint8Array;
    } catch (error) {
      throw isKubestickError(error) ? error : packageCorrupt(this.path, entry.label, `it cannot be unpacked: ${messageOf(error)}`, error);
    } finally {
      inflate.destroy();
      await feeding;
    }
  }

  /** Resolves when everything was taken, or when nothing will be any more: the reader of the decoder hears of its failure. */
  async #feed(inflate: ZstdDecompress, entry: PackageEntry): Promise<void> {
    const hasher = this.#hasher(entry);
    const buffer = Buffer.allocUnsafeSlow(CHUNK_SIZE);
    for (let at = 0; at < entry.length && !inflate.destroyed; ) {
      const filled = await readInto(this.source, buffer.subarray(0, Math.min(buffer.length, entry.length - at)), entry.offset + at).catch((error: unknown) => {
        throw isKubestickError(error) ? error : packageUnreadable(this.path, error);
      });
      if (filled === 0) throw endsEarly(this.path, entry, at);
      hasher.update(buffer.subarray(0, filled));
      at += filled;
      if (at === entry.length) this.#end(entry, hasher);
      if (!(await taken(inflate, buffer.subarray(0, filled)))) return;
    }
    if (!inflate.destroyed) inflate.end();
  }
}

/** Where the entries lie that only other architectures need. */
function foreignEntries({ arch, platforms, documents, entries }: PackageIndex): ReadonlySet<number> {
  const needed = (wanted: (platform: PackagePlatform) => boolean): Set<Digest> => new Set(platforms.filter(wanted).flatMap(digestsOfPlatform));
  const own = needed((platform) => platform.arch === arch);
  for (const { digest } of documents) own.add(digest);
  const others = needed((platform) => platform.arch !== arch);
  return new Set(entries.filter(({ digest }) => others.has(digest) && !own.has(digest)).map(({ offset }) => offset));
}

/** Resolves when the decoder is done with these bytes; false when it has closed instead. */
function taken(inflate: ZstdDecompress, bytes: Uint8Array): Promise<boolean> {
  return new Promise((resolve) => {
    const closed = (): void => resolve(false);
    inflate.once("close", closed);
    inflate.write(bytes, () => {
      inflate.off("close", closed);
      resolve(true);
    });
  });
}

function endsEarly(path: string, entry: PackageEntry, at: number): KubestickError {
  return packageCorrupt(path, entry.label, `it ends after ${at} of ${entry.length} bytes`);
}
