/**
 * One HTTPS GET that also tells whom it spoke with: the server's certificate, whether it is for the address that was used, and the
 * server's clock. Discovery needs all three before it trusts anybody; the ordinary client (`http.ts`) trusts from the start.
 */
import { X509Certificate } from "node:crypto";
import { request } from "node:https";
import { checkServerIdentity, type TLSSocket } from "node:tls";
import { errnoOf, messageOf } from "../errors.ts";

export interface TlsGetOptions {
  /** PEM bundle that alone is trusted. Absent: anybody is listened to, and nothing may be believed. */
  readonly caPem?: string;
  /** Client certificate or token. Only together with `caPem`: credentials are not shown to strangers. */
  readonly identity?: { readonly certificatePem: string; readonly keyPem: string } | { readonly token: string };
  /** For the whole exchange, ms. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface TlsAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
  /** The server's `Date`. */
  readonly date?: Date;
  readonly certificate: X509Certificate;
  /** Is the certificate for the host in the URL? Says something only together with `caPem`. */
  readonly nameMatches: boolean;
}

/** Why there was no answer. `kind`: what one may conclude. */
export class TlsGetFailure extends Error {
  readonly kind: "unreachable" | "not-tls" | "client-certificate" | "untrusted" | "not-yet-valid" | "expired" | "too-long" | "aborted";
  readonly errno: string;
  constructor(kind: TlsGetFailure["kind"], errno: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
    this.errno = errno;
  }
}

/** Nothing that is asked for here is longer: cluster-info grows by 100 bytes with each token. */
const longest = 4 * 1024 * 1024;

export async function tlsGet(url: string, options: TlsGetOptions): Promise<TlsAnswer> {
  const { caPem, identity, timeoutMs, signal } = options;
  if (caPem === undefined && identity !== undefined) throw new TypeError("credentials for an unverified server");
  const deadline = AbortSignal.timeout(timeoutMs);
  let nameMatches = false;
  let certificate: X509Certificate | undefined;
  try {
    return await new Promise<TlsAnswer>((resolve, reject) => {
      const outgoing = request(url, {
        method: "GET",
        agent: false,
        headers: { accept: "application/json, */*", "user-agent": "kubestick", ...(identity !== undefined && "token" in identity ? { authorization: `Bearer ${identity.token}` } : {}) },
        ...(identity !== undefined && "keyPem" in identity ? { cert: identity.certificatePem, key: identity.keyPem } : {}),
        ...(caPem === undefined ? { rejectUnauthorized: false } : { ca: caPem, rejectUnauthorized: true, allowPartialTrustChain: true }),
        // As Go does, any certificate of the bundle is a root: an issuing CA need not come with its own.
        // A name that does not match is an observation here. With credentials it is a refusal: they are for that server alone.
        checkServerIdentity: (host, peer) => {
          const problem = checkServerIdentity(host, peer);
          nameMatches = problem === undefined;
          return identity === undefined ? undefined : problem;
        },
        signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
      });
      outgoing.on("error", reject);
      outgoing.on("response", (response) => {
        certificate = (response.socket as TLSSocket).getPeerX509Certificate();
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > longest) outgoing.destroy(new TlsGetFailure("too-long", "", `the answer is longer than ${longest} bytes`));
          else chunks.push(chunk);
        });
        response.on("error", reject);
        response.on("end", () => {
          if (certificate === undefined) return reject(new TlsGetFailure("not-tls", "", "the server showed no certificate"));
          const date = Date.parse(String(response.headers.date));
          resolve({ status: response.statusCode ?? 0, contentType: String(response.headers["content-type"] ?? ""), text: Buffer.concat(chunks).toString("utf8"), certificate, nameMatches, ...(Number.isNaN(date) ? {} : { date: new Date(date) }) });
        });
      });
      outgoing.end();
    });
  } catch (error) {
    throw failureOf(error, { timedOut: deadline.aborted, aborted: signal?.aborted === true, timeoutMs });
  }
}

function failureOf(error: unknown, { timedOut, aborted, timeoutMs }: { timedOut: boolean; aborted: boolean; timeoutMs: number }): TlsGetFailure {
  if (error instanceof TlsGetFailure) return error;
  const errno = errnoOf(error) ?? "";
  const message = messageOf(error) || errno;
  const failure = (kind: TlsGetFailure["kind"], words = message): TlsGetFailure => new TlsGetFailure(kind, errno, words, error);
  if (aborted) return failure("aborted");
  if (timedOut) return failure("unreachable", `no answer within ${Math.round(timeoutMs / 100) / 10} seconds`);
  if (errno === "CERT_NOT_YET_VALID") return failure("not-yet-valid");
  if (errno === "CERT_HAS_EXPIRED") return failure("expired");
  // OpenSSL's own names of verification results have neither of Node's prefixes.
  if (/^(?:CERT_|INVALID_PURPOSE|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA|PATH_LENGTH|ERR_TLS_CERT)/.test(errno)) return failure("untrusted");
  if (/CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE|BAD_CERTIFICATE/.test(errno) || /alert (?:certificate required|handshake failure|bad certificate)/.test(message)) return failure("client-certificate");
  if (errno.startsWith("ERR_SSL_") || errno === "EPROTO" || errno.startsWith("HPE_")) return failure("not-tls");
  return failure("unreachable");
}
