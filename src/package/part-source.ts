/**
 * A package in several files as one run of bytes, read in place: nothing is put together on a disk.
 *
 * Start at `openPackageSource`. The parts are known by what stands in them, so files may be renamed and lie anywhere; names are only for people.
 */
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { KubestickError, errnoOf, isKubestickError } from "../errors.ts";
import { openFileSource, type ByteSource } from "./byte-source.ts";
import { DELTA_HEADER_SIZE, decodeDeltaHeader } from "./delta-format.ts";
import { shortDigest } from "./digest.ts";
import { packageCorrupt, packageFormat, packageTruncated, packageUnreadable } from "./failures.ts";
import { readAt } from "./file-bytes.ts";
import { FORMAT_VERSION, payloadStartFor } from "./format.ts";
import { readFront } from "./starter.ts";
import type { Digest } from "./types.ts";
import { PART_RECORD_SIZE, decodePartRecord, encodePartRecord, partName, piecesOf, recordPiecesOf, type PartPiece, type PartRecord } from "./part-format.ts";

export interface PartOptions {
  /** Files and folders in which parts are looked for, before the folder of the first one. */
  readonly parts?: readonly string[] | undefined;
  /** Parts that are not there, or not of their full length, are met when their bytes are read: for those who only want the index, and for repair. */
  readonly incomplete?: boolean | undefined;
}

/** A run of bytes in one file. */
export interface FilePlace {
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

/** What a record of a part has to be. */
export interface KnownBytes {
  readonly part: string;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface PartFile {
  readonly number: number;
  /** undefined: not found. */
  readonly path: string | undefined;
  /** Bytes the file has to have, and has. */
  readonly length: number | undefined;
  readonly size: number | undefined;
}

/** What a source knows beyond bytes when these lie in several files. */
export interface PartView {
  /** The package's id, as the parts tell it. */
  readonly id: Digest;
  readonly count: number;
  readonly files: readonly PartFile[];
  /** Addresses behind the end of the whole; see `recordPiecesOf`. Only of the files that are there. */
  readonly records: readonly KnownBytes[];
  /** Where a run of the whole lies; less than asked for where a part is not there. */
  places(offset: number, length: number): readonly FilePlace[];
}

/**
 * The package in the file at `path`, which may be the first of several parts. Rejects with PACKAGE_PART_MISSING, PACKAGE_PART_STALE (only parts of another
 * package are there), PACKAGE_PART_FOREIGN (a named file is no part of this package), PACKAGE_PART_NUMBER (`path` is a later part) and what reading rejects with.
 */
export async function openPackageSource(path: string, options: PartOptions = {}): Promise<ByteSource> {
  const source = await openFileSource(path);
  try {
    const first = await readPartRecord(source);
    if (first === undefined) {
      await refuseDelta(source);
      if ((options.parts ?? []).length > 0) throw notSplit(path);
      return source;
    }
    if (first.number !== 1) throw notTheFirst(path, first);
    return await openParts(source, first, options);
  } catch (error) {
    await source.close();
    throw isKubestickError(error) ? error : packageUnreadable(path, error);
  }
}

/** The two files are easily confused: both were carried here together. */
async function refuseDelta(source: ByteSource): Promise<void> {
  const delta = decodeDeltaHeader(await readAt(source, 0, DELTA_HEADER_SIZE));
  if (delta.is !== "intact") return;
  const { base, target } = delta.value;
  throw new KubestickError({
    code: "PACKAGE_DELTA",
    attempted: `reading the package in ${source.name}`,
    happened: `It is a delta that leads from ${base.title} (${shortDigest(base.id)}) to ${target.title} (${shortDigest(target.id)}), not a package.`,
    next: `Make the new package from it and the old one: \`kubestick package apply ${source.name} --base OLD -o NEW\`.`,
  });
}

/**
 * A file that is to be mended: the first part with all others, incomplete as they may be; a later part alone, with the bytes of the whole that lie
 * in it; or any other file, whatever it is.
 */
export async function openDamagedSource(path: string, parts: readonly string[] | undefined): Promise<ByteSource> {
  const source = await openFileSource(path);
  try {
    const record = await readPartRecord(source);
    if (record === undefined) {
      if ((parts ?? []).length > 0) throw notSplit(path);
      return source;
    }
    if (record.number > 1) return new PartsSource(record, new Map([[record.number, { path, record, size: source.size }]]), new Map([[record.number, source]]), (number) => missingPart(path, record, [number], [], [dirname(path)]));
    const opened = await openParts(source, record, { parts, incomplete: true });
    const missing = opened.parts.files.filter((file) => file.path === undefined).map(({ number }) => number);
    if (missing.length === 0) return opened;
    await opened.close();
    throw missingPart(path, record, missing, [], (parts ?? []).concat(dirname(path)));
  } catch (error) {
    await source.close();
    throw isKubestickError(error) ? error : packageUnreadable(path, error);
  }
}

/** The record of a part file, from whichever of its two places is intact; undefined when this is no part. Throws PACKAGE_FORMAT for a part of another version. */
export async function readPartRecord(source: ByteSource): Promise<PartRecord | undefined> {
  // A worn medium: another place may be good, and a repair must come this far.
  const read = (offset: number, length: number): Promise<Uint8Array> => readAt(source, offset, length).catch((error: unknown) => {
    if (errnoOf(error) === "EIO") return new Uint8Array(0);
    throw error;
  });
  const record = async (offset: number): Promise<PartRecord | undefined> => {
    const decoded = decodePartRecord(await read(offset, PART_RECORD_SIZE));
    if (decoded.is === "other") throw packageFormat(source.name, decoded.version, FORMAT_VERSION);
    return decoded.is === "intact" ? decoded.value : undefined;
  };
  if (source.size < PART_RECORD_SIZE) return undefined;
  const known = (await record(source.size - PART_RECORD_SIZE)) ?? (await record(0));
  if (known !== undefined) return known;
  const front = await readFront(read);
  return front === undefined || front.end >= source.size ? undefined : record(payloadStartFor(front.end));
}

interface Found {
  readonly path: string;
  readonly record: PartRecord;
  readonly size: number;
}

async function openParts(firstSource: ByteSource, first: PartRecord, options: PartOptions): Promise<PartsSource> {
  const path = firstSource.name;
  const { matching, others, looked } = await findParts(path, first, options.parts ?? []);
  const chosen = chain({ path, record: first, size: firstSource.size }, matching);
  const numbers = Array.from({ length: first.count }, (_, index) => index + 1);
  const missing = numbers.filter((number) => !chosen.has(number));
  const strange = [...others, ...matching.filter((found) => missing.includes(found.record.number))];
  const absent = (number: number): KubestickError => missingPart(path, first, missing.length === 0 ? [number] : missing, strange, looked);
  if (options.incomplete !== true) {
    if (missing[0] !== undefined) throw absent(missing[0]);
    for (const { path: file, record, size } of chosen.values()) {
      if (size < record.fileLength) throw packageTruncated(file, size, record.fileLength);
      if (size > record.fileLength) throw packageCorrupt(file, "the end of the file", `${size - record.fileLength} bytes stand behind part ${record.number}`);
    }
    if (chosen.get(first.count)?.record.to !== first.tail) throw packageCorrupt(path, "the record of a part", "the last part does not end where the index begins");
  }
  const sources = new Map<number, ByteSource>([[1, firstSource]]);
  try {
    for (const [number, { path: file }] of chosen) if (number !== 1) sources.set(number, await openFileSource(file));
  } catch (error) {
    for (const [number, source] of sources) if (number !== 1) await source.close();
    throw error;
  }
  return new PartsSource(first, chosen, sources, absent);
}

/** Each part begins where the one before it ends: parts of the same package that was cut for another size do not. */
function chain(first: Found, matching: readonly Found[]): ReadonlyMap<number, Found> {
  const chosen = new Map([[1, first]]);
  let end: number | undefined = first.record.to;
  for (let number = 2; number <= first.record.count; number++) {
    const candidates = matching.filter(({ record }) => record.number === number && (end === undefined || record.from === end));
    // Of two copies the complete one.
    const found = candidates.find(({ record, size }) => size === record.fileLength) ?? candidates[0];
    if (found !== undefined) chosen.set(number, found);
    end = found?.record.to;
  }
  return chosen;
}

class PartsSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly parts: PartView;
  readonly #sources: ReadonlyMap<number, ByteSource>;
  readonly #pieces: readonly PartPiece[];
  readonly #absent: (number: number) => KubestickError;

  constructor(first: PartRecord, chosen: ReadonlyMap<number, Found>, sources: ReadonlyMap<number, ByteSource>, absent: (number: number) => KubestickError) {
    this.name = ([...sources.values()][0] as ByteSource).name;
    this.size = first.wholeLength;
    this.#sources = sources;
    this.#absent = absent;
    const records = [...chosen.values()].map(({ record }) => record);
    this.#pieces = records.flatMap((record) => [...piecesOf(record), ...recordPiecesOf(record)]).sort((a, b) => a.from - b.from);
    this.parts = {
      id: first.id,
      count: first.count,
      files: Array.from({ length: first.count }, (_, index) => ({ number: index + 1, path: chosen.get(index + 1)?.path, length: chosen.get(index + 1)?.record.fileLength, size: chosen.get(index + 1)?.size })),
      records: records.flatMap((record) => recordPiecesOf(record).map(({ from }) => ({ part: `the record of part ${record.number}`, offset: from, bytes: encodePartRecord(record) }))),
      places: (offset, length) => this.#places(offset, length),
    };
  }

  async read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }> {
    const piece = this.#pieceAt(position);
    if (piece === undefined) {
      if (position >= this.size) return { bytesRead: 0 };
      throw this.#absent(this.parts.files.find(({ path }) => path === undefined)?.number ?? 1);
    }
    const source = this.#sources.get(piece.part) as ByteSource;
    try {
      return await source.read(buffer, offset, Math.min(length, piece.to - position), piece.at + (position - piece.from));
    } catch (error) {
      // Whoever explains it names this file, not the first one.
      throw error instanceof Error ? Object.assign(error, { path: source.name }) : error;
    }
  }

  async close(): Promise<void> {
    for (const source of this.#sources.values()) await source.close();
  }

  /** The last piece that begins at or before `position`, if it reaches that far. */
  #pieceAt(position: number): PartPiece | undefined {
    let [low, high] = [0, this.#pieces.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#pieces[middle] as PartPiece).from <= position) low = middle + 1;
      else high = middle;
    }
    const piece = this.#pieces[low - 1];
    return piece !== undefined && position < piece.to ? piece : undefined;
  }

  #places(offset: number, length: number): readonly FilePlace[] {
    const places: FilePlace[] = [];
    for (let at = offset; at < offset + length; ) {
      const piece = this.#pieceAt(at);
      if (piece === undefined) break;
      const taken = Math.min(offset + length, piece.to) - at;
      places.push({ path: (this.#sources.get(piece.part) as ByteSource).name, offset: piece.at + (at - piece.from), length: taken });
      at += taken;
    }
    return places;
  }
}

interface Lookup {
  readonly matching: readonly Found[];
  /** Parts of other packages, and what of this one was cut in another way. */
  readonly others: readonly Found[];
  /** Folders. */
  readonly looked: readonly string[];
}

async function findParts(path: string, first: PartRecord, named: readonly string[]): Promise<Lookup> {
  const matching: Found[] = [];
  const others: Found[] = [];
  const looked = new Set<string>();
  const own = new Set([path, await realpath(path)]);
  const look = async (folder: string): Promise<void> => {
    if (looked.has(folder)) return;
    looked.add(folder);
    for (const name of (await readdir(folder)).sort()) {
      // Being written by another run.
      if (/^\..+\.partial$/.test(name)) continue;
      const found = await partAt(join(folder, name));
      if (found === undefined || own.has(found.path)) continue;
      (belongs(found.record, first) ? matching : others).push(found);
    }
  };
  for (const place of named) {
    const facts = await stat(place).catch((error: unknown) => { throw packageUnreadable(place, error); });
    if (facts.isDirectory()) {
      await look(place).catch((error: unknown) => { throw isKubestickError(error) ? error : packageUnreadable(place, error); });
      continue;
    }
    const found = await partAt(place);
    if (own.has(place) || (found?.record.number === 1 && found.record.id === first.id)) continue;
    if (found === undefined || !belongs(found.record, first)) throw foreignPart(place, found?.record, path, first);
    matching.push(found);
  }
  // A folder that only lets itself be entered, not listed, hides the parts but is no reason to give up on named ones.
  for (const file of own) await look(dirname(file)).catch((error: unknown) => { if (!["EACCES", "EPERM"].includes(errnoOf(error) ?? "")) throw error; });
  return { matching, others: others.filter(({ record }) => record.number !== 1), looked: [...looked] };
}

/** undefined: no part, or nothing that can be read. Pipes and devices are not opened. */
async function partAt(path: string): Promise<Found | undefined> {
  const facts = await stat(path).catch(() => undefined);
  if (facts?.isFile() !== true || facts.size < 2 * PART_RECORD_SIZE) return undefined;
  try {
    const source = await openFileSource(path);
    try {
      const record = await readPartRecord(source);
      return record === undefined ? undefined : { path, record, size: source.size };
    } finally {
      await source.close();
    }
  } catch {
    return undefined; // a neighbour that cannot be read is not the part that is looked for, or its absence is told
  }
}

function belongs(record: PartRecord, first: PartRecord): boolean {
  return record.number !== 1 && record.id === first.id && record.count === first.count && record.wholeLength === first.wholeLength;
}

/** `sha256:0123456789ab` is enough for a person. */
function describe({ number, count, title, id }: PartRecord): string {
  return `part ${number} of ${count} of package ${shortDigest(id)} (${title})`;
}

function missingPart(path: string, first: PartRecord, numbers: readonly number[], others: readonly Found[], looked: readonly string[]): KubestickError {
  const [number = 1] = numbers;
  const stale = others.filter(({ record }) => numbers.includes(record.number));
  const list = numbers.length === 1 ? `Part ${number} of ${first.count} is` : `Parts ${numbers.join(", ")} of ${first.count} are`;
  const name = partName(basename(path), number, first.count);
  const instead = stale.length === 0 ? "" : ` What is there instead belongs to another package or another split of this one: ${stale.map(({ path: file, record }) => `${file} is ${describe(record)}`).join("; ")}.`;
  return new KubestickError({
    code: stale.length === 0 ? "PACKAGE_PART_MISSING" : "PACKAGE_PART_STALE",
    attempted: `reading the package in ${path}`,
    happened: `${list} missing: expected was ${describe({ ...first, number })}, a file that was written as ${name}. Looked in ${looked.join(", ")}.${instead}`,
    next: `Put in the medium with that part and name its folder with --part DIR (repeatable), or copy ${name} beside ${path}.`,
    details: others.map(({ path: file, record }) => `${file}: ${describe(record)}`),
  });
}

function foreignPart(place: string, record: PartRecord | undefined, path: string, first: PartRecord): KubestickError {
  const what = record === undefined ? "is no part of a package" : `is ${describe(record)}`;
  return new KubestickError({
    code: record === undefined ? "PACKAGE_PART_FOREIGN" : "PACKAGE_PART_STALE",
    attempted: `reading the package in ${path}`,
    happened: `${place} ${what}; expected was a part from 2 to ${first.count} of package ${shortDigest(first.id)} (${first.title}) with ${first.count} parts.`,
    next: `Name the files that were written together with ${path}, or the folders they lie in, with --part.`,
  });
}

function notTheFirst(path: string, record: PartRecord): KubestickError {
  return new KubestickError({
    code: "PACKAGE_PART_NUMBER",
    attempted: `reading the package in ${path}`,
    happened: `It is ${describe(record)}; a package is opened by its first part, which is the executable.`,
    next: `Name the first part (${basename(path).replace(/\.part\d+of\d+$/, "")}) instead${record.number === 1 ? "" : `, with --part ${path} when they lie in different folders`}.`,
  });
}

function notSplit(path: string): KubestickError {
  return new KubestickError({
    code: "PACKAGE_PART_FOREIGN",
    attempted: `reading the package in ${path}`,
    happened: "--part names parts, but this file is not the first part of a package: what it carries lies in this one file, or is not there.",
    next: "Leave out --part, or name the first part of the package.",
  });
}
