/**
 * Phase `certs`: every row of the certificate table, adopted where it exists and is good, issued where not.
 * Actions are ordered key before certificate, authority before leaf: a run that ends in between is continued by the next plan.
 */
import { keyAlgorithm } from "../config/key-algorithm.ts";
import { KubestickError } from "../errors.ts";
import type { Action, Finding, Phase, PlanInput } from "../engine/types.ts";
import { adoptAuthority, adoptLeaf, adoptServiceAccountKey, type Adoption, type Authority, type FoundPair } from "../pki/adopt.ts";
import { allCertificateRows, certificatePath, certificateRows, keyPath, serviceAccountPaths, type AuthorityName, type CertificateRow } from "../pki/certificate-table.ts";
import { issueAuthority, issueLeaf } from "../pki/issue.ts";
import { generateKey, publicKeyPem } from "../pki/keys.ts";
import { directory, file } from "./actions.ts";
import { externalAuthority } from "./external-authority.ts";

export interface CertsOutput {
  /** The cluster CA's certificate. */
  readonly caPem: string;
  /** Its private key; undefined when it is external. */
  readonly caKey: string | undefined;
  readonly keylessCa: boolean;
}

type Input = PlanInput<Record<never, never>>;

interface Refusal {
  readonly reason: string;
  readonly next: string;
}

interface Judged {
  readonly row: CertificateRow;
  readonly found: FoundPair;
}

export const certs: Phase<"certs", Record<never, never>, CertsOutput> = {
  id: "certs",
  title: "Generate the certificates of the control plane",
  needs: [],
  steps: [
    ...allCertificateRows.map((row) => ({
      id: row.name,
      title: row.kind === "authority" ? `Generate the certificate authority ${row.name}` : `Generate the certificate ${row.name}`,
      ...(row.kind === "authority" ? {} : { needs: [row.authority] }),
    })),
    { id: "sa", title: "Generate the key pair that signs service account tokens" },
  ],
  async plan(input) {
    const { config, read } = input;
    const algorithm = keyAlgorithm(config.cluster);
    const rows: Judged[] = [];
    for (const row of certificateRows(config)) {
      rows.push({ row, found: { certificate: await read.readText(certificatePath(config, row)), key: await read.readText(keyPath(config, row)) } });
    }
    const saPaths = serviceAccountPaths(config);
    const saFound = { privateKey: await read.readText(saPaths.privateKey), publicKey: await read.readText(saPaths.publicKey) };
    // Keys are slow to make and independent: all that may be needed at once, on all cores.
    const keys = new Map(await Promise.all([
      ...rows.filter(({ found }) => found.key === undefined).map(async ({ row }) => [row.name, await generateKey(algorithm)] as const),
      ...(saFound.privateKey === undefined ? [generateKey(algorithm).then((key) => ["sa", key] as const)] : []),
    ]));

    const actions: Action[] = directories(input);
    const findings: Finding[] = [];
    const refusals: Refusal[] = [];
    const authorities = new Map<AuthorityName, Authority>();
    for (const { row, found } of rows) {
      const authority = row.kind === "leaf" ? authorities.get(row.authority) : undefined;
      // Its authority was refused; that is reported already.
      if (row.kind === "leaf" && authority === undefined) continue;
      const adoption = row.kind === "authority" ? adoptAuthority(row, config, found, input.now) : adoptLeaf(row, config, found, authority as Authority, input.now);
      if (adoption.decision === "refuse") { refusals.push(adoption); continue; }
      const pair = await settle(input, row, found, adoption, authority, keys.get(row.name), findings);
      const step = row.name;
      if (pair.key !== undefined) actions.push(file(keyPath(config, row), 0o600, pair.key, { step, secret: true }));
      actions.push(file(certificatePath(config, row), 0o644, pair.certificate, { step }));
      if (row.kind === "authority") authorities.set(row.name, pair);
    }
    const ca = authorities.get("ca");
    const keylessCa = ca !== undefined && ca.key === undefined;
    refuseUnsharable(input, authorities, refusals);
    if (keylessCa && saFound.privateKey === undefined) {
      // kubeadm leaves them out in silence, and the API server then never starts.
      refusals.push({ reason: `${saPaths.privateKey} is missing; with an external authority the service account keys are supplied too.`, next: `openssl genrsa -out ${saPaths.privateKey} 2048   # or bring the key of the cluster; then run the same command again` });
    } else planServiceAccount(input, saFound, keys.get("sa"), actions, refusals);
    if (refusals.length > 0) throw refused(refusals);
    if (ca === undefined) throw new TypeError("the table has no row for the cluster's authority");
    return { actions, output: { caPem: ca.certificate, caKey: ca.key, keylessCa }, findings };
  },
};

function directories({ config }: Input): Action[] {
  const { certificatesDir, etcd } = config.cluster;
  return [directory(certificatesDir, 0o755), ...(etcd.local === undefined ? [] : [directory(`${certificatesDir}/etcd`, 0o755)])];
}

/** The pair that will be on disk: what was found, or found and completed, or new. */
async function settle(
  { config, now }: Input, row: CertificateRow, found: FoundPair, adoption: Exclude<Adoption, { decision: "refuse" }>,
  authority: Authority | undefined, freshKey: string | undefined, findings: Finding[],
): Promise<Authority> {
  if (adoption.decision === "use") {
    findings.push(...adoption.warnings.map((message): Finding => ({ check: `Certificate-${row.name}`, severity: "warning", message })));
    return { certificate: found.certificate as string, key: found.key };
  }
  if (found.certificate !== undefined) findings.push({ check: `Certificate-${row.name}`, severity: "warning", message: `${certificatePath(config, row)} is made anew: ${adoption.reason}` });
  const key = adoption.key ?? freshKey ?? (await generateKey(keyAlgorithm(config.cluster)));
  if (row.kind === "authority") return { certificate: await issueAuthority(row, config, key, now), key };
  if (authority?.key === undefined) throw new TypeError(`${row.name} cannot be issued without its authority's key`);
  return { certificate: await issueLeaf(row, config, key, { certificate: authority.certificate, key: authority.key }, now), key };
}

/** `--upload-certs` is refused before anything is made (kubeadm cmd/init.go): the keys it would share are not here. */
function refuseUnsharable({ config }: Input, authorities: ReadonlyMap<AuthorityName, Authority>, refusals: Refusal[]): void {
  if (config.flags?.uploadCerts !== true) return;
  for (const name of ["ca", "front-proxy-ca"] as const) {
    const authority = authorities.get(name);
    if (authority !== undefined && authority.key === undefined) {
      const { happened, next } = externalAuthority(config, name);
      refusals.push({ reason: happened, next });
    }
  }
}

function planServiceAccount({ config }: Input, found: { readonly privateKey: string | undefined; readonly publicKey: string | undefined }, freshKey: string | undefined, actions: Action[], refusals: Refusal[]): void {
  const paths = serviceAccountPaths(config);
  const adoption = adoptServiceAccountKey(config, found);
  if (adoption.decision === "refuse") { refusals.push(adoption); return; }
  const key = found.privateKey ?? freshKey;
  if (key === undefined) throw new TypeError("no service account key was made");
  const publicKey = adoption.decision === "use" ? (found.publicKey as string) : publicKeyPem(key);
  actions.push(file(paths.privateKey, 0o600, key, { step: "sa", secret: true }), file(paths.publicKey, 0o600, publicKey, { step: "sa" }));
}

/** Replacing somebody's certificates would destroy a working cluster, so all refusals are told and nothing is written. */
export function refused(refusals: readonly Refusal[]): KubestickError {
  const first = refusals[0] as Refusal;
  return new KubestickError({
    code: "PKI_REFUSED",
    attempted: "planning the certificates",
    happened: refusals.length === 1 ? first.reason : `${refusals.length} existing files cannot be used`,
    next: first.next,
    details: refusals.length === 1 ? [] : refusals.map(({ reason, next }) => `${reason} ${next}`),
  });
}
