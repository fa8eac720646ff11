import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { EncryptionAlgorithm } from "../../src/config/types.ts";
import { kubeconfigRows } from "../../src/pki/certificate-table.ts";
import { chainsTo, keyMatches, readCertificate, type CertificateFacts } from "../../src/pki/inspect.ts";
import { addressToNumber } from "../../src/config/address.ts";
import { issueCa, issueClient, signLeaf } from "../../src/pki/issue.ts";
import { generateKey } from "../../src/pki/keys.ts";
import { parseKubeconfig } from "../../src/pki/kubeconfig.ts";
import { issueControlPlane } from "../support/control-plane-pki.ts";
import { goldenCases, goldenCertificates, goldenConfig, goldenText, type GoldenFacts } from "../support/golden.ts";

const now = new Date("2026-11-21T10:00:00.250Z");
const hour = 3_600_000;
const rsa = generateKey("RSA-2048");

const opensslWords: Readonly<Record<string, string>> = {
  digitalSignature: "Digital Signature", keyEncipherment: "Key Encipherment", keyCertSign: "Certificate Sign",
  serverAuth: "TLS Web Server Authentication", clientAuth: "TLS Web Client Authentication",
  "2.5.29.15": "Key Usage", "2.5.29.37": "Extended Key Usage", "2.5.29.19": "Basic Constraints", "2.5.29.14": "Subject Key Identifier", "2.5.29.35": "Authority Key Identifier", "2.5.29.17": "Subject Alternative Name",
};
const words = (list: readonly string[]): string => list.map((word) => opensslWords[word] ?? word).join(", ");

/** openssl writes all eight groups of an IPv6 address, in capitals. */
function opensslAddress(address: string): string {
  if (!address.includes(":")) return address;
  const value = addressToNumber(address);
  return Array.from({ length: 8 }, (_, group) => ((value >> BigInt(112 - 16 * group)) & 0xffffn).toString(16).toUpperCase()).join(":");
}

/** The facts of a certificate in the words of certs.txt. */
function goldenWords(facts: CertificateFacts): GoldenFacts {
  const critical = (oid: string): string => (facts.extensions.find((extension) => extension.oid === oid)?.critical === true ? " [critical]" : "");
  const names = [...facts.dnsNames.map((name) => `DNS:${name}`), ...facts.ipAddresses.map((address) => `IP Address:${opensslAddress(address)}`)];
  return {
    subject: facts.subject.text.split(", ").reverse().join(","),
    issuer: facts.issuer.text.split(", ").reverse().join(","),
    key: facts.keyAlgorithm.replace(/RSA-(\d+)/, "rsaEncryption $1 bit"),
    sig: facts.signatureHash === "SHA-256" && facts.keyAlgorithm.startsWith("RSA") ? "sha256WithRSAEncryption" : facts.signatureHash,
    keyUsage: words(facts.keyUsage) + critical("2.5.29.15"),
    extKeyUsage: facts.extendedKeyUsage.length === 0 ? "(absent)" : words(facts.extendedKeyUsage),
    basicConstraints: `CA:${facts.isAuthority ? "TRUE" : "FALSE"}${critical("2.5.29.19")}`,
    subjectAltName: names.length === 0 ? "(absent)" : names.join(", "),
    extensionOrder: facts.extensions.map(({ oid, critical: isCritical }) => `${opensslWords[oid]}${isCritical ? ": critical" : ""}`).join("; "),
    notBeforeOffset: `${Math.round((facts.notBefore.getTime() - now.getTime()) / 1000)} s from the start of the run (+-2 s)`,
    notAfterOffset: `${((facts.notAfter.getTime() - now.getTime()) / hour).toFixed(2)} h from the start of the run`,
  };
}

for (const golden of goldenCases) {
  test(`every certificate of a control plane has kubeadm's facts, case ${golden}`, async () => {
    const pki = await issueControlPlane(goldenConfig(golden), now, () => rsa);
    const expected = goldenCertificates(golden);
    const issued = new Map(pki.certificates);
    for (const [name, text] of pki.kubeconfigs) {
      const { credentials } = parseKubeconfig(text);
      if (!("certificate" in credentials)) throw new Error(`${name} has no certificate`);
      issued.set(`${name} client certificate`, credentials.certificate);
    }
    deepStrictEqual([...issued.keys()].sort(), [...expected.keys()].filter((name) => /\.crt$|client certificate$/.test(name)).sort());
    for (const [name, pem] of issued) {
      const facts = readCertificate(pem, name);
      const { version: _version, validity: _validity, serial: _serial, ...comparable } = expected.get(name) ?? {};
      deepStrictEqual(goldenWords(facts), comparable, name);
      match(facts.serial, /^[0-7][0-9a-f]{15}$|^[0-9a-f]{1,15}$/);
    }
  });

  test(`kubeconfigs have kubeadm's shape, case ${golden}`, async () => {
    const { kubeconfigs } = await issueControlPlane(goldenConfig(golden), now, () => rsa);
    for (const [name, text] of kubeconfigs) {
      strictEqual(text.replaceAll(/-data: .+$/gm, "-data: REDACTED"), goldenText(golden, `kubeconfigs/${name}`), name);
    }
  });
}

test("leaves point to their authority's key id, and chain to it alone", async () => {
  const { authorities, certificates } = await issueControlPlane(goldenConfig("default"), now, () => generateKey("ECDSA-P256"));
  const apiserver = certificates.get("apiserver.crt") ?? "";
  const ca = readCertificate(authorities["ca"]?.certificate ?? "", "ca.crt");
  match(ca.subjectKeyId ?? "", /^[0-9a-f]{40}$/);
  strictEqual(readCertificate(apiserver, "apiserver.crt").authorityKeyId, ca.subjectKeyId);
  strictEqual(chainsTo(apiserver, ca.pem), true);
  strictEqual(chainsTo(apiserver, authorities["etcd-ca"]?.certificate ?? ""), false);
});

for (const [algorithm, hash] of [["RSA-3072", "SHA-256"], ["ECDSA-P256", "SHA-256"], ["ECDSA-P384", "SHA-384"]] as readonly (readonly [EncryptionAlgorithm, string])[]) {
  test(`certificates of ${algorithm} keys verify, and the signature's hash follows the authority's key`, async () => {
    const key = await generateKey(algorithm);
    const validity = { notBefore: now, notAfter: new Date(now.getTime() + hour) };
    const certificate = await issueCa("root", key, validity);
    // Many signatures, because DER drops leading zeros of r and s only now and then.
    for (let i = 0; i < 24; i++) {
      const leaf = await signLeaf({ commonName: "leaf", usages: ["clientAuth"], dnsNames: [], ipAddresses: [], ...validity }, key, { certificate, key });
      strictEqual(chainsTo(leaf, certificate), true);
      strictEqual(keyMatches(leaf, key), true);
      strictEqual(readCertificate(leaf, "leaf").signatureHash, hash);
    }
    strictEqual(readCertificate(certificate, "root").keyAlgorithm, algorithm);
  });
}

test("a client certificate inside a kubeconfig starts when its authority starts", async () => {
  const config = goldenConfig("default");
  const { authorities } = await issueControlPlane(config, now, () => rsa);
  const later = new Date(now.getTime() + 1000 * hour);
  const [admin] = kubeconfigRows;
  const ca = authorities["ca"];
  if (admin === undefined || ca === undefined) throw new Error("no admin row");
  const facts = readCertificate(await issueClient(admin, config, await rsa, ca, later), "admin");
  deepStrictEqual(facts.notBefore, readCertificate(ca.certificate, "ca").notBefore);
  strictEqual(facts.notAfter.getTime(), Math.floor((later.getTime() + 8760 * hour) / 1000) * 1000);
});

test("signLeaf writes mapped IPv4 addresses as IPv4 and one spelling of IPv6", async () => {
  const key = await generateKey("ECDSA-P256");
  const validity = { notBefore: now, notAfter: new Date(now.getTime() + hour) };
  const certificate = await issueCa("root", key, validity);
  const leaf = await signLeaf({ commonName: "leaf", usages: ["serverAuth"], dnsNames: [], ipAddresses: ["::ffff:192.0.2.1", "FD00:0:0::0001"], ...validity }, key, { certificate, key });
  deepStrictEqual(readCertificate(leaf, "leaf").ipAddresses, ["192.0.2.1", "fd00::1"]);
});

test("dates after 2049 survive, for authorities made to last", async () => {
  const key = await generateKey("ECDSA-P256");
  const notAfter = new Date("2126-11-21T10:00:00Z");
  deepStrictEqual(readCertificate(await issueCa("root", key, { notBefore: now, notAfter }), "root").notAfter, notAfter);
});

test("serial numbers differ between certificates", async () => {
  const key = await generateKey("ECDSA-P256");
  const validity = { notBefore: now, notAfter: new Date(now.getTime() + hour) };
  const serials = await Promise.all(Array.from({ length: 20 }, async () => readCertificate(await issueCa("root", key, validity), "root").serial));
  strictEqual(new Set(serials).size, 20);
  ok(serials.every((serial) => BigInt(`0x${serial}`) > 0n && BigInt(`0x${serial}`) < 2n ** 63n));
});
