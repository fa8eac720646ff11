/**
 * What a package has and another one has not: carried instead of the package to where the other one is.
 *
 *   header 256 | the new package's header, footer, index and signatures | chunks the old package has not, in the new one's order
 *
 * Two packages share most of their bytes as they lie there: unchanged programs and layers are the same entries, and most of an executable is
 * Node. So the hash chunks of the index are what is compared; no list says where a chunk comes from, because whoever has both indexes
 * comes to the same answer. The new file is made from start to end, every chunk compared with its hash on the way, and read back before it gets its name.
 */
import { open, rename, rm, type FileHandle } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { KubestickError, isKubestickError, messageOf } from "../errors.ts";
import { removeAbandoned, temporaryName } from "./abandoned.ts";
import { openFileSource, type ByteSource } from "./byte-source.ts";
import { EXECUTABLE, chunkIsIntact, chunksOf, type Chunk, type PackageLayout, type Region } from "./damage.ts";
import { DELTA_HEADER_SIZE, decodeDeltaHeader, encodeDeltaHeader, type DeltaHeader } from "./delta-format.ts";
import { Digester, digestOf, shortDigest } from "./digest.ts";
import { packageFormat, packageUnreadable } from "./failures.ts";
import { readAt, readInto } from "./file-bytes.ts";
import { FOOTER_SIZE, FORMAT_VERSION, HEADER_SIZE, MAX_INDEX_SIZE, MAX_SIGNATURES_SIZE, decodeFooter, decodeHeader, encodeFooter, encodeHeader, payloadStartFor } from "./format.ts";
import { decodeIndex } from "./package-index.ts";
import { leftOverParts, plannedParts, requireWritable, syncDirectory, titleOf, writeFailed, writeOutput } from "./package-output.ts";
import { openPackage, type OpenedPackage } from "./reader.ts";
import { decodeSignatures, verifiedSigners } from "./signatures.ts";
import { intactBytes, refuseToReplace, shapeOf, type CopyProgress, type CopyResult } from "./split.ts";
import type { ByteProgress, Digest, PackageReader } from "./types.ts";

/** In front of each chunk: its length in the delta, and in the top bit whether it is zstd. */
const PREFIX_SIZE = 4;
const ZSTD = 0x8000_0000;
/** What is compressible here is the program; layers and programs of the node travel compressed and are passed through at disk speed. */
const LEVEL = 3;

export interface PackageName {
  readonly id: Digest;
  /** `v1.36.2 amd64 flannel` */
  readonly title: string;
}

export interface DiffOptions {
  /** Only its index is read. */
  readonly old: string;
  readonly new: string;
  /** Where more parts of the new package are. */
  readonly parts?: readonly string[] | undefined;
  readonly output: string;
  readonly progress?: CopyProgress;
  readonly signal?: AbortSignal;
}

export interface DiffResult {
  readonly path: string;
  readonly size: number;
  /** Of the delta, what `sha256sum` prints. */
  readonly digest: Digest;
  readonly base: PackageName;
  readonly target: PackageName;
  /** Bytes of the new package, and of it what the delta carries, before compression. */
  readonly targetSize: number;
  readonly carried: number;
}

/** Writes the delta and reads it back. Rejects with PACK_WRITE, PACK_SPLIT_SAME, and what opening and reading the packages reject with. */
export async function diffPackages(options: DiffOptions): Promise<DiffResult> {
  const base = await openPackage(options.old, { incomplete: true });
  try {
    const target = await openPackage(options.new, { parts: options.parts });
    try {
      for (const source of [base, target]) await refuseToReplace(source, options.output);
      return await writeDelta(base, target, options);
    } finally {
      await target.close();
    }
  } finally {
    await base.close();
  }
}

async function writeDelta(base: OpenedPackage, target: OpenedPackage, { output, progress, signal }: DiffOptions): Promise<DiffResult> {
  await requireWritable(output);
  const { layout, index: { chunkSize } } = target;
  const known = new Set(chunksByHash(base.layout).keys());
  const carried = contentChunks(layout).filter(({ hash }) => addNew(known, hash));
  const total = carried.reduce((sum, { length }) => sum + length, 0);
  const front = Buffer.concat([encodeHeader(layout.header), encodeFooter(layout.footer), layout.indexBytes, layout.signatureBytes]);
  const names = { base: nameOf(base), target: nameOf(target) };
  await removeAbandoned(dirname(output), basename(output));
  const temporary = temporaryName(output);
  let file: FileHandle | undefined;
  try {
    file = await open(temporary, "wx", 0o644);
    const handle = file;
    let at = DELTA_HEADER_SIZE;
    const put = async (bytes: Uint8Array, position: number): Promise<void> => {
      for (let from = 0; from < bytes.length; ) from += (await handle.write(bytes, from, bytes.length - from, position + from)).bytesWritten;
    };
    const append = async (bytes: Uint8Array): Promise<void> => {
      await put(bytes, at);
      at += bytes.length;
    };
    await append(front);
    const buffer = Buffer.allocUnsafeSlow(chunkSize);
    let done = 0;
    for (const chunk of carried) {
      signal?.throwIfAborted();
      for (const bytes of framed(await intactBytes(target, chunk, buffer))) await append(bytes);
      done += chunk.length;
      progress?.("write", { done, total, label: chunk.part });
    }
    // Last, so that a delta that was not finished is none.
    await put(encodeDeltaHeader({ fileLength: at, base: names.base, target: names.target }), 0);
    await handle.sync();
    await handle.close();
    file = undefined;
    const digest = await checkDelta(temporary, base, (event) => progress?.("verify", event), signal);
    await rename(temporary, output);
    await syncDirectory(dirname(output));
    return { path: output, size: at, digest, ...names, targetSize: layout.header.fileLength, carried: total };
  } catch (error) {
    if (isKubestickError(error) || signal?.aborted === true) throw error;
    throw writeFailed(output, error);
  } finally {
    await file?.close();
    await rm(temporary, { force: true });
  }
}

/** Reads what was written as `applyDelta` will. Returns the digest of the file. */
async function checkDelta(path: string, base: OpenedPackage, progress: ByteProgress, signal: AbortSignal | undefined): Promise<Digest> {
  const delta = await openDelta(path);
  try {
    const inBase = chunksByHash(base.layout);
    const seen = new Set<string>();
    const chunks = new CarriedChunks(delta);
    const { layout } = delta;
    const buffer = Buffer.allocUnsafeSlow(layout.index.chunkSize);
    for (const chunk of contentChunks(layout)) {
      signal?.throwIfAborted();
      if (inBase.has(hashKey(chunk.hash)) || !addNew(seen, chunk.hash)) continue;
      await chunks.next(chunk);
      progress({ done: chunks.at, total: delta.header.fileLength, label: chunk.part });
    }
    chunks.end();
    const digester = new Digester();
    for (let at = 0; at < delta.source.size; ) {
      const filled = await readInto(delta.source, buffer, at);
      if (filled === 0) break;
      digester.update(buffer.subarray(0, filled));
      at += filled;
    }
    return digester.digest();
  } finally {
    await delta.source.close();
  }
}

export interface ApplyOptions {
  readonly delta: string;
  /** The old package. */
  readonly base: string;
  /** Where more parts of it are. */
  readonly parts?: readonly string[] | undefined;
  readonly output: string;
  /** Largest file, in bytes; default: one file. */
  readonly split?: number | undefined;
  /** Rejects when the new package is not one to take; asked before anything is written. */
  readonly accept?: (target: Pick<PackageReader, "path" | "index" | "signers">) => Promise<void>;
  readonly progress?: CopyProgress;
  readonly signal?: AbortSignal;
}

export interface ApplyResult extends CopyResult {
  readonly base: PackageName;
  readonly target: PackageName;
  /** Bytes that came from the base. */
  readonly reused: number;
}

/**
 * Makes the new package from the old one and a delta. Rejects with PACKAGE_DELTA_BASE (another base is needed, which is named), PACKAGE_DELTA_TRUNCATED,
 * PACKAGE_DELTA_CORRUPT, PACKAGE_DELTA_ABSENT, PACKAGE_CORRUPT (the base is damaged where it is needed), PACK_WRITE, PACK_NO_SPACE. Nothing is written then.
 */
export async function applyDelta(options: ApplyOptions): Promise<ApplyResult> {
  const { output, split, progress, signal } = options;
  const delta = await openDelta(options.delta);
  try {
    const { header, layout } = delta;
    await options.accept?.({ path: options.delta, index: layout.index, signers: layout.signers });
    const base = await openPackage(options.base, { parts: options.parts }).catch((error: unknown) => {
      throw isKubestickError(error) && error.code === "PACKAGE_ABSENT" ? noBase(options, header, error) : error;
    });
    try {
      if (base.indexDigest !== header.base.id) throw wrongBase(options, header, base);
      // One file may replace its own base, in one step; parts of two packages under the same names would be neither.
      if (split !== undefined || base.source.parts !== undefined) await refuseToReplace(base, output);
      await refuseToReplace({ path: options.delta, source: delta.source }, output);
      const plan = split === undefined ? undefined : plannedParts(output, shapeOf(layout), split, header.target.id, header.target.title);
      const { fileLength } = layout.header;
      const known = chunksByHash(base.layout);
      const { value: reused, digest, files } = await writeOutput(output, { fileLength, plan }, async (out) => {
        const chunks = new CarriedChunks(delta);
        const written = new Map<string, number>();
        const buffer = Buffer.allocUnsafeSlow(Math.max(layout.index.chunkSize, base.index.chunkSize));
        let fromBase = 0;
        const make = async (region: Region): Promise<void> => {
          for (const chunk of chunksOf([region], layout.index.chunkSize)) {
            signal?.throwIfAborted();
            const key = hashKey(chunk.hash);
            const there = known.get(key);
            const before = written.get(key);
            if (there !== undefined) {
              await out.write(await intactBytes(base, there, buffer));
              fromBase += chunk.length;
            } else if (before !== undefined) {
              await out.write(await out.readBack(before, buffer.subarray(0, chunk.length)));
            } else {
              written.set(key, out.length);
              await out.write(await chunks.next(chunk));
            }
            progress?.("write", { done: out.length, total: fileLength, label: chunk.part });
          }
        };
        const [executable, ...entries] = contentRegions(layout);
        await make(executable);
        await out.write(new Uint8Array(layout.footer.payloadStart - layout.header.executableLength));
        await out.write(encodeHeader(layout.header));
        for (const entry of entries) await make(entry);
        await out.write(layout.indexBytes);
        await out.write(layout.signatureBytes);
        await out.write(encodeFooter(layout.footer));
        chunks.end();
        return { id: header.target.id, value: fromBase };
      }, (event) => progress?.("verify", event), signal);
      return { files, size: fileLength, digest, id: header.target.id, leftOver: plan === undefined ? [] : await leftOverParts(output, files), base: header.base, target: header.target, reused };
    } finally {
      await base.close();
    }
  } finally {
    await delta.source.close();
  }
}

/** The needed base and the new package, from the delta alone. */
export async function describeDelta(path: string): Promise<DeltaHeader> {
  const { source, header } = await openDelta(path);
  await source.close();
  return header;
}

interface Delta {
  readonly source: ByteSource;
  readonly header: DeltaHeader;
  /** Of the new package. */
  readonly layout: PackageLayout;
  /** Where the chunks begin. */
  readonly chunks: number;
}

async function openDelta(path: string): Promise<Delta> {
  const source = await openFileSource(path);
  try {
    return await readDelta(source);
  } catch (error) {
    await source.close();
    throw isKubestickError(error) ? error : packageUnreadable(path, error);
  }
}

async function readDelta(source: ByteSource): Promise<Delta> {
  const path = source.name;
  const decoded = decodeDeltaHeader(await readAt(source, 0, DELTA_HEADER_SIZE));
  if (decoded.is === "other") throw packageFormat(path, decoded.version, FORMAT_VERSION);
  if (decoded.is === "foreign") throw noDelta(path);
  if (decoded.is === "damaged") throw deltaCorrupt(path, "its header", "the checksum does not match");
  const header = decoded.value;
  if (source.size < header.fileLength) throw deltaTruncated(path, source.size, header.fileLength);
  if (source.size > header.fileLength) throw deltaCorrupt(path, "its end", `${source.size - header.fileLength} bytes stand behind it`);

  const packageHeader = decodeHeader(await readAt(source, DELTA_HEADER_SIZE, HEADER_SIZE));
  const footer = decodeFooter(await readAt(source, DELTA_HEADER_SIZE + HEADER_SIZE, FOOTER_SIZE));
  if (packageHeader.is !== "intact" || footer.is !== "intact") throw deltaCorrupt(path, "the header or the footer of the new package", "its checksum does not match");
  const { payloadStart, indexOffset, indexLength, signaturesLength } = footer.value;
  const { executableLength, fileLength } = packageHeader.value;
  const fits = payloadStart === payloadStartFor(executableLength) && indexOffset >= payloadStart + HEADER_SIZE && indexLength <= MAX_INDEX_SIZE && signaturesLength <= MAX_SIGNATURES_SIZE
    && indexOffset + indexLength + signaturesLength + FOOTER_SIZE === fileLength;
  if (!fits) throw deltaCorrupt(path, "the footer of the new package", "the places it names do not fit");
  const indexAt = DELTA_HEADER_SIZE + HEADER_SIZE + FOOTER_SIZE;
  const indexBytes = await readAt(source, indexAt, indexLength);
  const signatureBytes = await readAt(source, indexAt + indexLength, signaturesLength);
  const id = digestOf(indexBytes);
  if (id !== footer.value.index || id !== header.target.id) throw deltaCorrupt(path, "the index of the new package", "its bytes do not match its digest");
  if (digestOf(signatureBytes) !== footer.value.signatures) throw deltaCorrupt(path, "the signatures of the new package", "their bytes do not match their digest");
  const signers = verifiedSigners(decodeSignatures(signatureBytes, path), indexBytes, path);
  const index = decodeIndex(indexBytes, { start: payloadStart + HEADER_SIZE, end: indexOffset }, path);
  if (index.executable.length !== executableLength || index.executable.digest !== packageHeader.value.executable) throw deltaCorrupt(path, "the index of the new package", "it describes another executable than its header");
  return { source, header, layout: { header: packageHeader.value, footer: footer.value, index, indexBytes, signatureBytes, signers }, chunks: indexAt + indexLength + signaturesLength };
}

/** The chunks in a delta, one after the other. */
class CarriedChunks {
  readonly #delta: Delta;
  readonly #buffer: Buffer;
  at: number;

  constructor(delta: Delta) {
    this.#delta = delta;
    this.#buffer = Buffer.allocUnsafeSlow(delta.layout.index.chunkSize);
    this.at = delta.chunks;
  }

  /** The next one, which has to be this. Valid until the one after it is asked for. */
  async next(chunk: Chunk): Promise<Uint8Array> {
    const { source } = this.#delta;
    const wrong = (why: string, cause?: unknown): KubestickError => deltaCorrupt(source.name, chunk.part, `the piece at byte ${this.at} of the delta ${why}`, cause);
    const prefix = Buffer.from(await this.#read(this.at, PREFIX_SIZE));
    const word = prefix.length === PREFIX_SIZE ? prefix.readUInt32LE(0) : 0;
    const length = word & (ZSTD - 1);
    const packed = (word & ZSTD) !== 0;
    if (packed ? length === 0 || length >= chunk.length : length !== chunk.length) throw wrong(`has ${length} bytes for ${chunk.length}`);
    const stored = await this.#read(this.at + PREFIX_SIZE, length);
    let bytes = stored;
    if (packed) {
      try {
        bytes = zstdDecompressSync(stored, { maxOutputLength: chunk.length });
      } catch (error) {
        throw wrong(`cannot be unpacked: ${messageOf(error)}`, error);
      }
    }
    if (!chunkIsIntact(bytes, chunk)) throw wrong("is not as it was packed");
    this.at += PREFIX_SIZE + length;
    return bytes;
  }

  end(): void {
    const { source } = this.#delta;
    if (this.at !== source.size) throw deltaCorrupt(source.name, "its end", `${source.size - this.at} bytes of it belong to nothing`);
  }

  async #read(position: number, length: number): Promise<Buffer> {
    const buffer = length <= PREFIX_SIZE ? Buffer.alloc(length) : this.#buffer.subarray(0, length);
    const filled = await readInto(this.#delta.source, buffer, position).catch((error: unknown) => { throw packageUnreadable(this.#delta.source.name, error); });
    return buffer.subarray(0, filled);
  }
}

function framed(bytes: Uint8Array): readonly Uint8Array[] {
  const packed = zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: LEVEL, [constants.ZSTD_c_checksumFlag]: 0 } });
  const smaller = packed.length < bytes.length;
  const prefix = Buffer.alloc(PREFIX_SIZE);
  prefix.writeUInt32LE(((smaller ? packed.length : bytes.length) | (smaller ? ZSTD : 0)) >>> 0);
  return [prefix, smaller ? packed : bytes];
}

/** Executable first, then the entries: everything that is not in the tables. */
function contentRegions({ index: { executable, entries } }: PackageLayout): readonly [Region, ...Region[]] {
  return [
    { part: EXECUTABLE, offset: 0, length: executable.length, chunks: executable.chunks },
    ...entries.map(({ label, offset, length, chunks }): Region => ({ part: label, offset, length, chunks })),
  ];
}

function contentChunks(layout: PackageLayout): readonly Chunk[] {
  return [...chunksOf(contentRegions(layout), layout.index.chunkSize)];
}

function chunksByHash(layout: PackageLayout): ReadonlyMap<string, Chunk> {
  const chunks = new Map<string, Chunk>();
  for (const chunk of contentChunks(layout)) if (!chunks.has(hashKey(chunk.hash))) chunks.set(hashKey(chunk.hash), chunk);
  return chunks;
}

function hashKey(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString("latin1");
}

/** Whether it was not there. */
function addNew(known: Set<string>, hash: Uint8Array): boolean {
  const before = known.size;
  return known.add(hashKey(hash)).size > before;
}

function nameOf({ indexDigest, index }: OpenedPackage): PackageName {
  return { id: indexDigest, title: titleOf(index) };
}

/** `v1.36.1 amd64 flannel (sha256:0123456789ab)` */
export function packageNameText({ title, id }: PackageName): string {
  return `${title} (${shortDigest(id)})`;
}

function wrongBase({ delta, base: path }: ApplyOptions, { base, target }: DeltaHeader, found: OpenedPackage): KubestickError {
  const already = found.indexDigest === target.id;
  return new KubestickError({
    code: "PACKAGE_DELTA_BASE",
    attempted: `applying the delta ${delta}`,
    happened: already
      ? `${path} is the new package already, ${packageNameText(target)}; nothing was changed.`
      : `It leads from ${packageNameText(base)} to ${packageNameText(target)}, and ${path} is ${packageNameText(nameOf(found))}; nothing was changed.`,
    next: already ? `Use it as it is: \`${path} version\`.` : `Name the package it was made for with --base (\`kubestick inspect FILE -o json\` tells the indexDigest: ${base.id}), or carry the whole new package here.`,
  });
}

/** Most of all the bare executable that was started without --base. */
function noBase({ delta, base: path }: ApplyOptions, { base, target }: DeltaHeader, cause: KubestickError): KubestickError {
  return new KubestickError({
    code: "PACKAGE_DELTA_BASE", attempted: `applying the delta ${delta}`, cause,
    happened: `It leads from ${packageNameText(base)} to ${packageNameText(target)}, and ${path} carries no package; nothing was changed.`,
    next: `Name the package it was made for with --base: its indexDigest in \`kubestick inspect FILE -o json\` is ${base.id}.`,
  });
}

function noDelta(path: string): KubestickError {
  return new KubestickError({
    code: "PACKAGE_DELTA_ABSENT", attempted: `reading the delta ${path}`, happened: "It is no delta between packages.",
    next: "Name a file that `kubestick package diff OLD NEW -o DELTA` has written.",
  });
}

function deltaTruncated(path: string, have: number, expected: number): KubestickError {
  return new KubestickError({
    code: "PACKAGE_DELTA_TRUNCATED", attempted: `reading the delta ${path}`,
    happened: `The file has ${have} bytes and should have ${expected}: ${expected - have} bytes are missing at its end. A copy was interrupted, or the medium was full.`,
    next: "Copy it again and compare `sha256sum` on both sides.",
  });
}

function deltaCorrupt(path: string, what: string, why: string, cause?: unknown): KubestickError {
  return new KubestickError({
    code: "PACKAGE_DELTA_CORRUPT", attempted: `reading ${what} from the delta ${path}`, happened: `${what} is damaged: ${why}.`,
    next: "Copy it again and compare `sha256sum` on both sides; if it is broken at its origin, make it again with `kubestick package diff`.", cause,
  });
}
