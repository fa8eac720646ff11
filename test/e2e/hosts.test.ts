import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { missingForHosts } from "../support/e2e-requirements.ts";
import { skipped } from "../support/e2e-scenario.ts";
import type { TestHost } from "../support/hosts/test-host.ts";
import { TestNetwork } from "../support/hosts/test-network.ts";

// The other files believe what these hosts say; here the hosts themselves are tested.
const TITLE = "test hosts";
const missing = missingForHosts();
if (missing === undefined) describe(TITLE, testHosts);
else skipped(TITLE, missing);

function testHosts(): void {
  let network: TestNetwork;
  let host: TestHost;

  before(async () => {
    network = TestNetwork.create();
    host = await network.boot({ name: "one" });
  });
  after(() => network.destroy());

  test("a host is a machine of its own without a way out", async () => {
    assert.equal((await host.check(["hostname"])).trim(), "one");
    assert.equal((await host.check(["systemctl", "is-system-running"])).trim(), "running");
    assert.equal(await host.check(["ip", "route", "show", "default"]), "");
    assert.equal(host.read("/etc/resolv.conf"), "");
    assert.notEqual((await host.run(["sh", "-c", "command -v iptables conntrack curl socat"])).code, 0);
  });

  test("run tells exit code, both streams and signals", async () => {
    const done = await host.run(["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert.deepEqual([done.code, done.stdout, done.stderr], [7, "out\n", "err\n"]);
    const sleeping = host.start(["sleep", "60"]);
    await sleeping.pid();
    assert.equal(sleeping.kill("SIGKILL"), true);
    assert.equal((await sleeping.result).code, 137);
    await assert.rejects(host.run(["sleep", "60"], { timeoutMs: 200 }), /ran longer than 0\.2 s/);
  });

  test("run gives a terminal when asked for one, and what is typed arrives", async () => {
    const terminal = host.start(["sh", "-c", "stty size; read line; echo got $line"], { terminal: { columns: 97, rows: 31 } });
    await terminal.pid();
    terminal.type("hello\n");
    const done = await terminal.result;
    assert.match(done.stdout, /31 97/);
    assert.match(done.stdout, /got hello/);
  });

  test("a power cut loses what was not flushed and keeps what was, whoever else is on the network", async () => {
    // Started later, it knows of the first one's disk.
    const neighbour = await network.boot({ name: "beside", diskBytes: 300 * 2 ** 20 });
    await host.check(["sh", "-c", "echo kept >/root/kept; sync /root/kept /root; echo lost >/root/lost; ip link add leftover type bridge; mkdir -p /run/leftover"]);
    host.kill();
    assert.throws(() => host.start(["true"]), /is off/);
    await host.boot();
    assert.equal(host.read("/root/kept"), "kept\n");
    assert.notEqual((await host.run(["grep", "-q", "lost", "/root/lost"])).code, 0);
    assert.notEqual((await host.run(["ip", "link", "show", "leftover"])).code, 0);
    assert.notEqual((await host.run(["test", "-e", "/run/leftover"])).code, 0);
    network.remove(neighbour);
  });

  test("hosts reach each other until a cable is pulled", async () => {
    const other = await network.boot({ name: "two", diskBytes: 300 * 2 ** 20 });
    const ping = ["ping", "-c", "1", "-W", "1", host.address];
    assert.equal((await other.run(ping)).code, 0);
    host.cut();
    assert.equal((await other.run(ping)).code, 1);
    host.plug();
    assert.equal((await other.run(ping)).code, 0);
    assert.ok(Number(await other.check(["sh", "-c", "df -B1 --output=size / | tail -1"])) < 300 * 2 ** 20);
    network.remove(other);
    assert.notEqual((await host.run(["ping", "-c", "1", "-W", "1", other.address])).code, 0);
  });

  test("an orderly power-off keeps everything", async () => {
    host.write("/root/file", "content");
    host.shutdown();
    await host.boot();
    assert.equal(host.read("/root/file"), "content");
  });
}
