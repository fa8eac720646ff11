import assert from "node:assert/strict";
import { test } from "node:test";
import { ElfImage, sectionHeaderSize, SHT_NOBITS } from "../../scripts/build/elf-image.ts";
import { stripElf } from "../../scripts/build/elf-strip.ts";
import { withoutLibatomic } from "../../scripts/build/without-libatomic.ts";
import { readElf } from "../../src/package/elf.ts";

interface TestSection {
  readonly name: string;
  readonly loaded: boolean;
  readonly type?: number;
  readonly content: string;
}

/** An ELF file with one segment that holds the loaded sections, laid out as linkers do: loaded sections, others, section table. */
function elf(sections: readonly TestSection[]): Buffer {
  const all = [...sections, { name: ".shstrtab", loaded: false, type: 3, content: ["", ...sections.map(({ name }) => name), ".shstrtab", ""].join("\0") }];
  const names = (all.at(-1) as TestSection).content;
  const body: Buffer[] = [Buffer.alloc(64 + 56)];
  let offset = 64 + 56;
  const table = Buffer.alloc((all.length + 1) * sectionHeaderSize);
  let loadedEnd = offset;
  all.forEach(({ name, loaded, type = 1, content }, i) => {
    const at = (i + 1) * sectionHeaderSize;
    table.writeUInt32LE(names.indexOf(`\0${name}\0`) + 1, at);
    table.writeUInt32LE(type, at + 4);
    table.writeBigUInt64LE(loaded ? 2n : 0n, at + 8);
    table.writeBigUInt64LE(loaded ? BigInt(0x400000 + offset) : 0n, at + 16);
    table.writeBigUInt64LE(BigInt(offset), at + 24);
    table.writeBigUInt64LE(BigInt(content.length), at + 32);
    if (type === SHT_NOBITS) return;
    body.push(Buffer.from(content, "latin1"));
    offset += content.length;
    if (loaded) loadedEnd = offset;
  });
  const file = Buffer.concat([...body, table]);
  file.writeUInt32BE(0x7f454c46, 0);
  file.set([2, 1, 1], 4);
  file.writeUInt16LE(62, 18);
  file.writeBigUInt64LE(64n, 32);
  file.writeBigUInt64LE(BigInt(offset), 40);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(1, 56);
  file.writeUInt16LE(sectionHeaderSize, 58);
  file.writeUInt16LE(all.length + 1, 60);
  file.writeUInt16LE(all.length, 62);
  file.writeUInt32LE(1, 64);
  file.writeBigUInt64LE(0x400000n, 64 + 16);
  file.writeBigUInt64LE(BigInt(loadedEnd), 64 + 32);
  file.writeBigUInt64LE(BigInt(loadedEnd + 16), 64 + 40);
  return file;
}

const program: readonly TestSection[] = [
  { name: ".text", loaded: true, content: "code code" },
  { name: ".data", loaded: true, content: "data" },
  { name: ".bss", loaded: true, type: SHT_NOBITS, content: "0123456789" },
  { name: ".debug_info", loaded: false, content: "d".repeat(500) },
  { name: ".symtab", loaded: false, content: "s".repeat(500) },
];

test("stripElf keeps what is loaded and drops the rest", async () => {
  const file = elf(program);
  const stripped = stripElf(file);
  assert.ok(stripped.length < file.length - 1000);
  const image = new ElfImage(stripped);
  assert.deepEqual(image.sections.map(({ name }) => name), ["", ".text", ".data", ".bss", ".shstrtab"]);
  for (const name of [".text", ".data"]) {
    const { offset, size } = image.section(name);
    assert.equal(stripped.toString("latin1", offset, offset + size), program.find((section) => section.name === name)?.content);
  }
  assert.deepEqual(image.segments, new ElfImage(file).segments);
  const facts = await readElf((offset, length) => Promise.resolve(stripped.subarray(offset, offset + length)));
  assert.deepEqual(facts, { arch: "amd64", end: stripped.length });
});

test("stripElf changes nothing in a file that is stripped", () => {
  const once = stripElf(elf(program));
  assert.deepEqual(stripElf(once), once);
});

test("stripElf refuses what it does not understand", () => {
  assert.throws(() => stripElf(Buffer.from("#!/bin/sh\n".repeat(20))), /not a 64-bit little-endian ELF/);
  const mixed = [program[3], program[0]] as readonly TestSection[];
  assert.throws(() => stripElf(elf(mixed)), /stands before/);
});

test("ElfImage names an absent section", () => {
  assert.throws(() => new ElfImage(elf(program)).section(".dynamic"), /no section \.dynamic/);
});

test("withoutLibatomic refuses a file without a dynamic section", () => {
  assert.throws(() => withoutLibatomic(elf(program)), /no section \.dynamic/);
});
