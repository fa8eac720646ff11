import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { appendFile, copyFile, mkdir, readFile, readdir, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { type KubestickError } from "../../src/errors.ts";
import { DELTA_HEADER_SIZE, decodeDeltaHeader, encodeDeltaHeader } from "../../src/package/delta-format.ts";
import { applyDelta, diffPackages } from "../../src/package/delta.ts";
import { digestOf } from "../../src/package/digest.ts";
import { HASH_CHUNK_SIZE } from "../../src/package/format.ts";
import { openPackage } from "../../src/package/reader.ts";
import { splitPackage } from "../../src/package/split.ts";
import { writePackage } from "../../src/package/writer.ts";
import { failure, flip, identityEntry, noise, scratch, smallContent, writeExecutable, zstdEntry } from "./fixtures.ts";

const PROGRAM = 3 * HASH_CHUNK_SIZE;

interface Versions extends AsyncDisposable {
  readonly old: string;
  readonly new: string;
  readonly path: string;
  at(...names: string[]): string;
}

/** Documents stand for layers here: what they are for makes no difference to a delta. */
async function packageOf(path: string, bare: string, contents: Readonly<Record<string, Uint8Array>>, version = "v1.36.2"): Promise<string> {
  const { content, entries } = smallContent();
  const documents = Object.entries(contents).map(([name, bytes]) => ({ kind: "test", name, mediaType: "application/octet-stream", digest: digestOf(bytes), size: bytes.length }));
  await writePackage({
    executable: bare, output: path, content: { ...content, kubernetesVersion: version, documents },
    entries: [...entries, ...Object.entries(contents).map(([name, bytes]) => (name.startsWith("zstd") ? zstdEntry(name, bytes) : identityEntry(name, bytes)))],
  });
  return path;
}

/** The new one has another program in its last chunk, one other layer of 1.5 chunks, and one layer that moved. */
async function versions(): Promise<Versions> {
  const dir = await scratch();
  const bare = await writeExecutable(dir.at("bare"), "amd64", PROGRAM);
  const newer = await writeExecutable(dir.at("newer"), "amd64", PROGRAM);
  await flip(newer, PROGRAM - 10);
  const kept = noise(3 * HASH_CHUNK_SIZE + 777, 3);
  const moved = noise(2 * HASH_CHUNK_SIZE, 4);
  const old = await packageOf(dir.at("old"), bare, { kept, changed: noise(1_500_000, 5), moved }, "v1.36.1");
  const next = await packageOf(dir.at("new"), newer, { moved, kept, changed: noise(1_600_000, 6) });
  return { old, new: next, path: dir.path, at: dir.at, [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose]() };
}

test("a delta holds what is new and the index, and gives the new package bit for bit", async () => {
  await using dir = await versions();
  const made = await diffPackages({ old: dir.old, new: dir.new, output: dir.at("delta") });
  // The changed layer, one chunk of the program (which compresses), and tables.
  assert.equal(made.carried, 1_600_000 + HASH_CHUNK_SIZE);
  assert.equal(made.size, (await stat(dir.at("delta"))).size);
  assert.ok(made.size > 1_600_000 && made.size < 1_650_000, String(made.size));
  assert.equal(made.digest, digestOf(await readFile(dir.at("delta"))));
  assert.equal(made.base.title, "v1.36.1 amd64 bridge");

  const applied = await applyDelta({ delta: dir.at("delta"), base: dir.old, output: dir.at("made") });
  const wanted = await readFile(dir.new);
  assert.ok((await readFile(dir.at("made"))).equals(wanted));
  assert.equal((await stat(dir.at("made"))).mode & 0o777, 0o755);
  assert.equal(applied.digest, `sha256:${createHash("sha256").update(wanted).digest("hex")}`);
  assert.ok(applied.reused > 0.7 * (wanted.length - 1_600_000), String(applied.reused));
  // The same again, and over the old package itself.
  await diffPackages({ old: dir.old, new: dir.new, output: dir.at("again") });
  assert.ok((await readFile(dir.at("again"))).equals(await readFile(dir.at("delta"))));
  await applyDelta({ delta: dir.at("delta"), base: dir.old, output: dir.old });
  assert.ok((await readFile(dir.old)).equals(wanted));
  assert.deepEqual((await readdir(dir.path)).filter((name) => name.includes("partial")), []);
});

test("a delta applies to a base in parts, from one, and makes parts", async () => {
  await using dir = await versions();
  for (const folder of ["old-parts", "new-parts", "made", "cut"]) await mkdir(dir.at(folder));
  const size = PROGRAM + 1_000_000;
  await splitPackage({ path: dir.old, directory: dir.at("old-parts"), size });
  await splitPackage({ path: dir.new, directory: dir.at("new-parts"), size });
  await diffPackages({ old: dir.at("old-parts", "old"), new: dir.at("new-parts", "new"), output: dir.at("delta") });
  await applyDelta({ delta: dir.at("delta"), base: dir.at("old-parts", "old"), output: dir.at("whole") });
  assert.ok((await readFile(dir.at("whole"))).equals(await readFile(dir.new)));
  const { files } = await applyDelta({ delta: dir.at("delta"), base: dir.old, output: dir.at("made", "new"), split: size });
  assert.ok(files.length > 1);
  for (const { path } of files) assert.ok((await readFile(path)).equals(await readFile(path.replace("/made/", "/new-parts/"))), path);
  const same = await failure(applyDelta({ delta: dir.at("delta"), base: dir.at("old-parts", "old"), output: dir.at("old-parts", "old"), split: size }));
  assert.equal(same.code, "PACK_SPLIT_SAME");
});

test("applyDelta names the base it needs and changes nothing", async () => {
  await using dir = await versions();
  const { base } = await diffPackages({ old: dir.old, new: dir.new, output: dir.at("delta") });
  const third = await packageOf(dir.at("third"), dir.at("bare"), { other: noise(100, 9) }, "v1.35.0");
  await writeFile(dir.at("out"), "as it was");
  const wrong = await failure(applyDelta({ delta: dir.at("delta"), base: third, output: dir.at("out") }));
  assert.equal(wrong.code, "PACKAGE_DELTA_BASE");
  assert.match(wrong.happened, /^It leads from v1\.36\.1 amd64 bridge \(sha256:[0-9a-f]{12}\) to v1\.36\.2 amd64 bridge \(sha256:[0-9a-f]{12}\), and .*third is v1\.35\.0 amd64 bridge \(sha256:[0-9a-f]{12}\); nothing was changed\.$/);
  assert.ok(wrong.next.includes(base.id), wrong.next);
  const bare = await failure(applyDelta({ delta: dir.at("delta"), base: dir.at("bare"), output: dir.at("out") }));
  assert.equal(bare.code, "PACKAGE_DELTA_BASE");
  assert.ok(bare.happened.includes("bare carries no package") && bare.next.includes(base.id), bare.message);
  const already = await failure(applyDelta({ delta: dir.at("delta"), base: dir.new, output: dir.at("out") }));
  assert.match(already.happened, /is the new package already/);
  assert.equal((await failure(applyDelta({ delta: dir.old, base: dir.old, output: dir.at("out") }))).code, "PACKAGE_DELTA_ABSENT");
  assert.equal((await failure(applyDelta({ delta: dir.at("delta"), base: dir.old, output: dir.at("delta") }))).code, "PACK_SPLIT_SAME");
  assert.equal((await failure(diffPackages({ old: dir.old, new: dir.new, output: dir.new }))).code, "PACK_SPLIT_SAME");
  assert.equal((await failure(applyDelta({ delta: dir.at("delta"), base: dir.old, output: dir.at("nowhere", "x") }))).code, "PACK_WRITE");
  assert.equal((await failure(openPackage(dir.at("delta")))).code, "PACKAGE_DELTA");
  assert.equal(await readFile(dir.at("out"), "utf8"), "as it was");
});

test("a delta that is cut, longer, or changed in any part is refused and leaves nothing", async () => {
  await using dir = await versions();
  const { size } = await diffPackages({ old: dir.old, new: dir.new, output: dir.at("delta") });
  const good = await readFile(dir.at("delta"));
  const bad = dir.at("bad");
  const before = (await readdir(dir.path)).length;
  const apply = (): Promise<KubestickError> => failure(applyDelta({ delta: bad, base: dir.old, output: dir.at("made") }));
  for (const at of [10, 60, 130, DELTA_HEADER_SIZE, DELTA_HEADER_SIZE + 100, DELTA_HEADER_SIZE + 128 + 10, DELTA_HEADER_SIZE + 128 + 192 + 50, 20_000, 700_000, size - 1]) {
    await writeFile(bad, good);
    await flip(bad, at);
    assert.equal((await apply()).code, "PACKAGE_DELTA_CORRUPT", `byte ${at}`);
  }
  for (const length of [100, DELTA_HEADER_SIZE, 5000, size - 1]) {
    await writeFile(bad, good);
    await truncate(bad, length);
    const error = await apply();
    assert.equal(error.code, length < DELTA_HEADER_SIZE ? "PACKAGE_DELTA_CORRUPT" : "PACKAGE_DELTA_TRUNCATED", `${length}: ${error.message}`);
  }
  await writeFile(bad, good);
  await appendFile(bad, "x");
  assert.match((await apply()).happened, /1 bytes stand behind it/);
  // The header made right again: then the pieces themselves tell.
  const decoded = decodeDeltaHeader(good);
  assert.ok(decoded.is === "intact");
  for (const length of [size - 700_000, size + 4]) {
    const bytes = Buffer.concat([good, Buffer.alloc(4)]).subarray(0, length);
    bytes.set(encodeDeltaHeader({ ...decoded.value, fileLength: length }), 0);
    await writeFile(bad, bytes);
    assert.equal((await apply()).code, "PACKAGE_DELTA_CORRUPT", String(length));
  }
  assert.equal((await readdir(dir.path)).length, before + 1);
});

test("applyDelta names the damaged place of the base, and does not miss what it does not need", async () => {
  await using dir = await versions();
  await diffPackages({ old: dir.old, new: dir.new, output: dir.at("delta") });
  const reader = await openPackage(dir.old);
  await reader.close();
  const [changed, kept] = ["changed", "kept"].map((label) => reader.index.entries.find((entry) => entry.label === label) ?? assert.fail());
  assert.ok(changed && kept);
  await flip(dir.old, changed.offset + 5);
  await applyDelta({ delta: dir.at("delta"), base: dir.old, output: dir.at("made") });
  assert.ok((await readFile(dir.at("made"))).equals(await readFile(dir.new)));
  await flip(dir.old, kept.offset + HASH_CHUNK_SIZE);
  const error = await failure(applyDelta({ delta: dir.at("delta"), base: dir.old, output: dir.at("made2") }));
  assert.equal(error.code, "PACKAGE_CORRUPT");
  assert.ok(error.attempted.includes(dir.old) && error.happened.startsWith("kept is damaged"), error.message);
  assert.ok(!(await readdir(dir.path)).includes("made2"));
});

test("a chunk that the new package has twice is carried once, and one of two equal packages nothing", async () => {
  await using dir = await versions();
  const twice = Buffer.alloc(4 * HASH_CHUNK_SIZE, noise(HASH_CHUNK_SIZE, 11));
  await packageOf(dir.at("twice"), dir.at("bare"), { twice, "zstd of the same": noise(500_000, 12) });
  const { carried } = await diffPackages({ old: dir.old, new: dir.at("twice"), output: dir.at("delta") });
  assert.ok(carried < HASH_CHUNK_SIZE + 600_000, String(carried));
  await applyDelta({ delta: dir.at("delta"), base: dir.old, output: dir.at("made") });
  assert.ok((await readFile(dir.at("made"))).equals(await readFile(dir.at("twice"))));
  await copyFile(dir.old, dir.at("copy"));
  const none = await diffPackages({ old: dir.old, new: dir.at("copy"), output: dir.at("none") });
  assert.equal(none.carried, 0);
  await applyDelta({ delta: dir.at("none"), base: dir.at("copy"), output: dir.at("made") });
  assert.ok((await readFile(dir.at("made"))).equals(await readFile(dir.old)));
});

test("applyDelta asks whether the new package is one to take before it writes", async () => {
  await using dir = await versions();
  await diffPackages({ old: dir.old, new: dir.new, output: dir.at("delta") });
  const asked: unknown[] = [];
  await assert.rejects(applyDelta({
    delta: dir.at("delta"), base: dir.old, output: dir.at("made"),
    accept: (target) => { asked.push([target.index.kubernetesVersion, target.signers]); return Promise.reject(new Error("not that one")); },
  }), /not that one/);
  assert.deepEqual(asked, [["v1.36.2", []]]);
  assert.ok(!(await readdir(dir.path)).includes("made"));
});

test("diffPackages and applyDelta stop at a signal, leave nothing, and clear away what a killed run left", async () => {
  await using dir = await versions();
  await diffPackages({ old: dir.old, new: dir.new, output: dir.at("delta") });
  const before = (await readdir(dir.path)).sort();
  await assert.rejects(diffPackages({ old: dir.old, new: dir.new, output: dir.at("other"), signal: AbortSignal.abort() }), { name: "AbortError" });
  await assert.rejects(applyDelta({ delta: dir.at("delta"), base: dir.old, output: dir.at("made"), signal: AbortSignal.abort() }), { name: "AbortError" });
  assert.deepEqual((await readdir(dir.path)).sort(), before);
  // The largest pid Linux gives is 2^22.
  for (const name of [".other.4194305.partial", ".made.4194305.partial"]) await writeFile(join(dir.path, name), "x");
  await diffPackages({ old: dir.old, new: dir.new, output: dir.at("other") });
  await applyDelta({ delta: dir.at("other"), base: dir.old, output: dir.at("made") });
  assert.deepEqual((await readdir(dir.path)).sort(), [...before, "made", "other"].sort());
});
