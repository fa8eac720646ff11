/** Key files for signing: private ones (PEM, PKCS #8) and public ones (PEM, SubjectPublicKeyInfo), as openssl writes them. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { open, readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { KubestickError, errnoOf, messageOf } from "../errors.ts";
import { isDigest } from "./digest.ts";
import { isSignerName, keyFingerprint, rawPublicKey, type PackageSigningKey } from "./signatures.ts";
import type { Digest } from "./types.ts";

/** A key file is some hundred bytes; what is much longer is another file. */
const LONGEST_KEY_FILE = 64 * 1024;
const MAKE_ONE = "Make a pair with `kubestick package keygen --out FILE`, or `openssl genpkey -algorithm ed25519 -out FILE`.";

/** `name`: who signs, for people. Throws SIGN_KEY for a file that is no Ed25519 private key, and for a name that cannot be shown. */
export async function readSigningKey(path: string, name?: string): Promise<PackageSigningKey> {
  const refuse = (happened: string, next: string, cause?: unknown): KubestickError => new KubestickError({ code: "SIGN_KEY", attempted: `reading the signing key ${path}`, happened, next, cause });
  if (name !== undefined && !isSignerName(name)) throw refuse("The name of the signer must have 1 to 128 printable characters, and no blanks around them.", "Correct --signer.");
  const pem = await readFile(path, "utf8").catch((error: unknown) => { throw refuse(`It cannot be read: ${messageOf(error)}.`, MAKE_ONE, error); });
  if (pem.includes("BEGIN ENCRYPTED PRIVATE KEY")) throw refuse("It is protected by a pass phrase, and there is nobody to ask for it.", `Give an unprotected copy in memory: \`openssl pkey -in ${path} -out /dev/shm/key.pem\`, and delete that afterwards.`);
  if (pem.includes("BEGIN PUBLIC KEY")) throw refuse("It is a public key; signing needs the private one.", "Name the private key of the same pair with --sign-key.");
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (error) {
    throw refuse("It is no private key in PEM (PKCS #8).", MAKE_ONE, error);
  }
  const raw = rawPublicKey(key);
  if (raw === undefined) throw refuse(`It is a key of type ${key.asymmetricKeyType ?? "unknown"}; packages are signed with Ed25519.`, MAKE_ONE);
  return { name, key: raw, sign: (message) => sign(null, message, key) };
}

/** A trusted key with the text it travels as. */
export interface TrustedKey {
  readonly fingerprint: Digest;
  /** PEM, SubjectPublicKeyInfo; undefined when only the fingerprint is known. */
  readonly pem: string | undefined;
}

/** `from`: a file with one or more public keys in PEM, or a fingerprint, `sha256:` and 64 hex digits. Throws TRUST_KEY. */
export async function readTrustedKeys(from: string): Promise<readonly TrustedKey[]> {
  if (from.startsWith("sha256:")) {
    if (isDigest(from)) return [{ fingerprint: from, pem: undefined }];
    throw trustKeyRefused(from, "A fingerprint is sha256: and 64 lower-case hex digits.", "Take it from `kubestick package inspect` of a package you know, or from whoever signs.");
  }
  const text = await readFile(from).catch((error: unknown) => { throw trustKeyRefused(from, `It cannot be read: ${messageOf(error)}.`, `Check the path: \`ls -l ${from}\`.`, error); });
  if (text.length > LONGEST_KEY_FILE) throw trustKeyRefused(from, `It has ${text.length} bytes and is no key file.`, "Name the public key of whoever signs.");
  return trustedKeysOf(text.toString("utf8"), from);
}

/** The public keys in a text of PEM blocks; at least one. `from`: where the text is from, for errors. */
export function trustedKeysOf(text: string, from: string): readonly TrustedKey[] {
  // Somebody is about to carry a private key to every node.
  if (/BEGIN [A-Z ]*PRIVATE KEY/.test(text)) throw trustKeyRefused(from, "It is a private key, which belongs to the signer alone; trust needs the public one.", `Extract it: \`openssl pkey -in ${from} -pubout -out ${from}.pub\`.`);
  const blocks = text.match(/-----BEGIN PUBLIC KEY-----[^-]*-----END PUBLIC KEY-----/g) ?? [];
  if (blocks.length === 0) throw trustKeyRefused(from, "There is no public key in PEM (BEGIN PUBLIC KEY) in it.", MAKE_ONE);
  return blocks.map((block) => {
    let key: KeyObject;
    try {
      key = createPublicKey(block);
    } catch (error) {
      throw trustKeyRefused(from, `A key in it cannot be read: ${messageOf(error)}.`, MAKE_ONE, error);
    }
    const raw = rawPublicKey(key);
    if (raw === undefined) throw trustKeyRefused(from, `A key in it is of type ${key.asymmetricKeyType ?? "unknown"}; packages are signed with Ed25519.`, MAKE_ONE);
    return { fingerprint: keyFingerprint(raw), pem: key.export({ format: "pem", type: "spki" }).toString() };
  });
}

function trustKeyRefused(from: string, happened: string, next: string, cause?: unknown): KubestickError {
  return new KubestickError({ code: "TRUST_KEY", attempted: `reading the trusted key ${from}`, happened, next, cause });
}

export interface KeyPairFiles {
  readonly privateKey: string;
  readonly publicKey: string;
  readonly fingerprint: Digest;
}

/** Writes FILE (readable by its owner alone) and FILE.pub. What is there already is never replaced: a lost key cannot be made again. */
export async function writeKeyPair(path: string): Promise<KeyPairFiles> {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const raw = rawPublicKey(publicKey);
  if (raw === undefined) throw new TypeError("the new key is not an Ed25519 key");
  const publicPath = `${path}.pub`;
  await writeNew(publicPath, publicKey.export({ format: "pem", type: "spki" }).toString(), 0o644);
  try {
    await writeNew(path, privateKey.export({ format: "pem", type: "pkcs8" }).toString(), 0o600);
  } catch (error) {
    await rm(publicPath, { force: true });
    throw error;
  }
  return { privateKey: path, publicKey: publicPath, fingerprint: keyFingerprint(raw) };
}

async function writeNew(path: string, text: string, mode: number): Promise<void> {
  try {
    const file = await open(path, "wx", mode);
    try {
      await file.writeFile(text);
      await file.sync();
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      await file.close();
    }
  } catch (error) {
    const there = errnoOf(error) === "EEXIST";
    throw new KubestickError({
      code: "SIGN_KEY_WRITE",
      attempted: `writing the key file ${path}`,
      happened: there ? "There is a file of this name already, and it stays as it is." : `It could not be written: ${messageOf(error)}.`,
      next: there ? "Choose another name with --out." : `Check that you may write there: \`ls -ld ${dirname(path)}\`.`,
      cause: error,
    });
  }
}
