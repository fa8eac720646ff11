/**
 * Leaves of Node's data about languages what English needs: 27 MB less in every file and on every stick.
 *
 * Node's releases carry the whole of ICU's locale data (33 MB: names, calendars, currencies, line breaking, converters for all languages). kubestick
 * speaks English, sorts by code points and reads UTF-8. Node can be configured so (`--with-intl=small-icu`); its released executables are not, so the
 * archive is written anew in its place, smaller, and the pages behind it leave the file:
 *
 *   1. the archive (ICU's common data: a sorted table of names and places, then the items) is repacked with the wanted items at the same address,
 *   2. the segment that holds it is divided in two around the pages that became free, which are then mapped by nobody,
 *   3. what lies behind them in the file moves up. Every address stays, so no code has to know.
 *
 * Done after `node --build-sea`: that moves the program headers to where there is room for one more. Whatever does not look as expected ends the build.
 * Sources: ICU `source/common/udata.cpp`, `ucmndata.h` (DataHeader, UDataOffsetTOC), Node `tools/icu/icu_small.json`; System V ABI, chapter 5.
 */
import { ElfImage, PT_LOAD, SHT_NOBITS, type Segment } from "./elf-image.ts";

const DATA_FORMAT = "CmnD";
/** Where an item begins; ICU's own tool aligns to this. */
const ITEM_ALIGNMENT = 16;
const HEADER_ENTRY = 56;

interface Item {
  readonly name: string;
  readonly bytes: Buffer;
}

interface Archive {
  readonly offset: number;
  readonly length: number;
  /** DataHeader: what is in front of the table. */
  readonly header: Buffer;
  readonly items: readonly Item[];
}

export function englishIcu(file: Buffer): Buffer {
  const image = new ElfImage(file);
  const { offset, length, header, items } = findArchive(image);
  const packed = archive(header, items.filter(({ name }) => wanted(name)));
  if (packed.length > length) throw new Error("the smaller ICU archive is larger");
  packed.copy(file, offset);
  return withoutPages(image, offset + packed.length, offset + length);
}

/** `icudt78l/en_US.res`, `icudt78l/coll/root.res`, `icudt78l/uemoji.icu`. */
export function wanted(path: string): boolean {
  const [, ...below] = path.split("/");
  const name = below.pop() ?? "";
  const tree = below.join("/");
  // Transliteration between scripts; converters of old encodings, dictionaries for line breaking in scripts without spaces, confusable characters,
  // profiles of stringprep, names of characters. (UTF-16 and Latin-1 are code, and so are IDNA and the properties of characters.)
  if (tree === "translit" || /\.(cnv|dict|cfu|spp)$/.test(name) || name === "unames.icu") return false;
  if (!name.endsWith(".res")) return true;
  const locale = name.slice(0, -".res".length);
  // Tables for all languages together have longer names (supplementalData, zoneinfo64); a locale begins with a code of two or three letters.
  return ["root", "en", "en_US", "en_US_POSIX", "en_001", "pool", "res_index"].includes(locale) || !/^[a-z]{2,3}(_|$)/.test(locale);
}

function findArchive(image: ElfImage): Archive {
  const { bytes } = image;
  const rodata = image.section(".rodata");
  const region = bytes.subarray(rodata.offset, rodata.offset + rodata.size);
  const found: number[] = [];
  for (let at = region.indexOf(DATA_FORMAT); at >= 0; at = region.indexOf(DATA_FORMAT, at + 1)) {
    // MappedData{ headerSize u16, magic 0xda 0x27 }, UDataInfo{ size u16, reserved u16, isBigEndian, charset, sizeofUChar, reserved, dataFormat[4] }
    if (at >= 12 && region[at - 10] === 0xda && region[at - 9] === 0x27 && region[at - 4] === 0) found.push(rodata.offset + at - 12);
  }
  const [offset] = found;
  if (offset === undefined || found.length > 1) throw new Error(`the executable has ${found.length} ICU archives`);
  const table = offset + bytes.readUInt16LE(offset);
  const count = bytes.readUInt32LE(table);
  const entries = Array.from({ length: count }, (_, i) => ({ name: image.string(table + bytes.readUInt32LE(table + 4 + i * 8)), at: table + bytes.readUInt32LE(table + 8 + i * 8) }));
  const first = entries[0];
  if (first === undefined || !/^icudt\d+l\//.test(first.name)) throw new Error("the ICU archive does not begin with its items");
  // The length of the last item is told by nothing; an ICU resource bundle says its own.
  const last = entries[count - 1] as { name: string; at: number };
  if (!last.name.endsWith(".res")) throw new Error(`the last item of the ICU archive is ${last.name}`);
  const end = last.at + bundleLength(bytes, last.at);
  if (end > rodata.offset + rodata.size) throw new Error("the ICU archive is longer than .rodata");
  const items = entries.map(({ name, at }, i): Item => ({ name, bytes: Buffer.from(bytes.subarray(at, entries[i + 1]?.at ?? end)) }));
  return { offset, length: end - offset, header: Buffer.from(bytes.subarray(offset, table)), items };
}

/** Of a resource bundle: its header, then 32-bit words, how many is in indexes[URES_INDEX_BUNDLE_TOP = 3] (`uresdata.h`). */
function bundleLength(bytes: Buffer, at: number): number {
  if (bytes.toString("latin1", at + 12, at + 16) !== "ResB") throw new Error("not an ICU resource bundle");
  const body = at + bytes.readUInt16LE(at);
  return bytes.readUInt16LE(at) + bytes.readUInt32LE(body + 4 + 3 * 4) * 4;
}

/** Items stay in the order of their names, by which ICU searches. */
function archive(header: Buffer, items: readonly Item[]): Buffer {
  const names = Buffer.from(items.map(({ name }) => `${name}\0`).join(""), "latin1");
  const table = Buffer.alloc(4 + items.length * 8);
  table.writeUInt32LE(items.length, 0);
  const parts: Buffer[] = [header, table, names];
  let nameAt = table.length;
  let at = table.length + names.length;
  for (const [i, { name, bytes }] of items.entries()) {
    const gap = -(header.length + at) & (ITEM_ALIGNMENT - 1);
    parts.push(Buffer.alloc(gap), bytes);
    table.writeUInt32LE(nameAt, 4 + i * 8);
    table.writeUInt32LE(at + gap, 8 + i * 8);
    nameAt += name.length + 1;
    at += gap + bytes.length;
  }
  return Buffer.concat(parts);
}

/** Takes the whole pages between two places of one segment out of the file and out of memory. */
function withoutPages(image: ElfImage, from: number, to: number): Buffer {
  const { bytes, segments } = image;
  const segment = segments.find(({ type, offset, fileSize }) => type === PT_LOAD && from >= offset && to <= offset + fileSize);
  if (segment === undefined || segment.fileSize !== segment.memorySize) throw new Error("the freed bytes are not in one segment");
  // Offsets and addresses have to agree modulo the largest page the file is made for.
  const page = Math.max(...segments.filter(({ type }) => type === PT_LOAD).map(({ header }) => image.number(header + 48)));
  if ((segment.address - segment.offset) % page !== 0) throw new Error("a segment does not lie as its pages do");
  const start = Math.ceil(from / page) * page;
  const end = Math.floor(to / page) * page;
  const gone = end - start;
  if (gone <= 0) return bytes;
  const tableAt = image.number(32);
  if (segments.some(({ header }) => header >= start && header < end)) throw new Error("the program headers are in the freed pages");
  const slot = tableAt + segments.length * HEADER_ENTRY;
  const room = segments.find(({ type, offset, fileSize }) => type === PT_LOAD && tableAt >= offset && slot + HEADER_ENTRY <= offset + fileSize);
  if (room === undefined || bytes.subarray(slot, slot + HEADER_ENTRY).some((byte) => byte !== 0)) throw new Error("no room for one more program header");
  const straddling = segments.find((other) => other.header !== segment.header && other.offset < end && other.offset + other.fileSize > start && other.fileSize > 0);
  if (straddling !== undefined) throw new Error("another segment reaches into the freed pages");

  const moved = (offset: number): number => (offset >= end ? offset - gone : offset);
  const sectionTable = image.number(40);
  for (const { index, type, offset, size } of image.sections) {
    const header = image.sectionHeader(index);
    if (type !== SHT_NOBITS && offset < start && offset + size > end) image.setNumber(header + 32, start - offset);
    image.setNumber(header + 24, moved(offset));
  }
  for (const { header, offset } of segments) image.setNumber(header + 8, moved(offset));
  addSecondHalf(image, segment, slot, start, end, gone);
  image.setNumber(32, moved(tableAt));
  image.setNumber(40, moved(sectionTable));
  return Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]);
}

/** The segment ends at `start`; one with what is behind `end` comes next, because loadable segments are sorted by address. */
function addSecondHalf(image: ElfImage, segment: Segment, slot: number, start: number, end: number, gone: number): void {
  const { bytes } = image;
  const next = segment.header + HEADER_ENTRY;
  bytes.copyWithin(next + HEADER_ENTRY, next, slot);
  bytes.copyWithin(next, segment.header, next);
  const [first, second] = [start - segment.offset, segment.offset + segment.fileSize - end];
  for (const at of [32, 40]) {
    image.setNumber(segment.header + at, first);
    image.setNumber(next + at, second);
  }
  image.setNumber(next + 8, end - gone);
  for (const at of [16, 24]) image.setNumber(next + at, segment.address + end - segment.offset);
  bytes.writeUInt16LE(image.segments.length + 1, 56);
}
