/**
 * HTTP as the connected side needs it: one verb, GET, with redirects, patience and honest errors. Bodies are streams.
 *
 * Retried: lost connections, time-outs, 408, 429 and 5xx, with growing pauses or the pause the server asks for (RFC 9110 10.2.3).
 * Not retried: names that do not resolve, certificates nobody trusts, and all other answers, which the caller judges.
 * A body that breaks half-way is the caller's affair, because only it knows where to continue.
 */
import tls from "node:tls";
import { setTimeout as sleep } from "node:timers/promises";
import { Agent, EnvHttpProxyAgent, request, type Dispatcher } from "undici";
import { KubestickError, errnoOf, messageOf } from "../errors.ts";

export interface RetryNotice {
  readonly url: string;
  readonly reason: string;
  readonly waitMs: number;
}

export interface HttpOptions {
  /** Tries of one request, default 6. */
  readonly attempts?: number;
  /** First pause, doubled each time up to 30 s; default 500 ms. */
  readonly pauseMs?: number;
  readonly onRetry?: (notice: RetryNotice) => void;
  /** PEM certificates of authorities that are trusted besides those of Node and of the machine. */
  readonly ca?: readonly string[];
}

export interface HttpResponse {
  readonly status: number;
  /** After redirects. */
  readonly url: string;
  header(name: string): string | undefined;
  /** All values of a header that may come several times (WWW-Authenticate). */
  headers(name: string): readonly string[];
  /** Must be read to its end or cancelled, or the connection is never used again. */
  readonly body: AsyncIterable<Uint8Array>;
  text(limit: number): Promise<string>;
  cancel(): Promise<void>;
}

const RETRIED_STATUS = new Set([408, 429, 500, 502, 503, 504]);
const REDIRECT_STATUS = new Set([301, 302, 303, 307, 308]);
const MAX_REDIRECTS = 10;
const MAX_PAUSE_MS = 30_000;
/** A server may ask for any pause; beyond this a person would rather hear of it. */
const MAX_ASKED_PAUSE_MS = 120_000;
/** No byte for this long means the line is dead, not slow. */
const IDLE_MS = 60_000;

export class HttpClient {
  readonly attempts: number;
  readonly #pauseMs: number;
  readonly #onRetry: (notice: RetryNotice) => void;
  readonly #ca: readonly string[];
  #direct: Dispatcher | undefined;
  #proxied: Dispatcher | undefined;

  constructor({ attempts = 6, pauseMs = 500, onRetry = () => undefined, ca = [] }: HttpOptions = {}) {
    this.#ca = ca;
    this.attempts = attempts;
    this.#pauseMs = pauseMs;
    this.#onRetry = onRetry;
  }

  async get(url: string, { headers = {}, signal }: { readonly headers?: Readonly<Record<string, string>>; readonly signal?: AbortSignal | undefined } = {}): Promise<HttpResponse> {
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      let reason: string;
      let asked: number | undefined;
      try {
        const response = await this.#follow(url, headers, signal);
        if (!RETRIED_STATUS.has(response.status) || attempt >= this.attempts) return response;
        reason = `the server answered ${response.status}`;
        asked = retryAfterMs(response.header("retry-after"));
        await response.cancel();
        if (asked !== undefined && asked > MAX_ASKED_PAUSE_MS) {
          throw new KubestickError({
            code: "HTTP_BUSY",
            attempted: `fetching ${url}`,
            happened: `The server answered ${response.status} and asks to come back in ${Math.ceil(asked / 1000)} seconds.`,
            next: "Run the same command again after that time; what has been fetched so far is kept.",
          });
        }
      } catch (error) {
        if (signal?.aborted === true || !isTransient(error) || attempt >= this.attempts) throw fetchFailed(url, error, signal);
        reason = messageOf(error);
      }
      await this.pause(url, reason, attempt, asked, signal);
    }
  }

  /** The pause after the n-th failure; also for those who continue a broken body. */
  async pause(url: string, reason: string, failures: number, asked?: number, signal?: AbortSignal): Promise<void> {
    // Jitter keeps the parallel downloads of one pack from coming back in step.
    const waitMs = asked ?? Math.round(Math.min(MAX_PAUSE_MS, this.#pauseMs * 2 ** (failures - 1)) * (0.75 + Math.random() / 2));
    this.#onRetry({ url, reason, waitMs });
    await sleep(waitMs, undefined, signal === undefined ? {} : { signal });
  }

  /** A small body that breaks half-way is asked for again from its start; `read` must do all of it, request and body. */
  async whole<T>(url: string, read: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    for (let failures = 1; ; failures++) {
      try {
        return await read();
      } catch (error) {
        if (signal?.aborted === true || !isTransient(error) || failures >= this.attempts) throw fetchFailed(url, error, signal);
        await this.pause(url, messageOf(error), failures, undefined, signal);
      }
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#direct?.destroy(), this.#proxied?.destroy()]);
  }

  async #follow(start: string, headers: Readonly<Record<string, string>>, signal: AbortSignal | undefined): Promise<HttpResponse> {
    let url = new URL(start);
    let sent: Record<string, string> = { "user-agent": "kubestick", "accept-encoding": "identity", ...headers };
    for (let redirects = 0; ; redirects++) {
      const { statusCode, headers: received, body } = await request(url, {
        method: "GET",
        headers: sent,
        dispatcher: this.#dispatcherFor(url),
        ...(signal === undefined ? {} : { signal }),
      });
      const location = valuesOf(received["location"])[0];
      if (!REDIRECT_STATUS.has(statusCode) || location === undefined) {
        return {
          status: statusCode,
          url: url.href,
          header: (name) => valuesOf(received[name])[0],
          headers: (name) => valuesOf(received[name]),
          body,
          text: (limit) => textOf(body, limit),
          cancel: () => body.dump({ limit: 64 * 1024 }).catch(() => undefined),
        };
      }
      await body.dump({ limit: 64 * 1024 }).catch(() => undefined);
      const target = new URL(location, url);
      if (redirects >= MAX_REDIRECTS) throw new HttpRefusal(`${start} redirects more than ${MAX_REDIRECTS} times`);
      if (url.protocol === "https:" && target.protocol !== "https:") throw new HttpRefusal(`${url.origin} redirects to the unencrypted ${target.origin}`);
      // Credentials are for the origin that asked for them (RFC 9110 15.4); blob stores reject requests that carry two kinds.
      if (target.origin !== url.origin) {
        const { authorization: _, ...rest } = sent;
        sent = rest;
      }
      url = target;
    }
  }

  #dispatcherFor(url: URL): Dispatcher {
    const timeouts = { headersTimeout: IDLE_MS, bodyTimeout: IDLE_MS };
    // A proxy cannot reach this machine's loopback, whatever the environment says; Go's and curl's clients exempt it too.
    if (isLoopback(url.hostname)) return (this.#direct ??= new Agent({ ...timeouts, connect: { ca: [...trustedCertificates(), ...this.#ca] } }));
    if (this.#proxied === undefined) {
      const ca = [...trustedCertificates(), ...this.#ca];
      this.#proxied = new EnvHttpProxyAgent({ ...timeouts, connect: { ca }, requestTls: { ca }, proxyTls: { ca } });
    }
    return this.#proxied;
  }
}

/** Node's list and the machine's: companies that inspect TLS put their CA into the latter. */
function trustedCertificates(): string[] {
  return [...tls.getCACertificates("default"), ...tls.getCACertificates("system")];
}

export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname.endsWith(".localhost") || hostname === "[::1]" || hostname === "::1" || /^127(\.\d+){3}$/.test(hostname);
}

/** An answer that trying again cannot improve. */
class HttpRefusal extends Error {}

/** The status with which a proxy refused a tunnel, when trying again cannot change it. undici tells it only in words. */
function proxyRefusal(error: unknown): number | undefined {
  const status = Number(/^Proxy response \((\d{3})\)/.exec(messageOf(error))?.[1] ?? Number.NaN);
  return Number.isNaN(status) || RETRIED_STATUS.has(status) ? undefined : status;
}

const PERMANENT = /^(ENOTFOUND|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL|ERR_INVALID)/;

/** True for failures of the line rather than of the request; also for a body that broke off. */
export function isTransient(error: unknown): boolean {
  if (error instanceof HttpRefusal || error instanceof KubestickError || proxyRefusal(error) !== undefined) return false;
  const code = errnoOf(error) ?? (error instanceof Error ? errnoOf(error.cause) : undefined);
  return code !== undefined && code !== "ABORT_ERR" && !PERMANENT.test(code);
}

export function fetchFailed(url: string, error: unknown, signal?: AbortSignal): unknown {
  if (error instanceof KubestickError || signal?.aborted === true) return error;
  const code = errnoOf(error) ?? "";
  const refusedBy = proxyRefusal(error);
  if (refusedBy !== undefined) {
    return new KubestickError({
      code: "HTTP_PROXY", attempted: `fetching ${url}`, happened: `The proxy answered ${refusedBy}: it does not let us through to ${new URL(url).host}.`, cause: error,
      next: refusedBy === 407 ? "It wants a login: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT, in the environment and not in an argument." : "Ask whoever runs the proxy, name the host in NO_PROXY when it is reached without one, or name a mirror.",
    });
  }
  const next =
    code === "ENOTFOUND" || code === "EAI_AGAIN" ? "Check the name and that this machine has internet access; behind a proxy set HTTPS_PROXY."
    : PERMANENT.test(code) ? "If it has a certificate of an own CA, or a proxy inspects TLS here, name that CA: --ca FILE."
    : "Run the same command again; what has been fetched so far is kept and downloads continue where they stopped.";
  return new KubestickError({ code: "HTTP_FAILED", attempted: `fetching ${url}`, happened: `The server could not be asked: ${messageOf(error) || code}.`, next, cause: error });
}

/** Error for an answer that nothing better is known about. */
export function unexpectedStatus(url: string, status: number): KubestickError {
  return new KubestickError({
    code: "HTTP_STATUS",
    attempted: `fetching ${url}`,
    happened: `The server answered ${status}.`,
    next:
      status === 404 ? "Check that this version is published there."
      : status === 429 ? "It limits how much may be fetched without a login: log in with `docker login`, wait, or name a mirror."
      : "Try the address with `curl -v`, or name a mirror with --download-mirror or --registry-mirror.",
  });
}

/** Seconds or an HTTP date. */
function retryAfterMs(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now());
}

function valuesOf(value: string | string[] | undefined): readonly string[] {
  return value === undefined ? [] : typeof value === "string" ? [value] : value;
}

async function textOf(body: AsyncIterable<Uint8Array>, limit: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > limit) throw new HttpRefusal(`the answer is longer than ${limit} bytes`);
    parts.push(chunk);
  }
  return Buffer.concat(parts).toString("utf8");
}

/**
 * The body from `start` on, when the request asked for `Range: bytes=<start>-`. A server that does not do ranges sends everything (200); then
 * the first part is read and dropped, which is slower but right.
 */
export async function* bodyFrom(response: HttpResponse, start: number): AsyncGenerator<Uint8Array> {
  let skip = response.status === 206 ? 0 : start;
  for await (const chunk of response.body) {
    if (skip >= chunk.length) {
      skip -= chunk.length;
      continue;
    }
    yield skip === 0 ? chunk : chunk.subarray(skip);
    skip = 0;
  }
}

export function rangeHeaders(start: number): Readonly<Record<string, string>> {
  return start === 0 ? {} : { range: `bytes=${start}-` };
}

/** A 206 must begin where it was asked to; anything else would be written to the wrong place. */
export function isRangeFrom(response: HttpResponse, start: number): boolean {
  return response.status === 206 && (response.header("content-range") ?? "").startsWith(`bytes ${start}-`);
}
