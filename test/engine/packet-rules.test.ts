import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { chainsAndTables, iptablesRemoval, nftRemoval, type Unwanted } from "../../src/engine/packet-rules.ts";

const sample = (name: string): string => readFileSync(new URL(`../golden/packet-filter/${name}`, import.meta.url), "utf8");
const unwanted = (more: Partial<Unwanted> = {}): Unwanted => ({ chainPrefixes: ["KUBE-", "FLANNEL-", "CNI-"], tables: ["ip kube-proxy", "ip mangle", "ip nat"], keep: [], ...more });

describe("iptablesRemoval()", () => {
  test("names chains before it deletes them, and deletes the rules that lead into them", () => {
    const removal = iptablesRemoval(sample("iptables-save.txt"), unwanted());
    assert.deepEqual([removal?.chains, removal?.rules], [9, 6]);
    const lines = removal?.input.split("\n") ?? [];
    assert.deepEqual(lines.slice(0, 8), ["*mangle", ":KUBE-KUBELET-CANARY - [0:0]", "-X KUBE-KUBELET-CANARY", "COMMIT", "*filter", ":KUBE-FORWARD - [0:0]", '-D FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD', "-X KUBE-FORWARD"]);
    const nat = lines.slice(lines.indexOf("*nat"));
    assert.ok(nat.indexOf(":KUBE-SVC-NPX46M4PTMTKRN6Y - [0:0]") < nat.indexOf("-X KUBE-SEP-6E7XQMQ4RAYOWTTM"));
    assert.ok(lines.includes("-D PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT"));
  });

  test("leaves foreign chains and rules alone, whatever their comments say", () => {
    const input = iptablesRemoval(sample("iptables-save.txt"), unwanted())?.input ?? "";
    assert.doesNotMatch(input, /DOCKER|198\.51\.100|:PREROUTING|:INPUT/);
  });

  test("keeps chains that were there before", () => {
    const input = iptablesRemoval(sample("iptables-save.txt"), unwanted({ keep: ["CNI-HOSTPORT-DNAT", "CNI-DN-2f0c6"] }))?.input ?? "";
    assert.doesNotMatch(input, /CNI-/);
  });

  test("is undefined where there is nothing of the cluster", () => {
    assert.equal(iptablesRemoval("*filter\n:INPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n-A INPUT -j DOCKER\nCOMMIT\n", unwanted()), undefined);
    assert.equal(iptablesRemoval("", unwanted()), undefined);
  });
});

describe("nftRemoval()", () => {
  test("deletes whole tables of the cluster, emptied tables of iptables, and single chains elsewhere", () => {
    const lines = nftRemoval(sample("nft.json"), unwanted())?.input.trim().split("\n") ?? [];
    assert.ok(lines.includes("delete table ip kube-proxy"));
    assert.ok(lines.includes("delete table ip mangle"), "nothing is left in it");
    assert.ok(!lines.includes("delete table ip nat"), "a foreign rule is in it");
    assert.ok(!lines.some((line) => line.includes("inet mine") || line.includes("DOCKER")), lines.join("\n"));
    assert.ok(lines.some((line) => /^delete rule ip nat POSTROUTING handle \d+$/.test(line)));
    assert.ok(lines.indexOf("flush chain ip nat KUBE-SVC-NPX46M4PTMTKRN6Y") < lines.indexOf("delete chain ip nat KUBE-SEP-6E7XQMQ4RAYOWTTM"));
    assert.ok(lines.includes("delete chain ip filter KUBE-FORWARD"));
  });

  test("keeps tables that were there before, emptied of what the cluster put into them", () => {
    const lines = nftRemoval(sample("nft.json"), unwanted({ keep: ["ip mangle", "ip kube-proxy"] }))?.input.split("\n") ?? [];
    assert.ok(!lines.some((line) => line.startsWith("delete table")));
    assert.ok(lines.includes("delete chain ip mangle KUBE-KUBELET-CANARY"));
  });

  test("deletes the chains that iptables hooked into a table that was there, where they are empty and were not there", () => {
    const kept = ["ip filter", "ip nat", "ip mangle", "ip nat OUTPUT", "DOCKER"];
    const lines = nftRemoval(sample("nft.json"), unwanted({ keep: kept }))?.input.split("\n") ?? [];
    // FORWARD and POSTROUTING hold rules of others, OUTPUT was there.
    assert.deepEqual(lines.filter((line) => line.startsWith("delete chain") && !/KUBE|CNI|FLANNEL/.test(line)), ["delete chain ip nat PREROUTING"]);
  });

  test("refuses output that is no JSON instead of taking it for no rules", () => {
    assert.throws(() => nftRemoval('{"nftables": [{"tab', unwanted()), { code: "PACKET_FILTER_UNREADABLE" });
    assert.equal(nftRemoval("", unwanted()), undefined);
  });
});

test("chainsAndTables() names what a later look is compared with", () => {
  assert.deepEqual(chainsAndTables("iptables", "*filter\n:INPUT ACCEPT [0:0]\n:DOCKER - [0:0]\nCOMMIT\n"), ["DOCKER"]);
  const names = chainsAndTables("nft", sample("nft.json"));
  assert.ok(names.includes("ip nat") && names.includes("inet mine") && names.includes("KUBE-SERVICES") && names.includes("ip nat PREROUTING") && !names.includes("PREROUTING"));
});
