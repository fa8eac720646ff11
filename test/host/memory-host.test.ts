import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MemoryHost, differences } from "../support/memory-host.ts";
import { SimulatedCrash } from "../support/write-ledger.ts";
import { hostSuite } from "./host-suite.ts";

hostSuite("memory host", async () => {
  const host = new MemoryHost({ directories: { "/srv/bench": 0o755 } });
  return { host, directory: "/srv/bench", cleanup: async () => undefined };
}, true);

const unitFile = (program: string): string => `[Service]\nExecStart=${program}\n[Install]\nWantedBy=multi-user.target\n`;

describe("MemoryHost", () => {
  test("unitCommand() runs the program of the unit file as it was at the last daemon-reload", async () => {
    const host = new MemoryHost();
    const path = "/etc/systemd/system/a.service";
    await host.writeFile(path, unitFile("/bin/one"), { mode: 0o644 });
    await host.unitCommand("a.service", "start");
    await host.writeFile(path, unitFile("/bin/two"), { mode: 0o644 });
    assert.equal((await host.unit("a.service")).program, "/bin/one");
    await host.daemonReload();
    assert.equal((await host.unit("a.service")).program, "/bin/two");
  });

  test("unitCommand() rejects a unit that has no file", async () => {
    await assert.rejects(new MemoryHost().unitCommand("absent.service", "start"), { code: "UNIT_COMMAND_FAILED" });
  });

  test("crashAfter() lets that many changes happen and then nothing more, reads included", async () => {
    const host = new MemoryHost();
    host.ledger.crashAfter(3);
    await host.writeFile("/etc/a", "1", { mode: 0o644 });
    await assert.rejects(host.writeFile("/etc/b", "2", { mode: 0o644 }), SimulatedCrash);
    await assert.rejects(host.readText("/etc/a"), SimulatedCrash);
    host.ledger.revive();
    assert.equal(await host.readText("/etc/a"), "1");
    assert.equal(await host.readText("/etc/b"), undefined);
    assert.deepEqual((await host.list("/etc"))?.filter((name) => name.includes("kubestick-new")), [".b.kubestick-new"]);
  });

  test("append() is torn in the middle by a crash", async () => {
    const host = new MemoryHost();
    await host.append("/var/log/j", "first\n", 0o600);
    host.ledger.crashAfter(0);
    await assert.rejects(host.append("/var/log/j", "second\n", 0o600), SimulatedCrash);
    host.ledger.revive();
    assert.equal(await host.readText("/var/log/j"), "first\nsec");
  });

  test("reboot() starts enabled units and applies boot files", async () => {
    const host = new MemoryHost({ files: { "/etc/systemd/system/a.service": unitFile("/bin/a"), "/etc/modules-load.d/k.conf": "# x\nbr_netfilter\n", "/etc/sysctl.d/k.conf": "net.ipv4.ip_forward = 1\n" } });
    await host.unitCommand("a.service", "enable");
    host.reboot();
    assert.equal((await host.unit("a.service")).active, "active");
    assert.equal(await host.sysctl("net.ipv4.ip_forward"), "1");
    assert.equal(await host.sysctl("net.bridge.bridge-nf-call-iptables"), "0");
  });

  test("differences() names what changed and is empty for equal machines", async () => {
    const host = new MemoryHost();
    const before = host.snapshot();
    assert.deepEqual(differences(before, host.snapshot()), []);
    await host.writeFile("/etc/a", "1", { mode: 0o644 });
    await host.loadModule("overlay");
    assert.deepEqual(differences(before, host.snapshot()), ['files /etc/a: absent => "file 0644 0:0 1"', "modules: absent => overlay"]);
  });
});
