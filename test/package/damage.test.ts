import assert from "node:assert/strict";
import { open, readFile, truncate, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { isKubestickError, type KubestickError } from "../../src/errors.ts";
import { digestOf } from "../../src/package/digest.ts";
import { FOOTER_SIZE, HASH_CHUNK_SIZE, HEADER_SIZE, decodeFooter, decodeHeader, encodeFooter, encodeHeader, payloadStartFor } from "../../src/package/format.ts";
import { decodeIndex, encodeIndex } from "../../src/package/package-index.ts";
import { openPackage } from "../../src/package/reader.ts";
import type { PackageIndex, PackagePlatform } from "../../src/package/types.ts";
import { bareExecutable, scratch, smallPackage } from "./fixtures.ts";

const PROGRAM = 5000;
const START = payloadStartFor(PROGRAM);

interface Layout {
  readonly index: PackageIndex;
  readonly indexOffset: number;
  readonly indexLength: number;
}

async function layoutOf(path: string): Promise<Layout> {
  const reader = await openPackage(path);
  const { index } = reader;
  await reader.close();
  const bytes = await readFile(path);
  const footer = decodeFooter(bytes.subarray(-FOOTER_SIZE));
  assert.equal(footer.is, "intact");
  return footer.is === "intact" ? { index, indexOffset: footer.value.indexOffset, indexLength: footer.value.indexLength } : assert.fail();
}

/** Opens, verifies and reads everything; the error of the first step that fails. */
async function failureOf(path: string): Promise<KubestickError | undefined> {
  try {
    const reader = await openPackage(path);
    try {
      await reader.verify();
    } finally {
      await reader.close();
    }
    return undefined;
  } catch (error) {
    if (!isKubestickError(error)) throw error;
    return error;
  }
}

test("openPackage says PACKAGE_ABSENT for a bare executable and for other files", async () => {
  await using dir = await scratch();
  await writeFile(dir.at("bare"), bareExecutable(PROGRAM));
  await writeFile(dir.at("text"), "#!/bin/sh\nexit 0\n".repeat(100));
  await writeFile(dir.at("empty-tail"), Buffer.concat([bareExecutable(PROGRAM), Buffer.from("something else".repeat(1000))]));
  for (const name of ["bare", "text", "empty-tail"]) {
    await assert.rejects(openPackage(dir.at(name)), (error) => {
      assert.ok(isKubestickError(error));
      assert.equal(error.code, "PACKAGE_ABSENT");
      assert.match(error.next, /kubestick pack/);
      return true;
    });
  }
  await assert.rejects(openPackage(dir.path), { code: "PACKAGE_ABSENT" });
  await assert.rejects(openPackage(dir.at("nowhere")), { code: "PACKAGE_UNREADABLE" });
});

test("openPackage says PACKAGE_TRUNCATED wherever the file was cut", async () => {
  await using dir = await scratch();
  const path = await smallPackage(dir.path);
  const whole = await readFile(path);
  const { index, indexOffset, indexLength } = await layoutOf(path);
  const sections = [
    1, 3, 63, 64, 100, PROGRAM - 1, // the ELF image
    PROGRAM + 1, START - 1, START, // the padding
    START + 1, START + HEADER_SIZE - 1, START + HEADER_SIZE, // the header
    ...index.entries.flatMap(({ offset, length }) => [offset + 1, offset + Math.floor(length / 2), offset + length]),
    indexOffset + 1, indexOffset + Math.floor(indexLength / 2), indexOffset + indexLength,
    whole.length - FOOTER_SIZE + 1, whole.length - 9, whole.length - 1, // the footer
  ];
  const step = Math.ceil(whole.length / 200);
  for (let at = PROGRAM + 1; at < whole.length; at += step) sections.push(at);
  const copy = dir.at("cut");
  await writeFile(copy, whole);
  for (const length of [...new Set(sections)].sort((a, b) => b - a)) {
    await truncate(copy, length);
    const error = await failureOf(copy);
    assert.equal(error?.code, "PACKAGE_TRUNCATED", `cut to ${length} bytes: ${error?.message}`);
    if (length >= START + HEADER_SIZE) assert.match(error.happened, new RegExp(`has ${length} bytes and should have ${whole.length}: ${whole.length - length} bytes are missing`));
  }
});

test("openPackage names the footer when a preallocated copy was not finished", async () => {
  await using dir = await scratch();
  const path = await smallPackage(dir.path);
  const whole = await readFile(path);
  const { indexOffset } = await layoutOf(path);
  whole.fill(0, indexOffset - 1000);
  await writeFile(dir.at("zeroed"), whole);
  const error = await failureOf(dir.at("zeroed"));
  assert.equal(error?.code, "PACKAGE_CORRUPT");
  assert.match(error.happened, /the package footer is damaged: it is all zero/);
});

test("PackageReader names the damaged part when one bit of any section is flipped", async () => {
  await using dir = await scratch();
  const path = await smallPackage(dir.path);
  const whole = await readFile(path);
  const { index, indexOffset, indexLength } = await layoutOf(path);
  const flips: [at: number, part: string][] = [
    [1, "the executable"], [18, "the executable"], [64 + 33, "the executable"], [500, "the executable"], [PROGRAM - 1, "the executable"],
    [PROGRAM, "the padding behind the executable"], [START - 1, "the padding behind the executable"],
    [START, "the package header"], [START + 8, "the package header"], [START + 12, "the package header"], [START + 50, "the package header"], [START + HEADER_SIZE - 1, "the package header"],
    ...index.entries.flatMap(({ offset, length, label }): [number, string][] => [[offset, label], [offset + (length >> 1), label], [offset + length - 1, label]]),
    [indexOffset, "the package index"], [indexOffset + (indexLength >> 1), "the package index"],
    ...[0, 8, 16, 24, 56, 64, 100, 144, 176, 180, 184, 191].map((at): [number, string] => [whole.length - FOOTER_SIZE + at, "the package footer"]),
  ];
  const copy = dir.at("flipped");
  await writeFile(copy, whole);
  const file = await open(copy, "r+");
  for (const [at, part] of flips) {
    const byte = whole.subarray(at, at + 1);
    await file.write(Uint8Array.of((byte[0] ?? 0) ^ 0x10), 0, 1, at);
    const error = await failureOf(copy);
    assert.equal(error?.code, "PACKAGE_CORRUPT", `byte ${at}: ${error?.message}`);
    assert.ok(error.happened.startsWith(part), `byte ${at} of ${part}: ${error.happened}`);
    await file.write(byte, 0, 1, at);
  }
  await file.close();
  assert.equal(await failureOf(copy), undefined);
});

test("PackageReader fails at the end of a stream when its bytes are wrong, naming the entry", async () => {
  await using dir = await scratch();
  const path = await smallPackage(dir.path);
  const { index } = await layoutOf(path);
  const file = await open(path, "r+");
  for (const entry of index.entries) await file.write(Uint8Array.of(0xee), 0, 1, entry.offset + (entry.length >> 1));
  await file.close();
  const reader = await openPackage(path);
  for (const entry of index.entries) {
    const consume = async (): Promise<void> => {
      for await (const chunk of reader.open(entry.digest)) assert.ok(chunk.length > 0);
    };
    await assert.rejects(consume(), (error) => {
      assert.ok(isKubestickError(error));
      assert.equal(error.code, "PACKAGE_CORRUPT");
      assert.ok(error.happened.startsWith(entry.label), error.happened);
      return true;
    });
  }
  await reader.close();
});

test("PackageReader looks at the rest alone: what was read to its end is known to be intact, and is not read again", async () => {
  await using dir = await scratch();
  const path = await smallPackage(dir.path);
  const { index } = await layoutOf(path);
  const [first, second, third] = index.entries.filter(({ length }) => length > 0);
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  const reader = await openPackage(path);
  await using _ = { [Symbol.asyncDispose]: () => reader.close() };
  await using file = await open(path, "r+");
  const flip = async (at: number): Promise<void> => {
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, at);
    await file.write(Uint8Array.of((byte[0] ?? 0) ^ 0x10), 0, 1, at);
  };
  for await (const chunk of reader.open(first.digest)) assert.ok(chunk.length > 0);
  for await (const chunk of reader.stored(second.digest).open()) assert.ok(chunk.length > 0);
  for (const { offset } of [first, second]) await flip(offset);
  await reader.verify(undefined, undefined, "rest");
  await assert.rejects(reader.verify(), { code: "PACKAGE_CORRUPT" });
  await flip(third.offset + third.length - 1);
  await assert.rejects(reader.verify(undefined, undefined, "rest"), (error) => isKubestickError(error) && error.happened.startsWith(third.label));
});

test("openPackage refuses bytes behind the package", async () => {
  await using dir = await scratch();
  const path = await smallPackage(dir.path);
  await writeFile(path, Buffer.concat([await readFile(path), Buffer.from("\n")]));
  const error = await failureOf(path);
  assert.equal(error?.code, "PACKAGE_CORRUPT");
  assert.match(error.happened, /1 bytes stand behind the package/);
});

test("openPackage says PACKAGE_FORMAT for a package of a later format", async () => {
  await using dir = await scratch();
  const path = await smallPackage(dir.path);
  const whole = await readFile(path);
  const { createHash } = await import("node:crypto");
  const resign = (record: Buffer, at: number): void => {
    record.set(createHash("sha256").update(record.subarray(0, at)).update(record.subarray(at + 32)).digest(), at);
  };
  const header = whole.subarray(START, START + HEADER_SIZE);
  header.writeUInt32LE(3, 8);
  resign(header, 16);
  const footer = whole.subarray(-FOOTER_SIZE);
  footer.writeUInt32LE(3, FOOTER_SIZE - 12);
  resign(footer, FOOTER_SIZE - 48);
  await writeFile(dir.at("newer"), whole);
  const error = await failureOf(dir.at("newer"));
  assert.equal(error?.code, "PACKAGE_FORMAT");
  assert.match(error.happened, /format 3, this kubestick reads format 2: it was made by a newer kubestick/);
});

// ---------------------------------------------------------------- mutations

/** Of each test; `npm run fuzz` tries more. */
const rounds = Number(process.env["KUBESTICK_FUZZ"] ?? 3000);
const seed = Number(process.env["KUBESTICK_FUZZ_SEED"] ?? 20_260);

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * below);
  };
}

function mutated(bytes: Uint8Array, pick: (below: number) => number): Buffer {
  const copy = Buffer.from(bytes);
  for (let times = 1 + pick(3); times > 0; times--) {
    const at = pick(copy.length);
    switch (pick(4)) {
      case 0: copy[at] = pick(256); break;
      case 1: copy[at] = (copy[at] ?? 0) ^ (1 << pick(8)); break;
      case 2: copy.fill(0xff, at, Math.min(copy.length, at + 1 + pick(8))); break;
      default: copy.copyWithin(at, pick(copy.length), copy.length);
    }
  }
  return copy;
}

test("openPackage answers every mutation of ELF header, header and footer with an error of ours in bounded time", async () => {
  await using dir = await scratch();
  const path = await smallPackage(dir.path);
  const whole = await readFile(path);
  const regions = [[0, 120], [START, START + HEADER_SIZE], [whole.length - FOOTER_SIZE, whole.length]] as const;
  const pick = random(seed);
  const file = await open(path, "r+");
  const started = performance.now();
  for (let round = 0; round < rounds; round++) {
    const [from, to] = regions[round % regions.length] ?? regions[0];
    const change = mutated(whole.subarray(from, to), pick);
    await file.write(change, 0, change.length, from);
    // throws whatever is not a KubestickError
    assert.notEqual((await failureOf(path))?.code, "PACKAGE_UNREADABLE", `round ${round} of seed ${seed}`);
    await file.write(whole, from, to - from, from);
  }
  await file.close();
  assert.ok(performance.now() - started < 20 * Math.max(rounds, 3000));
  assert.equal(await failureOf(path), undefined);
});

test("openPackage answers every mutation of an index whose digests were made right again with an error of ours", async () => {
  await using dir = await scratch();
  const path = await smallPackage(dir.path);
  const whole = await readFile(path);
  const { indexOffset, indexLength } = await layoutOf(path);
  const pick = random(seed + 36);
  const codes = new Map<string, number>();
  for (let round = 0; round < rounds; round++) {
    const index = mutated(whole.subarray(indexOffset, indexOffset + indexLength), pick);
    const fileLength = indexOffset + index.length + FOOTER_SIZE;
    const header = decodeHeader(whole.subarray(START, START + HEADER_SIZE));
    assert.equal(header.is, "intact");
    if (header.is !== "intact") return;
    const forged = Buffer.concat([
      whole.subarray(0, START),
      encodeHeader({ ...header.value, fileLength }),
      whole.subarray(START + HEADER_SIZE, indexOffset),
      index,
      encodeFooter({ payloadStart: START, indexOffset, indexLength: index.length, index: digestOf(index), signaturesLength: 0, signatures: digestOf("") }),
    ]);
    if (round % 10 === 0) {
      await writeFile(dir.at("forged"), forged);
      const error = await failureOf(dir.at("forged"));
      codes.set(error?.code ?? "ok", (codes.get(error?.code ?? "ok") ?? 0) + 1);
    } else {
      try {
        decodeIndex(index, { start: START + HEADER_SIZE, end: indexOffset }, "forged");
      } catch (error) {
        assert.ok(isKubestickError(error), String(error));
        assert.equal(error.code, "PACKAGE_INDEX");
      }
    }
  }
  assert.ok((codes.get("PACKAGE_INDEX") ?? 0) > rounds / 30, JSON.stringify([...codes]));
});

test("decodeIndex refuses an index that breaks a rule and says which", async () => {
  await using dir = await scratch();
  const path = await smallPackage(dir.path);
  const { index, indexOffset } = await layoutOf(path);
  const bounds = { start: START + HEADER_SIZE, end: indexOffset };
  const [first, second] = index.entries;
  const [image] = index.images;
  const [binary] = index.binaries;
  assert.ok(first && second && image && binary);
  const showing = (changed: Partial<PackagePlatform>): PackageIndex => ({ ...index, platforms: [{ arch: index.arch, images: index.images, binaries: index.binaries, ...changed }] });
  const cases: [PackageIndex, RegExp][] = [
    [{ ...index, entries: index.entries.slice(1) }, /entries\[0\]\.offset is \d+, but the bytes before it end at/],
    [{ ...index, entries: index.entries.slice(0, -1) }, /entries end at \d+, but the payload ends at/],
    [{ ...index, entries: [{ ...first, length: HASH_CHUNK_SIZE }, ...index.entries.slice(1)] }, /reaches behind the payload/],
    [{ ...index, entries: [{ ...first, size: -1 }, ...index.entries.slice(1)] }, /entries\[0\]\.size must be a whole number/],
    [{ ...index, entries: [first, { ...second, stored: first.stored }, ...index.entries.slice(2)] }, /entries\[1\] travels as it is/],
    [showing({ images: [{ ...image, config: { ...image.config, digest: digestOf("else") } }] }), /platforms\[0\]\.images\[0\]\.config sha256:[0-9a-f]+ is not among the entries/],
    [showing({ images: [image, image] }), /platforms\[0\]\.images\[1\]\.reference "registry.k8s.io\/pause:3.10.2" is there twice/],
    [showing({ images: [{ ...image, layers: image.layers.map((layer) => ({ ...layer, entry: first.digest })) }] }), /layers\[0\]\.entry must be the layer's digest or its diffId/],
    [showing({ binaries: [{ ...binary, path: "/usr/../etc/passwd" }] }), /is not a plain absolute path/],
    [showing({ binaries: [{ ...binary, path: "relative" }] }), /is not a plain absolute path/],
    [showing({ binaries: [{ ...binary, mode: 0o4755 }] }), /more than permission bits/],
    [showing({ binaries: [{ ...binary, size: 1 }] }), /binaries\[0\] has size 1, but its entry has/],
    [showing({ arch: "arm64" }), /platforms has nothing for amd64, only for arm64/],
    [{ ...index, chunkSize: 1000 }, /chunkSize must be from 64 KiB to 16 MiB/],
    [{ ...index, entries: [{ ...first, chunks: first.chunks.subarray(1) }, ...index.entries.slice(1)] }, /entries\[0\]\.chunks has 31 bytes/],
    [{ ...index, documents: [{ kind: "x", name: "y", mediaType: "z", digest: digestOf("nothing"), size: 1 }] }, /documents\[0\] sha256:[0-9a-f]+ is not among the entries/],
    [{ ...index, kubernetesVersion: "v1.36.2\nsigned by Release team" }, /kubernetesVersion must be a text without control characters/],
    [showing({ images: [{ ...image, reference: "a\u001b[8m" }] }), /reference must be a text without control characters/],
    [{ ...index, cni: "calico" as "none" }, /cni must be one of flannel, bridge, none/],
  ];
  for (const [broken, message] of cases) {
    assert.throws(() => decodeIndex(encodeIndex(broken), bounds, "stick"), (error) => {
      assert.ok(isKubestickError(error));
      assert.equal(error.code, "PACKAGE_INDEX");
      assert.match(error.happened, message);
      return true;
    });
  }
});
