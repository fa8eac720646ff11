/** Reading and patching a 64-bit little-endian ELF file in memory. Layout: System V ABI, chapters 4 and 5. */

export interface Section {
  readonly index: number;
  readonly name: string;
  readonly type: number;
  readonly allocated: boolean;
  readonly address: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

export interface Segment {
  /** Place of its header in the file. */
  readonly header: number;
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
  readonly memorySize: number;
}

export const sectionHeaderSize = 64;
export const SHT_NOBITS = 8;
export const PT_LOAD = 1;
export const PF_X = 1;
const SHF_ALLOC = 2n;

export class ElfImage {
  readonly bytes: Buffer;
  readonly sections: readonly Section[];
  readonly segments: readonly Segment[];

  /** Throws when the file is something else; a caller gives up then, it does not guess. */
  constructor(bytes: Buffer) {
    this.bytes = bytes;
    if (bytes.length < 64 || bytes.readUInt32BE(0) !== 0x7f454c46 || bytes[4] !== 2 || bytes[5] !== 1) throw new Error("not a 64-bit little-endian ELF file");
    if (bytes.readUInt16LE(58) !== sectionHeaderSize || bytes.readUInt16LE(54) !== 56) throw new Error("unexpected size of ELF headers");
    this.segments = Array.from({ length: bytes.readUInt16LE(56) }, (_, i) => {
      const header = this.number(32) + i * 56;
      return {
        header, type: bytes.readUInt32LE(header), flags: bytes.readUInt32LE(header + 4), offset: this.number(header + 8),
        address: this.number(header + 16), fileSize: this.number(header + 32), memorySize: this.number(header + 40),
      };
    });
    const table = this.number(40);
    const namesAt = this.number(table + bytes.readUInt16LE(62) * sectionHeaderSize + 24);
    this.sections = Array.from({ length: bytes.readUInt16LE(60) }, (_, index) => {
      const at = table + index * sectionHeaderSize;
      return {
        index, name: this.string(namesAt + bytes.readUInt32LE(at)), type: bytes.readUInt32LE(at + 4), allocated: (bytes.readBigUInt64LE(at + 8) & SHF_ALLOC) !== 0n,
        address: this.number(at + 16), offset: this.number(at + 24), size: this.number(at + 32), link: bytes.readUInt32LE(at + 40),
      };
    });
  }

  get machine(): number {
    return this.bytes.readUInt16LE(18);
  }

  number(at: number): number {
    return Number(this.bytes.readBigUInt64LE(at));
  }

  setNumber(at: number, value: number): void {
    this.bytes.writeBigUInt64LE(BigInt(value), at);
  }

  /** Up to the next zero byte. */
  string(at: number): string {
    return this.bytes.toString("latin1", at, this.bytes.indexOf(0, at));
  }

  section(name: string): Section {
    const found = this.sections.find((section) => section.name === name);
    if (found === undefined) throw new Error(`the ELF file has no section ${name}`);
    return found;
  }

  sectionHeader(index: number): number {
    return this.number(40) + index * sectionHeaderSize;
  }
}
