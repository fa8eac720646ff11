/** Certificates as plain facts, and the questions asked about them: who signed it, whose key is it, which pin. */
import { createHash, createPublicKey, X509Certificate } from "node:crypto";
import { addressToNumber, familyOf, numberToAddress } from "../config/address.ts";
import { KubestickError } from "../errors.ts";
import type { AltNames } from "./certificate-table.ts";
import { readPrivateKey } from "./keys.ts";
import { splitPemBundle } from "./pem.ts";
import { x509 } from "./x509.ts";

export interface DistinguishedName {
  readonly commonName: string;
  readonly organizations: readonly string[];
  /** All of it, most specific last: `O=kubeadm:cluster-admins, CN=kubernetes-admin`. */
  readonly text: string;
}

export interface CertificateFacts extends AltNames {
  /** This certificate alone. */
  readonly pem: string;
  readonly subject: DistinguishedName;
  readonly issuer: DistinguishedName;
  /** Lower-case hex. */
  readonly serial: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** `RSA-2048`, `ECDSA-P256`; OpenSSL's name for other kinds. */
  readonly keyAlgorithm: string;
  /** `SHA-256`: hash of the signature. */
  readonly signatureHash: string;
  readonly isAuthority: boolean;
  /** OpenSSL's short words: digitalSignature, keyEncipherment, keyCertSign, ... */
  readonly keyUsage: readonly string[];
  /** serverAuth, clientAuth, or the OID; empty when the extension is absent, which allows every use. */
  readonly extendedKeyUsage: readonly string[];
  readonly subjectKeyId: string | undefined;
  readonly authorityKeyId: string | undefined;
  /** In the certificate's order. */
  readonly extensions: readonly { readonly oid: string; readonly critical: boolean }[];
}

type Certificate = InstanceType<typeof x509.X509Certificate>;

/** Every certificate of `pem`, at least one. `name` is the file, for the error. */
export function readCertificates(pem: string, name: string): readonly CertificateFacts[] {
  const texts = splitPemBundle(pem);
  if (texts.length === 0) throw unreadable(name, "The text holds no PEM certificate.");
  return texts.map((text) => {
    try {
      return facts(text);
    } catch (error) {
      throw unreadable(name, "A PEM block in it is no X.509 certificate.", error);
    }
  });
}

/** The first certificate of `pem`: in a chain, the one that belongs to the key. */
export function readCertificate(pem: string, name: string): CertificateFacts {
  return readCertificates(pem, name)[0] as CertificateFacts;
}

function unreadable(name: string, happened: string, cause?: unknown): KubestickError {
  return new KubestickError({ code: "PKI_CERTIFICATE_UNREADABLE", attempted: `reading the certificate ${name}`, happened, next: `Restore ${name} from a backup, or move it away so that a new one can be made.`, cause });
}

function facts(pem: string): CertificateFacts {
  const certificate = new x509.X509Certificate(pem);
  const usage = certificate.getExtension(x509.KeyUsagesExtension)?.usages ?? 0;
  const names = certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? [];
  const named = (type: string): readonly string[] => names.filter((name) => name.type === type).map((name) => name.value);
  return {
    pem,
    subject: distinguishedName(certificate.subjectName),
    issuer: distinguishedName(certificate.issuerName),
    serial: certificate.serialNumber,
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    keyAlgorithm: keyAlgorithm(pem),
    signatureHash: (certificate.signatureAlgorithm as { hash?: { name?: string } }).hash?.name ?? "unknown",
    isAuthority: certificate.getExtension(x509.BasicConstraintsExtension)?.ca ?? false,
    keyUsage: keyUsageNames.filter((name) => (usage & x509.KeyUsageFlags[name]) !== 0),
    extendedKeyUsage: (certificate.getExtension(x509.ExtendedKeyUsageExtension)?.usages ?? []).map((oid) => usageNames[String(oid)] ?? String(oid)),
    dnsNames: named("dns"),
    ipAddresses: named("ip"),
    subjectKeyId: certificate.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId,
    authorityKeyId: certificate.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId,
    extensions: certificate.extensions.map((extension) => ({ oid: extension.type, critical: extension.critical })),
  };
}

const keyUsageNames = ["digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign"] as const;
const usageNames: Readonly<Record<string, string>> = { [x509.ExtendedKeyUsage.serverAuth]: "serverAuth", [x509.ExtendedKeyUsage.clientAuth]: "clientAuth" };

function distinguishedName(name: Certificate["subjectName"]): DistinguishedName {
  return { commonName: name.getField("CN").at(-1) ?? "", organizations: name.getField("O"), text: name.toString() };
}

function keyAlgorithm(pem: string): string {
  const { asymmetricKeyType, asymmetricKeyDetails } = new X509Certificate(pem).publicKey;
  if (asymmetricKeyType === "rsa") return `RSA-${asymmetricKeyDetails?.modulusLength}`;
  const curve = asymmetricKeyDetails?.namedCurve;
  return curve === "prime256v1" ? "ECDSA-P256" : curve === "secp384r1" ? "ECDSA-P384" : (curve ?? String(asymmetricKeyType));
}

/** Did `authority` sign `certificate`? Names are compared byte by byte, because Go does so: an OpenSSL-only match would fail in every component. */
export function verifyIssuedBy(certificate: string, authority: string): boolean {
  const child = new X509Certificate(certificate);
  const parent = new X509Certificate(authority);
  const issuer = Buffer.from(new x509.X509Certificate(firstOf(certificate)).issuerName.toArrayBuffer());
  const subject = Buffer.from(new x509.X509Certificate(firstOf(authority)).subjectName.toArrayBuffer());
  return parent.ca && issuer.equals(subject) && child.checkIssued(parent) && child.verify(parent.publicKey);
}

/** Does the first certificate of `bundle` chain to `authority`, through the other certificates of the bundle if need be? */
export function chainsTo(bundle: string, authority: string): boolean {
  const [leaf, ...intermediates] = splitPemBundle(bundle);
  const root = firstOf(authority);
  const climb = (certificate: string, rest: readonly string[]): boolean =>
    verifyIssuedBy(certificate, root) || rest.some((parent) => verifyIssuedBy(certificate, parent) && climb(parent, rest.filter((other) => other !== parent)));
  return leaf !== undefined && climb(leaf, intermediates);
}

/** Do the first certificate and the private key belong together? */
export function keyMatches(certificate: string, key: string): boolean {
  return new X509Certificate(certificate).checkPrivateKey(readPrivateKey(key, "private key"));
}

/** kubeadm's CA pin (`--discovery-token-ca-cert-hash`): SHA-256 over the public key, so that a renewed CA certificate keeps its pin. */
export function caPin(pem: string): string {
  const { publicKey } = new x509.X509Certificate(firstOf(pem));
  return `sha256:${createHash("sha256").update(Buffer.from(publicKey.rawData)).digest("hex")}`;
}

/** Is every wanted name and address in the certificate? A wildcard in it covers one label (RFC 6125). Returns those that are not. */
export function missingNames(certificate: AltNames, wanted: AltNames): readonly string[] {
  const names = certificate.dnsNames.map((name) => name.toLowerCase());
  const addresses = new Set(certificate.ipAddresses.map(canonical));
  const covered = (name: string): boolean => names.includes(name) || (!name.startsWith("*.") && names.includes(name.replace(/^[^.]+/, "*")));
  return [...wanted.dnsNames.filter((name) => !covered(name.toLowerCase())), ...wanted.ipAddresses.filter((address) => !addresses.has(canonical(address)))];
}

function canonical(address: string): string {
  const family = familyOf(address);
  return family === undefined ? address : numberToAddress(addressToNumber(address), family);
}

function firstOf(pem: string): string {
  return splitPemBundle(pem)[0] ?? pem;
}
