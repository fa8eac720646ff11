import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { KubestickError } from "../../src/errors.ts";
import { machineArch, parseCapabilities, parseCpuList, parseNameservers, parseOsRelease, parseSwaps, proxiesOf, readFacts } from "../../src/host/facts.ts";
import { parseAddresses, parseRoutes } from "../../src/host/ip-json.ts";
import { parseKernelConfig } from "../../src/host/kernel-config.ts";
import { parseSwapAreas } from "../../src/host/swaps.ts";
import { mountOf, parseMountPoints } from "../../src/host/disk.ts";
import { sysctlPath } from "../../src/host/kernel.ts";
import { readProcRoutes } from "../../src/host/proc-routes.ts";

describe("facts", () => {
  test("parseOsRelease() reads quoted, escaped and plain values", () => {
    assert.deepEqual(parseOsRelease(`PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID='12'\n# c\nX="a\\"b\\$c"\n`), {
      PRETTY_NAME: "Debian GNU/Linux 12 (bookworm)", ID: "debian", VERSION_ID: "12", X: `a"b$c`,
    });
  });

  test("parseCpuList() counts ranges and single processors", () => {
    assert.deepEqual(["0", "0-3", "0-3,8,10-11", ""].map(parseCpuList), [1, 4, 7, 0]);
  });

  test("parseSwaps() names the areas below the header", () => {
    assert.deepEqual(parseSwaps("Filename\t\t\tType\t\tSize\n/dev/dm-1   partition 1 0 -2\n/swap\\040file file 1 0 -3\n"), ["/dev/dm-1", "/swap file"]);
    assert.deepEqual(parseSwaps(""), []);
  });

  test("parseSwapAreas() keeps the priorities, with tabs or blanks between the columns", () => {
    assert.deepEqual(parseSwapAreas("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/sda2                               partition\t1048572\t\t0\t\t-2\n/dev/zram0 partition 1 0 100\n"), [
      { name: "/dev/sda2", priority: -2 }, { name: "/dev/zram0", priority: 100 },
    ]);
  });

  test("parseCapabilities() names the bits of the effective set", () => {
    const all = parseCapabilities("000001ffffffffff");
    assert.equal(all.length, 41);
    assert.ok(all.includes("CAP_SYS_RESOURCE"));
    assert.ok(!parseCapabilities("000001fffeffffff").includes("CAP_SYS_RESOURCE"));
    assert.deepEqual(parseCapabilities("0000000000000401"), ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"]);
    assert.deepEqual(parseCapabilities(""), []);
  });

  test("parseNameservers() takes nameserver lines only", () => {
    assert.deepEqual(parseNameservers("# nameserver 1.1.1.1\nsearch x\nnameserver 192.0.2.53\n  nameserver\tfe80::1%eth0\nnameserverx 9\n"), ["192.0.2.53", "fe80::1%eth0"]);
  });

  test("proxiesOf() takes any spelling and drops empty values", () => {
    assert.deepEqual(proxiesOf({ http_proxy: "http://p", NO_PROXY: "x", HTTPS_PROXY: "", PATH: "/bin" }), { NO_PROXY: "x", http_proxy: "http://p" });
  });

  test("parseKernelConfig() takes what is built in or a module", () => {
    assert.deepEqual(parseKernelConfig("# Linux\nCONFIG_MEMCG=y\n# CONFIG_AUFS_FS is not set\nCONFIG_VXLAN=m\nCONFIG_HZ=250\nCONFIG_X=\"y\"\n"), { MEMCG: "y", VXLAN: "m" });
    assert.deepEqual(parseKernelConfig(""), {});
  });

  test("readFacts() tells a name that is not found from a question without an answer", async () => {
    const asked = async (answer: () => Promise<{ code: number; stdout: string; stderr: string }>) => (await readFacts(async (argv) => {
      if (argv[0] === "getent") return await answer();
      throw new KubestickError({ code: "COMMAND_NOT_FOUND", attempted: "x", happened: "absent", next: "x" });
    })).hostnameResolves;
    const ended = (code: number) => async () => ({ code, stdout: "", stderr: "" });
    assert.deepEqual([await asked(ended(0)), await asked(ended(2)), await asked(ended(1))], [true, false, undefined]);
    assert.equal(await asked(async () => { throw new KubestickError({ code: "COMMAND_TIMED_OUT", attempted: "x", happened: "x", next: "x" }); }), undefined);
  });

  test("readFacts() answers on a machine where no program can be run", async () => {
    const facts = await readFacts(async (argv) => {
      throw new KubestickError({ code: "COMMAND_NOT_FOUND", attempted: `running ${argv[0]}`, happened: "absent", next: "install it" });
    });
    assert.equal(facts.systemd, false);
    assert.equal(facts.systemdResolved, false);
    assert.ok(facts.addresses.some((address) => address.address === "127.0.0.1"));
    assert.ok(facts.cpus >= 1);
  });
});

describe("ip -json", () => {
  test("parseAddresses() takes addresses of interfaces that are up", () => {
    const text = JSON.stringify([
      { ifname: "eth0", flags: ["BROADCAST", "UP"], addr_info: [{ family: "inet", local: "192.0.2.10", prefixlen: 24, scope: "global" }, { family: "inet6", local: "fe80::1", prefixlen: 64, scope: "link" }, { family: "inet6", local: "fd00::1", prefixlen: 64, scope: "global", dadfailed: true }, {}] },
      { ifname: "eth1", flags: ["BROADCAST"], addr_info: [{ family: "inet", local: "198.51.100.1", prefixlen: 24, scope: "global" }] },
      {},
    ]);
    assert.deepEqual(parseAddresses(text), [
      { interface: "eth0", address: "192.0.2.10", family: 4, prefixLength: 24, global: true },
      { interface: "eth0", address: "fe80::1", family: 6, prefixLength: 64, global: false },
    ]);
  });

  test("parseAddresses() answers undefined for text of another kind", () => {
    assert.equal(parseAddresses("1: lo: <LOOPBACK,UP>"), undefined);
    assert.deepEqual(parseAddresses(""), []);
  });

  test("parseRoutes() takes unicast routes, of several hops the first", () => {
    const text = JSON.stringify([
      { dst: "default", gateway: "192.0.2.1", dev: "eth0", flags: [] },
      { dst: "203.0.113.9", dev: "eth0", prefsrc: "192.0.2.10" },
      { dst: "198.51.100.0/24", nexthops: [{ gateway: "192.0.2.2", dev: "eth0" }, { gateway: "192.0.2.3", dev: "eth1" }] },
      { type: "blackhole", dst: "10.0.0.0/8" },
      { type: "unreachable", dst: "10.1.0.0/16", dev: "lo" },
    ]);
    assert.deepEqual(parseRoutes(text, 4), [
      { destination: "default", family: 4, device: "eth0", gateway: "192.0.2.1" },
      { destination: "203.0.113.9/32", family: 4, device: "eth0", source: "192.0.2.10" },
      { destination: "198.51.100.0/24", family: 4, device: "eth0", gateway: "192.0.2.2" },
    ]);
  });
});

test("readProcRoutes() reads both tables of the kernel", () => {
  const four = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    + "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    + "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    + "*\t0000000A\t00000000\t0200\t0\t0\t0\t000000FF\t0\t0\t0\n";
  const six = "fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n"
    + "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n"
    + "fd000000000000000000000000000002 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000004 00000000 80200001 eth0\n"
    + "ff000000000000000000000000000000 08 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000003 00000000 00000001 eth0\n"
    + "00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n";
  assert.deepEqual(readProcRoutes(four, six), [
    { destination: "default", family: 4, device: "eth0", gateway: "192.0.2.1" },
    { destination: "192.0.2.0/24", family: 4, device: "eth0" },
    { destination: "fd00::/64", family: 6, device: "eth0" },
    { destination: "default", family: 6, device: "eth0", gateway: "fd00::1" },
  ]);
});

test("mountOf() finds the deepest mount point that holds a path", () => {
  const points = parseMountPoints("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /var rw - ext4 x rw\n3 1 8:3 / /var/lib/my\\040disk rw - ext4 x rw\n");
  assert.deepEqual(points, ["/", "/var", "/var/lib/my disk"]);
  assert.equal(mountOf("/var/lib/my disk/a", points), "/var/lib/my disk");
  assert.equal(mountOf("/various", points), "/");
  assert.equal(mountOf("/var", points), "/var");
});

test("machineArch() believes the machine's shell before the program, which may be emulated", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kubestick-facts-"));
  const own = process.arch === "x64" ? "amd64" : process.arch;
  const shell = async (name: string, bytes: Uint8Array): Promise<string> => {
    await writeFile(join(folder, name), bytes);
    return machineArch(join(folder, name));
  };
  const header = (machine: number, bits = 2): Buffer => {
    const bytes = Buffer.alloc(64);
    bytes.write(`\x7fELF${String.fromCharCode(bits)}\x01`, "latin1");
    bytes.writeUInt16LE(machine, 18);
    return bytes;
  };
  try {
    assert.deepEqual([await shell("arm", header(183)), await shell("intel", header(62))], ["arm64", "amd64"]);
    // Nothing that could contradict: another class, another processor, a script, too short a file, none.
    for (const bytes of [header(40, 1), header(243), Buffer.from("#!/bin/busybox sh\n# a script\n"), header(183).subarray(0, 19)]) assert.equal(await shell("other", bytes), own);
    assert.equal(await machineArch(join(folder, "none")), own);
    assert.equal(await machineArch("/bin/sh"), own);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("sysctlPath() swaps dots and slashes unless a slash comes first", () => {
  assert.equal(sysctlPath("net.ipv4.ip_forward"), "/proc/sys/net/ipv4/ip_forward");
  assert.equal(sysctlPath("net.ipv4.conf.eth0/100.forwarding"), "/proc/sys/net/ipv4/conf/eth0.100/forwarding");
  assert.equal(sysctlPath("net/ipv4/conf/eth0.100/forwarding"), "/proc/sys/net/ipv4/conf/eth0.100/forwarding");
});
