/**
 * Phase `upload-certs`: the certificates that all control-plane nodes share, encrypted, for two hours in the cluster.
 *
 * Encryption is random, so an equal plan could never be made twice: what an earlier run uploaded is adopted when it says the same.
 * With a certificate key that is proved by decrypting; without one only names and lengths can be compared, and the key is not known again.
 */
import type { ClusterReader, KubeObject, ObjectRef } from "../cluster/types.ts";
import type { ResolvedConfig } from "../config/types.ts";
import { isKubestickError } from "../errors.ts";
import type { HostReader } from "../host/types.ts";
import type { Finding, Phase } from "../engine/types.ts";
import { bootstrapTokenName, bootstrapTokenSecret } from "../manifests/bootstrap-token-secret.ts";
import { certificatesTokenDescription, uploadedCertificatesObjects } from "../manifests/uploaded-certs.ts";
import { decryptCertificate, encryptCertificate, encryptedOverhead, generateCertificateKey } from "../pki/certs-secret.ts";
import { generateToken, parseToken } from "../pki/token.ts";
import { object } from "./actions.ts";
import { externalAuthority } from "./external-authority.ts";
import type { CertsOutput } from "./certs.ts";

export interface UploadCertsOutput {
  /** What further control-plane nodes decrypt with; undefined when nothing was uploaded. */
  readonly certificateKey: { readonly known: true; readonly key: string } | { readonly known: false } | undefined;
}

const secretRef: ObjectRef = { apiVersion: "v1", kind: "Secret", name: "kubeadm-certs", namespace: "kube-system" };
/** kubeadm constants.go, DefaultCertTokenDuration. */
const lifetimeMs = 2 * 3600_000;
/** Another node has to be installed in what is left. */
const enoughMs = lifetimeMs / 2;

export const uploadCerts: Phase<"upload-certs", { readonly certs: CertsOutput }, UploadCertsOutput> = {
  id: "upload-certs",
  title: "Upload the shared certificates, encrypted (with --upload-certs)",
  needs: ["certs"],
  reads: { certs: ["ca", "front-proxy-ca", "etcd-ca", "sa"] },
  async plan({ config, cluster, read, now }) {
    if (config.flags?.uploadCerts !== true) return { actions: [], output: { certificateKey: undefined } };
    const files = await sharedFiles(config, read);
    const given = config.init.certificateKey;
    const live = await cluster?.get(secretRef);
    const owner = live === undefined ? undefined : await liveOwner(live, cluster, now);
    const adopted = live !== undefined && owner !== undefined && says(live, files, given);
    const key = given ?? generateCertificateKey();
    const values = adopted ? valuesOf(live) : encrypted(files, key);
    const token = adopted ? owner : ((await unusedOwner(cluster, now)) ?? (await newToken(cluster, now)));

    const timeout = config.init.timeouts.kubernetesAPICall;
    const name = token.metadata.name;
    const objects = uploadedCertificatesObjects({ values, owner: { tokenId: name.replace("bootstrap-token-", ""), uid: "" } });
    const actions = [
      object(token, "replace", timeout),
      ...objects.map((value) => object(value, "replace", timeout, value.kind === "Secret" ? { owner: { apiVersion: "v1", kind: "Secret", name, namespace: "kube-system" } } : {})),
    ];
    const known = given !== undefined || !adopted;
    return {
      actions,
      output: { certificateKey: known ? { known, key } : { known } },
      findings: known ? [] : [keyUnknown],
      ...(known && config.flags.skipCertificateKeyPrint !== true ? { result: { name: "certificateKey", value: key, text: `Certificate key, for two hours:\n${key}\n\n` } } : {}),
    };
  },
};

const keyUnknown: Finding = {
  check: "CertificateKey", severity: "info",
  message: "the certificates uploaded by an earlier run are still valid and stay; their key was printed by that run and is stored nowhere",
  hint: "For a new key: kubestick init phase upload-certs --upload-certs --certificate-key \"$(openssl rand -hex 32)\"",
};

/** Key in the Secret to file, as kubeadm names them (phases/copycerts): a slash becomes a dash. */
export function sharedPaths({ cluster }: ResolvedConfig): Readonly<Record<string, string>> {
  const { certificatesDir, etcd } = cluster;
  const below = (...names: readonly string[]): Record<string, string> => Object.fromEntries(names.map((name) => [name.replace("/", "-"), `${certificatesDir}/${name}`]));
  const shared = below("ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.pub", "sa.key");
  if (etcd.external === undefined) return { ...shared, ...below("etcd/ca.crt", "etcd/ca.key") };
  // An endpoint without TLS has no files.
  const { caFile, certFile, keyFile } = etcd.external;
  const external = { "external-etcd-ca.crt": caFile, "external-etcd.crt": certFile, "external-etcd.key": keyFile };
  return { ...shared, ...Object.fromEntries(Object.entries(external).filter(([, path]) => (path ?? "") !== "")) };
}

/** undefined: the file does not exist, which kubeadm uploads as an empty value. */
async function sharedFiles(config: ResolvedConfig, read: HostReader): Promise<ReadonlyMap<string, Uint8Array | undefined>> {
  const files = new Map<string, Uint8Array | undefined>();
  for (const [name, path] of Object.entries(sharedPaths(config))) files.set(name, await read.readFile(path));
  for (const authority of ["ca", "front-proxy-ca"]) {
    if (files.get(`${authority}.crt`) !== undefined && files.get(`${authority}.key`) === undefined) throw externalAuthority(config, authority);
  }
  return files;
}

function encrypted(files: ReadonlyMap<string, Uint8Array | undefined>, key: string): Readonly<Record<string, Uint8Array>> {
  return Object.fromEntries([...files].map(([name, content]) => [name, content === undefined ? new Uint8Array() : encryptCertificate(content, key)]));
}

function valuesOf(secret: KubeObject): Readonly<Record<string, Uint8Array>> {
  const data = (secret["data"] ?? {}) as Readonly<Record<string, string | null>>;
  return Object.fromEntries(Object.entries(data).map(([name, value]) => [name, Buffer.from(value ?? "", "base64")]));
}

/** Whether the Secret holds these files: proved with the key, else judged by names and lengths. */
function says(secret: KubeObject, files: ReadonlyMap<string, Uint8Array | undefined>, key: string | undefined): boolean {
  const values = valuesOf(secret);
  if (Object.keys(values).some((name) => !files.has(name))) return false;
  return [...files].every(([name, content]) => {
    const value = values[name];
    if (value === undefined) return false;
    if (content === undefined) return value.length === 0;
    if (key === undefined) return value.length === content.length + encryptedOverhead;
    try {
      return Buffer.from(content).equals(decryptCertificate(value, key, name));
    } catch (error) {
      if (isKubestickError(error) && error.code === "CERTIFICATE_DECRYPT") return false;
      throw error;
    }
  });
}

/** The token whose end ends the certificates, when that is far enough away. */
async function liveOwner(secret: KubeObject, cluster: ClusterReader | undefined, now: Date): Promise<KubeObject | undefined> {
  const references = (secret.metadata["ownerReferences"] ?? []) as readonly { readonly name: string; readonly uid: string }[];
  const name = references[0]?.name;
  if (references.length !== 1 || name === undefined || !name.startsWith("bootstrap-token-")) return undefined;
  const token = await cluster?.get({ ...secretRef, name });
  return token === undefined || token.metadata["uid"] !== references[0]?.uid || !lastsLongEnough(token, now) ? undefined : asRequested(token);
}

/** An earlier run ended between the token and the certificates, or the certificates were removed. */
async function unusedOwner(cluster: ClusterReader | undefined, now: Date): Promise<KubeObject | undefined> {
  const secrets = (await cluster?.list("v1", "Secret", { namespace: "kube-system", fieldSelector: "type=bootstrap.kubernetes.io/token" })) ?? [];
  const token = secrets.find((secret) => field(secret, "description") === certificatesTokenDescription && /^[a-z0-9]{6}\.[a-z0-9]{16}$/.test(tokenOf(secret)) && lastsLongEnough(secret, now));
  return token === undefined ? undefined : asRequested(token);
}

async function newToken(cluster: ClusterReader | undefined, now: Date): Promise<KubeObject> {
  let token = generateToken();
  while ((await cluster?.get({ ...secretRef, name: bootstrapTokenName(parseToken(token).id) })) !== undefined) token = generateToken();
  return bootstrapTokenSecret({ ...parseToken(token), description: certificatesTokenDescription, expires: new Date(now.getTime() + lifetimeMs), usages: [], groups: [] });
}

/** Without what servers add, and so without a resourceVersion that could be old by the time it is sent. */
function asRequested(token: KubeObject): KubeObject {
  const { id, secret } = parseToken(tokenOf(token));
  return bootstrapTokenSecret({ id, secret, description: field(token, "description"), expires: new Date(field(token, "expiration")), usages: [], groups: [] });
}

function lastsLongEnough(token: KubeObject, now: Date): boolean {
  const expiration = field(token, "expiration");
  return expiration !== "" && new Date(expiration).getTime() >= now.getTime() + enoughMs;
}

const tokenOf = (secret: KubeObject): string => `${field(secret, "token-id")}.${field(secret, "token-secret")}`;

function field(secret: KubeObject, key: string): string {
  const value = (secret["data"] as Readonly<Record<string, string>> | undefined)?.[key];
  return value === undefined ? "" : Buffer.from(value, "base64").toString("utf8");
}
