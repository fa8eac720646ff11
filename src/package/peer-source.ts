/**
 * The bytes of a package that another node serves (`peer-server.ts`).
 *
 * First the server's certificates are looked at and nothing is sent: one of them must be the CA that was pinned. Every request after that runs
 * under that CA alone, and only to a server with the name that the CA's holder gives to this service.
 */
import { createHash, X509Certificate } from "node:crypto";
import { Agent, request } from "node:https";
import { connect, type DetailedPeerCertificate } from "node:tls";
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf, isKubestickError, KubestickError, messageOf } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { longestRange, peerPath } from "./peer-server.ts";

export const defaultPeerPort = 6445;

export interface PeerOptions {
  readonly host: string;
  readonly port: number;
  /** `sha256:<hex>` over the public key of the cluster's CA; one must fit. */
  readonly caCertHashes: readonly string[];
  /** Common name of the server's certificate. */
  readonly serverName: string;
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly signal?: AbortSignal;
  /** For one exchange, and between the tries after a failed one; tests are in a hurry. */
  readonly pace?: { readonly requestMs?: number; readonly retryMs?: number };
}

/** A cable that is moved, a switch that restarts: reading goes on where it stopped. */
const tries = 6;

export async function openPeerSource(options: PeerOptions): Promise<ByteSource> {
  const { host, port, serverName, certificatePem, keyPem, signal, pace = {} } = options;
  const name = `the package of ${host.includes(":") ? `[${host}]` : host}:${port}`;
  const caPem = await persistently((): Promise<string> => pinnedAuthority(options, name), options);
  const agent = new Agent({
    keepAlive: true, maxSockets: 8, ca: caPem, cert: certificatePem, key: keyPem, minVersion: "TLSv1.3",
    // Addresses may be translated on the way; only the holder of the CA's key can have this name.
    checkServerIdentity: (_, { subject }) => (subject.CN === serverName ? undefined : new Error("not the name of a package server")),
  });

  async function exchange(method: "GET" | "HEAD", range: string | undefined, into?: { readonly buffer: Uint8Array; readonly offset: number; readonly length: number }): Promise<{ readonly status: number; readonly total: number | undefined; readonly bytes: number }> {
    const deadline = AbortSignal.timeout(pace.requestMs ?? 30_000);
    return await new Promise((resolve, reject) => {
      const outgoing = request({ host, port, path: peerPath, method, agent, headers: range === undefined ? {} : { range }, signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]) });
      outgoing.on("error", reject);
      outgoing.on("response", (response) => {
        let bytes = 0;
        const total = /\/(\d+)$/.exec(response.headers["content-range"] ?? "")?.[1] ?? (method === "HEAD" ? response.headers["content-length"] : undefined);
        response.on("data", (chunk: Buffer) => {
          if (response.statusCode !== 206 || into === undefined) return;
          if (bytes + chunk.length > into.length) return void outgoing.destroy(new Error("more bytes than asked for"));
          into.buffer.set(chunk, into.offset + bytes);
          bytes += chunk.length;
        });
        response.on("error", reject);
        response.on("end", () => { resolve({ status: response.statusCode ?? 0, total: total === undefined ? undefined : Number(total), bytes }); });
      });
      outgoing.end();
    });
  }

  async function answered(method: "GET" | "HEAD", range?: string, into?: { readonly buffer: Uint8Array; readonly offset: number; readonly length: number }): Promise<{ readonly total: number | undefined; readonly bytes: number }> {
    return await persistently(async () => {
      const answer = await exchange(method, range, into).catch((error: unknown) => { throw transportError(name, error); });
      if (answer.status === 403) throw failure(name, "PEER_REFUSED", "It does not know the token of this node: it has expired, was revoked, or is for another purpose.", "Make a new ticket or token on a control plane: kubestick ticket create");
      if (answer.status !== (method === "HEAD" ? 200 : 206)) throw failure(name, "PEER_PROTOCOL", `It answered ${answer.status}.`, "Use the same kubestick on both nodes.");
      return answer;
    }, options);
  }

  try {
    const size = (await answered("HEAD")).total;
    if (size === undefined || !Number.isSafeInteger(size)) throw failure(name, "PEER_PROTOCOL", "It does not tell how long the package is.", "Use the same kubestick on both nodes.");
    return {
      name,
      remote: true,
      size,
      async read(buffer, offset, length, position) {
        const wanted = Math.min(length, size - position, longestRange);
        if (wanted <= 0) return { bytesRead: 0 };
        const { total, bytes } = await answered("GET", `bytes=${position}-${position + wanted - 1}`, { buffer, offset, length: wanted });
        if (total !== size) throw failure(name, "PEER_CHANGED", `The package had ${size} bytes and has ${total ?? "no"} now: another file is served.`, "Run the same command again.");
        return { bytesRead: bytes };
      },
      close: () => { agent.destroy(); return Promise.resolve(); },
    };
  } catch (error) {
    agent.destroy();
    throw error;
  }
}

/** The server's certificate of the cluster's CA, by its pin. Nothing is sent, and nothing is believed but what the pin says. */
async function pinnedAuthority({ host, port, caCertHashes, signal, pace = {} }: PeerOptions, name: string): Promise<string> {
  const pins = caCertHashes.map((pin) => pin.toLowerCase());
  const chain = await new Promise<DetailedPeerCertificate>((resolve, reject) => {
    const socket = connect({ host, port, rejectUnauthorized: false, minVersion: "TLSv1.3" });
    const stop = (): void => { socket.destroy(new Error("stopped")); };
    const done = (): void => { signal?.removeEventListener("abort", stop); socket.destroy(); };
    signal?.addEventListener("abort", stop, { once: true });
    socket.setTimeout(pace.requestMs ?? 10_000, () => { socket.destroy(new Error("no answer in time")); });
    socket.once("error", (error) => { done(); reject(transportError(name, error)); });
    socket.once("secureConnect", () => {
      const shown = socket.getPeerCertificate(true);
      done();
      resolve(shown);
    });
  });
  const seen = new Set<string>();
  for (let each: DetailedPeerCertificate | undefined = chain; each?.raw !== undefined && !seen.has(each.fingerprint256); each = each.issuerCertificate) {
    seen.add(each.fingerprint256);
    const certificate = new X509Certificate(each.raw);
    const pin = `sha256:${createHash("sha256").update(certificate.publicKey.export({ format: "der", type: "spki" })).digest("hex")}`;
    if (certificate.ca && pins.includes(pin)) return certificate.toString();
  }
  throw failure(name, "PEER_UNTRUSTED", "It does not show the CA that the ticket pins: it belongs to another cluster, or somebody answers in its place. Nothing was sent to it.", "Compare the address and the ticket: kubestick ticket show FILE");
}

async function persistently<T>(work: () => Promise<T>, { signal, pace = {} }: Pick<PeerOptions, "signal" | "pace">): Promise<T> {
  for (let round = 1; ; round++) {
    signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      if (!isKubestickError(error) || error.code !== "PEER_UNREACHABLE" || round >= tries) throw error;
    }
    await sleep((pace.retryMs ?? 500) * 2 ** (round - 1), undefined, signal === undefined ? {} : { signal });
  }
}

function transportError(name: string, error: unknown): KubestickError {
  const errno = errnoOf(error) ?? "";
  const message = messageOf(error);
  if (message === "not the name of a package server") return failure(name, "PEER_UNTRUSTED", "The server has a certificate of the cluster, but not one for serving packages.", "Start it on a control plane: kubestick package serve", error);
  if (errno === "CERT_NOT_YET_VALID" || errno === "CERT_HAS_EXPIRED") return failure(name, "PEER_CLOCK", `The server's certificate is not valid at this machine's time, ${new Date().toISOString()}: one of the two clocks is wrong, or the server has run past its time.`, "Compare date -u on both machines.", error);
  if (/^(?:UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_|CERT_|PATH_LENGTH)/.test(errno)) return failure(name, "PEER_UNTRUSTED", `The server's certificate does not come from the pinned CA (${errno}).`, "Compare the address and the ticket: kubestick ticket show FILE", error);
  if (errno.startsWith("ERR_SSL_") || errno === "EPROTO" || errno.startsWith("HPE_")) return failure(name, "PEER_PROTOCOL", `What listens there does not serve packages (${message}).`, "Start it on a control plane: kubestick package serve", error);
  return failure(name, "PEER_UNREACHABLE", `It cannot be reached: ${message === "" ? errno : message}.`, "On a control plane with the package: kubestick package serve. Check address, cable and firewall.", error);
}

function failure(name: string, code: string, happened: string, next: string, cause?: unknown): KubestickError {
  return new KubestickError({ code, attempted: `reading ${name}`, happened, next, cause });
}
