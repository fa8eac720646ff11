import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runFlow } from "../../src/engine/run.ts";
import { runReset, undoOrder } from "../../src/engine/undo.ts";
import { fixtureFlow, fixtureWorld, socket } from "../support/fixture-flow.ts";
import { actionsOf, collect } from "./laws.ts";
import { bench, fileAction } from "./one-phase.ts";

describe("runReset()", () => {
  test("on a machine without a journal has nothing to do", async () => {
    const { host, reset } = bench();
    const { outcome, events } = await reset();
    assert.ok(outcome.ok);
    assert.deepEqual(actionsOf(events), []);
    assert.deepEqual(host.ledger.writes, []);
  });

  test("goes on after a failure, tells all of them, and keeps the journal for another try", async () => {
    const { host, run, reset } = bench();
    await run(["a", "b", "c"].map((name) => fileAction(`/etc/${name}`, "x")));
    const remove = host.remove.bind(host);
    host.remove = async (path, options) => {
      if (path === "/etc/b" || path === "/etc/c") throw Object.assign(new Error(`EPERM: ${path}`), { code: "EPERM" });
      await remove(path, options);
    };
    const { outcome, events } = await reset();
    assert.equal(outcome.error?.code, "RESET_INCOMPLETE");
    assert.equal(outcome.error?.details.length, 2);
    assert.deepEqual(actionsOf(events).map(({ id, status }) => `${id} ${status}`), ["file/etc/c failed", "file/etc/b failed", "file/etc/a removed"]);

    host.remove = remove;
    assert.ok((await reset()).outcome.ok);
    assert.deepEqual((await host.list("/etc"))?.filter((name) => /^[abc]$/.test(name)), []);
    assert.equal(await host.stat("/var/lib/kubestick"), undefined);
  });

  test("of a dry run lists what would be undone and changes nothing", async () => {
    const { host, run, reset } = bench();
    await run([fileAction("/etc/a", "x")]);
    const before = host.ledger.writes.length;
    const { events } = await reset({ dryRun: true });
    assert.deepEqual(actionsOf(events).map(({ id, status }) => `${id} ${status}`), ["file/etc/a planned"]);
    assert.equal(host.ledger.writes.length, before);
  });

  test("stops between two things when interrupted, and says what is left", async () => {
    const { host, run, reset } = bench();
    await run(["a", "b"].map((name) => fileAction(`/etc/${name}`, "x")));
    const controller = new AbortController();
    const remove = host.remove.bind(host);
    host.remove = async (path, options) => {
      controller.abort();
      await remove(path, options);
    };
    const { outcome } = await reset({ signal: controller.signal });
    assert.equal(outcome.exitCode, 130);
    assert.deepEqual(outcome.error?.details, ["file/etc/a"]);
  });

  test("leaves alone what somebody changed since: a sysctl, a route", async () => {
    const { host, run, reset } = bench();
    const route = { destination: "10.96.0.0/12", family: 4, device: "eth0" } as const;
    await run([{ kind: "kernel", id: "sysctl/f", sysctl: "net.ipv4.ip_forward", value: "1" }, { kind: "route", id: "route/r", route }]);
    await host.setSysctl("net.ipv4.ip_forward", "2");
    await host.replaceRoute({ ...route, device: "eth1" });
    const { events } = await reset();
    assert.deepEqual(actionsOf(events).map(({ status, detail }) => `${status}: ${detail}`), ["kept: somebody changed it since", "kept: somebody set it to 2 since"]);
    assert.equal(await host.sysctl("net.ipv4.ip_forward"), "2");
    assert.equal((await host.routes()).find(({ destination }) => destination === route.destination)?.device, "eth1");
  });

  test("brings back a route that was replaced", async () => {
    const before = { destination: "10.96.0.0/12", family: 4, device: "eth1", gateway: "192.0.2.1" } as const;
    const { host, run, reset } = bench({ routes: [before] });
    await run([{ kind: "route", id: "route/r", route: { destination: "10.96.0.0/12", family: 4, device: "eth0" } }]);
    await reset();
    assert.deepEqual(await host.routes(), [before]);
  });

  test("stops and removes the pods before their images, and keeps images that were there before", async () => {
    const world = fixtureWorld();
    const found = { id: "x", tags: ["registry.k8s.io/pause:v1"], digests: [], pinned: false, size: 1 };
    world.runtime.names.set("registry.k8s.io/pause:v1", found);
    await collect(runFlow(fixtureFlow(), world.context()));
    world.runtime.sandboxes.push({ id: "sandbox", name: "etcd", namespace: "kube-system", uid: "u", ready: true, createdAt: new Date(0) });
    const from = world.host.ledger.writes.length;
    const { outcome } = await collect(runReset(world.context()));
    assert.equal(outcome.error?.message, undefined);
    const writes = world.host.ledger.writes.slice(from);
    const at = (what: string): number => writes.findIndex((write) => write.includes(what));
    assert.ok(at("systemctl stop kubelet.service") < at("stop sandbox sandbox"));
    assert.ok(at("stop sandbox sandbox") < at("remove sandbox sandbox"));
    assert.ok(at("remove sandbox sandbox") < at("remove image registry.k8s.io/etcd:v1"));
    assert.ok(at("remove image") < at("restart runtime.service"));
    assert.ok(world.runtime.names.has("registry.k8s.io/pause:v1"));
    assert.ok(!world.runtime.names.has("registry.test/pause:old"));
  });

  test("does not fail over images of a runtime that is gone", async () => {
    const world = fixtureWorld();
    await collect(runFlow(fixtureFlow(), world.context()));
    world.runtime.answers = () => false;
    const { outcome, events } = await collect(runReset(world.context()));
    assert.equal(outcome.error?.message, undefined);
    assert.deepEqual(actionsOf(events).filter(({ kind }) => kind === "image").map(({ status }) => status), ["kept", "kept"]);
  });

  test("stops units before the files they were started from go, and tells systemd at the end", async () => {
    const world = fixtureWorld();
    await collect(runFlow(fixtureFlow(), world.context()));
    const from = world.host.ledger.writes.length;
    await collect(runReset(world.context()));
    const writes = world.host.ledger.writes.slice(from);
    assert.ok(writes.indexOf("systemctl stop kubelet.service") < writes.indexOf("remove /etc/systemd/system/kubelet.service"));
    assert.ok(writes.indexOf("remove /etc/systemd/system/kubelet.service") < writes.indexOf("systemctl daemon-reload"));
    // What outlives the stop ends while systemd still knows the unit; of units that are somebody else's nothing does.
    const killed = writes.indexOf("systemctl kill kubelet.service");
    assert.ok(writes.indexOf("systemctl stop kubelet.service") < killed && killed < writes.indexOf("remove /etc/systemd/system/kubelet.service"));
    assert.deepEqual(writes.filter((write) => write.startsWith("systemctl kill")), ["systemctl kill kubelet.service"]);
    assert.equal(writes.at(-1), "remove /var/lib/kubestick");
    assert.ok(!writes.includes("systemctl stop runtime.service"), "it ran before us");
    assert.ok(world.host.openSockets.has(socket));
  });
});

test("undoOrder() is the reverse of first touches", () => {
  const entry = (id: string, what: "intent" | "created") => ({ at: "", id, kind: "file" as const, what });
  assert.deepEqual(undoOrder([entry("a", "intent"), entry("a", "created"), entry("b", "intent"), entry("c", "created")]).map(({ id }) => id), ["b", "a"]);
});
