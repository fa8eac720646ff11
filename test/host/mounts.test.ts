import assert from "node:assert/strict";
import { test } from "node:test";
import { parseInterfaces } from "../../src/host/interfaces.ts";
import { parseMountInfo } from "../../src/host/mounts.ts";

test("parseMountInfo() reads path and type, with and without optional fields, and decodes octal", () => {
  const text = [
    "36 35 98:0 / /var/lib/etcd rw,noatime shared:1 master:2 - ext4 /dev/sdb1 rw",
    "37 35 0:40 / /var/lib/kubelet/pods/a/volumes/x\\040y rw - tmpfs tmpfs rw,size=64k",
    "",
  ].join("\n");
  assert.deepEqual(parseMountInfo(text), [{ path: "/var/lib/etcd", type: "ext4" }, { path: "/var/lib/kubelet/pods/a/volumes/x y", type: "tmpfs" }]);
});

test("parseInterfaces() reads names, also where the counter touches the colon", () => {
  const text = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes\n    lo: 1 2 3\nflannel.1:1234 2 3\n";
  assert.deepEqual(parseInterfaces(text), ["lo", "flannel.1"]);
});
