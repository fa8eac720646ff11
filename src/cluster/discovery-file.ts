/** A discovery file: a kubeconfig from a path or an https URL that names the cluster and its CA, with or without credentials. Facts: kubeadm app/discovery/file, https. */
import { rootCertificates } from "node:tls";
import type { Dispatcher } from "undici";
import { errnoOf, isKubestickError, messageOf } from "../errors.ts";
import type { DiscoveredIdentity, DiscoveryRequest, DiscoveryTools } from "./discovery.ts";
import * as errors from "./discovery-errors.ts";

export interface DiscoveryFile {
  /** Path or URL, for errors. */
  readonly origin: string;
  readonly server: string;
  /** Absent: the file leaves it to the host's own roots. */
  readonly caPem?: string;
  /** PEM bundle under which the server is verified: `caPem`, else the host's roots. */
  readonly trust: string;
  readonly clusterName: string;
  readonly identity?: DiscoveredIdentity;
}

type Fields = Readonly<Record<string, unknown>>;
type ReadFile = NonNullable<DiscoveryTools["readFile"]>;

export async function loadDiscoveryFile(request: Exclude<DiscoveryRequest, { readonly kind: "token" }>, tools: DiscoveryTools): Promise<DiscoveryFile> {
  const readFile = tools.readFile ?? (() => Promise.resolve(undefined));
  if (request.kind === "url") return await parseDiscoveryFile(await download(request.url, request.timeoutMs, readFile, tools.signal), origin(request.url), readFile);
  return await parseDiscoveryFile(request.content ?? (await textOf(request.path, readFile)), request.path, readFile);
}

async function textOf(path: string, readFile: ReadFile): Promise<string> {
  let text: string | undefined;
  try {
    text = await readFile(path);
  } catch (error) {
    throw errors.fileUnreadable(path, errnoOf(error) ?? messageOf(error), error);
  }
  if (text === undefined) throw errors.fileUnreadable(path, "it does not exist");
  return text;
}

async function parseDiscoveryFile(text: string, from: string, readFile: ReadFile): Promise<DiscoveryFile> {
  const { parseDocument } = await import("yaml");
  // The library's messages quote lines, which may hold a key: only its code is told.
  const parsed = parseDocument(text, { prettyErrors: false });
  const [problem] = parsed.errors;
  if (problem !== undefined) throw errors.fileInvalid(from, `It is no YAML (${problem.code} at character ${problem.pos[0]}).`);
  const root = fields(parsed.toJS());
  if (root === undefined || root["kind"] !== "Config") throw errors.fileInvalid(from, "It is no kubeconfig (kind: Config).");

  const context = named(root["contexts"], string(root["current-context"]), "context");
  const clusters = list(root["clusters"]);
  // kubeadm's order: the cluster without a name, as cluster-info has it; then the current one. A single cluster needs no context.
  const entry = clusters.find((each) => each["name"] === "") ?? clusters.find((each) => each["name"] === context?.["cluster"]) ?? (clusters.length === 1 ? clusters[0] : undefined);
  const cluster = fields(entry?.["cluster"]);
  if (cluster === undefined) throw errors.fileInvalid(from, clusters.length === 0 ? "It lists no cluster." : "Its current-context names none of its clusters.");
  const server = string(cluster["server"]);
  if (server === undefined || !URL.canParse(server) || new URL(server).protocol !== "https:") throw errors.fileInvalid(from, "Its cluster has no server address that starts with https://.");
  if (cluster["insecure-skip-tls-verify"] === true) throw errors.fileInvalid(from, "It asks not to verify the server (insecure-skip-tls-verify), so that anybody could answer.");

  const pem = async (holder: Fields, key: string): Promise<string | undefined> => {
    const data = string(holder[`${key}-data`]);
    if (data !== undefined && data !== "") return Buffer.from(data, "base64").toString("utf8");
    const path = string(holder[key]);
    return path === undefined || path === "" ? undefined : await textOf(path, readFile);
  };
  const caPem = await pem(cluster, "certificate-authority");
  if (caPem !== undefined && !caPem.includes("-----BEGIN CERTIFICATE-----")) throw errors.fileInvalid(from, "Its certificate-authority-data is no PEM certificate.");

  const user = named(root["users"], string(context?.["user"]), "user");
  const identity = user === undefined ? undefined : await identityOf(user, pem, readFile);
  const clusterName = string(entry?.["name"]);
  return {
    origin: from,
    server: server.replace(/\/+$/, ""),
    trust: caPem ?? (await hostRoots(readFile)),
    clusterName: clusterName === undefined || clusterName === "" ? "kubernetes" : clusterName,
    ...(caPem === undefined ? {} : { caPem }),
    ...(identity === undefined ? {} : { identity }),
  };
}

/** A certificate or a token; other kinds (exec plugins, passwords) need programs or servers that a new node does not have. */
async function identityOf(user: Fields, pem: (holder: Fields, key: string) => Promise<string | undefined>, readFile: ReadFile): Promise<DiscoveredIdentity | undefined> {
  const [certificatePem, keyPem] = [await pem(user, "client-certificate"), await pem(user, "client-key")];
  if (certificatePem !== undefined && keyPem !== undefined) return { certificatePem, keyPem };
  const path = string(user["tokenFile"]);
  const token = string(user["token"]) ?? (path === undefined ? undefined : (await textOf(path, readFile)).trim());
  return token === undefined || token === "" ? undefined : { token };
}

/** Where Linux distributions keep their roots, in the order of Go's crypto/x509 (root_linux.go), after what OpenSSL's variable says. */
const rootFiles = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/pki/tls/cacert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem"];

async function hostRoots(readFile: ReadFile): Promise<string> {
  const named = process.env["SSL_CERT_FILE"];
  for (const path of named === undefined || named === "" ? rootFiles : [named]) {
    const text = await readFile(path);
    if (text !== undefined) return text;
  }
  return rootCertificates.join("\n");
}

const mostRedirects = 5;

async function download(url: string, timeoutMs: number, readFile: ReadFile, signal: AbortSignal | undefined): Promise<string> {
  const { EnvHttpProxyAgent, request } = await import("undici");
  const ca = await hostRoots(readFile);
  const deadline = AbortSignal.timeout(Math.min(timeoutMs, 30_000));
  const dispatcher: Dispatcher = new EnvHttpProxyAgent({ connect: { ca }, requestTls: { ca }, proxyTls: { ca } });
  let at = url;
  try {
    for (let hop = 0; hop <= mostRedirects; hop++) {
      if (!URL.canParse(at) || new URL(at).protocol !== "https:") throw errors.fileUnreadable(origin(url), "only https is trusted");
      const answer = await request(at, { dispatcher, signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]), headers: { "user-agent": "kubestick" } });
      const text = await answer.body.text();
      const location = answer.headers["location"];
      if (answer.statusCode >= 300 && answer.statusCode < 400 && typeof location === "string") at = new URL(location, at).href;
      else if (answer.statusCode === 200) return text;
      else throw errors.fileUnreadable(origin(url), `the server answered ${answer.statusCode}`);
    }
    throw errors.fileUnreadable(origin(url), `it was moved more than ${mostRedirects} times`);
  } catch (error) {
    signal?.throwIfAborted();
    if (isKubestickError(error)) throw error;
    throw errors.fileUnreadable(origin(url), deadline.aborted ? "no answer in time" : messageOf(error) || (errnoOf(error) ?? "no connection"), error);
  } finally {
    await dispatcher.destroy();
  }
}

/** Without name and password, which a URL may hold. */
function origin(url: string): string {
  if (!URL.canParse(url)) return url;
  const { host, pathname } = new URL(url);
  return `https://${host}${pathname}`;
}

function named(value: unknown, name: string | undefined, member: string): Fields | undefined {
  return fields(list(value).find((entry) => entry["name"] === name)?.[member]);
}

function list(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.map(fields).filter((item) => item !== undefined) : [];
}

function fields(value: unknown): Fields | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

function string(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
