/** A control plane that joins a cluster whose data is in an etcd of somebody else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunContext } from "../../src/engine/context.ts";
import { runFlow } from "../../src/engine/run.ts";
import { controlPlaneJoinFlow } from "../../src/flows/join.ts";
import { collect } from "../engine/laws.ts";
import { joinWorld, type JoinWorld } from "../support/join-world.ts";

const endpoint = "https://192.0.2.51:2379";
const externalEtcd = { endpoints: [endpoint], caFile: "/etc/rack-etcd/ca.crt", certFile: "/etc/rack-etcd/client.crt", keyFile: "/etc/rack-etcd/client.key" };
const clientFiles = { "external-etcd-ca.crt": "authority", "external-etcd.crt": "certificate", "external-etcd.key": "key of the client" };

/** With or without the client's files among the uploaded certificates. */
function world(uploaded: boolean): JoinWorld {
  const { joining } = joinWorld("control-plane").config;
  return joinWorld("control-plane", { externalEtcd, joining: { certificates: { ...joining?.certificates, ...(uploaded ? clientFiles : {}) } } });
}

function contextOf({ host, context }: JoinWorld, asked: string[] = []): RunContext {
  const plain = context();
  return {
    ...plain,
    httpGet: async (request) => {
      if (!request.url.startsWith(endpoint)) return await (plain.httpGet as NonNullable<RunContext["httpGet"]>)(request);
      asked.push(`${request.url} ${host.files.look(externalEtcd.keyFile) === undefined ? "without" : "with"} the key, kubelet ${host.units.state("kubelet.service").active}`);
      return { status: 200, body: '{"etcdserver":"3.6.8","etcdcluster":"3.6.0"}' };
    },
  };
}

test("the client's files come with the shared certificates, etcd is asked before the kubelet starts, and gets no member", async () => {
  const at = world(true);
  const asked: string[] = [];
  const members = structuredClone(at.etcd.members);
  const { outcome, events } = await collect(runFlow(controlPlaneJoinFlow, contextOf(at, asked)));
  assert.equal(outcome.ok, true, JSON.stringify(outcome));
  assert.deepEqual(asked, [`${endpoint}/version with the key, kubelet inactive`]);
  for (const [path, content] of [[externalEtcd.caFile, "authority"], [externalEtcd.certFile, "certificate"], [externalEtcd.keyFile, "key of the client"]] as const) assert.equal(await at.host.readText(path), content);
  assert.equal((await at.host.stat(externalEtcd.keyFile))?.mode, 0o600);
  assert.deepEqual(at.etcd.members, members);
  assert.equal(await at.host.stat("/etc/kubernetes/manifests/etcd.yaml"), undefined);
  assert.deepEqual(events.filter((event) => event.type === "action" && event.kind === "etcd-member"), []);
});

test("a join whose certificates lack the client's files is refused by their names before anything is changed", async () => {
  const at = world(false);
  const before = at.host.snapshot();
  const { outcome } = await collect(runFlow(controlPlaneJoinFlow, contextOf(at)));
  assert.equal(outcome.ok, false);
  assert.match(JSON.stringify(outcome), /client\.key \(etcd\.external\.keyFile\) does not exist/);
  assert.deepEqual(at.host.snapshot(), before);
});
