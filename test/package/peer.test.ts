import assert from "node:assert/strict";
import { createServer, type Server } from "node:net";
import { connect, type AddressInfo, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { isKubestickError } from "../../src/errors.ts";
import { openFileSource, type ByteSource } from "../../src/package/byte-source.ts";
import { digestOf } from "../../src/package/digest.ts";
import { servePackage, type PeerServer } from "../../src/package/peer-server.ts";
import { openPeerSource, type PeerOptions } from "../../src/package/peer-source.ts";
import { readPackage } from "../../src/package/reader.ts";
import { issueCa, signLeaf, type Signer } from "../../src/pki/issue.ts";
import { caPin } from "../../src/pki/inspect.ts";
import { generateKey } from "../../src/pki/keys.ts";
import { issuePeerServer, peerClient, peerFingerprint, peerServerName } from "../../src/pki/peer-identity.ts";
import { kubelet, layer, scratch, smallPackage } from "./fixtures.ts";

const token = "k7xq2m.t4hn9w0c3vz8ra5e";
const hour = 3_600_000;
const names = { dnsNames: ["cp1"], ipAddresses: ["192.0.2.10"] };

describe("the package of a peer", () => {
  let dir: Awaited<ReturnType<typeof scratch>>;
  let authority: Signer;
  let source: ByteSource;
  let identity: { certificatePem: string; keyPem: string };
  const holders = new Set([peerFingerprint(token)]);
  const events: string[] = [];
  const open: PeerServer[] = [];

  async function newAuthority(): Promise<Signer> {
    const key = await generateKey("ECDSA-P256");
    return { key, certificate: await issueCa("kubernetes", key, { notBefore: new Date(Date.now() - hour), notAfter: new Date(Date.now() + hour) }) };
  }
  async function serve(given: Partial<Parameters<typeof servePackage>[0]> = {}): Promise<number> {
    const server = await servePackage({ source, host: "127.0.0.1", port: 0, ...identity, allowed: (fingerprint) => Promise.resolve(holders.has(fingerprint)), report: ({ what }) => events.push(what), ...given });
    open.push(server);
    return server.port;
  }
  async function options(port: number, changes: Partial<PeerOptions> = {}, from = token): Promise<PeerOptions> {
    return { host: "127.0.0.1", port, caCertHashes: [caPin(authority.certificate)], serverName: peerServerName, pace: { requestMs: 5000, retryMs: 5 }, ...(await peerClient(from, new Date())), ...changes };
  }
  async function codeOf(work: Promise<unknown>): Promise<string> {
    return await work.then(() => "opened", (error: unknown) => {
      assert.ok(isKubestickError(error), String((error as Error).stack));
      assert.ok(!`${error.message}${error.next}`.includes("t4hn9w0c3vz8ra5e"));
      return error.code;
    });
  }

  before(async () => {
    dir = await scratch();
    authority = await newAuthority();
    source = await openFileSource(await smallPackage(dir.path));
    identity = await issuePeerServer(authority, names, new Date(), new Date(Date.now() + hour));
  });
  after(async () => {
    for (const server of open) await server.close();
    await source.close();
    await dir[Symbol.asyncDispose]();
  });

  test("is read by ranges with the same reader as a file, verified on the way", async () => {
    const reader = await readPackage(await openPeerSource(await options(await serve())));
    const contentOf = async (bytes: Uint8Array): Promise<Buffer> => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of reader.open(digestOf(bytes))) chunks.push(chunk);
      return Buffer.concat(chunks);
    };
    const [one, other] = await Promise.all([contentOf(kubelet), contentOf(layer)]);
    assert.deepEqual([one, other], [Buffer.from(kubelet), Buffer.from(layer)]);
    await reader.verify();
    assert.equal(reader.remote, true);
    await reader.close();
    assert.deepEqual(events, ["reads"]);
  });

  test("is refused to who has no valid token, also in the middle", async () => {
    const port = await serve();
    assert.equal(await codeOf(openPeerSource(await options(port, {}, "k7xq2m.aaaaaaaaaaaaaaaa"))), "PEER_REFUSED");
    const peer = await openPeerSource(await options(port));
    const buffer = Buffer.alloc(100);
    assert.equal((await peer.read(buffer, 0, 100, 0)).bytesRead, 100);
    holders.clear();
    assert.equal(await codeOf(peer.read(buffer, 0, 100, 100)), "PEER_REFUSED");
    holders.add(peerFingerprint(token));
    await peer.close();
    assert.ok(events.includes("refused"));
  });

  test("is not taken from another cluster, nor from a node with any other certificate of this one", async () => {
    const port = await serve();
    const other = await newAuthority();
    assert.equal(await codeOf(openPeerSource(await options(port, { caCertHashes: [caPin(other.certificate)] }))), "PEER_UNTRUSTED");
    const key = await generateKey("ECDSA-P256");
    const kubeletLeaf = await signLeaf({ commonName: "system:node:worker", organization: "system:nodes", usages: ["serverAuth"], ...names, notBefore: new Date(Date.now() - hour), notAfter: new Date(Date.now() + hour) }, key, authority);
    assert.equal(await codeOf(openPeerSource(await options(await serve({ certificatePem: kubeletLeaf + authority.certificate, keyPem: key })))), "PEER_UNTRUSTED");
    // Shows the right CA, but its own certificate comes from elsewhere.
    const forged = await issuePeerServer(other, names, new Date(), new Date(Date.now() + hour));
    assert.equal(await codeOf(openPeerSource(await options(await serve({ certificatePem: forged.certificatePem.split("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n" + authority.certificate, keyPem: forged.keyPem })))), "PEER_UNTRUSTED");
  });

  test("names a certificate past its time, a missing server, and what is no server of packages", async () => {
    const late = await issuePeerServer(authority, names, new Date(Date.now() - 2 * hour), new Date(Date.now() - hour));
    assert.equal(await codeOf(openPeerSource(await options(await serve(late)))), "PEER_CLOCK");
    assert.equal(await codeOf(openPeerSource(await options(1))), "PEER_UNREACHABLE");
    const plain = createServer((socket) => { socket.on("error", () => undefined); socket.end("SSH-2.0-x\r\n"); });
    await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
    assert.equal(await codeOf(openPeerSource(await options((plain.address() as AddressInfo).port))), "PEER_PROTOCOL");
    plain.close();
    await assert.rejects(serve({ port: open[0]?.port ?? 0 }), { code: "PEER_LISTEN" });
  });

  test("goes on after the connection broke, and finds another file", async () => {
    const port = await serve();
    const relay = await startRelay(port);
    const peer = await openPeerSource(await options(relay.port));
    const buffer = Buffer.alloc(1000);
    assert.equal((await peer.read(buffer, 0, 1000, 0)).bytesRead, 1000);
    relay.cut();
    assert.equal((await peer.read(buffer, 0, 1000, 5000)).bytesRead, 1000);
    const expected = Buffer.alloc(1000);
    await source.read(expected, 0, 1000, 5000);
    assert.deepEqual(buffer, expected);
    await peer.close();
    await relay.close();

    let size = source.size;
    const changing = await openPeerSource(await options(await serve({ source: { ...source, get size() { return size; } } })));
    size -= 10;
    assert.equal(await codeOf(changing.read(buffer, 0, 10, 0)), "PEER_CHANGED");
    await changing.close();
  });

  test("a damaged byte is found where it is read", async () => {
    const damaged: ByteSource = {
      ...source,
      async read(buffer, offset, length, position) {
        const answer = await source.read(buffer, offset, length, position);
        const at = place - position;
        if (at >= 0 && at < answer.bytesRead) buffer[offset + at] = (buffer[offset + at] as number) ^ 1;
        return answer;
      },
    };
    let place = -1;
    const reader = await readPackage(await openPeerSource(await options(await serve({ source: damaged }))));
    place = (reader.index.entries.find(({ digest }) => digest === digestOf(layer))?.offset ?? 0) + 1000;
    await assert.rejects(async () => { for await (const _ of reader.open(digestOf(layer))); }, { code: "PACKAGE_CORRUPT" });
    await reader.close();
  });
});

/** A cable that can be pulled and is put back at once. */
async function startRelay(target: number): Promise<{ readonly port: number; cut(): void; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((near) => {
    const far = connect(target, "127.0.0.1");
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => { sockets.delete(socket); near.destroy(); far.destroy(); });
    }
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = (): void => { for (const socket of sockets) socket.destroy(); };
  return { port: (server.address() as AddressInfo).port, cut, close: async () => { cut(); await new Promise((resolve) => server.close(resolve)); } };
}
