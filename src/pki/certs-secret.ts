/** Values of Secret kubeadm-certs: nonce, ciphertext and tag in one (AES-256-GCM, no additional data). Facts: kubeadm util/crypto. */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { KubestickError } from "../errors.ts";

const algorithm = "aes-256-gcm";
const nonceBytes = 12;
const tagBytes = 16;
/** How much longer a value is than its plaintext. */
export const encryptedOverhead = nonceBytes + tagBytes;

/** 64 hex characters: what `--certificate-key` takes. */
export function generateCertificateKey(): string {
  return randomBytes(32).toString("hex");
}

/** `nonce` is given only by tests: one used twice breaks the cipher. */
export function encryptCertificate(plaintext: Uint8Array, certificateKey: string, nonce: Uint8Array = randomBytes(nonceBytes)): Uint8Array {
  const cipher = createCipheriv(algorithm, keyBytes(certificateKey), nonce);
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** `name` is the Secret's key, for the error. */
export function decryptCertificate(value: Uint8Array, certificateKey: string, name: string): Uint8Array {
  const key = keyBytes(certificateKey);
  const failure = (happened: string, cause?: unknown): KubestickError =>
    new KubestickError({
      code: "CERTIFICATE_DECRYPT",
      attempted: `decrypting ${name} from the Secret kubeadm-certs`,
      happened,
      next: "On a control-plane node: ./kubestick init phase upload-certs --upload-certs   # and use the certificate key it prints",
      cause,
    });
  if (value.length < nonceBytes + tagBytes) throw failure(`The value has only ${value.length} bytes.`);
  const decipher = createDecipheriv(algorithm, key, value.subarray(0, nonceBytes));
  decipher.setAuthTag(value.subarray(value.length - tagBytes));
  try {
    return Buffer.concat([decipher.update(value.subarray(nonceBytes, value.length - tagBytes)), decipher.final()]);
  } catch (error) {
    throw failure("The certificate key is not the one it was encrypted with, or the value was changed.", error);
  }
}

function keyBytes(certificateKey: string): Buffer {
  if (!/^[0-9a-fA-F]{64}$/.test(certificateKey)) {
    throw new KubestickError({
      code: "CERTIFICATE_KEY_INVALID",
      attempted: "reading the certificate key",
      happened: `A certificate key is 64 hexadecimal characters; the given one has ${certificateKey.length} characters${certificateKey.length === 64 ? ", not all of them hexadecimal" : ""}.`,
      next: "openssl rand -hex 32   # makes a new one",
    });
  }
  return Buffer.from(certificateKey, "hex");
}
