/** The kernel's own packet filter, in a network namespace of its own: real rules, taken away through each program. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { chainsAndTables, iptablesRemoval, nftRemoval, type Removal } from "../../src/engine/packet-rules.ts";

const sample = readFileSync(new URL("../golden/packet-filter/iptables-save.txt", import.meta.url), "utf8");
const programs = ["unshare", "nft", "iptables-nft-save", "iptables-nft-restore", "iptables-legacy-save"];

function missing(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  const absent = programs.filter((name) => spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0);
  if (absent.length > 0) return `needs ${absent.join(", ")} (Debian packages iptables, nftables)`;
  return spawnSync("unshare", ["-n", "nft", "list", "ruleset"]).status === 0 ? undefined : "needs a kernel that lets root make network namespaces";
}

/** Restores the sample in a fresh namespace, lets `save` show it, `load` take the removal, and `list` show what is left. Three processes, one namespace. */
function afterRemoval(save: string, load: string, removalOf: (saved: string) => Removal | undefined): string {
  const shown = spawnSync("unshare", ["-n", "sh", "-c", `iptables-nft-restore && ${save}`], { input: sample, encoding: "utf8" });
  assert.equal(shown.status, 0, shown.stderr);
  const removal = removalOf(shown.stdout);
  assert.ok(removal !== undefined);
  // Handles are counted from the namespace's beginning, so the same rules get the same handles.
  const done = spawnSync("unshare", ["-n", "sh", "-c", `printf %s "$SAMPLE" | iptables-nft-restore && ${load} && nft list ruleset`], { input: removal.input, encoding: "utf8", env: { ...process.env, SAMPLE: sample } });
  assert.equal(done.status, 0, `${done.stderr}\n${removal.input}`);
  return done.stdout;
}

describe("packet filter of this kernel", { skip: missing() ?? false }, () => {
  const unwanted = { chainPrefixes: ["KUBE-", "FLANNEL-", "CNI-"], tables: ["ip filter", "ip mangle", "ip nat"], keep: ["ip filter"] };

  test("nft takes nftRemoval() in one transaction, and foreign rules stay", () => {
    const left = afterRemoval("nft -j list ruleset", "nft -f -", (saved) => nftRemoval(saved, unwanted));
    assert.doesNotMatch(left, /KUBE-|FLANNEL-|CNI-|mangle/);
    assert.match(left, /jump DOCKER/);
    assert.match(left, /198\.51\.100\.0\/24 .*masquerade/i);
  });

  test("iptables-nft-restore takes iptablesRemoval(), and foreign rules stay", () => {
    const left = afterRemoval("iptables-nft-save", "iptables-nft-restore --noflush", (saved) => iptablesRemoval(saved, unwanted));
    assert.doesNotMatch(left, /KUBE-POSTROUTING|KUBE-FORWARD|FLANNEL-|CNI-/);
    assert.match(left, /jump DOCKER/);
    assert.match(left, /198\.51\.100\.0\/24 .*masquerade/i);
  });

  test("a table of the administrator's is afterwards as it was, without the chains that iptables-nft hooked into it", () => {
    const foreign = "table ip filter {\n chain INPUT { type filter hook input priority 0; policy accept\n tcp dport 9 drop\n }\n chain MINE {\n tcp dport 9 accept\n }\n chain mine-out { type filter hook output priority 5; policy accept\n }\n}\n";
    const cluster = "*filter\n:KUBE-FORWARD - [0:0]\n-A FORWARD -j KUBE-FORWARD\n-A OUTPUT -j KUBE-FORWARD\n-A INPUT -j KUBE-FORWARD\nCOMMIT\n*nat\n:KUBE-SERVICES - [0:0]\n-A PREROUTING -j KUBE-SERVICES\nCOMMIT\n";
    const run = (input: string, ...steps: readonly string[]): string => {
      const done = spawnSync("unshare", ["-n", "sh", "-c", ['printf %s "$FOREIGN" | nft -f -', ...steps].join(" && ")], { input, encoding: "utf8", env: { ...process.env, FOREIGN: foreign, CLUSTER: cluster } });
      assert.equal(done.status, 0, `${done.stderr}\n${input}`);
      return done.stdout;
    };
    const fill = 'printf %s "$CLUSTER" | iptables-nft-restore --noflush';
    const before = run("", "nft list ruleset");
    const keep = chainsAndTables("nft", run("", "nft -j list ruleset"));
    assert.match(run("", fill, "nft list ruleset"), /chain FORWARD[^]*chain OUTPUT/);
    const removal = nftRemoval(run("", fill, "nft -j list ruleset"), { ...unwanted, keep });
    assert.equal(run(removal?.input ?? "", fill, "nft -f -", "nft list ruleset"), before);
  });
});
