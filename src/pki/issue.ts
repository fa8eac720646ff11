/**
 * What a certificate of this cluster looks like. The facts are kubeadm's as its Go library writes them: extensions in the order key usage,
 * extended key usage, basic constraints, subject key id (authorities), authority key id (leaves), alternative names.
 */
import { createPublicKey, randomBytes, webcrypto, type KeyObject } from "node:crypto";
import { addressToNumber, familyOf, numberToAddress } from "../config/address.ts";
import { parseDuration } from "../config/duration.ts";
import type { ResolvedConfig } from "../config/types.ts";
import { KubestickError } from "../errors.ts";
import type { AltNames, AuthorityRow, KubeconfigRow, LeafRow, Usage } from "./certificate-table.ts";
import { readPrivateKey } from "./keys.ts";
import { renderKubeconfig } from "./kubeconfig.ts";
import { splitPemBundle } from "./pem.ts";
import { x509 } from "./x509.ts";

const crypto = webcrypto as unknown as Crypto;

/** Clocks of other machines may be behind ours. */
const backdate = 5 * 60_000;

export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** An authority that can sign: PEM of its certificate (a bundle counts by its first) and of its key. */
export interface Signer {
  readonly certificate: string;
  readonly key: string;
}

export interface LeafRequest extends AltNames, Validity {
  readonly commonName: string;
  readonly organization?: string;
  /** Instead of `organization`, several. */
  readonly organizations?: readonly string[];
  readonly usages: readonly Usage[];
}

/** The row's certificate for `key`, self-signed. `now` is the start of the run: every certificate of a run counts from the same moment. */
export function issueAuthority(row: AuthorityRow, config: ResolvedConfig, key: string, now: Date): Promise<string> {
  return issueCa(row.commonName(config), key, validity(config.cluster.caCertificateValidityPeriod, now));
}

/** The row's certificate for `key`, signed by `signer`. */
export function issueLeaf(row: LeafRow, config: ResolvedConfig, key: string, signer: Signer, now: Date): Promise<string> {
  return signLeaf(leafRequest(row, config, now), key, signer);
}

/** A kubeconfig's client certificate. Its notBefore is the authority's, as in kubeadm, so that it never predates what it must chain to. */
export function issueClient(row: KubeconfigRow, config: ResolvedConfig, key: string, signer: Signer, now: Date): Promise<string> {
  const { notAfter } = validity(config.cluster.certificateValidityPeriod, now);
  const request: LeafRequest = {
    commonName: row.commonName(config),
    ...(row.organization === undefined ? {} : { organization: row.organization }),
    usages: row.usages,
    dnsNames: [],
    ipAddresses: [],
    notBefore: firstCertificate(signer.certificate, "the signing authority").notBefore,
    notAfter,
  };
  return signLeaf(request, key, signer);
}

/** The row's kubeconfig with a client certificate for `key`. */
export async function issueKubeconfig(row: KubeconfigRow, config: ResolvedConfig, key: string, signer: Signer, now: Date): Promise<string> {
  return renderKubeconfig({
    clusterName: config.cluster.clusterName,
    server: row.server(config),
    caPem: signer.certificate,
    userName: row.commonName(config),
    credentials: { certificate: await issueClient(row, config, key, signer, now), key },
  });
}

function leafRequest(row: LeafRow, config: ResolvedConfig, now: Date): LeafRequest {
  return { commonName: row.commonName(config), usages: row.usages, ...row.altNames(config), ...validity(config.cluster.certificateValidityPeriod, now) };
}

function validity(period: string, now: Date): Validity {
  const ms = parseDuration(period);
  if (ms === undefined) throw new RangeError(`certificate period ${JSON.stringify(period)} is no duration: the configuration was not validated`);
  return { notBefore: new Date(now.getTime() - backdate), notAfter: new Date(now.getTime() + ms) };
}

/** A self-signed authority. */
export async function issueCa(commonName: string, key: string, { notBefore, notAfter }: Validity): Promise<string> {
  const privateKey = readPrivateKey(key, `of ${commonName}`);
  const publicKey = subjectPublicKey(privateKey);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(),
      subject: subjectName(commonName),
      issuer: subjectName(commonName),
      notBefore,
      notAfter,
      publicKey,
      ...signing(privateKey),
      extensions: [
        // No CRL signing: Kubernetes has no revocation lists.
        keyUsage(x509.KeyUsageFlags.keyCertSign),
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.SubjectKeyIdentifierExtension(await keyIdentifier(publicKey)),
        new x509.SubjectAlternativeNameExtension([{ type: "dns", value: commonName }]),
      ],
    },
    crypto,
  );
  return pemText(certificate);
}

/** A leaf for `key`, whose private half only proves which public key is meant. */
export async function signLeaf(request: LeafRequest, key: string, signer: Signer): Promise<string> {
  const authority = firstCertificate(signer.certificate, "the signing authority");
  const authorityKeyId = authority.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId;
  const names = [
    ...request.dnsNames.map((value) => ({ type: "dns" as const, value })),
    ...request.ipAddresses.map((value) => ({ type: "ip" as const, value: canonicalAddress(value) })),
  ];
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(),
      subject: subjectName(request.commonName, request.organizations ?? (request.organization === undefined ? [] : [request.organization])),
      issuer: authority.subjectName,
      notBefore: request.notBefore,
      notAfter: request.notAfter,
      publicKey: subjectPublicKey(readPrivateKey(key, `of ${request.commonName}`)),
      ...signing(readPrivateKey(signer.key, "of the signing authority")),
      extensions: [
        keyUsage(0),
        new x509.ExtendedKeyUsageExtension(request.usages.map((usage) => x509.ExtendedKeyUsage[usage])),
        new x509.BasicConstraintsExtension(false, undefined, true),
        // A foreign authority may carry no key id; then there is nothing to point to.
        ...(authorityKeyId === undefined ? [] : [new x509.AuthorityKeyIdentifierExtension(authorityKeyId, false)]),
        ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
      ],
    },
    crypto,
  );
  return pemText(certificate);
}

/** Organizations, all in one set, before common name: the order of Go's pkix.Name. */
function subjectName(commonName: string, organizations: readonly string[] = []): InstanceType<typeof x509.Name> {
  return new x509.Name([...(organizations.length === 0 ? [] : [{ O: organizations.map(nameText) }]), { CN: [nameText(commonName)] }]);
}

/** PrintableString where the text allows it, else UTF8String, as Go does; and never the library's own unquoting of the text. */
function nameText(value: string): { readonly printableString: string } | { readonly utf8String: string } {
  return /^[A-Za-z0-9 '()+,\-./:=?]*$/.test(value) ? { printableString: value } : { utf8String: value };
}

/** Key encipherment also for ECDSA keys, where it means nothing: so does kubeadm. */
function keyUsage(more: number): InstanceType<typeof x509.KeyUsagesExtension> {
  return new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment | more, true);
}

/** Uniform in [1, 2^63 - 1): fits the signed 64 bits some tools read serials into. */
function serialNumber(): string {
  for (;;) {
    const value = randomBytes(8).readBigUInt64BE() >> 1n;
    if (value > 0n && value < 2n ** 63n - 1n) return value.toString(16).padStart(16, "0");
  }
}

/** RFC 7093 method 1: the leftmost 160 bits of SHA-256 over the key's bit string. Go does so since 1.25. */
async function keyIdentifier(publicKey: InstanceType<typeof x509.PublicKey>): Promise<string> {
  return Buffer.from(await publicKey.getKeyIdentifier("SHA-256", crypto)).subarray(0, 20).toString("hex");
}

function subjectPublicKey(privateKey: KeyObject): InstanceType<typeof x509.PublicKey> {
  return new x509.PublicKey(createPublicKey(privateKey).export({ format: "der", type: "spki" }));
}

const curveSigning: Readonly<Record<string, readonly [namedCurve: string, hash: string]>> = {
  prime256v1: ["P-256", "SHA-256"],
  secp384r1: ["P-384", "SHA-384"],
  secp521r1: ["P-521", "SHA-512"],
};

/** The signature follows the authority's key, as in Go's signingParamsForKey. */
function signing(key: KeyObject): { readonly signingKey: CryptoKey; readonly signingAlgorithm: { readonly name: string; readonly hash: string } } {
  const [namedCurve, hash] = curveSigning[key.asymmetricKeyDetails?.namedCurve ?? ""] ?? [undefined, "SHA-256"];
  const name = namedCurve === undefined ? "RSASSA-PKCS1-v1_5" : "ECDSA";
  const algorithm = namedCurve === undefined ? { name, hash } : { name, namedCurve };
  return { signingKey: key.toCryptoKey(algorithm, false, ["sign"]) as unknown as CryptoKey, signingAlgorithm: { name, hash } };
}

/** One spelling per address; an IPv4 address in IPv6 clothes is written as IPv4, as Go does. */
function canonicalAddress(address: string): string {
  const value = addressToNumber(address);
  return familyOf(address) === 6 && value >> 32n !== 0xffffn ? numberToAddress(value, 6) : numberToAddress(value & 0xffff_ffffn, 4);
}

function firstCertificate(pem: string, name: string): InstanceType<typeof x509.X509Certificate> {
  const [first] = splitPemBundle(pem);
  if (first === undefined) {
    throw new KubestickError({ code: "PKI_CERTIFICATE_UNREADABLE", attempted: `reading the certificate of ${name}`, happened: "The text holds no PEM certificate.", next: "Restore the certificate from a backup." });
  }
  return new x509.X509Certificate(first);
}

function pemText(certificate: InstanceType<typeof x509.X509Certificate>): string {
  return `${certificate.toString("pem").trimEnd()}\n`;
}
