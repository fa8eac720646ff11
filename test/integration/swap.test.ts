/**
 * Swap switched off and on again on a real kernel, as `init --fix` and `reset` do it. The kernel has one list of swap areas for all of its guests, so
 * test hosts cannot show this: a guest is told that its swap belongs to the machine below. Here small files of our own are used, and only where there is no other swap.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { recordSwaps, swapAreas, swapOff, swapOn } from "../../src/engine/actions/swap.ts";
import { nodeHost } from "../../src/host/node-host.ts";

/** Not in memory: the kernel swaps to files on disks only. */
const parent = "/var/tmp";

function area(folder: string, name: string): string {
  const path = join(folder, name);
  writeFileSync(path, Buffer.alloc(2 * 1024 * 1024), { mode: 0o600 });
  const made = spawnSync("mkswap", ["-q", path], { encoding: "utf8" });
  if (made.status !== 0) throw new Error(`mkswap: ${made.error?.message ?? made.stderr}`);
  return path;
}

/** Why this cannot be tried here, or undefined. */
function missing(): string | undefined {
  if (process.getuid?.() !== 0) return "it needs root";
  if (readFileSync("/proc/swaps", "utf8").trim().split("\n").length > 1) return "this machine has swap of its own, which stays as it is";
  const folder = mkdtempSync(join(parent, "kubestick-swap-"));
  try {
    const path = area(folder, "try");
    const on = spawnSync("swapon", [path], { encoding: "utf8" });
    if (on.status !== 0) return `swap to a file in ${parent} is not possible here: ${on.error?.message ?? on.stderr.trim()}`;
    spawnSync("swapoff", [path]);
    return undefined;
  } catch (error) {
    return String(error);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const absent = missing();

test("swapOff switches every area off, and swapOn brings each back with its priority", { skip: absent ?? false }, async () => {
  const folder = mkdtempSync(join(parent, "kubestick-swap-"));
  const [first, second] = [area(folder, "first"), area(folder, "second")];
  try {
    for (const argv of [["-p", "7", first], [second]]) assert.equal(spawnSync("swapon", argv).status, 0);
    const host = nodeHost();
    const before = await swapAreas(host);
    assert.deepEqual(before.map(({ name }) => name).sort(), [first, second]);
    const recorded = (await recordSwaps(host)) as { readonly swaps: unknown };
    assert.match(await swapOff(host), /^switched off /);
    assert.deepEqual(await swapAreas(host), []);
    assert.equal(readFileSync("/proc/swaps", "utf8").trim().split("\n").length, 1);
    const entry = { at: "", id: "kernel/swap", kind: "kernel", what: "changed" } as const;
    assert.equal((await swapOn(recorded.swaps, entry, host)).status, "removed");
    assert.deepEqual((await swapAreas(host)).find(({ name }) => name === first)?.priority, 7);
    assert.deepEqual((await swapAreas(host)).map(({ name }) => name).sort(), [first, second]);
    assert.equal((await swapOn(recorded.swaps, entry, host)).status, "kept");
  } finally {
    for (const path of [first, second]) spawnSync("swapoff", [path]);
    rmSync(folder, { recursive: true });
  }
});
