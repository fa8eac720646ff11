/**
 * How a package lies in several files: the record every part carries twice, and the arithmetic between bytes of the whole and bytes of a part.
 *
 *   first part    bytes 0 to P of the whole | record | bytes P to `to` | bytes from `tail` (index, signatures, footer) to the end | record
 *   other parts   record | bytes `from` to `to` of the whole | record
 *
 * So the first part is an executable and knows everything that is to be known; the others only lie in a row behind it. Twice, because one
 * worn sector must not make a part unknown: the front record tells how long a cut file has to be, the one at the end is found when the ELF headers are lost.
 * Cuts lie where a hash chunk begins, so a damaged chunk lies in one file.
 */
import type { Digest } from "./types.ts";
import { FORMAT_VERSION, recordChecksum, recordChecksumMatches, type Decoded } from "./format.ts";

export const PART_RECORD_SIZE = 192;
/** Of FAT32-sized parts this would be four terabytes; more is a mistaken size. */
export const MAX_PARTS = 999;

const PART_MAGIC = "kstkpart";
const TITLE_SIZE = 56;

export interface PartRecord {
  readonly version: number;
  /** From 1. */
  readonly number: number;
  readonly count: number;
  /** Bytes of this file. */
  readonly fileLength: number;
  /** Where the front record stands in this file: at the payload start of the first part, at 0 of the others. */
  readonly recordOffset: number;
  /** This file has the bytes `from` to `to` (exclusive) of the whole. */
  readonly from: number;
  readonly to: number;
  /** The first part also has those from here to the end of the whole; `wholeLength` in the others. */
  readonly tail: number;
  /** Bytes of the whole package. */
  readonly wholeLength: number;
  /** The package's id: the digest of its index. */
  readonly id: Digest;
  /** For people: `v1.36.2 amd64 flannel`. */
  readonly title: string;
}

// Record:  0 magic 8 | 8 version u32 | 12 record length u32 | 16 checksum 32 over everything else | 48 number u32 | 52 count u32 | 56 file length u64 |
//          64 record offset u64 | 72 from u64 | 80 to u64 | 88 tail u64 | 96 whole length u64 | 104 id 32 | 136 title 56, UTF-8 padded with zeros

export function encodePartRecord(part: Omit<PartRecord, "version">): Uint8Array {
  const bytes = Buffer.alloc(PART_RECORD_SIZE);
  bytes.write(PART_MAGIC, 0, "latin1");
  bytes.writeUInt32LE(FORMAT_VERSION, 8);
  bytes.writeUInt32LE(PART_RECORD_SIZE, 12);
  bytes.writeUInt32LE(part.number, 48);
  bytes.writeUInt32LE(part.count, 52);
  for (const [at, value] of [[56, part.fileLength], [64, part.recordOffset], [72, part.from], [80, part.to], [88, part.tail], [96, part.wholeLength]] as const) bytes.writeBigUInt64LE(BigInt(value), at);
  bytes.set(Buffer.from(part.id.slice("sha256:".length), "hex"), 104);
  bytes.set(Buffer.from(part.title).subarray(0, TITLE_SIZE), 136);
  bytes.set(recordChecksum(bytes, 16), 16);
  return bytes;
}

export function decodePartRecord(bytes: Uint8Array): Decoded<PartRecord> {
  const record = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (record.length < 48 || record.toString("latin1", 0, 8) !== PART_MAGIC) return { is: "foreign" };
  const length = record.readUInt32LE(12);
  if (length < 48 || length > record.length || !recordChecksumMatches(record.subarray(0, length), 16)) return { is: "damaged" };
  const version = record.readUInt32LE(8);
  if (version !== FORMAT_VERSION) return { is: "other", version };
  if (length !== PART_RECORD_SIZE) return { is: "damaged" };
  const at = (offset: number): number => Number(record.readBigUInt64LE(offset));
  const part: PartRecord = {
    version,
    number: record.readUInt32LE(48), count: record.readUInt32LE(52),
    fileLength: at(56), recordOffset: at(64), from: at(72), to: at(80), tail: at(88), wholeLength: at(96),
    id: `sha256:${record.toString("hex", 104, 136)}`,
    title: record.toString("utf8", 136, 192).replace(/\0+$/, ""),
  };
  return sound(part) ? { is: "intact", value: part } : { is: "damaged" };
}

/** By its first bytes alone, which is enough to look elsewhere for what is checked later. */
export function isPartRecord(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1", 0, PART_MAGIC.length) === PART_MAGIC;
}

/** A record with a right checksum that contradicts itself was not written by us. */
function sound({ number, count, fileLength, recordOffset, from, to, tail, wholeLength }: PartRecord): boolean {
  const first = number === 1;
  return number >= 1 && number <= count && count >= 2 && count <= MAX_PARTS && Number.isSafeInteger(wholeLength)
    && from < to && to <= tail && tail <= wholeLength && (first ? from === 0 && recordOffset < to && tail < wholeLength : recordOffset === 0 && tail === wholeLength)
    && fileLength === to - from + (wholeLength - tail) + 2 * PART_RECORD_SIZE;
}

/** Bytes `from` to `to` of the whole (or, behind its end, of records) that lie in one file from `at` on. */
export interface PartPiece {
  readonly part: number;
  readonly from: number;
  readonly to: number;
  readonly at: number;
}

/** Where the bytes of the whole lie in this part. */
export function piecesOf({ number, recordOffset, from, to, tail, wholeLength }: PartRecord): readonly PartPiece[] {
  const behind = recordOffset + PART_RECORD_SIZE;
  const cut = from + recordOffset;
  return [
    { part: number, from, to: cut, at: 0 },
    { part: number, from: cut, to, at: behind },
    { part: number, from: tail, to: wholeLength, at: behind + (to - cut) },
  ].filter((piece) => piece.from < piece.to);
}

/**
 * The two records of a part, at addresses behind the end of the whole: so that whoever looks for damage, or mends it, treats them as any other bytes.
 * No address of one part is that of another.
 */
export function recordPiecesOf({ number, recordOffset, fileLength, wholeLength }: PartRecord): readonly PartPiece[] {
  const from = wholeLength + (number - 1) * 2 * PART_RECORD_SIZE;
  return [
    { part: number, from, to: from + PART_RECORD_SIZE, at: recordOffset },
    { part: number, from: from + PART_RECORD_SIZE, to: from + 2 * PART_RECORD_SIZE, at: fileLength - PART_RECORD_SIZE },
  ];
}

/** What decides where a package can be cut; known before its first byte is written. */
export interface PackageShape {
  readonly payloadStart: number;
  /** Where the first entry begins that may lie in another file than the front. */
  readonly frontEnd: number;
  readonly indexOffset: number;
  readonly fileLength: number;
  readonly chunkSize: number;
  readonly entries: readonly { readonly offset: number; readonly length: number }[];
}

/** Parts of at most `limit` bytes; undefined when the whole fits into one file. `needs`: the smallest limit with which it can be done. */
export function planParts(shape: PackageShape, limit: number, id: Digest, title: string): readonly PartRecord[] | undefined | { readonly needs: number } {
  const { payloadStart, frontEnd: front, indexOffset, fileLength, chunkSize } = shape;
  if (fileLength <= limit) return undefined;
  const overhead = 2 * PART_RECORD_SIZE;
  const tailLength = fileLength - indexOffset;
  const needs = Math.max(front + tailLength + overhead, chunkSize + overhead, Math.ceil(fileLength / (MAX_PARTS - 1)));
  if (limit < needs) return { needs };
  const cuts = [...cutPoints(shape), indexOffset];
  const ranges: { readonly from: number; readonly to: number }[] = [];
  let from = 0;
  let to = front;
  for (const cut of cuts) {
    const room = limit - overhead - (ranges.length === 0 ? tailLength : 0);
    if (cut - from > room) {
      ranges.push({ from, to });
      from = to;
    }
    to = cut;
  }
  ranges.push({ from, to });
  if (ranges.length > MAX_PARTS) return { needs: Math.max(needs, limit + chunkSize) };
  return ranges.map((range, index): PartRecord => {
    const tail = index === 0 ? indexOffset : fileLength;
    return {
      version: FORMAT_VERSION, number: index + 1, count: ranges.length, id, title, ...range, tail, wholeLength: fileLength,
      recordOffset: index === 0 ? payloadStart : 0, fileLength: range.to - range.from + (fileLength - tail) + overhead,
    };
  });
}

/** Behind the programs of a file for several processors: the lines at its front look for them in the file they stand in. */
export function frontEnd(entries: readonly { readonly digest: Digest; readonly offset: number; readonly length: number }[], programs: readonly (Digest | undefined)[], entriesOffset: number): number {
  return Math.max(entriesOffset, ...entries.filter(({ digest }) => programs.includes(digest)).map(({ offset, length }) => offset + length));
}

function* cutPoints({ frontEnd: front, entries, chunkSize }: PackageShape): Generator<number> {
  for (const { offset, length } of entries) {
    if (offset < front) continue;
    for (let at = 0; at < length; at += chunkSize) yield offset + at;
  }
}

/** `kubestick.part2of3`; the first part keeps the name of the whole. */
export function partName(name: string, number: number, count: number): string {
  return number === 1 ? name : `${name}.part${number}of${count}`;
}
