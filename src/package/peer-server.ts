/** Hands the bytes of a kubestick file to nodes that prove a token, by ranges over mutual TLS. Knows nothing of tokens: who may is asked outside. */
import { createHash } from "node:crypto";
import { createServer } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import type { TLSSocket } from "node:tls";
import { errnoOf, KubestickError, messageOf } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { readRange } from "./file-bytes.ts";

export const peerPath = "/v1/package";
/** One answer; a client asks again for more. */
export const longestRange = 16 * 1024 * 1024;

export interface PeerServerOptions {
  readonly source: ByteSource;
  /** Absent: all addresses. */
  readonly host?: string;
  /** 0: any free one. */
  readonly port: number;
  readonly certificatePem: string;
  readonly keyPem: string;
  /** Whether the holder of this public key (SHA-256 of its SPKI, hexadecimal) may read. Asked for every request: a token can be revoked. */
  readonly allowed: (fingerprint: string) => Promise<boolean>;
  /** Of a client's address: its first bytes, or that it was refused. */
  readonly report: (event: { readonly client: string; readonly what: "reads" | "refused" }) => void;
}

export interface PeerServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Resolves when it listens. */
export async function servePackage({ source, host, port, certificatePem, keyPem, allowed, report }: PeerServerOptions): Promise<PeerServer> {
  const told = new Set<string>();
  const sockets = new Set<Socket>();
  const tell = (client: string, what: "reads" | "refused"): void => {
    if (told.has(`${client} ${what}`)) return;
    told.add(`${client} ${what}`);
    report({ client, what });
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const socket = request.socket as TLSSocket;
    const client = socket.remoteAddress?.replace(/^::ffff:/, "") ?? "unknown";
    const certificate = socket.getPeerX509Certificate();
    const fingerprint = certificate === undefined ? undefined : createHash("sha256").update(certificate.publicKey.export({ format: "der", type: "spki" })).digest("hex");
    if (fingerprint === undefined || !(await allowed(fingerprint))) {
      tell(client, "refused");
      return end(response, 403);
    }
    if (request.url !== peerPath) return end(response, 404);
    if (request.method === "HEAD") return void response.writeHead(200, { "content-length": source.size, "accept-ranges": "bytes" }).end();
    if (request.method !== "GET") return end(response, 405);
    const range = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(request.headers.range ?? "");
    const [from, to] = [Number(range?.[1]), Math.min(Number(range?.[2]), source.size - 1)];
    if (range === null || from > to || to - from >= longestRange) return end(response, 416);
    tell(client, "reads");
    response.writeHead(206, { "content-length": to - from + 1, "content-range": `bytes ${from}-${to}/${source.size}`, "content-type": "application/octet-stream" });
    await pipeline(readRange(source, from, to - from + 1), response);
  }

  const server = createServer({ cert: certificatePem, key: keyPem, requestCert: true, rejectUnauthorized: false, minVersion: "TLSv1.3" }, (request, response) => {
    // A client that goes away, or a stick that is pulled: the connection ends and the client learns by that.
    answer(request, response).catch(() => { response.destroy(); });
  });
  server.maxConnections = 128;
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("tlsClientError", (_, socket) => { socket.destroy(); });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      reject(new KubestickError({
        code: "PEER_LISTEN", attempted: "serving the package to other nodes", happened: `Port ${port} cannot be listened on: ${errnoOf(error) === "EADDRINUSE" ? "another program has it" : messageOf(error)}.`,
        next: "Choose another port: --listen :6446, and give it to the other nodes as HOST:6446", cause: error,
      }));
    });
    server.listen({ port, ...(host === undefined ? {} : { host }) }, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function end(response: ServerResponse, status: number): void {
  response.writeHead(status, { "content-length": 0 }).end();
}
