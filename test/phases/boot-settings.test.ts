import assert from "node:assert/strict";
import { test } from "node:test";
import { blockedModules, overridingSysctls, swapLines, withoutBlocks, withoutSwap } from "../../src/phases/boot-settings.ts";
import { MemoryHost } from "../support/memory-host.ts";

const fstab = "# /etc/fstab\nUUID=a / ext4 errors=remount-ro 0 1\nUUID=b\tnone\tswap\tsw\t0\t0\n/swapfile swap swap defaults 0 0\n#/dev/sdc none swap sw 0 0\n/dev/sdd none swap sw,noauto 0 0\n//nas/swap /swap cifs rw 0 0\n";

test("swapLines() takes lines of type swap that a boot follows", () => {
  assert.deepEqual(swapLines(fstab), ["UUID=b\tnone\tswap\tsw\t0\t0", "/swapfile swap swap defaults 0 0"]);
  assert.deepEqual(swapLines(""), []);
});

test("withoutSwap() comments those out, keeps every other byte, and finds nothing the second time", () => {
  const text = withoutSwap(fstab);
  assert.deepEqual(swapLines(text), []);
  assert.equal(text.replaceAll("# kubestick init --fix: ", ""), fstab);
  assert.equal(withoutSwap(text), text);
  assert.equal(withoutSwap("/dev/sda2 none swap sw 0 0"), "# kubestick init --fix: /dev/sda2 none swap sw 0 0");
});

test("overridingSysctls() follows sysctl.d(5): order of names, first directory of equal names, the last word", async () => {
  const read = new MemoryHost({
    files: {
      "/etc/sysctl.d/10-before.conf": "net.ipv4.ip_forward=0\n",
      "/etc/sysctl.d/99-a.conf": "# net.ipv4.ip_forward = 0\n-net/ipv4/conf/all/forwarding = 0\nvm.swappiness = 1\n",
      "/usr/lib/sysctl.d/99-a.conf": "net.bridge.bridge-nf-call-iptables = 0\n",
      "/usr/lib/sysctl.d/99-b.conf": "net.bridge.bridge-nf-call-iptables = 0\n",
      "/run/sysctl.d/99-c.conf": "net.bridge.bridge-nf-call-iptables = 1\n",
    },
  });
  const settings = [["net.ipv4.ip_forward", "1"], ["net.bridge.bridge-nf-call-iptables", "1"]] as const;
  assert.deepEqual(await overridingSysctls(read, settings, "90-kubestick.conf"), [{ path: "/etc/sysctl.d/99-a.conf", key: "net.ipv4.ip_forward", value: "0" }]);
  assert.deepEqual(await overridingSysctls(read, settings, "zz-kubestick.conf"), []);
});

test("blockedModules() reads both spellings, and withoutBlocks() comments out those lines alone", async () => {
  const text = "install overlay /bin/true\nblacklist br-netfilter\n  install  vxlan   /usr/bin/false \noptions overlay metacopy=on\ninstall nf_conntrack /sbin/modprobe -i nf_conntrack\n";
  const read = new MemoryHost({ files: { "/etc/modprobe.d/x.conf": text, "/usr/lib/modprobe.d/x.conf": "blacklist nf_conntrack\n", "/etc/modprobe.d/readme": "blacklist overlay\n" } });
  const modules = ["overlay", "br_netfilter", "nf_conntrack", "vxlan"];
  assert.deepEqual((await blockedModules(read, modules)).map(({ module, how }) => `${how} ${module}`), ["install overlay", "blacklist br_netfilter", "install vxlan"]);
  assert.equal(withoutBlocks(text, modules).split("\n").filter((line) => line.startsWith("# kubestick init --fix: ")).length, 3);
  assert.equal(withoutBlocks(withoutBlocks(text, modules), modules), withoutBlocks(text, modules));
});
