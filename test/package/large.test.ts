/** A package of five gigabytes, most of it a hole: what works on small files has to work beyond 2^31 and 2^32, in little memory. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { freeSpace } from "../../src/package/space.ts";
import { scratch, sparsePackage } from "./fixtures.ts";

const run = promisify(execFile);
const SIZE = 5 * 2 ** 30;
const source = new URL("../../src/package/", import.meta.url).href;

/** In a process of its own, whose memory is nobody else's. Returns what `program` returns and the most it ever held, in bytes. */
async function alone<T>(program: string): Promise<{ readonly result: T; readonly peak: number }> {
  const script = `const { applyDelta, diffPackages } = await import("${source}delta.ts");
const { repairPackage } = await import("${source}repair.ts");
const { openPackage } = await import("${source}reader.ts");
const result = await (async () => { ${program} })();
console.log(JSON.stringify({ result, peak: process.resourceUsage().maxRSS * 1024 }));`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", script], { maxBuffer: 1 << 20 });
  return JSON.parse(stdout) as { readonly result: T; readonly peak: number };
}

async function roomy(t: TestContext, path: string): Promise<boolean> {
  // Holes take nothing, but whoever writes asks for room for all of it before.
  const free = await freeSpace(path);
  if (free > 2 * SIZE) return true;
  t.skip(`${free} bytes are free in ${path}, ${2 * SIZE} are asked for`);
  return false;
}

test("five gigabytes are updated by a delta, divided for FAT32 on the way, and repaired behind 4 GiB, in less than 200 MB", async (t) => {
  await using dir = await scratch();
  if (!(await roomy(t, dir.path))) return;
  const text = (...names: string[]): string => JSON.stringify(dir.at(...names));
  const { tailOffset } = await sparsePackage(dir.at("old"), SIZE, "the last layer of the old package");
  await sparsePackage(dir.at("new"), SIZE, "the last layer of the new package");
  assert.ok(tailOffset > 2 ** 32);

  const { result, peak } = await alone<{ files: { path: string; size: number }[]; repaired: { part: string; file: string }[]; delta: number; tail: string; same: boolean }>(`
    const { open } = await import("node:fs/promises");
    const { size } = await diffPackages({ old: ${text("old")}, new: ${text("new")}, output: ${text("delta")} });
    const { files } = await applyDelta({ delta: ${text("delta")}, base: ${text("old")}, output: ${text("made")}, split: 4095 * 2 ** 20 });
    const last = await open(files[1].path, "r+");
    await last.write(Buffer.from("rot"), 0, 3, files[1].size - 192 - 3);
    await last.close();
    const { repaired } = await repairPackage({ path: files[1].path, from: ${text("new")} });
    const made = await openPackage(${text("made")});
    const tail = Buffer.from(await made.read(made.index.entries[1].digest)).toString();
    const wanted = await openPackage(${text("new")});
    const same = made.indexDigest === wanted.indexDigest && made.source.size === wanted.source.size;
    await made.close();
    await wanted.close();
    return { files, repaired, delta: size, tail, same };
  `);
  assert.deepEqual(result.files.map(({ size }) => size <= 4095 * 2 ** 20), [true, true]);
  assert.deepEqual(result.repaired.map(({ part, file }) => [part, file]), [["tail", result.files[1]?.path]]);
  assert.ok(result.delta < 400_000, `the tables of five gigabytes and thirty bytes: ${result.delta}`);
  assert.equal(result.tail, "the last layer of the new package");
  assert.ok(result.same);
  assert.ok(peak < 200e6, `${Math.round(peak / 1e6)} MB at most`);
});
