/** An API server that knows nothing but cluster-info, over real TLS on the loopback, with every fault that discovery has to name. */
import { createServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { clusterInfoKubeconfig } from "../../src/pki/kubeconfig.ts";
import { signDetached } from "../../src/pki/jws.ts";
import type { Authority, Issued } from "./openssl-certificates.ts";

export interface Answer {
  readonly status?: number;
  readonly body: unknown;
  /** Header; null: none. */
  readonly date?: Date | null;
}

export interface ClusterDouble {
  readonly port: number;
  /** `127.0.0.1:port`. */
  readonly address: string;
  /** Authorization headers and client certificates that were shown. */
  readonly credentials: string[];
  /** When set: as an API server it tells 401 to who shows a token that is not among these, and 403 to who shows one of them, for cluster-info is for the anonymous. */
  known?: readonly string[];
  requests: number;
  /** What the n-th request (from 0) gets. */
  answer: (n: number) => Answer;
  close(): Promise<void>;
}

export const token = { id: "k7xq2m", secret: "t4hn9w0c3vz8ra5e" };
export const tokenText = `${token.id}.${token.secret}`;

export function clusterInfo(caPem: string, server: string, options: { readonly tokens?: readonly (typeof token)[]; readonly kubeconfig?: (text: string) => string } = {}): unknown {
  const kubeconfig = clusterInfoKubeconfig({ caPem, server });
  const signatures = Object.fromEntries((options.tokens ?? [token]).map((each) => [`jws-kubeconfig-${each.id}`, signDetached(kubeconfig, each)]));
  return { kind: "ConfigMap", apiVersion: "v1", metadata: { name: "cluster-info", namespace: "kube-public" }, data: { ...signatures, kubeconfig: options.kubeconfig?.(kubeconfig) ?? kubeconfig } };
}

export function statusObject(code: number, reason: string): Answer {
  return { status: code, body: { kind: "Status", apiVersion: "v1", status: "Failure", reason, code, message: `configmaps "cluster-info" ${reason}` } };
}

/** Answers with a good cluster-info of `ca` until told otherwise. */
export async function clusterDouble(ca: Authority, identity: Issued, options: { readonly host?: string; readonly clientCa?: string } = {}): Promise<ClusterDouble> {
  const host = options.host ?? "127.0.0.1";
  const connections = new Set<Socket>();
  const server = createServer({ cert: identity.certificatePem, key: identity.keyPem, ...(options.clientCa === undefined ? {} : { ca: options.clientCa, requestCert: true }) }, (request, response) => {
    const shown = request.headers.authorization;
    if (shown !== undefined) double.credentials.push(shown);
    const authenticated = shown === undefined || double.known === undefined ? undefined : double.known.some((each) => shown === `Bearer ${each}`) ? statusObject(403, "Forbidden") : statusObject(401, "Unauthorized");
    const { status = 200, body, date } = authenticated ?? double.answer(double.requests++);
    response.statusCode = status;
    if (date === null) response.sendDate = false;
    else if (date !== undefined) response.setHeader("date", date.toUTCString());
    response.setHeader("content-type", typeof body === "string" ? "text/html" : "application/json");
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  });
  server.on("connection", (connection: Socket) => connections.add(connection));
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as AddressInfo;
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const double: ClusterDouble = {
    port, address, credentials: [], requests: 0,
    answer: () => ({ body: clusterInfo(ca.caPem, `https://${address}`) }),
    close: async () => {
      for (const connection of connections) connection.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return double;
}
