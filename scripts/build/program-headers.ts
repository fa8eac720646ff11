/**
 * Puts the program headers where every kernel tells the loader they are.
 *
 * `node --build-sea` needs room for more of them and moves the table to the end of the file, into a segment of its own. Linux before 5.18 does not look where
 * that segment is mapped: what it tells the loader is the table's place in the file plus the address of the first byte of the file (AT_PHDR; fs/binfmt_elf.c before
 * "fs/binfmt_elf: Fix AT_PHDR for unusual ELF files"; qemu-user does the same). The loader then reads other bytes, or none, and the program ends with a segmentation
 * fault before its first instruction. So the table goes into unused bytes of a segment that lies at that distance: behind the code, where a page is not full.
 *
 * The segment made for the table goes, too: on processors with pages of 64 KiB it would be mapped over the end of the program's data.
 */
import { ElfImage, PF_X, PT_LOAD } from "./elf-image.ts";

const PT_PHDR = 6;
const HEADER_ENTRY = 56;
const FILE_OFFSET = 8;
const SIZES = [32, 40] as const;

/** In place. Throws when the file is laid out in another way than expected. */
export function movedProgramHeaders(file: Buffer): Buffer {
  const image = new ElfImage(file);
  const { segments } = image;
  const loaded = segments.filter(({ type }) => type === PT_LOAD);
  const distance = (loaded[0]?.address ?? 0) - (loaded[0]?.offset ?? 0);
  const tableAt = image.number(32);
  const own = loaded.find(({ offset, fileSize }) => tableAt >= offset && tableAt < offset + fileSize);
  const alone = own !== undefined && own !== loaded[0] && own.offset === tableAt && file.subarray(tableAt + segments.length * HEADER_ENTRY, own.offset + own.fileSize).every((byte) => byte === 0);
  if (!alone) throw new Error("the program headers are not in a segment of their own");
  const code = loaded.find(({ flags, fileSize, memorySize, address, offset }) => (flags & PF_X) !== 0 && fileSize === memorySize && address - offset === distance);
  if (code === undefined) throw new Error("no code lies at the distance of the first segment");

  const kept = segments.filter(({ header }) => header !== own.header);
  const table = Buffer.concat(kept.map(({ header }) => file.subarray(header, header + HEADER_ENTRY)));
  const at = Math.ceil((code.offset + code.fileSize) / 8) * 8;
  const end = at + table.length;
  const inTheWay = loaded.some((other) => other !== code && ((other.offset < end && other.offset + other.fileSize > at) || (other.address < end + distance && other.address + other.memorySize > at + distance)));
  if (inTheWay || file.subarray(code.offset + code.fileSize, end).some((byte) => byte !== 0)) throw new Error("no room for the program headers behind the code");

  table.copy(file, at);
  file.writeBigUInt64LE(BigInt(at), 32);
  file.writeUInt16LE(kept.length, 56);
  for (const [index, { type, offset }] of kept.entries()) {
    const header = at + index * HEADER_ENTRY;
    if (type === PT_PHDR) {
      image.setNumber(header + FILE_OFFSET, at);
      for (const address of [16, 24]) image.setNumber(header + address, at + distance);
      for (const size of SIZES) image.setNumber(header + size, table.length);
    } else if (type === PT_LOAD && offset === code.offset) {
      for (const size of SIZES) image.setNumber(header + size, end - code.offset);
    }
  }
  return file;
}
