import assert from "node:assert/strict";
import { test } from "node:test";
import { untilHealthy } from "../support/e2e-cluster.ts";
import { initOk } from "../support/e2e-init.ts";
import { scenario } from "../support/e2e-scenario.ts";
import { changes, snapshot } from "../support/e2e-snapshot.ts";
import type { Snapshot } from "../support/e2e-snapshot.ts";
import type { TestHost } from "../support/hosts/test-host.ts";

scenario("reset after init", ({ boot }) => {
  let host: TestHost;
  let before: { readonly files: Snapshot; readonly kernel: string };

  test("reset gives back the machine as init found it", async () => {
    host = await boot({ name: "cp1" });
    before = { files: lasting(await snapshot(host)), kernel: await machine(host) };
    await initOk(host);
    await untilHealthy(host, 60_000);
    const done = await host.run(["./kubestick", "reset", "--yes"]);
    assert.equal(done.code, 0, done.stderr.slice(-4000));
    await assertAsBefore();
  });

  test("reset again finds nothing to do", async () => {
    const done = await host.run(["./kubestick", "reset", "--yes"]);
    assert.equal(done.code, 0, done.stderr.slice(-4000));
    await assertAsBefore();
  });

  test("init works after reset", async () => {
    await initOk(host);
    await untilHealthy(host, 60_000);
  });

  async function assertAsBefore(): Promise<void> {
    assert.deepEqual(changes(before.files, lasting(await snapshot(host))), []);
    assert.equal(await machine(host), before.kernel);
  }
});

/** Without times: what was removed or put back is again as it was, but not unchanged since then. Nor the size of a folder, which never shrinks. */
function lasting(files: Snapshot): Snapshot {
  // containerd's own mode for its folder, which was there before (docs/kubeadm-differences.md).
  return new Map([...files].filter(([path]) => path !== "/var/lib/containerd").map(([path, state]) => {
    const [type, mode, owner, size, , , target] = state.split(" ");
    return [path, [type, mode, owner, type === "d" ? "" : size, target].join(" ")];
  }));
}

/** Processes, mounts, interfaces, routes, packet filter and the settings init touches. */
function machine(host: TestHost): Promise<string> {
  return host.check(["sh", "-c", [
    "ps -eo comm= | grep -E 'kube|etcd|containerd|coredns|flannel|pause' | sort -u",
    "cut -d' ' -f5 /proc/1/mountinfo | sort", "ip -br link | cut -d' ' -f1", "ip route", "nft list ruleset",
    "sysctl net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables vm.overcommit_memory kernel.panic kernel.panic_on_oops",
    "systemctl --failed --no-legend", "ls /run/netns 2>/dev/null || true",
  ].join("; ")]);
}
