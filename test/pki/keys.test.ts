import { match, strictEqual, throws } from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import type { EncryptionAlgorithm } from "../../src/config/types.ts";
import { containsPublicKey, generateKey, publicKeyPem, readPrivateKey } from "../../src/pki/keys.ts";

for (const [algorithm, label] of [["RSA-2048", "RSA PRIVATE KEY"], ["ECDSA-P256", "EC PRIVATE KEY"], ["ECDSA-P384", "EC PRIVATE KEY"]] as readonly (readonly [EncryptionAlgorithm, string])[]) {
  test(`generateKey writes ${algorithm} as kubeadm does, never PKCS#8`, async () => {
    const pem = await generateKey(algorithm);
    match(pem, new RegExp(`^-----BEGIN ${label}-----\n([A-Za-z0-9+/=]{1,64}\n)+-----END ${label}-----\n$`));
    match(publicKeyPem(pem), /^-----BEGIN PUBLIC KEY-----\n/);
    const details = createPrivateKey(pem).asymmetricKeyDetails;
    strictEqual(details?.modulusLength ?? details?.namedCurve, { "RSA-2048": 2048, "ECDSA-P256": "prime256v1", "ECDSA-P384": "secp384r1" }[algorithm as string]);
  });
}

test("readPrivateKey takes PKCS#8 and a key behind EC parameters", () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const sec1 = privateKey.export({ format: "pem", type: "sec1" }).toString();
  strictEqual(readPrivateKey(privateKey.export({ format: "pem", type: "pkcs8" }).toString(), "k").equals(privateKey), true);
  strictEqual(readPrivateKey(`-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${sec1}`, "k").equals(privateKey), true);
  strictEqual(readPrivateKey(sec1.replaceAll("\n", "\r\n"), "k").equals(privateKey), true);
});

test("readPrivateKey names the file and the reason when it cannot use a key", () => {
  const { privateKey } = generateKeyPairSync("ed25519");
  const passphrase = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "x" }).toString();
  const cases: readonly (readonly [string, RegExp])[] = [
    ["nothing", /holds no PEM private key/],
    [passphrase, /passphrase/],
    ["-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", /passphrase/],
    ["-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", /damaged/],
    [privateKey.export({ format: "pem", type: "pkcs8" }).toString(), /ed25519/],
  ];
  for (const [pem, reason] of cases) {
    throws(() => readPrivateKey(pem, "/etc/kubernetes/pki/ca.key"), (error: Error & { code?: string; happened?: string }) => {
      strictEqual(error.code, "PKI_KEY_UNREADABLE");
      match(error.happened ?? "", reason);
      match(error.message, /ca\.key/);
      return true;
    });
  }
});

test("containsPublicKey finds the key among several", async () => {
  const [mine, other] = await Promise.all([generateKey("ECDSA-P256"), generateKey("ECDSA-P256")]);
  strictEqual(containsPublicKey(publicKeyPem(other) + publicKeyPem(mine), mine), true);
  strictEqual(containsPublicKey(publicKeyPem(other), mine), false);
  strictEqual(containsPublicKey("no keys", mine), false);
});
