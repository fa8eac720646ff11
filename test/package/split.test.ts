import assert from "node:assert/strict";
import { copyFile, mkdir, readFile, readdir, rename, rm, stat, truncate, writeFile, appendFile, symlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "node:test";
import type { ByteSource } from "../../src/package/byte-source.ts";
import { HASH_CHUNK_SIZE } from "../../src/package/format.ts";
import { PART_RECORD_SIZE, decodePartRecord, encodePartRecord, planParts, type PartRecord } from "../../src/package/part-format.ts";
import { readPartRecord } from "../../src/package/part-source.ts";
import { peekPackage } from "../../src/package/peek.ts";
import { openPackage } from "../../src/package/reader.ts";
import { repairPackage } from "../../src/package/repair.ts";
import { joinPackage, splitPackage } from "../../src/package/split.ts";
import { writePackage } from "../../src/package/writer.ts";
import { chunkyPackage, failure, flip, identityEntry, noise, scratch, smallContent, writeExecutable } from "./fixtures.ts";

const LIMIT = 1_200_000;

interface Sticks extends AsyncDisposable {
  readonly path: string;
  readonly whole: string;
  readonly first: string;
  readonly parts: readonly string[];
  at(...names: string[]): string;
}

/** A package of three parts in the folder `parts`. */
async function sticks(): Promise<Sticks> {
  const dir = await scratch();
  const whole = await chunkyPackage(dir.path);
  await mkdir(dir.at("parts"));
  const { files } = await splitPackage({ path: whole, directory: dir.at("parts"), size: LIMIT });
  const [first = "", ...parts] = files.map(({ path }) => path);
  return { path: dir.path, at: dir.at, whole, first, parts, [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose]() };
}

/** Everything that a package is asked for: index, every entry, every byte. */
async function readAll(path: string, parts?: readonly string[]): Promise<readonly string[]> {
  const reader = await openPackage(path, { parts });
  try {
    await reader.verify();
    const labels: string[] = [];
    for (const entry of reader.index.entries) {
      let size = 0;
      for await (const bytes of reader.open(entry.digest)) size += bytes.length;
      assert.equal(size, entry.size);
      labels.push(entry.label);
    }
    return labels;
  } finally {
    await reader.close();
  }
}

test("a place that the medium cannot read is no record, and the other one tells", async () => {
  await using dir = await sticks();
  const bytes = await readFile(dir.parts[0] ?? "");
  const worn = (unreadable: (at: number) => boolean): ByteSource => ({
    name: "worn", size: bytes.length, close: async () => undefined,
    async read(buffer, offset, length, position) {
      if (unreadable(position)) throw Object.assign(new Error("i/o error"), { code: "EIO" });
      return { bytesRead: bytes.copy(buffer, offset, position, position + length) };
    },
  });
  const whole = await readPartRecord(worn(() => false));
  assert.equal(whole?.number, 2);
  for (const half of [(at: number) => at < bytes.length / 2, (at: number) => at >= bytes.length / 2]) assert.deepEqual(await readPartRecord(worn(half)), whole);
  assert.equal(await readPartRecord(worn(() => true)), undefined);
  await assert.rejects(readPartRecord({ ...worn(() => false), read: async () => { throw Object.assign(new Error("gone"), { code: "ENXIO" }); } }), { code: "ENXIO" });
});

test("splitPackage writes parts of at most the wanted size that read as the whole does, and joinPackage gives the whole back bit for bit", async () => {
  await using dir = await sticks();
  const names = (await readdir(dir.at("parts"))).sort();
  assert.deepEqual(names, ["stick", "stick.part2of3", "stick.part3of3"]);
  for (const name of names) assert.ok((await stat(dir.at("parts", name))).size <= LIMIT, name);
  assert.equal((await stat(dir.first)).mode & 0o777, 0o755);
  assert.equal((await stat(dir.parts[0] ?? "")).mode & 0o777, 0o644);
  assert.deepEqual(await readAll(dir.first), await readAll(dir.whole));

  const joined = await joinPackage({ path: dir.first, output: dir.at("joined") });
  assert.deepEqual(await readFile(dir.at("joined")), await readFile(dir.whole));
  assert.equal((await stat(dir.at("joined"))).mode & 0o777, 0o755);
  assert.equal(joined.digest, `sha256:${(await import("node:crypto")).createHash("sha256").update(await readFile(dir.whole)).digest("hex")}`);
  // Cut anew from parts, and the same again: what a part holds depends on package and size alone.
  await mkdir(dir.at("again"));
  await splitPackage({ path: dir.first, directory: dir.at("again"), size: LIMIT });
  for (const name of names) assert.deepEqual(await readFile(dir.at("again", name)), await readFile(dir.at("parts", name)), name);
});

test("writePackage writes the same parts as splitting its whole package does", async () => {
  await using dir = await scratch();
  const { content, entries } = smallContent();
  const executable = await writeExecutable(dir.at("bare"));
  const more = { executable, content, entries: [...entries, identityEntry("noise", noise(2_500_000))] };
  const layer = { ...more, content: { ...content, documents: [{ kind: "test", name: "noise", mediaType: "application/octet-stream", digest: more.entries.at(-1)?.digest ?? assert.fail(), size: 2_500_000 }] } };
  await writePackage({ ...layer, output: dir.at("stick") });
  await mkdir(dir.at("direct"));
  await mkdir(dir.at("cut"));
  const { files } = await writePackage({ ...layer, output: dir.at("direct", "stick"), split: LIMIT });
  await splitPackage({ path: dir.at("stick"), directory: dir.at("cut"), size: LIMIT });
  assert.ok(files.length >= 3);
  for (const { path, size } of files) {
    assert.equal((await stat(path)).size, size);
    assert.deepEqual(await readFile(path), await readFile(dir.at("cut", basename(path))), path);
  }
  // The program of a first part makes the next package, and a package that fits stays one file.
  const again = await writePackage({ ...layer, executable: files[0]?.path ?? "", output: dir.at("again"), split: 2 ** 32 });
  assert.deepEqual(again.files.map(({ path }) => path), [dir.at("again")]);
  assert.deepEqual(await readFile(dir.at("again")), await readFile(dir.at("stick")));
});

test("parts are found in named files and folders and beside the first one, in any order, under any name", async () => {
  await using dir = await sticks();
  const [second = "", third = ""] = dir.parts;
  await mkdir(dir.at("usb1"));
  await mkdir(dir.at("usb2"));
  await rename(second, dir.at("usb2", "holiday.jpg"));
  await rename(third, dir.at("usb1", "b"));
  await writeFile(dir.at("usb1", "empty"), "");
  assert.equal((await failure(readAll(dir.first))).code, "PACKAGE_PART_MISSING");
  await readAll(dir.first, [dir.at("usb1"), dir.at("usb2")]);
  await readAll(dir.first, [dir.at("usb2", "holiday.jpg"), dir.at("usb1", "b")]);
  await rename(dir.at("usb1", "b"), dir.at("parts", "c"));
  await readAll(dir.first, [dir.at("usb2")]);
  await mkdir(dir.at("bin"));
  await symlink(dir.first, dir.at("bin", "kubestick"));
  await readAll(dir.at("bin", "kubestick"), [dir.at("usb2")]);
});

test("a missing part is named with what was expected and where it was looked for", async () => {
  await using dir = await sticks();
  await rm(dir.parts[1] ?? "");
  const error = await failure(readAll(dir.first, [dir.path]));
  assert.equal(error.code, "PACKAGE_PART_MISSING");
  assert.match(error.happened, /^Part 3 of 3 is missing: expected was part 3 of 3 of package sha256:[0-9a-f]{12} \(v1\.36\.2 amd64 bridge\), a file that was written as stick\.part3of3\. Looked in /);
  assert.ok(error.happened.includes(dir.path) && error.happened.includes(dir.at("parts")), error.happened);
  await rm(dir.parts[0] ?? "");
  assert.match((await failure(readAll(dir.first))).happened, /^Parts 2, 3 of 3 are missing/);
  // The index is in the first part: a look at it needs no other.
  const reader = await openPackage(dir.first, { incomplete: true });
  assert.equal(reader.index.kubernetesVersion, "v1.36.2");
  assert.deepEqual(reader.source.parts?.files.map(({ path }) => path), [dir.first, undefined, undefined]);
  const large = reader.index.entries.at(-1) ?? assert.fail();
  const found = await failure((async () => { for await (const _ of reader.open(large.digest)); })());
  assert.equal(found.code, "PACKAGE_PART_MISSING");
  await reader.close();
});

test("a part of another package, or of another split, is told apart from a missing one, and a named file has to belong", async () => {
  await using dir = await sticks();
  const [second = ""] = dir.parts;
  await mkdir(dir.at("other"));
  const { files } = await splitPackage({ path: dir.whole, directory: dir.at("other"), size: 1_600_000 });
  assert.equal(files.length, 2);
  await rm(second);
  await copyFile(files[1]?.path ?? "", dir.at("parts", "stick.part2of2"));
  const stale = await failure(readAll(dir.first));
  assert.equal(stale.code, "PACKAGE_PART_STALE");
  assert.match(stale.happened, /What is there instead belongs to another package or another split of this one: .*stick\.part2of2 is part 2 of 2 of package sha256:/);
  assert.equal((await failure(readAll(dir.first, [files[1]?.path ?? ""]))).code, "PACKAGE_PART_STALE");
  await writeFile(dir.at("text"), "x".repeat(1000));
  const foreign = await failure(readAll(dir.first, [dir.at("text")]));
  assert.equal(foreign.code, "PACKAGE_PART_FOREIGN");
  assert.match(foreign.happened, /text is no part of a package; expected was a part from 2 to 3 of package sha256:/);
  assert.equal((await failure(readAll(dir.whole, [dir.at("other")]))).code, "PACKAGE_PART_FOREIGN");
  assert.equal((await failure(readAll(dir.first, [dir.whole]))).code, "PACKAGE_PART_FOREIGN");
  const { content, entries } = smallContent();
  const other = await writePackage({ executable: dir.at("bare"), output: dir.at("another"), content: { ...content, kubernetesVersion: "v1.35.0" }, entries: [...entries, identityEntry("more", noise(1_500_000))], split: LIMIT });
  const otherFirst = await failure(readAll(dir.first, [other.path]));
  assert.equal(otherFirst.code, "PACKAGE_PART_STALE");
  assert.match(otherFirst.happened, /another is part 1 of \d of package sha256:[0-9a-f]{12} \(v1\.35\.0 amd64 bridge\); expected was/);
  const later = await failure(readAll(dir.parts[1] ?? ""));
  assert.equal(later.code, "PACKAGE_PART_NUMBER");
  assert.match(later.next, /^Name the first part \(stick\) instead/);
});

test("parts of the same package in the same number, cut in other places, are not mixed", async () => {
  await using dir = await scratch();
  const { content, entries } = smallContent();
  const layers = [1, 2, 3, 4, 5].map((seed) => identityEntry(`layer ${seed}`, noise(500_000, seed)));
  const documents = layers.map(({ label, digest, size }) => ({ kind: "test", name: label, mediaType: "application/octet-stream", digest, size }));
  await writePackage({ executable: await writeExecutable(dir.at("bare")), output: dir.at("stick"), content: { ...content, documents }, entries: [...entries, ...layers] });
  const cut = async (name: string, size: number): Promise<readonly string[]> => {
    await mkdir(dir.at(name));
    return (await splitPackage({ path: dir.at("stick"), directory: dir.at(name), size })).files.map(({ path }) => path);
  };
  const [one, other] = [await cut("one", 1_400_000), await cut("other", 1_500_000)];
  assert.deepEqual([one.length, other.length], [3, 3]);
  // What fits is found among them, whatever the order.
  await readAll(one[0] ?? "", [dir.at("other")]);
  await readAll(one[0] ?? "", [other[1] ?? "", other[2] ?? ""]);
  await rm(one[1] ?? "");
  const stale = await failure(readAll(one[0] ?? "", [dir.at("other")]));
  assert.equal(stale.code, "PACKAGE_PART_STALE");
  assert.match(stale.happened, /^Part 2 of 3 is missing.* another split of this one: .*other\/stick\.part2of3 is part 2 of 3/);
});

test("a part that is cut, or has bytes behind it, is named before anything is read from it", async () => {
  await using dir = await sticks();
  const [second = "", third = ""] = dir.parts;
  const size = (await stat(second)).size;
  await appendFile(second, "more");
  const longer = await failure(readAll(dir.first));
  assert.equal(longer.code, "PACKAGE_CORRUPT");
  assert.ok(longer.attempted.includes(second) && longer.happened.includes("4 bytes stand behind part 2"), longer.message);
  await truncate(second, size - 1000);
  const cut = await failure(readAll(dir.first));
  assert.equal(cut.code, "PACKAGE_TRUNCATED");
  assert.ok(cut.attempted.includes(second) && cut.happened.includes(`should have ${size}`), cut.message);
  // An intact copy elsewhere is taken instead.
  await mkdir(dir.at("copy"));
  await splitPackage({ path: dir.whole, directory: dir.at("copy"), size: LIMIT });
  await rm(dir.at("copy", basename(third)));
  await readAll(dir.first, [dir.at("copy")]);
});

test("one flipped byte anywhere in any part is found and named with the file it is in", async () => {
  await using dir = await sticks();
  for (const path of [dir.first, ...dir.parts]) {
    const bytes = await readFile(path);
    const start = path === dir.first ? 8192 : 0;
    for (const offset of [start, start + 60, start + 191, start + PART_RECORD_SIZE, Math.floor(bytes.length / 2), bytes.length - PART_RECORD_SIZE - 1, bytes.length - PART_RECORD_SIZE, bytes.length - 1]) {
      await flip(path, offset);
      const error = await failure(readAll(dir.first));
      assert.match(error.code, /^PACKAGE_(CORRUPT|PART_MISSING)$/, `${basename(path)} at ${offset}: ${error.message}`);
      if (/bytes? \d/.test(error.happened)) assert.ok(error.happened.includes(path), `${basename(path)} at ${offset}: ${error.happened}`);
      if (error.happened.includes("record")) assert.match(error.happened, /^the record of part [123] is damaged: bytes \d+ to \d+ of /);
      await writeFile(path, bytes);
    }
  }
  await readAll(dir.first);
});

test("repairPackage mends every flipped byte in every part, from a whole copy and from one in parts, and a later part alone", async () => {
  await using dir = await sticks();
  await mkdir(dir.at("copy"));
  const { files } = await splitPackage({ path: dir.whole, directory: dir.at("copy"), size: 1_600_000 });
  const copies = [dir.whole, files[0]?.path ?? ""];
  for (const [number, path] of [dir.first, ...dir.parts].entries()) {
    const bytes = await readFile(path);
    const start = number === 0 ? 8192 : 0;
    for (const [turn, offset] of [0, start, start + 60, start + PART_RECORD_SIZE, Math.floor(bytes.length / 2), bytes.length - PART_RECORD_SIZE - 1, bytes.length - PART_RECORD_SIZE, bytes.length - 1].entries()) {
      await flip(path, offset);
      // A later part by itself, too: the stick it is on is all that has to be there.
      const target = number > 0 && turn % 2 === 0 ? path : dir.first;
      const result = await repairPackage({ path: target, from: copies[turn % 2] ?? "" });
      assert.equal(result.repaired.length, 1, `${basename(path)} at ${offset}`);
      const [place] = result.repaired;
      assert.ok(place?.file === path && place.offset <= offset && offset < place.offset + place.length, JSON.stringify({ offset, place }));
      assert.ok((await readFile(path)).equals(bytes), `${basename(path)} at ${offset}`);
    }
  }
  const [second = "", third = ""] = dir.parts;
  const whole = await readFile(third);
  await truncate(third, 100_000);
  await appendFile(second, "more");
  const result = await repairPackage({ path: dir.first, from: dir.whole });
  assert.equal(result.cutOff, 4);
  assert.ok((await readFile(third)).equals(whole));
  await readAll(dir.first);
  assert.deepEqual((await repairPackage({ path: dir.first, from: dir.whole })).repaired, []);

  assert.equal((await failure(repairPackage({ path: dir.first, from: second }))).code, "PACKAGE_PART_NUMBER");
  assert.equal((await failure(repairPackage({ path: second, from: dir.first }))).code, "PACKAGE_REPAIR_SAME");
  await rm(third);
  assert.equal((await failure(repairPackage({ path: dir.first, from: dir.whole }))).code, "PACKAGE_PART_MISSING");
  assert.equal((await failure(repairPackage({ path: second, from: dir.first }))).code, "PACKAGE_PART_MISSING");
});

test("splitPackage refuses what cannot be done and leaves nothing", async () => {
  await using dir = await sticks();
  const before = (await readdir(dir.path)).sort();
  const small = await failure(splitPackage({ path: dir.whole, directory: dir.path, size: 100_000 }));
  assert.equal(small.code, "PACK_SPLIT_SAME");
  const needs = await failure(splitPackage({ path: dir.whole, directory: dir.at("parts"), size: 100_000 }));
  assert.equal(needs.code, "PACK_SPLIT_SIZE");
  assert.match(needs.happened, /need \d+ bytes/);
  await flip(dir.whole, 1_500_000);
  const damaged = await failure(splitPackage({ path: dir.whole, directory: dir.at("parts"), size: 900_000 + HASH_CHUNK_SIZE }));
  assert.equal(damaged.code, "PACKAGE_CORRUPT");
  assert.ok(damaged.attempted.includes(dir.whole), damaged.message);
  assert.deepEqual((await readdir(dir.path)).sort(), before);
  assert.deepEqual((await readdir(dir.at("parts"))).sort(), ["stick", "stick.part2of3", "stick.part3of3"]);
  assert.equal((await failure(joinPackage({ path: dir.first, output: dir.first }))).code, "PACK_SPLIT_SAME");
  assert.equal((await failure(joinPackage({ path: dir.first, output: dir.parts[0] ?? "" }))).code, "PACK_SPLIT_SAME");
  assert.equal((await failure(joinPackage({ path: dir.first, output: dir.at("nowhere", "x") }))).code, "PACK_WRITE");
});

test("splitPackage and joinPackage name what an earlier, larger package left", async () => {
  await using dir = await sticks();
  const { files, leftOver } = await splitPackage({ path: dir.whole, directory: dir.at("parts"), size: 1_600_000 });
  assert.equal(files.length, 2);
  assert.deepEqual(leftOver.map((path) => basename(path)), ["stick.part2of3", "stick.part3of3"]);
  await readAll(dir.first);
});

test("planParts covers every byte once for every size, from the smallest possible one", () => {
  const chunkSize = 65_536;
  const lengths = [10, 65_536, 65_537, 1_000_000, 1, 200_000];
  let offset = 8192 + 128;
  const entries = lengths.map((length) => ({ offset: (offset += length) - length, length }));
  const shape = { payloadStart: 8192, frontEnd: 8192 + 128, indexOffset: offset, fileLength: offset + 5000, chunkSize, entries };
  const id = `sha256:${"ab".repeat(32)}` as const;
  const least = planParts(shape, 1, id, "x");
  assert.ok(least !== undefined && "needs" in least);
  for (let limit = least.needs; limit < shape.fileLength + 1000; limit += 4999) {
    const plan = planParts(shape, limit, id, "v1.36.2 amd64 flannel");
    if (limit >= shape.fileLength) {
      assert.equal(plan, undefined);
      continue;
    }
    assert.ok(plan !== undefined && !("needs" in plan), String(limit));
    assert.equal(plan[0]?.from, 0);
    assert.equal(plan.at(-1)?.to, shape.indexOffset);
    for (const [index, part] of plan.entries()) {
      assert.ok(part.fileLength <= limit, `${part.fileLength} of ${limit}`);
      assert.equal(part.from, index === 0 ? 0 : plan[index - 1]?.to);
      const decoded = decodePartRecord(encodePartRecord(part));
      assert.deepEqual(decoded, { is: "intact", value: part });
    }
  }
});

test("decodePartRecord refuses records that contradict themselves, whatever their checksum says", () => {
  const good: PartRecord = { version: 2, number: 2, count: 3, fileLength: 1000 + 384, recordOffset: 0, from: 5000, to: 6000, tail: 20_000, wholeLength: 20_000, id: `sha256:${"ab".repeat(32)}`, title: "x" };
  assert.equal(decodePartRecord(encodePartRecord(good)).is, "intact");
  const wrong: readonly Partial<PartRecord>[] = [{ number: 0 }, { number: 4 }, { count: 1 }, { count: 100_000 }, { fileLength: 1000 }, { from: 6000 }, { to: 30_000 }, { tail: 19_999 }, { recordOffset: 4096 }, { number: 1 }];
  for (const change of wrong) assert.equal(decodePartRecord(encodePartRecord({ ...good, ...change })).is, "damaged", JSON.stringify(change));
});

test("a whole package is no part, and its tail can be looked at from outside", async () => {
  await using dir = await sticks();
  const first = await readFile(dir.first);
  assert.equal(decodePartRecord(first.subarray(-PART_RECORD_SIZE)).is, "intact");
  assert.equal(decodePartRecord(first.subarray(8192)).is, "intact");
  assert.deepEqual(peekPackage(dir.first), { kubernetesVersion: "v1.36.2", arch: "amd64", cni: "bridge" });
  assert.equal(peekPackage(dir.parts[0] ?? ""), undefined);
  const whole = await readFile(dir.whole);
  assert.equal(decodePartRecord(whole.subarray(-PART_RECORD_SIZE)).is, "foreign");
  const joined = join(dir.path, "copy");
  const { leftOver, files } = await joinPackage({ path: dir.whole, output: joined });
  assert.deepEqual([leftOver, files.length], [[], 1]);
  assert.deepEqual(await readFile(joined), whole);
});
