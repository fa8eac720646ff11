import assert from "node:assert/strict";
import { copyFile, readFile, truncate, writeFile, appendFile } from "node:fs/promises";
import { test } from "node:test";
import { HASH_CHUNK_SIZE } from "../../src/package/format.ts";
import { regionsOf } from "../../src/package/damage.ts";
import { repairPackage } from "../../src/package/repair.ts";
import { chunkyPackage, failure, flip, scratch, smallPackage, withPackage } from "./fixtures.ts";

test("a flipped byte anywhere is found, named with its place, and repaired", async () => {
  await using dir = await scratch();
  const good = await chunkyPackage(dir.path);
  const bytes = await readFile(good);
  const places = await withPackage(good, (reader) =>
    regionsOf(reader.layout).flatMap(({ part, offset, length }) =>
      // First, middle and last byte of the region, and of a large one the first byte of each chunk.
      [...new Set([0, Math.floor(length / 2), length - 1, HASH_CHUNK_SIZE, 2 * HASH_CHUNK_SIZE])].filter((at) => at >= 0 && at < length).map((at) => ({ part, offset: offset + at }))));
  assert.ok(places.length > 25, `${places.length} places`);
  assert.deepEqual(new Set(places.map(({ part }) => part)).size, 10);

  const bad = dir.at("bad");
  for (const { part, offset } of places) {
    await copyFile(good, bad);
    await flip(bad, offset);
    const found = await failure(withPackage(bad, (reader) => reader.verify()));
    // A damaged ELF header can hide the rest of the file, so that only its absence can be told.
    assert.match(found.code, /^PACKAGE_(CORRUPT|ABSENT|TRUNCATED)$/, `${part} at ${offset}: ${found.code}`);
    if (found.code === "PACKAGE_CORRUPT" && offset > 5000) assert.ok(found.happened.includes(part), `${part} at ${offset}: ${found.happened}`);

    const result = await repairPackage({ path: bad, from: good });
    assert.equal(result.repaired.length, 1);
    const [place] = result.repaired;
    assert.ok(place !== undefined && place.part === part && place.offset <= offset && offset < place.offset + place.length, JSON.stringify({ part, offset, place }));
    assert.ok(place.length <= HASH_CHUNK_SIZE);
    assert.deepEqual(await readFile(bad), bytes);
  }
});

test("verify names every damaged part with its bytes", async () => {
  await using dir = await scratch();
  const path = await chunkyPackage(dir.path);
  const { first, large } = await withPackage(path, ({ index: { entries } }) => ({ first: entries[0], large: entries.find(({ label }) => label === "a large document") }));
  assert.ok(first && large);
  await flip(path, first.offset);
  await flip(path, large.offset + HASH_CHUNK_SIZE);
  const error = await failure(withPackage(path, (reader) => reader.verify()));
  assert.equal(error.code, "PACKAGE_CORRUPT");
  assert.match(error.happened, new RegExp(`^kubelet is damaged: bytes ${first.offset} to ${first.offset + first.length - 1} of the file are not as packed, the first of 2 such places`));
  assert.deepEqual(error.details, [
    `kubelet: bytes ${first.offset} to ${first.offset + first.length - 1} of the file`,
    `a large document: bytes ${large.offset + HASH_CHUNK_SIZE} to ${large.offset + 2 * HASH_CHUNK_SIZE - 1} of the file`,
  ]);
});

test("repairPackage completes a truncated file, cuts off what follows a package, and leaves an intact one alone", async () => {
  await using dir = await scratch();
  const good = await chunkyPackage(dir.path);
  const bytes = await readFile(good);
  const bad = dir.at("bad");

  await copyFile(good, bad);
  await truncate(bad, Math.floor(bytes.length * 0.6));
  const completed = await repairPackage({ path: bad, from: good });
  assert.ok(completed.repaired.some(({ part }) => part === "the package footer"));
  assert.deepEqual(await readFile(bad), bytes);

  await appendFile(bad, "rubbish");
  assert.equal((await repairPackage({ path: bad, from: good })).cutOff, 7);
  assert.deepEqual(await readFile(bad), bytes);

  assert.deepEqual(await repairPackage({ path: bad, from: good }), { path: bad, repaired: [], cutOff: 0, size: bytes.length });
});

test("repairPackage writes nothing when the copy is damaged at the same place", async () => {
  await using dir = await scratch();
  const good = await chunkyPackage(dir.path);
  const { offset, label } = await withPackage(good, ({ index }) => index.entries[2] ?? assert.fail());
  const bad = dir.at("bad");
  await copyFile(good, bad);
  await flip(bad, offset);
  await flip(bad, offset - 1);
  await flip(good, offset);
  const before = await readFile(bad);
  const error = await failure(repairPackage({ path: bad, from: good }));
  assert.equal(error.code, "PACKAGE_CORRUPT");
  assert.ok(error.happened.includes(label) && error.attempted.includes(good), error.message);
  assert.deepEqual(await readFile(bad), before);
});

test("repairPackage refuses another package, the same file, and what is no copy at all", async () => {
  await using dir = await scratch();
  await using elsewhere = await scratch();
  const good = await chunkyPackage(dir.path);
  const other = await smallPackage(elsewhere.path);
  const before = await readFile(other);
  assert.equal((await failure(repairPackage({ path: other, from: good }))).code, "PACKAGE_REPAIR_OTHER");
  assert.deepEqual(await readFile(other), before);
  assert.equal((await failure(repairPackage({ path: good, from: good }))).code, "PACKAGE_REPAIR_SAME");
  await writeFile(dir.at("text"), "no package at all");
  assert.equal((await failure(repairPackage({ path: dir.at("text"), from: good }))).code, "PACKAGE_REPAIR_OTHER");
  assert.equal(await readFile(dir.at("text"), "utf8"), "no package at all");
  assert.equal((await failure(repairPackage({ path: dir.at("absent"), from: good }))).code, "PACKAGE_UNREADABLE");
});
