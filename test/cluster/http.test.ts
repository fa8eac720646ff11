import assert from "node:assert/strict";
import { createServer, type Server as HttpsServer } from "node:https";
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from "node:net";
import { after, describe, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { isKubestickError, type KubestickError } from "../../src/errors.ts";
import { connectCluster } from "../../src/cluster/kube-client.ts";
import { type Authority, hasOpenssl, type Issued, openAuthority } from "./openssl-certificates.ts";

async function listening<S extends Server>(server: S, host: string, use: (port: number) => Promise<void>): Promise<void> {
  const connections = new Set<Socket>();
  server.on("connection", (connection) => connections.add(connection));
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  try {
    await use((server.address() as AddressInfo).port);
  } finally {
    for (const connection of connections) connection.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

async function failure(work: Promise<unknown>): Promise<KubestickError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(isKubestickError(error), `not a KubestickError: ${String(error)}`);
  return error;
}

describe("connectCluster over TLS", { skip: hasOpenssl() ? false : "needs the openssl command" }, () => {
  const made: Authority[] = [];
  const authority = (name: string): Authority => {
    const opened = openAuthority(name);
    made.push(opened);
    return opened;
  };
  after(() => {
    for (const opened of made) opened.remove();
  });
  const loopback = "IP:127.0.0.1,IP:::1";

  function api(identity: Issued, clientCa?: string, host = "127.0.0.1"): { server: HttpsServer; host: string; clients: string[] } {
    const clients: string[] = [];
    const server = createServer({ cert: identity.certificatePem, key: identity.keyPem, ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true }) }, (request, response) => {
      clients.push(String((request.socket as TLSSocket).getPeerCertificate().subject?.CN));
      response.end("ok");
    });
    return { server, host, clients };
  }

  test("presents the client certificate and trusts only the pinned CA, on IPv4 and IPv6", async () => {
    const ca = authority("kubernetes");
    const identity = ca.issue("kube-apiserver", { names: loopback });
    const client = ca.issue("kubernetes-admin", { organization: "kubeadm:cluster-admins" });
    for (const host of ["127.0.0.1", "::1"]) {
      const { server, clients } = api(identity, ca.caPem, host);
      await listening(server, host, async (port) => {
        const address = `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
        const cluster = connectCluster({ server: "https://unused.invalid", caPem: ca.caPem, certificatePem: client.certificatePem, keyPem: client.keyPem }, { server: address });
        assert.deepEqual(await cluster.raw("/livez"), { status: 200, body: "ok" });
        assert.deepEqual(clients, ["kubernetes-admin"]);
        await cluster.close();
        assert.equal((await failure(cluster.raw("/livez"))).code, "API_UNREACHABLE");

        const other = connectCluster({ server: address, caPem: authority("another").caPem });
        const error = await failure(other.raw("/livez"));
        assert.equal(error.code, "API_CERTIFICATE_UNTRUSTED");
        await other.close();
      });
    }
  });

  test("close releases the sockets", async () => {
    const ca = authority("kubernetes");
    const { server } = api(ca.issue("kube-apiserver", { names: loopback }));
    await listening(server, "127.0.0.1", async (port) => {
      const cluster = connectCluster({ server: `https://127.0.0.1:${port}`, caPem: ca.caPem });
      await cluster.raw("/livez");
      const count = (): Promise<number> => new Promise((resolve, reject) => server.getConnections((error, connections) => (error === null ? resolve(connections) : reject(error))));
      assert.equal(await count(), 1);
      await cluster.close();
      const until = Date.now() + 2000;
      while ((await count()) > 0 && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
      assert.equal(await count(), 0);
    });
  });

  test("names the clock, an expired certificate and a wrong name", async () => {
    const ca = authority("kubernetes");
    const early = ca.issue("kube-apiserver", { names: loopback, notBefore: "20700101000000Z", notAfter: "20800101000000Z" });
    const late = ca.issue("kube-apiserver", { names: loopback, notBefore: "20100101000000Z", notAfter: "20110101000000Z" });
    const elsewhere = ca.issue("kube-apiserver", { names: "IP:10.0.0.1" });
    const cases: readonly [Issued, string][] = [
      [early, "API_CLOCK_SKEW"],
      [late, "API_CERTIFICATE_EXPIRED"],
      [elsewhere, "API_CERTIFICATE_NAME"],
    ];
    for (const [identity, code] of cases) {
      const { server } = api(identity);
      await listening(server, "127.0.0.1", async (port) => {
        const cluster = connectCluster({ server: `https://127.0.0.1:${port}`, caPem: ca.caPem });
        const error = await failure(cluster.raw("/livez"));
        await cluster.close();
        assert.equal(error.code, code, error.message);
      });
    }
  });
});

test("a port without a listener is API_UNREACHABLE", async () => {
  let free = 0;
  await listening(createTcpServer(), "127.0.0.1", async (port) => void (free = port));
  const cluster = connectCluster({ server: `https://127.0.0.1:${free}` });
  const error = await failure(cluster.raw("/livez"));
  await cluster.close();
  assert.equal(error.code, "API_UNREACHABLE");
  assert.match(error.happened, /ECONNREFUSED/);
});

test("a server that never answers is API_TIMEOUT", async () => {
  await listening(createTcpServer(), "127.0.0.1", async (port) => {
    const cluster = connectCluster({ server: `https://127.0.0.1:${port}` }, { timeoutMs: 200 });
    const error = await failure(cluster.raw("/livez"));
    await cluster.close();
    assert.equal(error.code, "API_TIMEOUT", error.message);
  });
});

test("a server without TLS is API_WRONG_PROTOCOL", async () => {
  await listening(createTcpServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")), "127.0.0.1", async (port) => {
    const cluster = connectCluster({ server: `https://127.0.0.1:${port}` });
    const error = await failure(cluster.raw("/livez"));
    await cluster.close();
    assert.equal(error.code, "API_WRONG_PROTOCOL", error.message);
  });
});
