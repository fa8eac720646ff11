import assert from "node:assert/strict";
import { test } from "node:test";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { isKubestickError } from "../../src/errors.ts";
import { digestOf } from "../../src/package/digest.ts";
import { ZSTD_WINDOW_LOG } from "../../src/package/format.ts";
import { ZstdStore } from "../../src/package/zstd-store.ts";
import { inChunks, noise, scratch } from "./fixtures.ts";

/** Compressible over long distances, as programs are. */
function programLike(length: number): Buffer {
  const words = Array.from({ length: 500 }, (_, seed) => noise(7 + (seed % 40), seed + 1));
  const order = noise(length, 99);
  const parts: Buffer[] = [];
  for (let at = 0, total = 0; total < length; at++) {
    const word = words[((order[at * 2] ?? 0) * 256 + (order[at * 2 + 1] ?? 0)) % words.length] ?? Buffer.alloc(1);
    parts.push(word);
    total += word.length;
  }
  return Buffer.concat(parts).subarray(0, length);
}

test("ZstdStore.add gives the same bytes however its input is chunked", async () => {
  await using dir = await scratch();
  const content = programLike(3_500_000);
  const digests = new Set<string>();
  for (const [number, chunk] of [content.length, 16_384, 65_521, 300_007].entries()) {
    const entry = await new ZstdStore(dir.at(`store-${number}`), "fast").add(inChunks(content, chunk), content.length, "program");
    assert.equal(entry.digest, digestOf(content));
    assert.equal(entry.size, content.length);
    assert.ok(entry.length < content.length);
    digests.add(entry.stored);
    const stored: Uint8Array[] = [];
    for await (const piece of entry.open()) stored.push(piece);
    assert.deepEqual(zstdDecompressSync(Buffer.concat(stored)), content);
  }
  assert.equal(digests.size, 1);
});

test("ZstdStore.add does not labour on what begins as if it could not be made smaller, and on all else it does", async () => {
  await using dir = await scratch();
  const store = new ZstdStore(dir.path, "fast");
  const program = programLike(6_000_000);
  const atLevel = (content: Buffer, level: number): number => zstdCompressSync(content, { params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_windowLog]: ZSTD_WINDOW_LOG } }).length;
  for (const [content, level, other] of [[Buffer.concat([noise(8 * 2 ** 20, 3), program]), 3, 9], [Buffer.concat([program, noise(2 ** 20, 3)]), 9, 3]] as const) {
    const { length } = await store.add(inChunks(content, 300_007), content.length, "layer");
    const [like, unlike] = [Math.abs(length - atLevel(content, level)), Math.abs(length - atLevel(content, other))];
    assert.ok(like * 10 < unlike, `${length} bytes: ${like} from level ${level}, ${unlike} from level ${other}`);
  }
});

test("ZstdStore.find knows what an earlier run stored", async () => {
  await using dir = await scratch();
  const content = programLike(50_000);
  const added = await new ZstdStore(dir.path, "fast").add(inChunks(content), content.length, "program");
  const store = new ZstdStore(dir.path, "fast");
  const { open: _, ...found } = (await store.find(digestOf(content), "program")) ?? assert.fail();
  const { open: __, ...expected } = added;
  assert.deepEqual(found, expected);
  assert.equal(await store.find(digestOf("something else"), "program"), undefined);
});

test("ZstdStore.add compresses any number of entries at once, two at a time, also after one failed", async () => {
  await using dir = await scratch();
  const store = new ZstdStore(dir.path, "fast");
  const failing = async function* (): AsyncGenerator<Uint8Array> {
    yield noise(10);
    throw new Error("the source broke");
  };
  const work = Array.from({ length: 7 }, (_, seed) => store.add(seed === 2 ? failing() : inChunks(noise(20_000, seed + 1)), 20_000, `entry ${seed}`));
  const results = await Promise.allSettled(work);
  assert.deepEqual(results.map(({ status }) => status), ["fulfilled", "fulfilled", "rejected", "fulfilled", "fulfilled", "fulfilled", "fulfilled"]);
});

test("ZstdStore.add refuses content that is not as long as it was found to be", async () => {
  await using dir = await scratch();
  const store = new ZstdStore(dir.path, "fast");
  for (const [size, happened] of [[999, "It has more than the 999 bytes found when it was looked at."], [1001, "It has 1000 bytes instead of the 1001 bytes found when it was looked at."]] as const) {
    await assert.rejects(store.add(inChunks(noise(1000), 100), size, "layer"), (error) => isKubestickError(error) && error.code === "PACK_SOURCE_CHANGED" && error.happened === happened);
  }
});
