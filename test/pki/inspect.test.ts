import { deepStrictEqual, match, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { caPin, chainsTo, missingNames, readCertificate, readCertificates, verifyIssuedBy } from "../../src/pki/inspect.ts";
import { issueCa, signLeaf } from "../../src/pki/issue.ts";
import { generateKey } from "../../src/pki/keys.ts";
import { splitPemBundle } from "../../src/pki/pem.ts";

const validity = { notBefore: new Date("2026-11-21T10:00:00Z"), notAfter: new Date("2027-11-21T10:00:00Z") };
const leaf = { commonName: "leaf", usages: ["serverAuth" as const], dnsNames: ["a.example"], ipAddresses: ["192.0.2.1"], ...validity };

/** The first line of a certificate: what a copy cut short looks like. */
const cutShort = `-----BEGIN CERTIFICATE-----
MIICizCCAjCgAwIBAgIULtNWXBw8tX4aV8TdXZU5oKydGsAwCgYIKoZIzj0EAwIw
-----END CERTIFICATE-----
`;

test("readCertificates tells every certificate of a bundle, with text around them", async () => {
  const key = await generateKey("ECDSA-P256");
  const [a, b] = [await issueCa("one", key, validity), await issueCa("two", key, validity)];
  const bundle = `# first\n${a}\nsubject: two\r\n${b.replaceAll("\n", "\r\n")}`;
  deepStrictEqual(splitPemBundle(bundle), [a, b]);
  deepStrictEqual(readCertificates(bundle, "bundle").map((facts) => facts.subject.commonName), ["one", "two"]);
});

test("readCertificate names the file when the text is no certificate", () => {
  for (const text of ["", "hello", cutShort]) {
    throws(() => readCertificate(text, "/etc/kubernetes/pki/ca.crt"), { code: "PKI_CERTIFICATE_UNREADABLE", attempted: "reading the certificate /etc/kubernetes/pki/ca.crt" });
  }
});

test("verifyIssuedBy refuses an authority of the same name with another key", async () => {
  const [key, other] = await Promise.all([generateKey("ECDSA-P256"), generateKey("ECDSA-P256")]);
  const [ca, impostor] = [await issueCa("kubernetes", key, validity), await issueCa("kubernetes", other, validity)];
  const signed = await signLeaf(leaf, other, { certificate: ca, key });
  strictEqual(verifyIssuedBy(signed, ca), true);
  strictEqual(verifyIssuedBy(signed, impostor), false);
  strictEqual(verifyIssuedBy(ca, signed), false);
});

test("chainsTo does not climb through a certificate that is no authority", async () => {
  const [root, middle, own] = await Promise.all([generateKey("ECDSA-P256"), generateKey("RSA-2048"), generateKey("ECDSA-P256")]);
  const rootPem = await issueCa("root", root, validity);
  const notAuthority = await signLeaf({ ...leaf, commonName: "middle" }, middle, { certificate: rootPem, key: root });
  const below = await signLeaf(leaf, own, { certificate: notAuthority, key: middle });
  strictEqual(chainsTo(below + notAuthority, rootPem), false);
  strictEqual(chainsTo(notAuthority, rootPem), true);
});

test("caPin covers the public key, so a renewed authority keeps it", async () => {
  const key = await generateKey("RSA-2048");
  const [old, renewed] = [await issueCa("kubernetes", key, validity), await issueCa("kubernetes", key, { ...validity, notAfter: new Date("2036-01-01T00:00:00Z") })];
  match(caPin(old), /^sha256:[0-9a-f]{64}$/);
  strictEqual(caPin(renewed), caPin(old));
});

test("missingNames lets a wildcard stand for one label and compares addresses by value", () => {
  const has = { dnsNames: ["*.api.example", "CP1"], ipAddresses: ["fd00::1"] };
  deepStrictEqual(missingNames(has, { dnsNames: ["cp1", "x.api.example", "*.api.example"], ipAddresses: ["FD00:0::1"] }), []);
  deepStrictEqual(missingNames(has, { dnsNames: ["a.b.api.example", "api.example", "*.other"], ipAddresses: ["fd00::2"] }), ["a.b.api.example", "api.example", "*.other", "fd00::2"]);
});
