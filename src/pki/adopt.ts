/**
 * What happens to a certificate and key that are already there: used, made anew, or refused.
 *
 * Two rules meet here. A run may stop after any write and is then simply repeated, so every prefix of "key, certificate, key, certificate"
 * must be a state to continue from: a key without its certificate, or beside one for another key, gets a certificate. And what kubeadm
 * refuses (kubeadm phases/certs/certs.go) is refused, because such files are somebody's and replacing them would destroy a working cluster.
 * Beyond kubeadm, which looks only at the chain: the key must fit, the names and usages must suffice, and the time must not be over.
 */
import type { ResolvedConfig } from "../config/types.ts";
import { isKubestickError } from "../errors.ts";
import { certificatePath, keyPath, kubeconfigPath, serviceAccountPaths, type AuthorityRow, type KubeconfigRow, type LeafRow, type Usage } from "./certificate-table.ts";
import { chainsTo, keyMatches, missingNames, readCertificate, type CertificateFacts } from "./inspect.ts";
import { containsPublicKey, readPrivateKey } from "./keys.ts";
import { parseKubeconfig } from "./kubeconfig.ts";

export type Adoption =
  | { readonly decision: "use"; readonly warnings: readonly string[] }
  /** `key` is the existing key the certificate is to be made for; absent: make a new key first. */
  | { readonly decision: "issue"; readonly reason: string; readonly key?: string }
  | { readonly decision: "refuse"; readonly reason: string; readonly next: string };

/** PEM texts as found; undefined when the file does not exist. */
export interface FoundPair {
  readonly certificate: string | undefined;
  readonly key: string | undefined;
}

/** The authority in force; without a key it is an external one that signs nothing here. */
export interface Authority {
  readonly certificate: string;
  readonly key?: string | undefined;
}

const day = 86_400_000;
const warnBefore = 30 * day;

export function adoptAuthority(row: AuthorityRow, config: ResolvedConfig, found: FoundPair, now: Date): Adoption {
  const path = certificatePath(config, row);
  return decide(() => {
    const { certificate: pem, key } = found;
    if (pem === undefined) return issueFor(key, keyPath(config, row));
    const certificate = readCertificate(pem, path);
    if (!certificate.isAuthority || (certificate.keyUsage.length > 0 && !certificate.keyUsage.includes("keyCertSign"))) {
      return refuse(`${path} (${certificate.subject.text}) is no certificate authority, so it cannot sign the cluster's certificates.`, moveAway(path));
    }
    const time = outOfTime(certificate, path, now);
    if (time !== undefined) return refuse(time, `date   # if the clock is right, replace ${path} by a valid authority`);
    if (key === undefined) return use(certificate, path, now, [`${keyPath(config, row)} is not on this machine: ${row.name} is treated as an external authority, which signs nothing here`]);
    readPrivateKey(key, keyPath(config, row));
    if (!keyMatches(certificate.pem, key)) return refuse(`${keyPath(config, row)} is not the private key of ${path}.`, `Restore the two files from one backup.`);
    return use(certificate, path, now);
  });
}

export function adoptLeaf(row: LeafRow, config: ResolvedConfig, found: FoundPair, authority: Authority, now: Date): Adoption {
  const path = certificatePath(config, row);
  return withSigner(row, config, authority, path, decide(() => {
    const { certificate: pem, key } = found;
    if (pem === undefined) return issueFor(key, keyPath(config, row));
    const certificate = readCertificate(pem, path);
    if (!chainsTo(pem, authority.certificate)) {
      return refuse(`${path} (${certificate.subject.text}) was not signed by the ${row.authority} of this cluster but by ${certificate.issuer.text}.`, moveAway(path, keyPath(config, row)));
    }
    if (key === undefined) return { decision: "issue", reason: `${keyPath(config, row)} is missing` };
    readPrivateKey(key, keyPath(config, row));
    const reason = !keyMatches(certificate.pem, key)
      ? `${path} belongs to another key`
      : (unsuitable(certificate, { usages: row.usages, commonName: row.commonName(config) }) ?? lacking(certificate, row, config) ?? outOfTime(certificate, path, now));
    return reason === undefined ? use(certificate, path, now) : { decision: "issue", reason, key };
  }));
}

/** An existing kubeconfig is kept when it trusts this cluster's CA and its certificate works; the server address may differ, as in kubeadm. */
export function adoptKubeconfig(
  row: KubeconfigRow, config: ResolvedConfig, text: string | undefined, authority: Authority, now: Date,
  /** Text of files the kubeconfig refers to, by path; undefined when absent. */
  referenced: (path: string) => string | undefined = () => undefined,
): Adoption {
  const path = kubeconfigPath(row, config);
  return withSigner(row, config, authority, path, decide(() => {
    if (text === undefined) return { decision: "issue", reason: "missing" };
    const kubeconfig = parseKubeconfig(text, path);
    const trusted = kubeconfig.caPem ?? (kubeconfig.caPath === undefined ? undefined : referenced(kubeconfig.caPath));
    if (trusted === undefined) return refuse(`${path} names no certificate authority that could be read.`, moveAway(path));
    const authorityPath = `${config.cluster.certificatesDir}/ca.crt`;
    if (!sameCertificate(readCertificate(trusted, path), readCertificate(authority.certificate, authorityPath))) {
      return refuse(`${path} trusts another certificate authority than ${authorityPath}.`, moveAway(path));
    }
    const server = row.server(config);
    const warnings = kubeconfig.server === server ? [] : [`${path} points to ${kubeconfig.server}; a new one would point to ${server}`];
    // A token or a file the kubelet renews is not ours to judge.
    if (!("certificate" in kubeconfig.credentials)) return { decision: "use", warnings };
    const { certificate: pem, key } = kubeconfig.credentials;
    const certificate = readCertificate(pem, path);
    readPrivateKey(key, path);
    if (!keyMatches(pem, key)) return { decision: "issue", reason: `the certificate and the key in ${path} do not belong together` };
    const over = outOfTime(certificate, path, now);
    return over === undefined ? use(certificate, path, now, warnings) : { decision: "issue", reason: over, key };
  }));
}

/** `issue` with a key means: only sa.pub is to be written, from that key. */
export function adoptServiceAccountKey(config: ResolvedConfig, found: { readonly privateKey: string | undefined; readonly publicKey: string | undefined }): Adoption {
  const paths = serviceAccountPaths(config);
  return decide(() => {
    if (found.privateKey === undefined) return { decision: "issue", reason: "missing" };
    readPrivateKey(found.privateKey, paths.privateKey);
    if (found.publicKey === undefined) return { decision: "issue", reason: `${paths.publicKey} is missing`, key: found.privateKey };
    if (!containsPublicKey(found.publicKey, found.privateKey)) {
      return refuse(`${paths.publicKey} does not hold the public key of ${paths.privateKey}: the API server would reject every token it signs.`, `openssl pkey -in ${paths.privateKey} -pubout -out ${paths.publicKey}`);
    }
    return { decision: "use", warnings: [] };
  });
}

/** Unreadable files are refusals, told together with all others, not the end of planning. */
function decide(judge: () => Adoption): Adoption {
  try {
    return judge();
  } catch (error) {
    if (isKubestickError(error)) return refuse(`While ${error.attempted}: ${error.happened}`, error.next);
    throw error;
  }
}

function refuse(reason: string, next: string): Adoption {
  return { decision: "refuse", reason, next };
}

function moveAway(...paths: readonly string[]): string {
  return `${paths.map((path) => `mv ${path} ${path}.old`).join("; ")}   # a new one is made; or restore the right one`;
}

function use(certificate: CertificateFacts, path: string, now: Date, warnings: readonly string[] = []): Adoption {
  const left = certificate.notAfter.getTime() - now.getTime();
  return { decision: "use", warnings: left < warnBefore ? [...warnings, `${path} expires in ${Math.floor(left / day)} days, on ${certificate.notAfter.toISOString()}`] : warnings };
}

/** Nothing there, or the first half of an interrupted write. */
function issueFor(key: string | undefined, path: string): Adoption {
  if (key === undefined) return { decision: "issue", reason: "missing" };
  readPrivateKey(key, path);
  return { decision: "issue", reason: `${path} has no certificate yet`, key };
}

/** An external authority makes nothing here: what would have to be issued must be supplied. */
function withSigner(row: LeafRow | KubeconfigRow, config: ResolvedConfig, authority: Authority, path: string, adoption: Adoption): Adoption {
  if (adoption.decision !== "issue" || authority.key !== undefined) return adoption;
  const base = row.authority === "etcd-ca" ? "etcd/ca" : row.authority;
  return refuse(
    `${path} has to be made (${adoption.reason}), but the key of its authority, ${config.cluster.certificatesDir}/${base}.key, is not on this machine.`,
    `Put a certificate for CN=${row.commonName(config)}, signed by that authority, with its key in place; or bring the authority's key.`,
  );
}

function unsuitable(certificate: CertificateFacts, wanted: { readonly usages: readonly Usage[]; readonly commonName: string }): string | undefined {
  const { extendedKeyUsage, subject } = certificate;
  const absent = wanted.usages.filter((usage) => extendedKeyUsage.length > 0 && !extendedKeyUsage.includes(usage) && !extendedKeyUsage.includes(anyUsage));
  if (absent.length > 0) return `its extended key usage lacks ${absent.join(" and ")}`;
  // A pure client is known to the server by its name alone.
  const client = wanted.usages.every((usage) => usage === "clientAuth");
  return client && subject.commonName !== wanted.commonName ? `its common name is ${JSON.stringify(subject.commonName)} instead of ${JSON.stringify(wanted.commonName)}` : undefined;
}

const anyUsage = "2.5.29.37.0";

function lacking(certificate: CertificateFacts, row: LeafRow, config: ResolvedConfig): string | undefined {
  const missing = missingNames(certificate, row.altNames(config));
  return missing.length === 0 ? undefined : `it is not valid for ${missing.join(", ")}`;
}

function outOfTime(certificate: CertificateFacts, path: string, now: Date): string | undefined {
  if (now < certificate.notBefore) return `${path} is valid only from ${certificate.notBefore.toISOString()}, and this machine's clock says ${now.toISOString()}`;
  return now > certificate.notAfter ? `${path} expired on ${certificate.notAfter.toISOString()}; this machine's clock says ${now.toISOString()}` : undefined;
}

/** kubeadm compares the first certificate of each. */
function sameCertificate(a: CertificateFacts, b: CertificateFacts): boolean {
  return a.pem.replaceAll(/\s/g, "") === b.pem.replaceAll(/\s/g, "");
}
