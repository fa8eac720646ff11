import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import type { HostFacts, HostReader } from "../../src/host/types.ts";
import { decideMachine, ownResolvConfPath } from "../../src/phases/machine.ts";
import { airgappedFacts, plainFacts } from "../support/facts.ts";

const nothingMade = { has: () => false };
const emptyDisk = { readText: async () => undefined } as unknown as HostReader;

async function decide(facts: HostFacts, made = nothingMade, read = emptyDisk): ReturnType<typeof decideMachine> {
  return await decideMachine(resolveInitConfig({ options: {}, facts }).config, facts, read, made);
}

test("decideMachine finds nothing to do on a plain machine", async () => {
  const machine = await decide(plainFacts());
  assert.deepEqual(machine, {
    ownRuntime: true, serviceRoutes: [], ownResolvConf: false, dnsUpstream: true, cgroupV1: false, swapOn: false,
    restrictOomScoreAdj: false, conntrackReadOnly: false, findings: [],
  });
});

test("decideMachine adds a service route by the node's device when no route matches the service network", async () => {
  const machine = await decide(airgappedFacts());
  assert.deepEqual(machine.serviceRoutes, [{ destination: "10.96.0.0/12", family: 4, device: "eth0", source: "192.0.2.10" }]);
});

test("decideMachine keeps its service route once that route is there, and adds none where another matches", async () => {
  const own = airgappedFacts();
  const withOwn = { ...own, routes: [...own.routes, { destination: "10.96.0.0/12", family: 4 as const, device: "eth0", source: "192.0.2.10" }] };
  assert.equal((await decide(withOwn)).serviceRoutes.length, 1);
  const wider = { ...own, routes: [...own.routes, { destination: "10.0.0.0/8", family: 4 as const, device: "eth0", gateway: "192.0.2.1" }] };
  assert.equal((await decide(wider)).serviceRoutes.length, 0);
});

test("decideMachine gives the kubelet its own resolv.conf where no nameserver is usable from a pod", async () => {
  for (const nameservers of [[], ["127.0.0.53"], ["::1"]]) {
    const machine = await decide(plainFacts({ nameservers }));
    assert.deepEqual([machine.resolvConf, machine.ownResolvConf, machine.dnsUpstream], [ownResolvConfPath, true, false]);
  }
});

test("decideMachine uses systemd-resolved's file only when it lists a usable nameserver", async () => {
  const resolved = { readText: async () => "nameserver 192.0.2.53\n" } as unknown as HostReader;
  const facts = plainFacts({ systemdResolved: true, nameservers: ["127.0.0.53"] });
  assert.equal((await decide(facts, nothingMade, resolved)).resolvConf, "/run/systemd/resolve/resolv.conf");
  assert.equal((await decide(facts)).resolvConf, ownResolvConfPath);
});

test("decideMachine tells a found runtime from its own", async () => {
  const facts = plainFacts({ criSockets: ["unix:///var/run/containerd/containerd.sock"] });
  assert.equal((await decide(facts)).ownRuntime, false);
  assert.equal((await decide(facts, { has: (id: string) => id === "file/etc/systemd/system/containerd.service" } as never)).ownRuntime, true);
});

test("decideMachine says one line for each fact it acts upon", async () => {
  const machine = await decide(airgappedFacts({ cgroupVersion: 1, swaps: ["/dev/sda2"], capabilities: [], conntrackWritable: false }));
  assert.deepEqual(machine.findings.map((finding) => finding.check), ["ServiceRoute", "ResolvConf", "SystemVerification", "Swap", "OomScoreAdj", "Conntrack", "NodeIP"]);
  assert.ok(machine.findings.every((finding) => finding.hint !== undefined && !finding.message.includes("\n")));
});

test("decideMachine tells the kubelet its address only where no default route does", async () => {
  assert.equal((await decide(airgappedFacts())).nodeIp, "192.0.2.10");
  assert.equal((await decide(plainFacts())).nodeIp, undefined);
});
