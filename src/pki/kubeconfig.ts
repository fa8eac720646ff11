/** Kubeconfig text: written as Go's clientcmd writes it (one cluster, one user, one context), read strictly enough to trust what was read. */
import { parseDocument } from "yaml";
import { KubestickError } from "../errors.ts";
import { toYaml } from "../manifests/yaml.ts";
import { splitPemBundle } from "./pem.ts";

export type Credentials =
  /** PEM text, embedded. */
  | { readonly certificate: string; readonly key: string }
  | { readonly certificatePath: string; readonly keyPath: string }
  | { readonly token: string }
  /** Something else (exec plugin, token file), or nothing. Cannot be written. */
  | { readonly other: true };

export interface Kubeconfig {
  readonly clusterName: string;
  readonly server: string;
  readonly userName: string;
  /** PEM text, embedded. */
  readonly caPem?: string;
  readonly caPath?: string;
  readonly credentials: Credentials;
}

/** Embeds the first certificate of `caPem` only, as kubeadm does. */
export function renderKubeconfig(kubeconfig: Kubeconfig): string {
  const { clusterName, server, userName, caPem, caPath } = kubeconfig;
  const context = `${userName}@${clusterName}`;
  return toYaml({
    apiVersion: "v1",
    clusters: [{ cluster: { "certificate-authority": caPath, "certificate-authority-data": caPem === undefined ? undefined : encode(firstCertificate(caPem)), server }, name: clusterName }],
    contexts: [{ context: { cluster: clusterName, user: userName }, name: context }],
    "current-context": context,
    kind: "Config",
    users: [{ name: userName, user: userFields(kubeconfig.credentials) }],
  });
}

function userFields(credentials: Credentials): Readonly<Record<string, unknown>> {
  if ("certificate" in credentials) return { "client-certificate-data": encode(credentials.certificate), "client-key-data": encode(credentials.key) };
  if ("certificatePath" in credentials) return { "client-certificate": credentials.certificatePath, "client-key": credentials.keyPath };
  if ("token" in credentials) return { token: credentials.token };
  throw new TypeError("credentials of another kind cannot be written");
}

/** The kubeconfig of ConfigMap cluster-info: a cluster without a name, and nobody. The bytes are what tokens sign. */
export function clusterInfoKubeconfig({ caPem, server }: { readonly caPem: string; readonly server: string }): string {
  return toYaml({
    apiVersion: "v1",
    clusters: [{ cluster: { "certificate-authority-data": encode(firstCertificate(caPem)), server }, name: "" }],
    contexts: null,
    "current-context": "",
    kind: "Config",
    users: null,
  });
}

type Fields = Readonly<Record<string, unknown>>;

/** What the current context points to. `name` is the file, for the error. */
export function parseKubeconfig(text: string, name = "kubeconfig"): Kubeconfig {
  const root = document(text, name);
  const current = string(root, "current-context");
  if (current === undefined || current === "") throw invalid(name, "It has no current-context.");
  const context = entry(root, "contexts", current, "context", name);
  const clusterName = string(context, "cluster") ?? "";
  const userName = string(context, "user") ?? "";
  const cluster = entry(root, "clusters", clusterName, "cluster", name);
  return { ...clusterFields(cluster, name), clusterName, userName, credentials: credentials(entry(root, "users", userName, "user", name), name) };
}

/** The only cluster of a cluster-info kubeconfig, which has neither context nor user. */
export function parseClusterInfo(text: string, name = "cluster-info"): Pick<Kubeconfig, "server" | "caPem"> {
  const clusters = list(document(text, name), "clusters");
  if (clusters.length !== 1) throw invalid(name, `It lists ${clusters.length} clusters instead of one.`);
  const { server, caPem } = clusterFields(fields(clusters[0]?.["cluster"]) ?? {}, name);
  return { server, ...(caPem === undefined ? {} : { caPem }) };
}

function clusterFields(cluster: Fields, name: string): Pick<Kubeconfig, "server" | "caPem" | "caPath"> {
  const server = string(cluster, "server");
  if (server === undefined || !URL.canParse(server)) throw invalid(name, "Its cluster has no server address.");
  const caPem = data(cluster, "certificate-authority-data", name);
  const caPath = string(cluster, "certificate-authority");
  return { server, ...(caPem === undefined ? {} : { caPem }), ...(caPath === undefined ? {} : { caPath }) };
}

function credentials(user: Fields, name: string): Credentials {
  const certificate = data(user, "client-certificate-data", name);
  const key = data(user, "client-key-data", name);
  if (certificate !== undefined && key !== undefined) return { certificate, key };
  const certificatePath = string(user, "client-certificate");
  const keyPath = string(user, "client-key");
  if (certificatePath !== undefined && keyPath !== undefined) return { certificatePath, keyPath };
  if ((certificate ?? certificatePath) !== undefined && (key ?? keyPath) === undefined) throw invalid(name, "Its user has a client certificate without a key.");
  const token = string(user, "token");
  return token === undefined ? { other: true } : { token };
}

function document(text: string, name: string): Fields {
  // The library's messages quote the line at fault, which may be a key: only its code is told.
  const parsed = parseDocument(text, { prettyErrors: false });
  const [problem] = parsed.errors;
  if (problem !== undefined) throw invalid(name, `It is no YAML (${problem.code} at character ${problem.pos[0]}).`);
  const root = fields(parsed.toJS());
  if (root === undefined || (root["kind"] !== undefined && root["kind"] !== "Config")) throw invalid(name, "It is no kubeconfig document (kind: Config).");
  return root;
}

function entry(root: Fields, listName: string, entryName: string, member: string, name: string): Fields {
  const found = fields(list(root, listName).find((candidate) => candidate["name"] === entryName)?.[member]);
  if (found === undefined) throw invalid(name, `It has no ${member} named ${JSON.stringify(entryName)}, which its current context needs.`);
  return found;
}

function list(root: Fields, key: string): readonly Fields[] {
  const value = root[key];
  return Array.isArray(value) ? value.map(fields).filter((item) => item !== undefined) : [];
}

function fields(value: unknown): Fields | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

function string(from: Fields, key: string): string | undefined {
  const value = from[key];
  return typeof value === "string" ? value : undefined;
}

function data(from: Fields, key: string, name: string): string | undefined {
  const value = string(from, key);
  if (value === undefined || value === "") return undefined;
  if (!/^[A-Za-z0-9+/\s]+={0,2}\s*$/.test(value)) throw invalid(name, `Its ${key} is no base64.`);
  return Buffer.from(value, "base64").toString("utf8");
}

function encode(text: string): string {
  return Buffer.from(text).toString("base64");
}

function firstCertificate(pem: string): string {
  return splitPemBundle(pem)[0] ?? pem;
}

/** No values in here: a kubeconfig is a secret. */
function invalid(name: string, happened: string): KubestickError {
  return new KubestickError({ code: "KUBECONFIG_INVALID", attempted: `reading the kubeconfig ${name}`, happened, next: `Restore ${name} from a backup, or move it away so that a new one can be made.` });
}
