/** A machine is afterwards as it was before, whatever state its node was in, and what somebody else put there is still there. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { untilHealthy } from "../support/e2e-cluster.ts";
import { followEvents } from "../support/e2e-events.ts";
import { initOk } from "../support/e2e-init.ts";
import { scenario } from "../support/e2e-scenario.ts";
import { changes, machine, type Snapshot } from "../support/e2e-snapshot.ts";
import { assetProgram } from "../support/e2e-stick.ts";
import type { TestHost } from "../support/hosts/test-host.ts";

scenario("reset after init", ({ boot, remove }) => {
  let host: TestHost;
  let before: Snapshot;

  test("reset after an init that was killed half-way gives back the machine as init found it", async () => {
    host = await boot({ name: "cp1" });
    await putForeignThings(host);
    before = await machine(host);
    await initKilledAfter(host, "unit/kubelet.service");
    await resetOk(host);
    assert.deepEqual(changes(before, await machine(host)), []);
  });

  test("reset without an API server and with a full disk gives back the machine as init found it", async () => {
    await initOk(host);
    await untilHealthy(host, 180_000);
    await host.check(["rm", "/etc/kubernetes/manifests/kube-apiserver.yaml"]);
    await host.check(["sh", "-c", "for i in $(seq 240); do crictl ps -q --name kube-apiserver | grep -q . || exit 0; sleep 0.5; done; exit 1"], { timeoutMs: 150_000 });
    // The last blocks too; journald and the kubelet write meanwhile.
    await host.run(["sh", "-c", "fallocate -l $(df --output=avail -B1 / | tail -1) /root/filler; cat /dev/zero >/root/filler2"]);
    assert.ok(Number((await host.check(["df", "--output=avail", "-B1", "/"])).split("\n")[1]) < 256 * 1024, "the disk is not full");
    await resetOk(host);
    await host.check(["rm", "/root/filler", "/root/filler2"]);
    assert.deepEqual(changes(before, await machine(host)), []);
  });

  test("reset again finds nothing to do", async () => {
    await resetOk(host);
    assert.deepEqual(changes(before, await machine(host)), []);
  });

  test("init works after reset, and reset of a healthy node gives back the machine once more", async () => {
    await initOk(host);
    await untilHealthy(host, 180_000);
    await resetOk(host);
    assert.deepEqual(changes(before, await machine(host)), []);
    remove(host);
  });

  test("reset leaves a containerd that was there running, with its own images", async () => {
    host = await boot({ name: "cp2" });
    await putForeignRuntime(host);
    before = withoutStore(await machine(host));
    const own = await host.check(["/opt/theirs/ctr", "--namespace", "k8s.io", "images", "list", "--quiet"]);
    await initKilledAfter(host, "unit/kubelet.service");
    await resetOk(host);
    assert.deepEqual(changes(before, withoutStore(await machine(host))), []);
    assert.equal(await host.check(["/opt/theirs/ctr", "--namespace", "k8s.io", "images", "list", "--quiet"]), own);
    remove(host);
  });
});

async function resetOk(host: TestHost): Promise<void> {
  const done = await host.run(["./kubestick", "reset", "--yes"], { timeoutMs: 300_000 });
  assert.equal(done.code, 0, done.stderr.slice(-6000));
}

/** As soon as this was made. */
async function initKilledAfter(host: TestHost, id: string): Promise<void> {
  let killed = false;
  const run = followEvents(host, [], (event) => {
    if (!killed && event.type === "action" && event.status === "applied" && event.id === id) killed = run.kill("SIGKILL");
  }, { timeoutMs: 400_000 });
  const done = await run.result;
  assert.ok(killed, `${id} was never made; exit ${done.code}\n${done.stdout.slice(-2000)}\n${done.stderr.slice(-4000)}`);
}

/** What an administrator has: files, rules beside those of the cluster, settings, an interface that is called as the CNI plugins call theirs, a mount, a service. */
async function putForeignThings(host: TestHost): Promise<void> {
  host.write("/etc/cni/net.d/99-mine.conflist.disabled", "mine\n");
  host.write("/opt/cni/bin/mine", "mine\n", 0o755);
  host.write("/etc/modules-load.d/mine.conf", "# mine\n");
  host.write("/etc/sysctl.d/50-mine.conf", "net.ipv4.tcp_keepalive_time = 777\n");
  host.write("/etc/kubernetes/notes.txt", "mine\n", 0o600);
  host.write("/etc/systemd/system/mine.service", "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n");
  host.write("/root/mine.nft", `table inet mine {
  chain input { type filter hook input priority 0
    tcp dport 7 drop
  }
}
table ip filter {
  chain INPUT { type filter hook input priority 0; policy accept
    tcp dport 9 drop
  }
  chain MINE {
    tcp dport 9 accept
  }
}\n`);
  await host.check(["sh", "-ec", `
    nft -f /root/mine.nft
    sysctl -qp /etc/sysctl.d/50-mine.conf
    ip link add veth0badcafe type veth peer name mine0
    ip addr add 198.51.100.1/24 dev veth0badcafe
    ip link set veth0badcafe up
    ip route add 203.0.113.0/24 via 198.51.100.9
    ip rule add from 198.51.100.0/24 table 77
    mkdir -p /srv/mine
    mount -t tmpfs mine /srv/mine
    systemctl daemon-reload
    systemctl enable -q --now mine.service`]);
}

/** A containerd as a distribution ships it, from other folders than ours. */
async function putForeignRuntime(host: TestHost): Promise<void> {
  for (const program of ["containerd", "containerd-shim-runc-v2", "ctr", "runc"]) host.put(assetProgram(program), `/opt/theirs/${program}`);
  host.write("/lib/systemd/system/containerd.service", "[Service]\nEnvironment=PATH=/opt/theirs:/usr/sbin:/usr/bin:/sbin:/bin\nExecStart=/opt/theirs/containerd\nType=notify\nDelegate=yes\nKillMode=process\n[Install]\nWantedBy=multi-user.target\n");
  await host.check(["sh", "-ec", "systemctl daemon-reload; systemctl enable -q --now containerd.service; for i in $(seq 100); do [ -S /run/containerd/containerd.sock ] && exit 0; sleep 0.1; done; exit 1"]);
}

/** What a runtime writes into its own folders is its own business. */
function withoutStore(state: Snapshot): Snapshot {
  return new Map([...state].filter(([path]) => !/^\/(var\/lib|run)\/containerd\//.test(path)));
}
