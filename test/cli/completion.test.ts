import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { completionCommand } from "../../src/cli/completion.ts";
import { testIo, TextSink } from "./screen.ts";

function script(shell: "bash" | "zsh"): string {
  const stdout = new TextSink();
  completionCommand([shell], testIo({ stdout }));
  return stdout.text;
}

/** What bash offers for a line; words as bash splits them, an equals sign is a word of its own. */
function complete(...words: readonly string[]): readonly string[] {
  const list = words.map((word) => `'${word}'`).join(" ");
  // By its input: the script is longer than one argument may be.
  const run = spawnSync("bash", { input: `${script("bash")}\nCOMP_WORDS=(kubestick ${list})\nCOMP_CWORD=${words.length}\n_kubestick\nprintf '%s\\n' "\${COMPREPLY[@]}"`, encoding: "utf8" });
  assert.equal(run.stderr, "");
  return run.stdout.split("\n").filter((word) => word !== "");
}

test("completion bash offers commands, sub-commands, flags and values", () => {
  assert.ok(complete("").includes("init"));
  assert.deepEqual(complete("ver"), ["version"]);
  assert.deepEqual(complete("config", ""), ["images", "print", "validate", "migrate"]);
  assert.deepEqual(complete("config", "images", "l"), ["list"]);
  assert.deepEqual(complete("init", "--pod"), ["--pod-network-cidr"]);
  assert.deepEqual(complete("init", "--cni", ""), ["flannel", "bridge", "none"]);
  assert.deepEqual(complete("init", "--cni", "=", "b"), ["bridge"]);
  assert.deepEqual(complete("init", "-o", "jsonl"), ["jsonl"]);
  assert.deepEqual(complete("completion", "z"), ["zsh"]);
  assert.deepEqual(complete("init", "--node-name", ""), []);
  assert.deepEqual(complete("reset", "--pod"), []);
});

test("completion bash offers files where a flag takes one", () => {
  assert.deepEqual(complete("init", "--config", "package.j"), ["package.json"]);
  assert.deepEqual(complete("package", "verify", "tsconfig"), ["tsconfig.json"]);
});

test("completion zsh names every flag with its description", () => {
  const text = script("zsh");
  assert.match(text, /^#compdef kubestick\n/);
  assert.match(text, /'--cni=\[Pod network\]:value:\(flannel bridge none\)'/);
  assert.match(text, /'\*--skip-phases=\[/);
  assert.equal((text.replaceAll("'\\''", "").match(/'/g)?.length ?? 0) % 2, 0, "a quote is not closed");
});
