/** What a reset of a control plane means for the others: it leaves etcd first, wherever the others are to be found, and never as the last one by accident. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runFlow } from "../../src/engine/run.ts";
import { runReset, type ResetContext } from "../../src/engine/undo.ts";
import { KubestickError } from "../../src/errors.ts";
import { controlPlaneJoinFlow } from "../../src/flows/join.ts";
import { resetFlow } from "../../src/flows/reset.ts";
import { collect, words, type Ran } from "../engine/laws.ts";
import { differences } from "../support/memory-host.ts";
import { joinWorld, own, peerUrl, type JoinWorld } from "../support/join-world.ts";

const manifest = "/etc/kubernetes/manifests/etcd.yaml";
const first = "https://192.0.2.10:2380";

async function joined(): Promise<JoinWorld> {
  const world = joinWorld("control-plane");
  const ran = await collect(runFlow(controlPlaneJoinFlow, world.context()));
  assert.ok(ran.outcome.ok, words(ran.outcome));
  return world;
}

const reset = (world: JoinWorld, changes: Partial<ResetContext> = {}): Promise<Ran> => collect(runReset({ ...world.context(), ...changes }, resetFlow));
const members = ({ etcd }: JoinWorld): readonly string[] => etcd.members.flatMap(({ peerUrls }) => peerUrls);
const findings = ({ events }: Ran): readonly string[] => events.flatMap((event) => (event.type === "finding" && event.finding.check === "EtcdMember" ? [`${event.finding.check} ${event.finding.severity}${event.ignored === true ? " ignored" : ""}`] : []));
const stopped = (world: JoinWorld, ...peers: readonly string[]): void => {
  const runs = world.etcd.runs;
  world.etcd.runs = (url) => !peers.includes(url) && runs(url);
};

/** As on the control plane that init made: it names itself alone. */
function nameNobodyElse({ host }: JoinWorld): void {
  const text = Buffer.from(host.files.look(manifest)?.content ?? "").toString();
  host.files.plant(manifest, text.replace(/--initial-cluster=\S+/, `--initial-cluster=${own.name}=${peerUrl}`), 0o600);
}

test("the last healthy member is not reset, whatever --force says, neither as a whole nor phase by phase", async () => {
  const world = await joined();
  stopped(world, first);
  const from = world.host.ledger.writes.length;
  for (const changes of [{}, { force: true }, { only: ["remove-etcd-member"] }, { only: ["cleanup-node"], force: true }, { only: ["undo"] }]) {
    const { outcome } = await reset(world, changes);
    assert.equal(outcome.error?.code, "RESET_REFUSED", JSON.stringify(changes));
    assert.match(outcome.error.happened, /last healthy member of etcd/);
    assert.match(outcome.error.next, /--ignore-preflight-errors=EtcdMember/);
  }
  assert.deepEqual(world.host.ledger.writes.slice(from), []);
});

test("the last healthy member goes with --ignore-preflight-errors, and stays a member because nobody could agree", async () => {
  const world = await joined();
  stopped(world, first);
  const ran = await reset(world, { ignorePreflightErrors: ["etcdmember"] });
  assert.ok(ran.outcome.ok, words(ran.outcome));
  assert.deepEqual(findings(ran), ["EtcdMember error ignored", "EtcdMember warning"]);
  assert.deepEqual(members(world), [first, peerUrl]);
  assert.equal(await world.host.stat("/var/lib/etcd/member"), undefined);
});

test("a control plane whose etcd is dead and names nobody else leaves through those that the API server lists", async () => {
  const world = await joined();
  nameNobodyElse(world);
  stopped(world, peerUrl);
  const asked: string[] = [];
  const { connect } = world.context();
  const ran = await reset(world, { kubeconfig: "/etc/kubernetes/admin.conf", connect: (text, server) => { asked.push(server ?? "its own server"); return connect(text, server); } });
  assert.ok(ran.outcome.ok, words(ran.outcome));
  assert.deepEqual(members(world), [first]);
  assert.deepEqual(asked, ["its own server"]);
});

test("a member that was cut off for a while and holds the cluster for unhealthy is not the only one to be asked", async () => {
  const world = await joined();
  const third = "https://192.0.2.13:2380";
  world.etcd.members.push({ id: "c3", name: "cp3", peerUrls: [third], clientUrls: [third.replace("2380", "2379")], learner: false });
  world.etcd.connected = (url) => url !== first;
  const ran = await reset(world);
  assert.ok(ran.outcome.ok, words(ran.outcome));
  assert.deepEqual(members(world), [first, third]);
});

test("a member that the others cannot let go keeps all it needs to try again", async () => {
  const world = await joined();
  world.etcd.connected = () => false;
  const from = world.host.ledger.writes.length;
  const { outcome } = await reset(world, { etcdTimeoutMs: 1000 });
  assert.equal(outcome.error?.code, "RESET_BLOCKED");
  const mine = world.etcd.members.find(({ peerUrls }) => peerUrls.includes(peerUrl))?.id;
  assert.match(outcome.error.happened, /within 1 s\. The last answer: .*unhealthy cluster\. Nothing else was changed\.$/);
  assert.match(outcome.error.next, new RegExp(`run the same command again\\. To go on in spite of it: --ignore-preflight-errors=EtcdMember; and then on another control plane: etcdctl member remove ${mine}$`));
  assert.deepEqual(world.host.ledger.writes.slice(from), []);

  world.etcd.connected = () => true;
  assert.ok((await reset(world)).outcome.ok);
  assert.deepEqual(members(world), [first]);
});

test("and is left behind where somebody says so", async () => {
  const world = await joined();
  world.etcd.connected = () => false;
  const ran = await reset(world, { etcdTimeoutMs: 1000, ignorePreflightErrors: ["etcdmember"] });
  assert.ok(ran.outcome.ok, words(ran.outcome));
  assert.deepEqual(members(world), [first, peerUrl]);
  assert.equal(await world.host.stat("/var/lib/kubestick"), undefined);
});

test("where neither etcd nor the API server answers, the node is reset and told what may be left to do", async () => {
  const world = await joined();
  nameNobodyElse(world);
  stopped(world, peerUrl);
  const ran = await reset(world, { connect: () => { throw new KubestickError({ code: "API_UNREACHABLE", attempted: "asking", happened: "Nobody answers.", next: "Look." }); } });
  assert.ok(ran.outcome.ok, words(ran.outcome));
  assert.deepEqual(findings(ran), ["EtcdMember warning"]);
  assert.deepEqual(members(world), [first, peerUrl]);
});

test("all phases one after the other end where one reset ends, and a whole one then finds only its record", async () => {
  const whole = await joined();
  assert.ok((await reset(whole)).outcome.ok);
  const single = await joined();
  for (const { id } of resetFlow) {
    const ran = await reset(single, { only: [id] });
    assert.ok(ran.outcome.ok, `${id}: ${words(ran.outcome)}`);
  }
  assert.notEqual(await single.host.stat("/var/lib/kubestick"), undefined);
  const last = await reset(single);
  assert.ok(last.outcome.ok, words(last.outcome));
  assert.deepEqual(members(single), members(whole));
  assert.deepEqual(differences(whole.host.snapshot(), single.host.snapshot()), []);
});
