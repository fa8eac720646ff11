import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { isKubestickError } from "../../src/errors.ts";
import { connectEtcd, type EtcdClient } from "../../src/cluster/etcd.ts";
import { type Authority, hasOpenssl, openAuthority } from "../cluster/openssl-certificates.ts";
import { isProgram } from "../runtime/containerd-process.ts";

const directories = [process.env["KUBESTICK_ETCD_DIR"] ?? "", join(process.env["KUBESTICK_E2E_ASSETS"] ?? "/var/cache/kubestick-e2e", "bin"), ...(process.env["PATH"] ?? "").split(delimiter)];
const program = directories.map((directory) => join(directory, "etcd")).find((path) => path.startsWith("/") && isProgram(path));
const skip = program === undefined ? "no etcd in KUBESTICK_ETCD_DIR, KUBESTICK_E2E_ASSETS/bin or PATH" : hasOpenssl() ? false : "needs the openssl command";

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => "no error",
    (error: unknown) => (isKubestickError(error) ? (error.code.endsWith("REQUEST_FAILED") ? error.message : error.code) : String(error)),
  );
}

describe("connectEtcd with a real etcd", { skip, timeout: 60_000 }, () => {
  let ca: Authority;
  let directory: string;
  const running: ChildProcess[] = [];
  const clients: EtcdClient[] = [];
  let output = "";

  interface Member {
    readonly name: string;
    readonly client: string;
    readonly peer: string;
  }

  async function member(name: string): Promise<Member> {
    return { name, client: `https://127.0.0.1:${await freePort()}`, peer: `https://127.0.0.1:${await freePort()}` };
  }

  /** The flags are those of kubeadm's etcd manifest. */
  function start({ name, client, peer }: Member, cluster: readonly Member[], state: "new" | "existing"): ChildProcess {
    const identity = ca.issue(name, { names: "IP:127.0.0.1,DNS:localhost" });
    const child = spawn(
      program as string,
      [
        `--name=${name}`,
        `--data-dir=${join(directory, name)}`,
        `--listen-client-urls=${client}`,
        `--advertise-client-urls=${client}`,
        `--listen-peer-urls=${peer}`,
        `--initial-advertise-peer-urls=${peer}`,
        `--initial-cluster=${cluster.map((each) => `${each.name}=${each.peer}`).join(",")}`,
        `--initial-cluster-state=${state}`,
        `--cert-file=${identity.certificatePath}`,
        `--key-file=${identity.keyPath}`,
        `--trusted-ca-file=${ca.caPath}`,
        "--client-cert-auth=true",
        `--peer-cert-file=${identity.certificatePath}`,
        `--peer-key-file=${identity.keyPath}`,
        `--peer-trusted-ca-file=${ca.caPath}`,
        "--peer-client-cert-auth=true",
        "--unsafe-no-fsync=true",
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    child.stderr.on("data", (chunk: Buffer) => (output += String(chunk)));
    running.push(child);
    return child;
  }

  function connect(server: string): EtcdClient {
    const identity = ca.issue("kube-etcd-healthcheck-client", { organization: "system:masters" });
    const client = connectEtcd({ server, caPem: ca.caPem, certificatePem: identity.certificatePem, keyPem: identity.keyPem });
    clients.push(client);
    return client;
  }

  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + 20_000;
    for (;;) {
      if (await holds().catch(() => false)) return;
      if (Date.now() > end) throw new Error(`${what} did not come about:\n${output.slice(-3000)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  before(() => {
    ca = openAuthority("etcd-ca");
    directory = mkdtempSync(join(tmpdir(), "kubestick-etcd-"));
  });
  after(async () => {
    for (const client of clients) await client.close();
    await Promise.all(
      running.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGKILL");
        await ended;
      }),
    );
    ca.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  test("health, status and membership, from one member to two and back", async () => {
    const first = await member("one");
    const second = await member("two");
    start(first, [first], "new");
    const etcd = connect(first.client);
    await until("a healthy member", async () => (await etcd.health()).healthy);

    const status = await etcd.status();
    assert.match(status.version, /^3\.\d+\.\d+/);
    assert.equal(status.leader, status.id);
    assert.equal(status.learner, false);
    assert.ok(status.databaseBytes > 0 && status.raftIndex > 0);
    assert.deepEqual(status.errors, []);
    assert.deepEqual(await etcd.members(), [{ id: status.id, name: "one", peerUrls: [first.peer], clientUrls: [first.client], learner: false }]);
    assert.match(status.id, /^[0-9a-f]{8,16}$/);

    const added = await etcd.addLearner(second.peer);
    assert.deepEqual({ name: added.name, peerUrls: added.peerUrls, learner: added.learner }, { name: "", peerUrls: [second.peer], learner: true });
    assert.equal(await codeOf(etcd.addLearner(second.peer)), "ETCD_MEMBER_EXISTS");
    assert.equal(await codeOf(etcd.promote(added.id)), "ETCD_LEARNER_BEHIND");

    start(second, [first, second], "existing");
    await until("a learner that caught up", async () => (await codeOf(etcd.promote(added.id))) === "no error");
    const members = await etcd.members();
    assert.deepEqual(members.map(({ name, learner }) => `${name} ${learner}`).sort(), ["one false", "two false"]);

    const other = connect(second.client);
    await until("a healthy second member", async () => (await other.health()).healthy);
    assert.equal((await other.status()).id, added.id);

    await until("a removed member", async () => (await codeOf(etcd.removeMember(added.id))) === "no error");
    await etcd.removeMember(added.id);
    assert.deepEqual((await etcd.members()).map(({ name }) => name), ["one"]);
  });

  test("a member without a quorum says so, and still who belongs to the cluster", async () => {
    const first = await member("alone");
    const second = await member("lost");
    start(first, [first], "new");
    const etcd = connect(first.client);
    await until("a healthy member", async () => (await etcd.health()).healthy);
    const { version } = await etcd.status();
    const added = await etcd.addLearner(second.peer);
    const child = start(second, [first, second], "existing");
    await until("a voting second member", async () => (await codeOf(etcd.promote(added.id))) === "no error");
    child.kill("SIGKILL");
    await until("a lost quorum", async () => !(await etcd.health()).healthy);
    const { healthy, reason } = await etcd.health();
    assert.equal(healthy, false);
    // etcd 3.4 only says that it is not healthy.
    if (!version.startsWith("3.4.")) assert.match(reason, /LEADER|QGET|RAFT/i);
    assert.deepEqual((await etcd.members()).map(({ name }) => name).sort(), ["alone", "lost"]);
  });

  test("a client without a certificate, or with one of another CA, is ETCD_CERTIFICATE_REJECTED", async () => {
    const only = await member("strict");
    start(only, [only], "new");
    const good = connect(only.client);
    await until("a healthy member", async () => (await good.health()).healthy);
    const stranger = openAuthority("another-ca");
    const foreign = stranger.issue("kube-etcd-healthcheck-client");
    stranger.remove();
    const without = connectEtcd({ server: only.client, caPem: ca.caPem });
    const wrong = connectEtcd({ server: only.client, caPem: ca.caPem, certificatePem: foreign.certificatePem, keyPem: foreign.keyPem });
    clients.push(without, wrong);
    assert.equal(await codeOf(without.members()), "ETCD_CERTIFICATE_REJECTED");
    assert.equal(await codeOf(wrong.members()), "ETCD_CERTIFICATE_REJECTED");
    const untrusting = connectEtcd({ server: only.client, caPem: stranger.caPem });
    clients.push(untrusting);
    assert.equal(await codeOf(untrusting.members()), "ETCD_CERTIFICATE_UNTRUSTED");
  });
});
