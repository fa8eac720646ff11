/** The kernel's own packet filter, in a network namespace of its own: real rules, taken away through each program. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { iptablesRemoval, nftRemoval, type Removal } from "../../src/engine/packet-rules.ts";

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
});
