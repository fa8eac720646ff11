/**
 * Signatures of a package: who vouches for its index, and by the index's hashes for every byte of the file.
 *
 * Ed25519 (RFC 8032) over the bytes of the index, followed by the signer's name where there is one: a CBOR item knows its own end, so the
 * two cannot be told apart in more than one way, and a name cannot be changed without the key. No time is involved, nobody is asked.
 * Whether a signer is one to be trusted is decided in `trust.ts`.
 */
import { createPublicKey, verify, type KeyObject } from "node:crypto";
import { Decoder, Encoder } from "cbor-x";
import { KubestickError, messageOf } from "../errors.ts";
import { digestOf } from "./digest.ts";
import type { Digest, PackageSigner } from "./types.ts";

const ALGORITHM = "ed25519";
const KEY_SIZE = 32;
const SIGNATURE_SIZE = 64;
/** RFC 8410: what stands in front of the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo. */
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");
/** In characters; longer ones are no names. */
const LONGEST_NAME = 128;

const encoder = new Encoder({ useRecords: false, mapsAsObjects: true, variableMapSize: true, structuredClone: false });
const decoder = new Decoder({ useRecords: false, mapsAsObjects: true, structuredClone: false });

/** As it lies in the file. */
export interface PackageSignature {
  readonly name: string | undefined;
  /** The 32 bytes of the public key. */
  readonly key: Uint8Array;
  readonly signature: Uint8Array;
}

/** Somebody who can sign; the key itself stays where it is. */
export interface PackageSigningKey {
  readonly name: string | undefined;
  /** The 32 bytes of the public key. */
  readonly key: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
}

/** A name that can stand in a line of text: no control characters, at most 128 characters. */
export function isSignerName(name: string): boolean {
  return name.length > 0 && name.length <= LONGEST_NAME && name.trim() === name && !/\p{C}/u.test(name);
}

/** `sha256:` of the key's SubjectPublicKeyInfo, as of the cluster's CA: `openssl pkey -pubin -in FILE -outform DER | sha256sum`. */
export function keyFingerprint(key: Uint8Array): Digest {
  return digestOf(Buffer.concat([SPKI_PREFIX, key]));
}

/** The 32 bytes of an Ed25519 key; undefined when it is of another kind. */
export function rawPublicKey(key: KeyObject): Uint8Array | undefined {
  if (key.asymmetricKeyType !== "ed25519") return undefined;
  const der = (key.type === "private" ? createPublicKey(key) : key).export({ format: "der", type: "spki" });
  return Uint8Array.from(der.subarray(SPKI_PREFIX.length));
}

/** What a signature lies over. */
function signedBytes(index: Uint8Array, name: string | undefined): Uint8Array {
  return name === undefined ? index : Buffer.concat([index, Buffer.from(name, "utf8")]);
}

export function signIndex(index: Uint8Array, { name, key, sign }: PackageSigningKey): PackageSignature {
  return { name, key, signature: sign(signedBytes(index, name)) };
}

/** Bytes of the signatures' part for these signers, known before anything is signed. */
export function signaturesLength(signers: readonly Pick<PackageSignature, "name" | "key">[]): number {
  return encodeSignatures(signers.map(({ name, key }) => ({ name, key, signature: new Uint8Array(SIGNATURE_SIZE) }))).length;
}

/** No bytes for no signatures. */
export function encodeSignatures(signatures: readonly PackageSignature[]): Uint8Array {
  if (signatures.length === 0) return new Uint8Array(0);
  return Uint8Array.from(encoder.encode(signatures.map(({ name, key, signature }) => ({
    algorithm: ALGORITHM, key: Buffer.from(key), ...(name === undefined ? {} : { name }), signature: Buffer.from(signature),
  }))));
}

/** Those of an algorithm known here. Throws PACKAGE_SIGNATURES for bytes that are no list of signatures. */
export function decodeSignatures(bytes: Uint8Array, path: string): readonly PackageSignature[] {
  if (bytes.length === 0) return [];
  let items: unknown;
  try {
    items = decoder.decode(bytes);
  } catch (error) {
    throw unusable(path, `they are not CBOR: ${messageOf(error)}`, error);
  }
  if (!Array.isArray(items) || items.length === 0) throw unusable(path, "they are no list");
  const found: PackageSignature[] = [];
  for (const [number, item] of (items as readonly unknown[]).entries()) {
    const { algorithm, key, name, signature } = (typeof item === "object" && item !== null ? item : {}) as Record<string, unknown>;
    if (typeof algorithm !== "string") throw unusable(path, `number ${number + 1} names no algorithm`);
    if (algorithm !== ALGORITHM) continue;
    if (!(key instanceof Uint8Array) || key.length !== KEY_SIZE || !(signature instanceof Uint8Array) || signature.length !== SIGNATURE_SIZE) throw unusable(path, `number ${number + 1} has no key of ${KEY_SIZE} and signature of ${SIGNATURE_SIZE} bytes`);
    if (name !== undefined && (typeof name !== "string" || !isSignerName(name))) throw unusable(path, `number ${number + 1} has a name that is none`);
    if (found.some((other) => Buffer.compare(other.key, key) === 0)) throw unusable(path, `the key ${keyFingerprint(key)} stands there twice`);
    found.push({ name, key, signature });
  }
  return found;
}

/** Signatures of any algorithm. Only for what `decodeSignatures` has read. */
export function countSignatures(bytes: Uint8Array): number {
  return bytes.length === 0 ? 0 : (decoder.decode(bytes) as readonly unknown[]).length;
}

/**
 * Who signed these bytes of an index. Throws PACKAGE_SIGNATURE_INVALID when one of the signatures is not over them: whoever changed
 * the package could not sign it again, so nothing in it is believed, whatever the other signatures say.
 */
export function verifiedSigners(signatures: readonly PackageSignature[], index: Uint8Array, path: string): readonly PackageSigner[] {
  return signatures.map(({ name, key, signature }) => {
    const fingerprint = keyFingerprint(key);
    if (!verify(null, signedBytes(index, name), publicKeyOf(key), signature)) throw invalid(path, { fingerprint, name });
    return { fingerprint, name };
  });
}

function publicKeyOf(key: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, key]), format: "der", type: "spki" });
}

/** `Release team (sha256:1234...)`, `sha256:1234...` */
export function signerText({ fingerprint, name }: PackageSigner): string {
  return name === undefined ? fingerprint : `${name} (${fingerprint})`;
}

function unusable(path: string, why: string, cause?: unknown): KubestickError {
  return new KubestickError({
    code: "PACKAGE_SIGNATURES",
    attempted: `reading the signatures of the package in ${path}`,
    happened: `The signatures cannot be used: ${why}.`,
    next: "Have the package signed again by `kubestick package sign`; these were not written correctly.",
    cause,
  });
}

function invalid(path: string, signer: PackageSigner): KubestickError {
  return new KubestickError({
    code: "PACKAGE_SIGNATURE_INVALID",
    attempted: `checking who signed the package in ${path}`,
    happened: `The signature of ${signerText(signer)} is not over this package: it was changed after it was signed, or the signature was taken from another one.`,
    next: "Do not use this file. Get it again from whoever signed it, and compare `sha256sum` with theirs.",
  });
}
