/** Private keys as PEM text. Files carry PKCS#1 or SEC1 as kubeadm writes them; PKCS#8 is read too, because people bring such keys. */
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import type { EncryptionAlgorithm } from "../config/types.ts";
import { KubestickError } from "../errors.ts";
import { pemBlocks } from "./pem.ts";

const generate = promisify(generateKeyPair) as unknown as (type: "rsa" | "ec", options: object) => Promise<{ readonly privateKey: KeyObject }>;

const algorithms: Readonly<Record<EncryptionAlgorithm, readonly ["rsa" | "ec", object]>> = {
  "RSA-2048": ["rsa", { modulusLength: 2048 }],
  "RSA-3072": ["rsa", { modulusLength: 3072 }],
  "RSA-4096": ["rsa", { modulusLength: 4096 }],
  "ECDSA-P256": ["ec", { namedCurve: "P-256" }],
  "ECDSA-P384": ["ec", { namedCurve: "P-384" }],
};

/** Keys made at the same moment. The pool has four threads, and files, which everybody else waits for, need some of them. */
const atOnce = 2;
let making = 0;
const waiting: (() => void)[] = [];

/** A fresh key; generation runs on the thread pool, so several at once use several cores. */
export async function generateKey(algorithm: EncryptionAlgorithm): Promise<string> {
  const [type, options] = algorithms[algorithm];
  if (making >= atOnce) await new Promise<void>((resolve) => { waiting.push(resolve); });
  else making += 1;
  try {
    const { privateKey } = await generate(type, options);
    return exportPrivateKey(privateKey);
  } finally {
    // Whoever waits takes this one's place.
    const next = waiting.shift();
    if (next === undefined) making -= 1;
    else next();
  }
}

function exportPrivateKey(key: KeyObject): string {
  return key.export({ format: "pem", type: key.asymmetricKeyType === "rsa" ? "pkcs1" : "sec1" }).toString();
}

/** `PUBLIC KEY` (PKIX) of a private key: sa.pub. */
export function publicKeyPem(privateKey: string): string {
  return createPublicKey(readPrivateKey(privateKey, "private key")).export({ format: "pem", type: "spki" }).toString();
}

/** Is `publicKeys` (one PEM block or several) a text that contains the public half of `privateKey`? */
export function containsPublicKey(publicKeys: string, privateKey: string): boolean {
  const wanted = publicKeyPem(privateKey);
  return pemBlocks(publicKeys).some(({ text }) => {
    try {
      return createPublicKey(text).export({ format: "pem", type: "spki" }) === wanted;
    } catch {
      // A block that is no public key (a comment, a certificate request) simply does not match.
      return false;
    }
  });
}

const curves: ReadonlySet<string | undefined> = new Set(["prime256v1", "secp384r1", "secp521r1"]);

/** The first private key in `pem`, which may start with other blocks (`EC PARAMETERS`). `name` is the file, for the error. */
export function readPrivateKey(pem: string, name: string): KeyObject {
  const unreadable = (happened: string, next: string, cause?: unknown): KubestickError =>
    new KubestickError({ code: "PKI_KEY_UNREADABLE", attempted: `reading the private key ${name}`, happened, next, cause });
  const found = pemBlocks(pem).find(({ label }) => label.endsWith("PRIVATE KEY"));
  if (found === undefined) throw unreadable("The text holds no PEM private key.", `Put the PEM private key into ${name}, or move the file away so that a new one can be made.`);
  if (found.label.startsWith("ENCRYPTED") || /^Proc-Type: 4,ENCRYPTED$/m.test(found.text)) {
    throw unreadable("The key is protected by a passphrase, which Kubernetes components cannot ask for.", `openssl pkey -in ${name} -out ${name}.plain   # then put it in the place of ${name}`);
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(found.text);
  } catch (error) {
    throw unreadable("The PEM block is damaged.", `Restore ${name} from a backup, or move it away.`, error);
  }
  const usable = key.asymmetricKeyType === "rsa" || (key.asymmetricKeyType === "ec" && curves.has(key.asymmetricKeyDetails?.namedCurve));
  if (!usable) {
    throw unreadable(`The key is of type ${key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType}; Kubernetes takes RSA and ECDSA on the NIST curves.`, `Put an RSA or ECDSA key into ${name}, or move the file away.`);
  }
  return key;
}
