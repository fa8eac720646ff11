/**
 * HTTPS to one server with a pinned CA and, mostly, a client certificate: what the API server and etcd have in common.
 *
 * A failure before an answer becomes a KubestickError with the caller's prefix (`API`, `ETCD`); any HTTP status is an answer.
 * The HTTP library is loaded with the first request: it takes longer to load than most commands take to run.
 */
import type { Dispatcher } from "undici";
import { errnoOf, KubestickError, messageOf } from "../errors.ts";

export interface ServerCredentials {
  /** `https://host:port`, IPv6 hosts in brackets. */
  readonly server: string;
  /** PEM bundle that alone is trusted; absent = the system's roots. */
  readonly caPem?: string;
  readonly certificatePem?: string;
  readonly keyPem?: string;
  readonly token?: string;
}

export interface HttpOptions {
  /** Time for one request with its answer, ms. */
  readonly timeoutMs: number;
  readonly codePrefix: "API" | "ETCD";
  /** What the server is called in messages: `the API server`. */
  readonly serverName: string;
  /** For people whose request failed before an answer. */
  readonly next: string;
  /** Tests bring their own. */
  readonly dispatcher?: Dispatcher | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
  /** Server's clock minus this machine's, ms; undefined when the answer has no Date. */
  readonly skewMs?: number;
}

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Path and query. */
  readonly path: string;
  readonly attempted: string;
  readonly body?: unknown;
  readonly contentType?: string;
}

export interface HttpConnection {
  readonly server: string;
  send(request: HttpRequest): Promise<HttpAnswer>;
  close(): Promise<void>;
}

export function openHttp(credentials: ServerCredentials, options: HttpOptions): HttpConnection {
  const server = credentials.server.replace(/\/+$/, "");
  let dispatcher: Promise<Dispatcher> | undefined;
  let closed = false;

  async function agent(): Promise<Dispatcher> {
    if (options.dispatcher !== undefined) return options.dispatcher;
    const { Agent } = await import("undici");
    return new Agent({
      connections: 4,
      connect: {
        timeout: options.timeoutMs,
        ...(credentials.caPem === undefined ? {} : { ca: credentials.caPem }),
        ...(credentials.certificatePem === undefined || credentials.keyPem === undefined ? {} : { cert: credentials.certificatePem, key: credentials.keyPem }),
      },
      headersTimeout: options.timeoutMs,
      bodyTimeout: options.timeoutMs,
    });
  }

  return {
    server,

    async send({ method, path, attempted, body, contentType = "application/json" }: HttpRequest): Promise<HttpAnswer> {
      if (closed) throw failure("UNREACHABLE", attempted, `The connection to ${server} was closed.`);
      try {
        const [{ request }, through] = await Promise.all([import("undici"), (dispatcher ??= agent())]);
        const answer = await request(`${server}${path}`, {
          method,
          dispatcher: through,
          signal: AbortSignal.timeout(options.timeoutMs),
          headers: {
            accept: "application/json",
            // The API server names the field manager of every write after this.
            "user-agent": "kubestick",
            ...(credentials.token === undefined ? {} : { authorization: `Bearer ${credentials.token}` }),
            ...(body === undefined ? {} : { "content-type": contentType }),
          },
          body: body === undefined ? null : JSON.stringify(body),
        });
        const text = await answer.body.text();
        const date = Date.parse(String(answer.headers["date"]));
        return { status: answer.statusCode, text, ...(Number.isNaN(date) ? {} : { skewMs: date - Date.now() }) };
      } catch (error) {
        throw transportError(attempted, error);
      }
    },

    async close(): Promise<void> {
      closed = true;
      if (dispatcher !== undefined && options.dispatcher === undefined) await (await dispatcher).destroy();
    },
  };

  function failure(code: string, attempted: string, happened: string, next = options.next, cause?: unknown): KubestickError {
    return new KubestickError({ code: `${options.codePrefix}_${code}`, attempted, happened, next, cause });
  }

  function transportError(attempted: string, error: unknown): KubestickError {
    const errno = errnoOf(error) ?? "";
    const message = messageOf(error);
    const now = new Date().toISOString();
    if (errno === "CERT_NOT_YET_VALID") {
      return failure("CLOCK_SKEW", attempted, `The certificate of ${server} is not valid yet by this machine's clock, which says ${now}.`, "Set the clock, then run the same command again: date -u -s '<YYYY-MM-DD HH:MM:SS>'", error);
    }
    if (errno === "CERT_HAS_EXPIRED") {
      return failure("CERTIFICATE_EXPIRED", attempted, `The certificate of ${server} has expired by this machine's clock, which says ${now}.`, "When the clock is right, renew the certificates; else set it: date -u -s '<YYYY-MM-DD HH:MM:SS>'", error);
    }
    if (errno === "ERR_TLS_CERT_ALTNAME_INVALID") {
      return failure("CERTIFICATE_NAME", attempted, `The certificate of ${server} is for other names: ${message}`, "Connect by a name or address that is in the certificate, or add this one to apiServer.certSANs and issue it again.", error);
    }
    if (untrusted.has(errno)) {
      return failure("CERTIFICATE_UNTRUSTED", attempted, `The certificate of ${server} was not issued by the expected authority (${errno}).`, "Another cluster answers there, or the CA was replaced: compare /etc/kubernetes/pki/ca.crt with the kubeconfig.", error);
    }
    if (errno.startsWith("ERR_SSL_") || errno === "EPROTO") {
      const rejected = /ALERT|HANDSHAKE_FAILURE/.test(errno) || /alert/.test(message);
      return rejected
        ? failure("CERTIFICATE_REJECTED", attempted, `${server} ended the TLS handshake: it does not accept the client certificate (${message}).`, options.next, error)
        : failure("WRONG_PROTOCOL", attempted, `Whatever listens on ${server} does not speak TLS (${message}).`, options.next, error);
    }
    if (errno.includes("TIMEOUT") || errno === "ETIMEDOUT" || (error instanceof Error && error.name === "TimeoutError")) {
      return failure("TIMEOUT", attempted, `${server} gave no answer within ${options.timeoutMs / 1000} seconds.`, options.next, error);
    }
    return failure("UNREACHABLE", attempted, `${options.serverName} on ${server} cannot be reached: ${message === "" ? errno : message}.`, options.next, error);
  }
}

/** OpenSSL's verification results for a chain that does not end in the pinned CA. */
const untrusted: ReadonlySet<string> = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "INVALID_CA",
]);
