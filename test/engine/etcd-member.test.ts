import assert from "node:assert/strict";
import { test } from "node:test";
import type { EtcdMemberAction } from "../../src/engine/types.ts";
import { MemoryEtcdStore } from "../support/memory-etcd.ts";
import { words } from "./laws.ts";
import { bench } from "./one-phase.ts";

const others = "https://192.0.2.10:2379";
const peerUrl = "https://192.0.2.20:2380";
const own = { url: "https://192.0.2.20:2379", pod: "etcd-cp2", socket: "unix:///run/containerd/containerd.sock" };
const files = { ca: "/pki/ca.crt", certificate: "/pki/client.crt", key: "/pki/client.key" };
const voting: EtcdMemberAction = {
  kind: "etcd-member", id: "etcd-member/cp2/voting", state: "voting", name: "cp2", peerUrl, endpoints: [others], files, own, dataDirectory: "/var/lib/etcd", timeoutMs: 240_000,
};

/** A learner in a cluster of one, and a pod of etcd that can be stopped. `serves` says when its clients are answered: ms since the start, and whether it was started anew. */
function learner(name: string, serves: (ms: number, anew: boolean) => boolean) {
  const made = bench({ files: Object.fromEntries(Object.values(files).map((path) => [path, { content: path, mode: 0o600 }])) });
  const etcd = new MemoryEtcdStore(made.host.ledger, [
    { id: "1", name: "cp1", peerUrls: ["https://192.0.2.10:2380"], clientUrls: [others], learner: false },
    { id: "2", name, peerUrls: [peerUrl], clientUrls: [], learner: true },
  ]);
  const started = made.host.now().getTime();
  const times: { readonly ms: number; readonly what: string }[] = [];
  const since = (): number => made.host.now().getTime() - started;
  const container = { id: "c1", sandboxId: "s1", name: "etcd", pod: own.pod, namespace: "kube-system", attempt: 0, state: "running", createdAt: made.host.now(), exitCode: 0, reason: "", message: "", logPath: "" } as const;
  made.runtime.containers.push({ ...container, id: "c0", pod: "etcd-other", namespace: "default" }, container);
  const stopped = (): readonly string[] => made.runtime.containers.filter(({ state }) => state === "exited").map(({ id }) => id);
  const run = made.run([voting], {
    connectEtcd: ({ server }) => etcd.connect(server),
    httpGet: async ({ url, timeoutMs, ...pem }) => {
      assert.deepEqual({ url, ...pem }, { url: `${own.url}/health`, ca: files.ca, certificate: files.certificate, key: files.key });
      times.push({ ms: since(), what: "asked" });
      if (serves(since(), stopped().length > 0)) return { status: 503, body: '{"health":"false"}' };
      await made.host.sleep(timeoutMs);
      throw new Error("no answer within 0.7 s");
    },
  });
  return { run, etcd, stopped, since };
}

test("a learner that serves is promoted at once, and nothing is started anew", async () => {
  const { run, etcd, stopped, since } = learner("cp2", () => true);
  const { outcome } = await run;
  assert.ok(outcome.ok, words(outcome));
  assert.deepEqual([etcd.members.map(({ learner: still }) => still), stopped(), since()], [[false, false], [], 0]);
});

test("a learner that has its name and does not serve is started anew once, and promoted when it serves", async () => {
  let served: number | undefined;
  const { run, etcd, stopped } = learner("cp2", (ms, anew) => {
    if (anew) served ??= ms + 1500;
    return served !== undefined && ms >= served;
  });
  const { outcome, events } = await run;
  assert.ok(outcome.ok, words(outcome));
  assert.deepEqual([etcd.members.map(({ learner: still }) => still), stopped()], [[false, false], ["c1"]]);
  assert.match(JSON.stringify(events), /member 2 votes, started anew after it had the data/);
});

test("a learner without a name is given its time, and one that answers after a moment is left alone", async () => {
  const nameless = learner("", (ms) => ms >= 20_000);
  assert.ok((await nameless.run).outcome.ok);
  const slow = learner("cp2", (ms) => ms >= 600);
  assert.ok((await slow.run).outcome.ok);
  assert.deepEqual([nameless.stopped(), slow.stopped()], [[], []]);
});

test("a learner whose flags let it serve elsewhere is promoted after a minute", async () => {
  const { run, etcd, stopped, since } = learner("cp2", () => false);
  assert.ok((await run).outcome.ok);
  assert.deepEqual([etcd.members.map(({ learner: still }) => still), stopped()], [[false, false], ["c1"]]);
  assert.ok(since() >= 60_000 && since() < 65_000, String(since()));
});
