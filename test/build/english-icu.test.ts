import assert from "node:assert/strict";
import { test } from "node:test";
import { ElfImage, PT_LOAD, SHT_NOBITS, sectionHeaderSize } from "../../scripts/build/elf-image.ts";
import { englishIcu, wanted } from "../../scripts/build/english-icu.ts";
import { readElf } from "../../src/package/elf.ts";

const PAGE = 4096;
const BASE = 0x400000;

/** A resource bundle of `words` 32-bit words: a header, then indexes, of which [3] says how many words there are (ICU `uresdata.h`). */
function bundle(words: number, fill: number): Buffer {
  const bytes = Buffer.alloc(32 + words * 4, fill);
  bytes.writeUInt16LE(32, 0);
  bytes.write("ResB", 12, "latin1");
  bytes.writeUInt32LE(words, 32 + 4 + 12);
  return bytes;
}

/** ICU's common data, aligned as its own tool does it. */
function icuArchive(items: Readonly<Record<string, Buffer>>): Buffer {
  const header = Buffer.alloc(32);
  header.writeUInt16LE(32, 0);
  header.set([0xda, 0x27], 2);
  header.write("CmnD", 12, "latin1");
  const names = Object.keys(items);
  const text = Buffer.from(names.map((name) => `${name}\0`).join(""));
  const table = Buffer.alloc(4 + names.length * 8);
  table.writeUInt32LE(names.length, 0);
  const parts: Buffer[] = [header, table, text];
  let [nameAt, at] = [table.length, table.length + text.length];
  names.forEach((name, i) => {
    const gap = -(32 + at) & 15;
    table.writeUInt32LE(nameAt, 4 + i * 8);
    table.writeUInt32LE(at + gap, 8 + i * 8);
    const bytes = items[name] as Buffer;
    parts.push(Buffer.alloc(gap, 0xee), bytes);
    nameAt += name.length + 1;
    at += gap + bytes.length;
  });
  return Buffer.concat(parts);
}

const items: Readonly<Record<string, Buffer>> = {
  "icudt78l/af.res": bundle(9000, 1),
  "icudt78l/brkitr/cjdict.dict": Buffer.alloc(20_000, 2),
  "icudt78l/brkitr/word.brk": Buffer.alloc(300, 3),
  "icudt78l/coll/root.res": bundle(50, 4),
  "icudt78l/coll/zh.res": bundle(7000, 5),
  "icudt78l/en.res": bundle(60, 6),
  "icudt78l/euc-jp-2007.cnv": Buffer.alloc(11_111, 7),
  "icudt78l/nfkc.nrm": Buffer.alloc(77, 8),
  "icudt78l/supplementalData.res": bundle(40, 9),
  "icudt78l/zu_ZA.res": bundle(20, 10),
};

/** What `node --build-sea` leaves: program headers at the end with room behind them; text before the data, data after it, nothing of either in the same page. */
function executable(archive: Buffer, { room = true, segments = 3 } = {}): Buffer {
  const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc(-bytes.length & (PAGE - 1))]);
  const text = padded(Buffer.concat([Buffer.alloc(64), Buffer.alloc(5000, 0x90)]));
  const rodata = Buffer.concat([Buffer.alloc(1234, 0x11), archive, Buffer.alloc(999, 0x22)]);
  const after = Buffer.alloc(3 * PAGE, 0x33);
  const headersAt = text.length + padded(rodata).length + after.length;
  const headers = Buffer.alloc(room ? PAGE : (segments + 1) * 56);
  const load = (index: number, offset: number, length: number): void => {
    const at = index * 56;
    headers.writeUInt32LE(PT_LOAD, at);
    headers.writeUInt32LE(4, at + 4);
    [offset, BASE + offset, BASE + offset, length, length, PAGE].forEach((value, i) => headers.writeBigUInt64LE(BigInt(value), at + 8 + i * 8));
  };
  load(0, 0, text.length);
  load(1, text.length, rodata.length);
  load(2, text.length + padded(rodata).length, after.length);
  load(3, headersAt, headers.length);
  const names = "\0.rodata\0.data\0.bss\0.shstrtab\0";
  const table = Buffer.alloc(5 * sectionHeaderSize);
  const section = (index: number, name: string, type: number, offset: number, size: number): void => {
    table.writeUInt32LE(names.indexOf(`\0${name}\0`) + 1, index * sectionHeaderSize);
    table.writeUInt32LE(type, index * sectionHeaderSize + 4);
    [BASE + offset, offset, size].forEach((value, i) => table.writeBigUInt64LE(BigInt(value), index * sectionHeaderSize + 16 + i * 8));
  };
  section(1, ".rodata", 1, text.length, rodata.length);
  section(2, ".data", 1, text.length + padded(rodata).length, after.length);
  section(3, ".bss", SHT_NOBITS, text.length + padded(rodata).length, 100);
  section(4, ".shstrtab", 3, headersAt + headers.length, names.length);
  const tableAt = headersAt + headers.length + names.length;
  const file = Buffer.concat([text, padded(rodata), after, headers, Buffer.from(names), table]);
  file.writeUInt32BE(0x7f454c46, 0);
  file.set([2, 1, 1], 4);
  file.writeUInt16LE(62, 18);
  file.writeBigUInt64LE(BigInt(headersAt), 32);
  file.writeBigUInt64LE(BigInt(tableAt), 40);
  [56, 4, sectionHeaderSize, 5, 4].forEach((value, i) => file.writeUInt16LE(value, 54 + i * 2));
  return file;
}

/** What a loader makes of it: pages by address. */
function memory(file: Buffer): ReadonlyMap<number, Buffer> {
  const pages = new Map<number, Buffer>();
  let before = 0;
  for (const { type, offset, address, fileSize } of new ElfImage(file).segments) {
    if (type !== PT_LOAD) continue;
    assert.equal(address % PAGE, offset % PAGE);
    assert.ok(address >= before, "loadable segments are sorted by address");
    before = address + fileSize;
    for (let at = 0; at < fileSize; at += PAGE) pages.set(address + at, Buffer.from(file.subarray(offset + at, offset + Math.min(at + PAGE, fileSize))));
  }
  return pages;
}

function itemsAt(image: ElfImage): Record<string, string> {
  const rodata = image.section(".rodata");
  const table = rodata.offset + 1234 + 32;
  const found: Record<string, string> = {};
  for (let i = 0; i < image.bytes.readUInt32LE(table); i++) {
    const name = image.string(table + image.bytes.readUInt32LE(table + 4 + i * 8));
    const at = table + image.bytes.readUInt32LE(table + 8 + i * 8);
    assert.equal((at - rodata.offset - 1234) % 16, 0, name);
    found[name] = image.bytes.toString("hex", at, at + (items[name]?.length ?? 0));
  }
  return found;
}

test("englishIcu keeps the wanted items and takes the pages of the others out of the file", async () => {
  const archive = icuArchive(items);
  const before = executable(archive);
  const after = englishIcu(Buffer.from(before));
  const image = new ElfImage(after);
  const kept = Object.entries(items).filter(([name]) => wanted(name));
  assert.deepEqual(kept.map(([name]) => name.slice("icudt78l/".length)), ["brkitr/word.brk", "coll/root.res", "en.res", "nfkc.nrm", "supplementalData.res"]);
  assert.deepEqual(itemsAt(image), Object.fromEntries(kept.map(([name, bytes]) => [name, bytes.toString("hex")])));

  const freed = before.length - after.length;
  assert.ok(freed % PAGE === 0 && freed > archive.length - 4 * PAGE, `${freed} of ${archive.length} bytes`);
  const [was, is] = [memory(before), memory(after)];
  assert.equal(was.size - is.size, freed / PAGE);
  const rodata = new ElfImage(before).section(".rodata");
  for (const [address, page] of is) {
    const inArchive = address + PAGE > rodata.address + 1234 && address < rodata.address + 1234 + archive.length;
    // Headers tell of themselves; the archive was written anew.
    if (inArchive || address >= BASE + Number(before.readBigUInt64LE(32)) || address === BASE) continue;
    assert.ok(was.get(address)?.equals(page), `page ${address.toString(16)}`);
  }
  const tail = rodata.address + rodata.size - 999;
  for (const address of [tail, rodata.address + rodata.size - 1]) assert.equal(is.get(Math.floor(address / PAGE) * PAGE)?.[address % PAGE], 0x22);
  const data = image.section(".data");
  assert.ok(after.subarray(data.offset, data.offset + data.size).every((byte) => byte === 0x33));
  assert.deepEqual(await readElf((offset, length) => Promise.resolve(after.subarray(offset, offset + length))), { arch: "amd64", end: after.length });
});

test("englishIcu refuses what is not as it expects", () => {
  const whole = icuArchive(items);
  assert.throws(() => englishIcu(executable(Buffer.alloc(50_000))), /0 ICU archives/);
  assert.throws(() => englishIcu(executable(Buffer.concat([whole, whole]))), /2 ICU archives/);
  assert.throws(() => englishIcu(executable(whole, { room: false })), /no room for one more program header/);
  const { "icudt78l/zu_ZA.res": _, ...open } = items;
  assert.throws(() => englishIcu(executable(icuArchive({ ...open, "icudt78l/zz.nrm": Buffer.alloc(9) }))), /the last item of the ICU archive is/);
});

test("wanted keeps tables for all languages, English and root, and no other locale", () => {
  for (const name of ["root", "en", "en_US", "pool", "res_index", "zone/en", "unit/root", "curr/pool", "zoneinfo64", "likelySubtags", "numberingSystems", "keyTypeData", "icuver"]) assert.ok(wanted(`icudt78l/${name}.res`), name);
  for (const name of ["de", "zh_Hant_TW", "es_419", "yue", "en_GB", "sr_Latn", "lang/fr", "translit/root", "curr/agq_CM"]) assert.ok(!wanted(`icudt78l/${name}.res`), name);
  assert.ok(wanted("icudt78l/cnvalias.icu") && !wanted("icudt78l/unames.icu"));
});
