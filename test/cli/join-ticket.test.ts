import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { joinOptionsFromFlags, type JoinFlags } from "../../src/cli/join-options.ts";
import { joinEvents } from "../../src/cli/join-run.ts";
import * as errors from "../../src/cluster/discovery-errors.ts";
import type { DiscoveryRequest, JoinPorts } from "../../src/cli/machine.ts";
import { renderTicket, type JoinTicket } from "../../src/config/ticket.ts";
import { airgappedFacts } from "../support/facts.ts";
import { MemoryHost } from "../support/memory-host.ts";
import { scratch } from "../package/fixtures.ts";

const now = new Date("2026-11-21T03:00:00Z");
const ticket: JoinTicket = {
  clusterName: "east", clusterId: "0f9c2d1e", kubernetesVersion: "v1.36.2", role: "worker", created: now, expires: new Date(now.getTime() + 3_600_000),
  endpoints: ["api.example:6443", "192.0.2.11:6443"], caCertHashes: [`sha256:${"ab".repeat(32)}`], token: "k7xq2m.t4hn9w0c3vz8ra5e",
};

/** Runs join until it looks for the cluster, and returns what it looks for. */
async function asked(path: string | undefined, flags: JoinFlags = {}, at = now, found: Error = new Error("far enough")): Promise<DiscoveryRequest> {
  const absent = (): never => { throw new Error("not asked for in these tests"); };
  let request: DiscoveryRequest | undefined;
  const host = new MemoryHost({ facts: airgappedFacts(), now: at });
  const ports: JoinPorts = {
    host, runtime: absent, connect: absent, assets: { text: absent, list: () => [] }, lock: absent, toYaml: JSON.stringify,
    discover: (given) => { request = given; return Promise.reject(found); },
  };
  const before = host.snapshot();
  const events = joinEvents(joinOptionsFromFlags(flags, path === undefined ? [] : [path]), new AbortController().signal, ports);
  await assert.rejects(async () => { while ((await events.next()).done !== true); }, (error: Error) => { if (error.message !== "far enough") throw error; return true; });
  assert.deepEqual(host.snapshot(), before);
  return request as DiscoveryRequest;
}

async function written(directory: string, given: JoinTicket): Promise<string> {
  const path = join(directory, "ticket.yaml");
  writeFileSync(path, renderTicket(given));
  return path;
}

test("join takes a ticket and looks for the cluster at all of its endpoints", async () => {
  await using dir = await scratch();
  const request = await asked(await written(dir.path, ticket));
  assert.ok(request.kind === "token");
  assert.deepEqual(request.servers, ticket.endpoints);
  assert.deepEqual([request.token, request.tlsBootstrapToken, request.caCertHashes, request.unsafeSkipCaVerification], [ticket.token, ticket.token, ticket.caCertHashes, false]);
});

test("join takes the role from the ticket", async () => {
  await using dir = await scratch();
  const path = await written(dir.path, { ...ticket, role: "control-plane", certificateKey: "cd".repeat(32) });
  await asked(path, { "apiserver-bind-port": 7443 });
  await assert.rejects(asked(await written(dir.path, ticket), { "apiserver-bind-port": 7443 }), { code: "CLI_FLAG_VALUE", happened: /ticket is one for workers/ });
});

test("join refuses a ticket that is past its time, cut off, or something else, before anything is contacted", async () => {
  await using dir = await scratch();
  await assert.rejects(asked(await written(dir.path, ticket), {}, ticket.expires), { code: "TICKET_EXPIRED" });
  const path = join(dir.path, "other.yaml");
  writeFileSync(path, renderTicket(ticket).slice(0, 500));
  await assert.rejects(asked(path), { code: "TICKET_TRUNCATED" });
  writeFileSync(path, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\n");
  await assert.rejects(asked(path), { code: "TICKET_KIND", next: /join --config/ });
  await assert.rejects(asked(join(dir.path, "none.yaml")), { code: "TICKET_UNREADABLE" });
});

test("what discovery refuses is told as what is wrong with the ticket", async () => {
  await using dir = await scratch();
  const path = await written(dir.path, ticket);
  const pin = errors.pinMismatch("192.0.2.11:6443", ticket.caCertHashes, [`sha256:${"cd".repeat(32)}`]);
  await assert.rejects(asked(path, {}, now, pin), { code: "TICKET_OTHER_CLUSTER", happened: /for cluster east \(0f9c2d1e\)/, next: /ticket create$/, details: pin.details });
  const unknown = errors.tokenUnknown("192.0.2.11:6443", "k7xq2m");
  await assert.rejects(asked(path, {}, now, unknown), { code: "TICKET_REVOKED", happened: /good until 2026-11-21T04:00:00Z, .* knows its token k7xq2m no more/ });
  await assert.rejects(asked(path, {}, new Date(ticket.expires.getTime() - 60_000), unknown), { code: "DISCOVERY_TOKEN_UNKNOWN" }, "by the cluster's clock it may have expired");
});

test("join looks for ten seconds unless the configuration itself says how long", async () => {
  await using dir = await scratch();
  const path = join(dir.path, "join.yaml");
  const told = async (more: string): Promise<number> => {
    writeFileSync(path, `apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\ndiscovery: {bootstrapToken: {apiServerEndpoint: "192.0.2.10:6443", token: ${ticket.token}, caCertHashes: ["${ticket.caCertHashes[0]}"]}}\n${more}`);
    return (await asked(undefined, { config: path })).timeoutMs;
  };
  assert.equal(await told(""), 10_000);
  assert.equal(await told("timeouts: {tlsBootstrap: 7m0s}\n"), 10_000);
  assert.equal(await told("timeouts: {discovery: 5m0s}\n"), 300_000);
});

test("join refuses flags that say what the ticket says, and takes addresses for what they are", () => {
  for (const flags of [{ token: "k7xq2m.t4hn9w0c3vz8ra5e" }, { "control-plane": true }, { config: "join.yaml" }, { "discovery-token-ca-cert-hash": ["sha256:x"] }]) {
    assert.throws(() => joinOptionsFromFlags(flags, ["ticket.yaml"]), { code: "CLI_FLAG_VALUE", happened: /The ticket ticket\.yaml says all that/ }, JSON.stringify(flags));
  }
  for (const place of ["./ticket", "/media/stick/t", "t.yml"]) assert.equal(joinOptionsFromFlags({}, [place]).ticketPath, place);
  for (const place of ["192.0.2.10:6443", "[2001:db8::1]:6443", "api.example"]) assert.deepEqual([joinOptionsFromFlags({}, [place]).ticketPath, joinOptionsFromFlags({}, [place]).options.endpoint], [undefined, place]);
  assert.throws(() => joinOptionsFromFlags({ package: "a", "package-from": "b" }, ["t.yaml"]), { code: "CLI_FLAG_VALUE" });
});

test("join asks no node for its package without knowing whom to trust", async () => {
  await assert.rejects(asked("192.0.2.10:6443", { "package-from": "192.0.2.10" }), { code: "CLI_FLAG_VALUE", happened: /needs a token/ });
  await assert.rejects(asked("192.0.2.10:6443", { "package-from": "192.0.2.10", token: ticket.token, "discovery-token-unsafe-skip-ca-verification": true }), { code: "CLI_FLAG_VALUE", happened: /Without the pin/ });
});
