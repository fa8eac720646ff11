import { deepStrictEqual, match, notDeepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { decryptCertificate, encryptCertificate, generateCertificateKey } from "../../src/pki/certs-secret.ts";

const key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/** Made with kubeadm's own code. */
const sealed = "0101010101010101010101011fa6895907f795f1f3d63a715473a500e8b3b15552";

test("encryptCertificate writes nonce, ciphertext and tag as kubeadm does", () => {
  strictEqual(Buffer.from(encryptCertificate(Buffer.from("hello"), key, Buffer.alloc(12, 1))).toString("hex"), sealed);
  strictEqual(Buffer.from(decryptCertificate(Buffer.from(sealed, "hex"), key, "ca.crt")).toString(), "hello");
});

test("encryptCertificate never seals twice alike, and what it seals opens again", () => {
  const certificateKey = generateCertificateKey();
  match(certificateKey, /^[0-9a-f]{64}$/);
  const [one, two] = [encryptCertificate(Buffer.alloc(5000, 7), certificateKey), encryptCertificate(Buffer.alloc(5000, 7), certificateKey)];
  notDeepStrictEqual(one, two);
  deepStrictEqual(Buffer.from(decryptCertificate(one, certificateKey, "x")), Buffer.alloc(5000, 7));
});

test("decryptCertificate tells a wrong key, a changed value and a short one", () => {
  const value = Buffer.from(sealed, "hex");
  const changed = Buffer.from(value);
  changed[15] = (changed[15] ?? 0) ^ 1;
  throws(() => decryptCertificate(changed, key, "ca.key"), { code: "CERTIFICATE_DECRYPT", attempted: "decrypting ca.key from the Secret kubeadm-certs" });
  throws(() => decryptCertificate(value, generateCertificateKey(), "ca.key"), { code: "CERTIFICATE_DECRYPT" });
  throws(() => decryptCertificate(value.subarray(0, 20), key, "ca.key"), { code: "CERTIFICATE_DECRYPT" });
  throws(() => decryptCertificate(value, "00", "ca.key"), { code: "CERTIFICATE_KEY_INVALID" });
});
