/**
 * Finding a cluster and knowing that it is the right one, before anything is sent to it.
 *
 * With a token, as kubeadm does (app/discovery/token): cluster-info is fetched from a server nobody has vouched for, its signature is
 * checked with the token, its CA with the pins, then it is fetched again under that CA and must be the same. Unlike kubeadm, the address
 * that was given stays in use when the server's certificate is for it, so that a virtual address or a tunnel keeps working; and what
 * time cannot heal (another CA, a wrong secret, a clock that is off) is told at once instead of after five minutes. Where the signature is
 * not the expected one, a server that the pinned CA vouches for is asked what it thinks of the token, so that the cause need not be guessed.
 *
 * Owns: what is tried, how long, in which order. Trust itself: `cluster-info.ts`; words: `discovery-errors.ts`; files: `discovery-file.ts`.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { KubestickError } from "../errors.ts";
import { type ClusterInfo, clusterInfoPath, parseToken, pinsOf, readClusterInfo, signatureOf, type TokenParts } from "./cluster-info.ts";
import * as errors from "./discovery-errors.ts";
import { loadDiscoveryFile, type DiscoveryFile } from "./discovery-file.ts";
import { tlsGet, type TlsAnswer, TlsGetFailure, type TlsGetOptions } from "./tls-get.ts";

export type DiscoveryRequest = {
  /** How long servers that cannot be reached are tried again, ms. Answers that no time heals end it sooner. */
  readonly timeoutMs: number;
  /** The address in cluster-info instead of the one given. */
  readonly useClusterEndpoint?: boolean;
  /** Default: the token, where the kind has one. */
  readonly tlsBootstrapToken?: string;
} & (
  | {
      readonly kind: "token";
      /** `host:port`, the preferred one first. A later one is asked when the earlier have failed or are slow. */
      readonly servers: readonly string[];
      readonly token: string;
      /** `sha256:<hex>`; one of them must fit. */
      readonly caCertHashes: readonly string[];
      /** Allows `caCertHashes` to be empty. */
      readonly unsafeSkipCaVerification: boolean;
    }
  /** A kubeconfig: its path (also for errors), and its text where the caller has it already. */
  | { readonly kind: "file"; readonly path: string; readonly content?: string }
  /** An https URL of a kubeconfig; the host's own roots and proxy settings apply. */
  | { readonly kind: "url"; readonly url: string }
);

export type DiscoveredIdentity = { readonly certificatePem: string; readonly keyPem: string } | { readonly token: string };

export interface Discovered {
  /** `https://host:port` that this node should use. */
  readonly server: string;
  /** What cluster-info says, else the same as `server`. */
  readonly clusterServer: string;
  /** PEM bundle of the cluster's CA. */
  readonly caPem: string;
  /** As the kubeconfig calls it; `kubernetes` where it has no name. The real one is in ConfigMap kubeadm-config. */
  readonly clusterName: string;
  /** Credentials of the discovery file. */
  readonly identity?: DiscoveredIdentity;
  readonly tlsBootstrapToken?: string;
  /** For people: why another address is used than the given one, ... */
  readonly notes: readonly string[];
}

export interface DiscoveryTools {
  readonly signal?: AbortSignal;
  readonly now?: () => Date;
  /** Of this machine; undefined when it does not exist. Needed for kinds `file` and `url`. */
  readonly readFile?: (path: string) => Promise<string | undefined>;
  /** Told when a try failed and another follows, once for each new reason. */
  readonly report?: (setback: { readonly server: string; readonly problem: string }) => void;
  /** Tests are in a hurry. */
  readonly pace?: { readonly requestMs?: number; readonly pollMs?: number; readonly graceMs?: number; readonly staggerMs?: number };
}

/** Certificates are backdated by five minutes in Kubernetes; clocks that differ by more make a fresh one invalid. */
const tolerableSkewMs = 5 * 60_000;

/** Even the last request before the time is up has a chance on a slow machine. */
const leastMs = 1000;

/**
 * Failure of one try. `heals`: `never`; `shortly` (each API server hears of a new token by itself, the signer of a new text); `soon` (a new token's signature appears
 * after a moment); `sometime` (a server that is down). `error` of the last kind is told only when there is something better to say than "unreachable".
 */
class Setback extends Error {
  readonly heals: "never" | "shortly" | "soon" | "sometime";
  readonly error: KubestickError | undefined;
  constructor(heals: Setback["heals"], problem: string | KubestickError) {
    super(typeof problem === "string" ? problem : problem.happened);
    this.heals = heals;
    this.error = typeof problem === "string" ? undefined : problem;
  }
}

export async function discover(request: DiscoveryRequest, tools: DiscoveryTools): Promise<Discovered> {
  const search = new Search(request, tools);
  if (request.kind === "token") {
    const token = parseToken(request.token);
    if (request.caCertHashes.length === 0 && !request.unsafeSkipCaVerification) throw errors.noPin();
    const pins = request.caCertHashes.map((pin) => pin.toLowerCase());
    return await search.until(request.servers, (server, signal) => search.byToken(server, token, pins, signal));
  }
  const file = await loadDiscoveryFile(request, tools);
  if (file.identity === undefined && request.tlsBootstrapToken === undefined) throw errors.noCredentials(file.origin);
  return await search.until([new URL(file.server).host], (_, signal) => search.byFile(file, signal));
}

interface Vouched {
  /** The verified answer is the first one. */
  readonly same: boolean;
  readonly nameMatches: boolean;
  /** The server's certificate does not come from the cluster's CA. */
  readonly problem?: string;
}

class Search {
  readonly #request: DiscoveryRequest;
  readonly #tools: DiscoveryTools;
  readonly #requestMs: number;
  readonly #deadline: number;
  readonly #told = new Set<string>();

  constructor(request: DiscoveryRequest, tools: DiscoveryTools) {
    this.#request = request;
    this.#tools = tools;
    this.#requestMs = Math.min(tools.pace?.requestMs ?? 5000, request.timeoutMs);
    this.#deadline = performance.now() + request.timeoutMs;
  }

  /** Rounds over all servers, until one succeeds or there is nothing to wait for. */
  async until(servers: readonly string[], attempt: (server: string, signal: AbortSignal) => Promise<Discovered>): Promise<Discovered> {
    const { signal, pace = {}, report } = this.#tools;
    const started = performance.now();
    const graceMs = pace.graceMs ?? 10_000;
    let unsettledSince: number | undefined;
    for (let round = 1; ; round++) {
      signal?.throwIfAborted();
      const outcome = await firstSuccess(servers, attempt, pace.staggerMs ?? 400, signal);
      if ("found" in outcome) return outcome.found;
      const never = outcome.setbacks.find(({ setback }) => setback.heals === "never");
      if (never?.setback.error !== undefined) throw never.setback.error;
      const soon = outcome.setbacks.find(({ setback }) => setback.heals === "soon") ?? outcome.setbacks.find(({ setback }) => setback.heals === "shortly");
      const now = performance.now();
      unsettledSince = soon === undefined ? undefined : (unsettledSince ?? now);
      const pause = (pace.pollMs ?? 1000) * Math.min(round, 5);
      const spent = now + pause > this.#deadline || (unsettledSince !== undefined && now - unsettledSince >= (soon?.setback.heals === "shortly" ? graceMs / 5 : graceMs));
      if (spent) {
        throw soon?.setback.error ?? outcome.setbacks.find(({ setback }) => setback.error !== undefined)?.setback.error
          ?? errors.unreachable(servers, now - started, outcome.setbacks.map(({ server, setback }) => `${server}: ${setback.message}`));
      }
      for (const { server, setback } of outcome.setbacks) {
        const key = `${server} ${setback.message}`;
        if (!this.#told.has(key)) report?.({ server, problem: setback.message });
        this.#told.add(key);
      }
      await sleep(unsettledSince === undefined ? pause : Math.min(pause, 1000), undefined, signal === undefined ? {} : { signal });
    }
  }

  async byToken(server: string, token: TokenParts, pins: readonly string[], signal: AbortSignal): Promise<Discovered> {
    const url = `https://${server}`;
    const first = await this.#fetch(url, { signal });
    this.#judgeClock(server, first);
    const info = clusterInfoOf(server, first);

    const found = pinsOf(info.caPem);
    const pinned = pins.length === 0 || found.some((pin) => pins.includes(pin));
    const signature = signatureOf(info, token);
    if (!pinned) {
      throw new Setback("never", signature === "invalid" ? errors.tampered(server, "Neither the CA nor the signature is the right one.") : errors.pinMismatch(server, pins, found));
    }
    if (signature !== "valid" && pins.length === 0) throw signature === "absent" ? new Setback("soon", errors.tokenUnknown(server, token.id)) : new Setback("never", errors.signatureInvalid(server, token.id));

    const second = await this.#vouched(url, info, signal);
    if (signature !== "valid") throw await this.#unsigned(url, info, token, signature, second, signal);
    if (second.problem !== undefined && pins.length > 0) throw new Setback("never", errors.serverUntrusted(server, second.problem));
    if (second.problem === undefined && !second.same) throw new Setback("soon", errors.tampered(server, "Two answers, the second one verified, differ."));

    const discovered = { clusterServer: info.server, caPem: info.caPem, clusterName: "kubernetes", tlsBootstrapToken: this.#request.tlsBootstrapToken ?? `${token.id}.${token.secret}` };
    const keep = second.problem === undefined && second.nameMatches;
    if (sameServer(url, info.server) && keep) return { ...discovered, server: url, notes: [] };
    if (keep && this.#request.useClusterEndpoint !== true) return { ...discovered, server: url, notes: [] };

    const other = await this.#vouched(info.server, info, signal).catch((error: unknown) => (error instanceof Setback ? error : Promise.reject(error as Error)));
    const refusal = other instanceof Setback ? other.message : (other.problem ?? (other.same && other.nameMatches ? undefined : "its certificate or its cluster-info is another one"));
    if (refusal !== undefined) {
      if (keep) throw new Setback("sometime", errors.clusterEndpointUnusable(info.server, refusal));
      throw new Setback("soon", errors.addressNotCovered(server, first.certificate.subjectAltName, info.server, refusal));
    }
    const why = keep ? [] : [`${server} is not in the API server's certificate; the cluster's own endpoint ${info.server} is used instead.`];
    return { ...discovered, server: info.server, notes: why };
  }

  /** A pinned CA is there, the signature is not the expected one. What is wrong, is for the server to say, if it is the one that the CA vouches for. */
  async #unsigned(url: string, info: ClusterInfo, { id, secret }: TokenParts, signature: "absent" | "invalid", vouched: Vouched, signal: AbortSignal): Promise<Setback> {
    const server = new URL(url).host;
    if (vouched.problem !== undefined) return new Setback("never", errors.tampered(server, `The signature ${signature === "absent" ? "is missing" : "does not fit"}, nor does the server's certificate come from the pinned CA.`));
    if (!vouched.same) return new Setback("soon", errors.tampered(server, "Two answers, the second one verified, differ."));
    const likely = new Setback("soon", signature === "absent" ? errors.tokenUnknown(server, id) : errors.tokenWrong(server, id));
    // Under a certificate for another address the token is not shown.
    if (!vouched.nameMatches) return likely;
    // cluster-info may be read by the anonymous alone (RBAC): who comes with a token that is known is told 403, with another one 401.
    const asked = await this.#fetch(url, { caPem: info.caPem, identity: { token: `${id}.${secret}` }, signal }).catch((error: unknown) => (error instanceof TlsGetFailure ? undefined : Promise.reject(error as Error)));
    if (asked === undefined) return likely;
    if (asked.status === 429 || asked.status >= 500) return new Setback("sometime", `the server answered ${asked.status}`);
    if (asked.status === 401) return signature === "absent" ? new Setback("shortly", errors.tokenUnknown(server, id)) : new Setback("never", errors.tokenWrong(server, id));
    return signature === "absent" ? new Setback("soon", errors.tokenUnsigned(server, id)) : new Setback("shortly", errors.clusterInfoEdited(server, id));
  }

  async byFile(file: DiscoveryFile, signal: AbortSignal): Promise<Discovered> {
    const server = new URL(file.server).host;
    const { tlsBootstrapToken, useClusterEndpoint } = this.#request;
    let answer: TlsAnswer;
    try {
      answer = await this.#fetch(file.server, { signal, caPem: file.trust, ...(file.identity === undefined ? {} : { identity: file.identity }) });
    } catch (error) {
      throw await this.#explained(error, file.server, signal, (reason) => errors.fileForOtherCluster(file.origin, server, reason));
    }
    this.#judgeClock(server, answer);
    if (!answer.nameMatches) throw new Setback("never", errors.fileForOtherCluster(file.origin, server, `it is for ${answer.certificate.subjectAltName ?? "no name"}`));
    if (answer.status === 401 && file.identity !== undefined) throw new Setback("never", errors.fileCredentialsRefused(file.origin, server));
    // Who may not read cluster-info, or has none, knows the cluster from the file alone.
    const info = [401, 403, 404].includes(answer.status) && isStatus(answer.text) ? undefined : clusterInfoOf(server, answer);
    const caPem = file.caPem ?? info?.caPem;
    if (caPem === undefined) throw new Setback("never", errors.fileInvalid(file.origin, "It holds no certificate-authority-data, and the cluster does not tell its CA."));
    const clusterServer = info?.server ?? file.server;
    const server_ = useClusterEndpoint === true ? clusterServer : file.server;
    return {
      server: server_, clusterServer, caPem, clusterName: file.clusterName,
      ...(file.identity === undefined ? {} : { identity: file.identity }), ...(tlsBootstrapToken === undefined ? {} : { tlsBootstrapToken }),
      notes: sameServer(clusterServer, server_) ? [] : [`The discovery file says ${file.server}, the cluster itself ${clusterServer}; the file's address is used.`],
    };
  }

  /** cluster-info once more, under the CA that it names. */
  async #vouched(url: string, info: ClusterInfo, signal: AbortSignal): Promise<Vouched> {
    try {
      const answer = await this.#fetch(url, { caPem: info.caPem, signal });
      if (answer.status !== 200) throw new Setback("sometime", `the server answered ${answer.status} when asked again`);
      const again = readClusterInfo(answer.text);
      return { same: typeof again === "object" && again.kubeconfig === info.kubeconfig, nameMatches: answer.nameMatches };
    } catch (error) {
      if (error instanceof TlsGetFailure && error.kind === "untrusted") return { same: false, nameMatches: false, problem: error.errno };
      throw error instanceof TlsGetFailure ? await this.#explained(error, url, signal) : error;
    }
  }

  /** A GET of cluster-info; what ends it before an answer is a Setback, except for what only a verified connection meets. */
  async #fetch(url: string, options: Omit<TlsGetOptions, "timeoutMs">): Promise<TlsAnswer> {
    const server = new URL(url).host;
    try {
      return await tlsGet(`${url.replace(/\/+$/, "")}${clusterInfoPath}`, { ...options, timeoutMs: Math.min(this.#requestMs, Math.max(leastMs, Math.ceil(this.#deadline - performance.now()))) });
    } catch (error) {
      if (!(error instanceof TlsGetFailure)) throw error;
      switch (error.kind) {
        case "unreachable": throw new Setback("sometime", error.message);
        case "not-tls": throw new Setback("never", errors.notKubernetes(server, `it does not speak HTTPS (${error.message})`, error));
        case "client-certificate": throw new Setback("never", errors.notKubernetes(server, "it wants a client certificate, as etcd does", error));
        case "too-long": throw new Setback("never", errors.notKubernetes(server, error.message, error));
        case "aborted": throw new Setback("sometime", "another server was faster");
        default: throw error;
      }
    }
  }

  /** A certificate outside of its time is mostly a clock: the server's own says which of the two. */
  async #explained(error: unknown, url: string, signal: AbortSignal, untrusted?: (reason: string) => KubestickError): Promise<unknown> {
    if (!(error instanceof TlsGetFailure)) return error;
    const server = new URL(url).host;
    if (error.kind === "untrusted" && untrusted !== undefined) return new Setback("never", untrusted(error.errno));
    if (error.kind !== "expired" && error.kind !== "not-yet-valid") return error;
    const answer = await this.#fetch(url, { signal });
    try {
      this.#judgeClock(server, answer);
    } catch (judged) {
      return judged;
    }
    return new Setback("never", errors.authorityOutOfTime(server, error.kind));
  }

  #judgeClock(server: string, { date, certificate }: TlsAnswer): void {
    const ours = this.#tools.now?.() ?? new Date();
    if (date !== undefined && Math.abs(date.getTime() - ours.getTime()) > tolerableSkewMs) throw new Setback("never", errors.clockSkew(server, ours, date));
    if (certificate.validFromDate > ours) throw new Setback("never", errors.clockSkew(server, ours, undefined, certificate.validFromDate));
    if (certificate.validToDate < ours) throw new Setback("never", errors.serverCertificateExpired(server, certificate.validToDate, ours));
  }
}

function clusterInfoOf(server: string, { status, text, contentType }: TlsAnswer): ClusterInfo {
  if (status === 429 || status >= 500) throw new Setback("sometime", `the server answered ${status}`);
  if (status === 200) {
    const info = readClusterInfo(text);
    if (info === "unusable") throw new Setback("never", errors.clusterInfoUnreadable(server));
    if (info !== undefined) return info;
    throw new Setback("never", errors.notKubernetes(server, `it answered with something else (${contentType === "" ? "no content type" : contentType.slice(0, 60)})`));
  }
  if (isStatus(text)) {
    if (status === 401) throw new Setback("never", errors.anonymousRefused(server));
    if (status === 403 || status === 404) throw new Setback("soon", errors.clusterInfoMissing(server, status));
  }
  throw new Setback("never", errors.notKubernetes(server, `it answered ${status}`));
}

/** The API server's own refusals are objects; proxies and other servers send pages. */
function isStatus(text: string): boolean {
  try {
    return (JSON.parse(text) as { readonly kind?: unknown } | null)?.kind === "Status";
  } catch {
    return false; // No JSON is the answer to the question.
  }
}

function sameServer(a: string, b: string): boolean {
  return new URL(a).origin === new URL(b).origin;
}

type Outcome = { readonly found: Discovered } | { readonly setbacks: readonly { readonly server: string; readonly setback: Setback }[] };

/** Like RFC 8305: the next server starts when the one before has failed or has taken `staggerMs`; the first to succeed ends the others. */
async function firstSuccess(servers: readonly string[], attempt: (server: string, signal: AbortSignal) => Promise<Discovered>, staggerMs: number, signal: AbortSignal | undefined): Promise<Outcome> {
  const done = new AbortController();
  const combined = signal === undefined ? done.signal : AbortSignal.any([signal, done.signal]);
  const setbacks: { server: string; setback: Setback }[] = [];
  let begin = Promise.resolve();
  const tries = servers.map(async (server): Promise<Discovered> => {
    const turn = begin;
    let failed = (): void => undefined;
    const failure = new Promise<void>((resolve) => { failed = resolve; });
    begin = turn.then(() => Promise.race([failure, sleep(staggerMs, undefined, { signal: done.signal, ref: false }).catch(() => undefined)]));
    await turn;
    try {
      combined.throwIfAborted();
      return await attempt(server, combined);
    } catch (error) {
      if (!(error instanceof Setback)) throw error;
      setbacks.push({ server, setback: error });
      throw error;
    } finally {
      failed();
    }
  });
  try {
    return { found: await Promise.any(tries) };
  } catch (error) {
    signal?.throwIfAborted();
    const other = (error instanceof AggregateError ? error.errors : [error]).find((each: unknown) => !(each instanceof Setback));
    if (other !== undefined) throw other;
    return { setbacks: servers.flatMap((server) => setbacks.filter((each) => each.server === server)) };
  } finally {
    done.abort();
    await Promise.allSettled(tries);
  }
}

