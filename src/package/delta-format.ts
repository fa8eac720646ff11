/** The header of a delta: how long it is, which package it needs and which one it makes. The rest is in `delta.ts`. */
import { FORMAT_VERSION, recordChecksum, recordChecksumMatches, type Decoded } from "./format.ts";
import type { Digest } from "./types.ts";

export const DELTA_HEADER_SIZE = 256;

const MAGIC = "kstkdelt";
const TITLE_SIZE = 56;

export interface DeltaHeader {
  /** Bytes of the delta. */
  readonly fileLength: number;
  /** The packages' ids are the digests of their indexes; the titles are for people. */
  readonly base: { readonly id: Digest; readonly title: string };
  readonly target: { readonly id: Digest; readonly title: string };
}

// Header:  0 magic 8 | 8 version u32 | 12 header length u32 | 16 checksum 32 over everything else | 48 file length u64 | 56 zeros 8 |
//          64 base id 32 | 96 new id 32 | 128 base title 56 | 184 new title 56, UTF-8 padded with zeros | 240 zeros 16

export function encodeDeltaHeader({ fileLength, base, target }: DeltaHeader): Uint8Array {
  const bytes = Buffer.alloc(DELTA_HEADER_SIZE);
  bytes.write(MAGIC, 0, "latin1");
  bytes.writeUInt32LE(FORMAT_VERSION, 8);
  bytes.writeUInt32LE(DELTA_HEADER_SIZE, 12);
  bytes.writeBigUInt64LE(BigInt(fileLength), 48);
  for (const [at, { id }] of [[64, base], [96, target]] as const) bytes.set(Buffer.from(id.slice("sha256:".length), "hex"), at);
  for (const [at, { title }] of [[128, base], [184, target]] as const) bytes.set(Buffer.from(title).subarray(0, TITLE_SIZE), at);
  bytes.set(recordChecksum(bytes, 16), 16);
  return bytes;
}

export function decodeDeltaHeader(bytes: Uint8Array): Decoded<DeltaHeader> {
  const record = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (record.length < 48 || record.toString("latin1", 0, 8) !== MAGIC) return { is: "foreign" };
  const length = record.readUInt32LE(12);
  if (length < 48 || length > record.length || !recordChecksumMatches(record.subarray(0, length), 16)) return { is: "damaged" };
  const version = record.readUInt32LE(8);
  if (version !== FORMAT_VERSION) return { is: "other", version };
  if (length !== DELTA_HEADER_SIZE) return { is: "damaged" };
  const name = (id: number, title: number): DeltaHeader["base"] => ({ id: `sha256:${record.toString("hex", id, id + 32)}`, title: record.toString("utf8", title, title + TITLE_SIZE).replace(/\0+$/, "") });
  return { is: "intact", value: { fileLength: Number(record.readBigUInt64LE(48)), base: name(64, 128), target: name(96, 184) } };
}
