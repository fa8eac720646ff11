/**
 * The two questions asked of an ELF file: for which machine, and where does it end.
 *
 * The end is the largest offset any header speaks of: header tables, segments, sections (System V ABI, chapter 4 and 5).
 * Bytes behind it belong to nobody as far as the kernel is concerned, which is what makes an appended package possible.
 */

export interface ElfFacts {
  /** Go's name, or `machine N` for one kubestick is not built for. */
  readonly arch: string;
  /** First byte behind everything the headers describe. */
  readonly end: number;
}

/** Reads `length` bytes at `offset`; shorter at the end of the file. */
export type ReadAt = (offset: number, length: number) => Promise<Uint8Array>;

export const ELF_MAGIC: Uint8Array = Uint8Array.of(0x7f, 0x45, 0x4c, 0x46);
export const ELF_HEADER_SIZE = 64;

const machines: Readonly<Record<number, string>> = { 62: "amd64", 183: "arm64" };

/** e_machine of an architecture by Go's name; for tests and for building a header. */
export function elfMachine(arch: string): number | undefined {
  const found = Object.entries(machines).find(([, name]) => name === arch);
  return found === undefined ? undefined : Number(found[0]);
}

const PROGRAM_HEADER_SIZE = 56;
const SECTION_HEADER_SIZE = 64;
const SHT_NOBITS = 8;

/**
 * undefined when this is no 64-bit little-endian ELF file (all that Node is released for on Linux).
 * When the file is cut inside its header tables, `end` is still behind the end of the file.
 */
export async function readElf(read: ReadAt): Promise<ElfFacts | undefined> {
  const header = view(await read(0, ELF_HEADER_SIZE));
  if (header.byteLength < ELF_HEADER_SIZE) return undefined;
  for (const [at, byte] of ELF_MAGIC.entries()) if (header.getUint8(at) !== byte) return undefined;
  const sixtyFourBit = header.getUint8(4) === 2;
  const littleEndian = header.getUint8(5) === 1;
  if (!sixtyFourBit || !littleEndian) return undefined;

  const machine = header.getUint16(18, true);
  const programOffset = number64(header, 32);
  const sectionOffset = number64(header, 40);
  const programSize = header.getUint16(54, true);
  const programCount = header.getUint16(56, true);
  const sectionSize = header.getUint16(58, true);
  let sectionCount = header.getUint16(60, true);
  const usualSizes = (programCount === 0 || programSize === PROGRAM_HEADER_SIZE) && (sectionOffset === 0 || sectionSize === SECTION_HEADER_SIZE);
  if (!usualSizes) return undefined;
  if (sectionCount === 0 && sectionOffset > 0) {
    // More than 0xff00 sections: the count is in sh_size of section 0.
    const first = view(await read(sectionOffset, 64));
    if (first.byteLength === 64) sectionCount = Math.min(number64(first, 32), 1 << 20);
  }

  let end = Math.max(ELF_HEADER_SIZE, programOffset + programCount * programSize, sectionOffset + sectionCount * sectionSize);
  for (const segment of records(await read(programOffset, programCount * programSize), PROGRAM_HEADER_SIZE)) {
    end = Math.max(end, number64(segment, 8) + number64(segment, 32));
  }
  for (const section of records(await read(sectionOffset, sectionCount * sectionSize), SECTION_HEADER_SIZE)) {
    if (section.getUint32(4, true) !== SHT_NOBITS) end = Math.max(end, number64(section, 24) + number64(section, 32));
  }
  return { arch: machines[machine] ?? `machine ${machine}`, end };
}

function* records(bytes: Uint8Array, size: number): Generator<DataView> {
  for (let at = 0; at + size <= bytes.length; at += size) yield view(bytes.subarray(at, at + size));
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function number64(data: DataView, at: number): number {
  return Number(data.getBigUint64(at, true));
}
