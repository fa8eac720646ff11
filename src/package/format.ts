/**
 * How a package lies in the file: every constant of the layout, and both directions of its three records.
 *
 *   0        the bare executable, an ELF file; or, of a package for several processors, the lines that start one (starter.ts)
 *   P        payload start: the end of it rounded up to 4096, zeros between
 *   P        header, 128 bytes
 *   P+128    stored bytes of the entries, one after the other without gaps, in index order
 *   I        index, CBOR (RFC 8949)
 *   I+n      signatures, CBOR; of length 0 in an unsigned package
 *   I+n+s    footer, 192 bytes; its last byte is the last byte of the file
 *
 * Why a header *and* a footer: a reader needs the footer (it stands where a reader can look without knowing anything),
 * but the footer is also the first thing a broken copy loses. The header is found from the other side, through the ELF
 * headers, and says how long the file has to be. So a file cut anywhere behind its ELF image is told apart from an
 * executable that never carried a package. (Cut exactly at the end of the ELF image it *is* the bare executable.)
 *
 * What later versions may not change, so that this one can say "made by a newer kubestick" instead of "corrupt":
 * the magic, version, length and checksum fields at the front of the header and at the back of the footer.
 *
 * All numbers are little-endian; offsets and lengths are 64 bits. `docs/package-format.md` says the same for people who write another reader.
 */
import type { Digest } from "./types.ts";

export const FORMAT_VERSION = 2;
export const PAYLOAD_ALIGNMENT = 4096;
export const HEADER_SIZE = 128;
export const FOOTER_SIZE = 192;
/** An index of this size would describe some hundred thousand entries; more is a broken length. */
export const MAX_INDEX_SIZE = 64 * 1024 * 1024;

/** Stored bytes are hashed in pieces of this size: small enough to name the place of a damage, large enough that a package of 5 GB has 160 KB of hashes. */
export const HASH_CHUNK_SIZE = 1024 * 1024;
/** Signatures of some hundred signers; more is a broken length. */
export const MAX_SIGNATURES_SIZE = 64 * 1024;

/** zstd entries look back 8 MiB at most, so a reader needs no more memory than that, whatever a damaged frame asks for. */
export const ZSTD_WINDOW_LOG = 23;

const HEADER_MAGIC = "kstkpack";
const FOOTER_MAGIC = "kstkfoot";
const CHECKSUM_SIZE = 32;

/** Stands at the payload start. */
export interface PackageHeader {
  readonly version: number;
  /** Bytes of the whole file. */
  readonly fileLength: number;
  /** Bytes of the bare executable, before padding. */
  readonly executableLength: number;
  /** Digest of the bare executable. */
  readonly executable: Digest;
}

/** Stands at the very end. */
export interface PackageFooter {
  readonly version: number;
  readonly payloadStart: number;
  readonly indexOffset: number;
  readonly indexLength: number;
  /** Digest of the index bytes. */
  readonly index: Digest;
  /** Bytes of the signatures, which follow the index; 0 when nobody signed. */
  readonly signaturesLength: number;
  /** Digest of the signatures' bytes. */
  readonly signatures: Digest;
}

/**
 * Outcome of decoding a record. `foreign`: these bytes are not such a record at all. `damaged`: the magic is there, the checksum is not
 * right. `other`: intact, but of another format version.
 */
export type Decoded<T> =
  | { readonly is: "intact"; readonly value: T }
  | { readonly is: "foreign" }
  | { readonly is: "damaged" }
  | { readonly is: "other"; readonly version: number };

/** Where the payload of an executable starts whose ELF image ends at `end`. */
export function payloadStartFor(end: number): number {
  return Math.ceil(end / PAYLOAD_ALIGNMENT) * PAYLOAD_ALIGNMENT;
}

// Header:  0 magic 8 | 8 version u32 | 12 header length u32 | 16 checksum 32 over everything else | 48 file length u64 |
//          56 executable length u64 | 64 executable sha256 32 | 96 zeros

export function encodeHeader(header: Omit<PackageHeader, "version">): Uint8Array {
  const bytes = Buffer.alloc(HEADER_SIZE);
  bytes.write(HEADER_MAGIC, 0, "latin1");
  bytes.writeUInt32LE(FORMAT_VERSION, 8);
  bytes.writeUInt32LE(HEADER_SIZE, 12);
  bytes.writeBigUInt64LE(BigInt(header.fileLength), 48);
  bytes.writeBigUInt64LE(BigInt(header.executableLength), 56);
  bytes.set(digestBytes(header.executable), 64);
  bytes.set(recordChecksum(bytes, 16), 16);
  return bytes;
}

/** `bytes` start at the payload start. */
export function decodeHeader(bytes: Uint8Array): Decoded<PackageHeader> {
  const record = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (record.length < 48 || record.toString("latin1", 0, 8) !== HEADER_MAGIC) return { is: "foreign" };
  const length = record.readUInt32LE(12);
  if (length < 48 || length > record.length || !recordChecksumMatches(record.subarray(0, length), 16)) return { is: "damaged" };
  const version = record.readUInt32LE(8);
  if (version !== FORMAT_VERSION) return { is: "other", version };
  if (length !== HEADER_SIZE) return { is: "damaged" };
  return {
    is: "intact",
    value: {
      version,
      fileLength: Number(record.readBigUInt64LE(48)),
      executableLength: Number(record.readBigUInt64LE(56)),
      executable: digestText(record.subarray(64, 96)),
    },
  };
}

// Footer:  0 payload start u64 | 8 index offset u64 | 16 index length u64 | 24 index sha256 32 | 56 signatures length u64 |
//          64 signatures sha256 32 | 96 zeros | 144 checksum 32 over everything else | 176 footer length u32 | 180 version u32 | 184 magic 8

export function encodeFooter(footer: Omit<PackageFooter, "version">): Uint8Array {
  const bytes = Buffer.alloc(FOOTER_SIZE);
  bytes.writeBigUInt64LE(BigInt(footer.payloadStart), 0);
  bytes.writeBigUInt64LE(BigInt(footer.indexOffset), 8);
  bytes.writeBigUInt64LE(BigInt(footer.indexLength), 16);
  bytes.set(digestBytes(footer.index), 24);
  bytes.writeBigUInt64LE(BigInt(footer.signaturesLength), 56);
  bytes.set(digestBytes(footer.signatures), 64);
  bytes.writeUInt32LE(FOOTER_SIZE, FOOTER_SIZE - 16);
  bytes.writeUInt32LE(FORMAT_VERSION, FOOTER_SIZE - 12);
  bytes.write(FOOTER_MAGIC, FOOTER_SIZE - 8, "latin1");
  bytes.set(recordChecksum(bytes, FOOTER_SIZE - 48), FOOTER_SIZE - 48);
  return bytes;
}

/** `bytes` end where the file ends. */
export function decodeFooter(bytes: Uint8Array): Decoded<PackageFooter> {
  const tail = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (tail.length < 48 || tail.toString("latin1", tail.length - 8) !== FOOTER_MAGIC) return { is: "foreign" };
  const length = tail.readUInt32LE(tail.length - 16);
  if (length < 48 || length > tail.length) return { is: "damaged" };
  const record = tail.subarray(tail.length - length);
  if (!recordChecksumMatches(record, length - 48)) return { is: "damaged" };
  const version = record.readUInt32LE(length - 12);
  if (version !== FORMAT_VERSION) return { is: "other", version };
  if (length !== FOOTER_SIZE) return { is: "damaged" };
  return {
    is: "intact",
    value: {
      version,
      payloadStart: Number(record.readBigUInt64LE(0)),
      indexOffset: Number(record.readBigUInt64LE(8)),
      indexLength: Number(record.readBigUInt64LE(16)),
      index: digestText(record.subarray(24, 56)),
      signaturesLength: Number(record.readBigUInt64LE(56)),
      signatures: digestText(record.subarray(64, 96)),
    },
  };
}

/**
 * Where the index lies before the footer, taken from it without checking it: for `peek.ts`, which must not load cryptography. `before`: bytes from the
 * first of the index to the footer. undefined when it is no footer of this version.
 */
export function indexPlace(footer: Uint8Array): { readonly before: number; readonly length: number } | undefined {
  const tail = Buffer.from(footer.buffer, footer.byteOffset, footer.byteLength);
  if (tail.length !== FOOTER_SIZE || tail.toString("latin1", FOOTER_SIZE - 8) !== FOOTER_MAGIC) return undefined;
  if (tail.readUInt32LE(FOOTER_SIZE - 16) !== FOOTER_SIZE || tail.readUInt32LE(FOOTER_SIZE - 12) !== FORMAT_VERSION) return undefined;
  const length = Number(tail.readBigUInt64LE(16));
  const signatures = Number(tail.readBigUInt64LE(56));
  return length <= MAX_INDEX_SIZE && signatures <= MAX_SIGNATURES_SIZE ? { before: length + signatures, length } : undefined;
}

/** SHA-256 over a record without its checksum, which stands at `at`. */
export function recordChecksum(record: Uint8Array, at: number): Uint8Array {
  // Loaded when first needed: it costs a third of the time in which `version` has to answer.
  const { createHash } = process.getBuiltinModule("node:crypto");
  return createHash("sha256").update(record.subarray(0, at)).update(record.subarray(at + CHECKSUM_SIZE)).digest();
}

export function recordChecksumMatches(record: Uint8Array, at: number): boolean {
  return Buffer.compare(recordChecksum(record, at), record.subarray(at, at + CHECKSUM_SIZE)) === 0;
}

function digestBytes(digest: Digest): Uint8Array {
  return Buffer.from(digest.slice("sha256:".length), "hex");
}

function digestText(bytes: Buffer): Digest {
  return `sha256:${bytes.toString("hex")}`;
}
