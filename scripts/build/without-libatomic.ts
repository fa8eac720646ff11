/**
 * Frees Node's executable from libatomic.so.1.
 *
 * Since version 25 the released executables of Node are linked with libatomic (clang; nodejs/node#60790). A bare Debian or RHEL does not have that
 * library, and where there is no network nobody can install it: `./kubestick` would end in the loader before its first instruction. It is
 * needed for one function, `__atomic_compare_exchange`, which V8 calls for values of eight bytes only. This function is small enough to be
 * carried in the executable:
 *
 *   1. its code goes into the unused bytes behind the executable segment,
 *   2. the stub through which it is called (its entry in the procedure linkage table) becomes a jump there,
 *   3. the symbol becomes weak and unversioned, so that the loader accepts that nobody defines it,
 *   4. the library disappears from the lists of needed files and needed versions.
 *
 * The file on which this works is pinned by its hash in package-lock.json. Whatever does not look as expected ends the build.
 * Sources: System V ABI (dynamic section, PLT), gABI symbol versioning as in the Linux Standard Base, GCC atomic builtins library interface.
 */
import { ElfImage, PF_X, PT_LOAD, type Segment } from "./elf-image.ts";

const library = "libatomic.so.1";
const symbolName = "__atomic_compare_exchange";

const DT_NULL = 0;
const DT_NEEDED = 1;
const DT_VERNEED = 0x6ffffffe;
const DT_VERNEEDNUM = 0x6fffffff;
const STB_WEAK = 2;
const VER_NDX_GLOBAL = 1;

interface Processor {
  /** `bool __atomic_compare_exchange(size_t size, void *object, void *expected, void *desired, int, int)` for size 8; any other size traps. */
  readonly code: readonly number[];
  readonly stubSize: number;
  /** Bytes before the first stub of .plt. */
  readonly firstStub: number;
  /** Address of the slot the stub jumps through; undefined when it is no such stub. */
  slotOf(image: ElfImage, offset: number, address: number): number | undefined;
  jump(from: number, to: number): Buffer;
  /** Places in the text that call `target`, and whether the size they pass is certainly eight. */
  calls(text: Buffer, address: number, target: number): readonly { readonly at: number; readonly eight: boolean }[];
}

const amd64: Processor = {
  code: [
    0x48, 0x83, 0xff, 0x08, //       cmp  $8, %rdi
    0x75, 0x19, //                   jne  trap
    0x48, 0x8b, 0x02, //             mov  (%rdx), %rax
    0x48, 0x8b, 0x09, //             mov  (%rcx), %rcx
    0xf0, 0x48, 0x0f, 0xb1, 0x0e, // lock cmpxchg %rcx, (%rsi)
    0x74, 0x06, //                   je   stored
    0x48, 0x89, 0x02, //             mov  %rax, (%rdx)
    0x31, 0xc0, //                   xor  %eax, %eax
    0xc3, //                         ret
    0xb8, 0x01, 0x00, 0x00, 0x00, // stored: mov $1, %eax
    0xc3, //                         ret
    0x0f, 0x0b, //                   trap: ud2
  ],
  stubSize: 16,
  firstStub: 16,
  // jmp *disp(%rip)
  slotOf: ({ bytes }, offset, address) => (bytes.readUInt16BE(offset) === 0xff25 ? address + 6 + bytes.readInt32LE(offset + 2) : undefined),
  jump(from, to) {
    const jump = Buffer.alloc(5, 0xe9);
    jump.writeInt32LE(to - (from + 5), 1);
    return jump;
  },
  calls(text, address, target) {
    const found: { at: number; eight: boolean }[] = [];
    for (let at = text.indexOf(0xe8); at >= 0 && at + 5 <= text.length; at = text.indexOf(0xe8, at + 1)) {
      if (address + at + 5 + text.readInt32LE(at + 1) !== target) continue;
      // mov $8, %edi
      found.push({ at: address + at, eight: text.subarray(Math.max(0, at - 64), at).includes(Buffer.of(0xbf, 8, 0, 0, 0)) });
    }
    return found;
  },
};

const arm64: Processor = {
  code: words(
    0xf100201f, //         cmp   x0, #8
    0x540001c1, //         b.ne  trap
    0xf9400044, //         ldr   x4, [x2]
    0xf9400065, //         ldr   x5, [x3]
    0xc85ffc26, // again:  ldaxr x6, [x1]
    0xeb0400df, //         cmp   x6, x4
    0x540000a1, //         b.ne  differs
    0xc807fc25, //         stlxr w7, x5, [x1]
    0x35ffff87, //         cbnz  w7, again
    0x52800020, //         mov   w0, #1
    0xd65f03c0, //         ret
    0xd5033f5f, // differs: clrex
    0xf9000046, //         str   x6, [x2]
    0x52800000, //         mov   w0, #0
    0xd65f03c0, //         ret
    0xd4200000, // trap:   brk   #0
  ),
  stubSize: 16,
  firstStub: 32,
  // adrp x16, page; ldr x17, [x16, #low]
  slotOf({ bytes }, offset, address) {
    const adrp = bytes.readUInt32LE(offset);
    const load = bytes.readUInt32LE(offset + 4);
    if ((adrp & 0x9f00001f) >>> 0 !== 0x90000010 || (load & 0xffc003ff) >>> 0 !== 0xf9400211) return undefined;
    const pages = ((((adrp >>> 5) & 0x7ffff) << 2 | ((adrp >>> 29) & 3)) << 11) >> 11;
    return Math.floor(address / 4096) * 4096 + pages * 4096 + ((load >>> 10) & 0xfff) * 8;
  },
  jump(from, to) {
    const jump = Buffer.alloc(4);
    jump.writeUInt32LE((0x14000000 | (((to - from) / 4) & 0x03ffffff)) >>> 0);
    return jump;
  },
  calls(text, address, target) {
    const found: { at: number; eight: boolean }[] = [];
    for (let at = 0; at + 4 <= text.length; at += 4) {
      const word = text.readUInt32LE(at);
      if (word >>> 26 !== 0b100101 || address + at + ((word << 6) >> 6) * 4 !== target) continue;
      // mov w0, #8
      found.push({ at: address + at, eight: text.subarray(Math.max(0, at - 96), at).includes(Buffer.from(words(0x52800100))) });
    }
    return found;
  },
};

const processors: Readonly<Record<number, Processor>> = { 62: amd64, 183: arm64 };

/** A changed copy; the same bytes when the executable does not need the library. */
export function withoutLibatomic(file: Buffer): Buffer {
  const image = new ElfImage(Buffer.from(file));
  const dynamic = readDynamic(image);
  const strings = image.section(".dynstr").offset;
  const needed = dynamic.filter(({ tag, value }) => tag === DT_NEEDED && image.string(strings + value) === library);
  if (needed.length === 0) return file;
  const processor = processors[image.machine];
  if (processor === undefined) throw new Error(`no code for ELF machine ${image.machine}`);

  const version = removeNeededVersion(image, dynamic, strings);
  const symbol = detachSymbol(image, strings, version);
  const code = appendCode(image, processor);
  redirectStub(image, processor, symbol, code);
  removeDynamic(image, needed[0]?.at ?? 0);
  return image.bytes;
}

interface DynamicEntry {
  readonly at: number;
  readonly tag: number;
  readonly value: number;
}

function readDynamic(image: ElfImage): readonly DynamicEntry[] {
  const { offset, size } = image.section(".dynamic");
  const entries = Array.from({ length: size / 16 }, (_, i) => ({ at: offset + i * 16, tag: image.number(offset + i * 16), value: image.number(offset + i * 16 + 8) }));
  return entries.slice(0, entries.findIndex(({ tag }) => tag === DT_NULL));
}

/** Moves the entries behind it up by one. */
function removeDynamic(image: ElfImage, at: number): void {
  const { offset, size } = image.section(".dynamic");
  image.bytes.copyWithin(at, at + 16, offset + size);
  image.bytes.fill(0, offset + size - 16, offset + size);
}

/** Unlinks the library's record from the chain of needed versions; returns the version number its symbols carry. */
function removeNeededVersion(image: ElfImage, dynamic: readonly DynamicEntry[], strings: number): number {
  const { bytes } = image;
  const section = image.section(".gnu.version_r");
  const first = dynamic.find(({ tag }) => tag === DT_VERNEED);
  const count = dynamic.find(({ tag }) => tag === DT_VERNEEDNUM);
  if (first === undefined || count === undefined || first.value !== section.address) throw new Error("the needed versions are not where they should be");
  let previous: number | undefined;
  for (let at = section.offset, left = count.value; left > 0; left--) {
    const next = bytes.readUInt32LE(at + 12);
    if (image.string(strings + bytes.readUInt32LE(at + 4)) !== library) {
      previous = at;
      at += next;
      continue;
    }
    if (bytes.readUInt16LE(at + 2) !== 1) throw new Error(`more than one version of ${library} is needed`);
    const version = bytes.readUInt16LE(at + bytes.readUInt32LE(at + 8) + 6);
    if (previous !== undefined) {
      bytes.writeUInt32LE(next === 0 ? 0 : at + next - previous, previous + 12);
    } else {
      // The chain begins with it: both the loader's table and the section begin one record later.
      if (next === 0) throw new Error(`${library} is the only versioned library`);
      image.setNumber(first.at + 8, first.value + next);
      const header = image.sectionHeader(section.index);
      image.setNumber(header + 16, section.address + next);
      image.setNumber(header + 24, section.offset + next);
      image.setNumber(header + 32, section.size - next);
    }
    image.setNumber(count.at + 8, count.value - 1);
    bytes.writeUInt32LE(count.value - 1, image.sectionHeader(section.index) + 44);
    return version;
  }
  throw new Error(`no needed version of ${library}`);
}

/** Makes the library's only symbol weak and unversioned; returns its number. */
function detachSymbol(image: ElfImage, strings: number, version: number): number {
  const { bytes } = image;
  const symbols = image.section(".dynsym");
  const versions = image.section(".gnu.version");
  const users = Array.from({ length: versions.size / 2 }, (_, i) => i).filter((i) => (bytes.readUInt16LE(versions.offset + i * 2) & 0x7fff) === version);
  const [symbol] = users;
  const at = symbols.offset + (symbol ?? 0) * 24;
  if (symbol === undefined || users.length > 1 || image.string(strings + bytes.readUInt32LE(at)) !== symbolName) {
    throw new Error(`the executable takes something else than ${symbolName} from ${library}`);
  }
  bytes.writeUInt8((STB_WEAK << 4) | (bytes.readUInt8(at + 4) & 0xf), at + 4);
  bytes.writeUInt16LE(VER_NDX_GLOBAL, versions.offset + symbol * 2);
  return symbol;
}

/** Puts the function behind the executable segment, into bytes that only fill up its last page; returns its address. */
function appendCode(image: ElfImage, processor: Processor): number {
  const segment = image.segments.find(({ type, flags }) => type === PT_LOAD && (flags & PF_X) !== 0);
  if (segment === undefined || segment.fileSize !== segment.memorySize) throw new Error("no executable segment to extend");
  const start = Math.ceil(segment.fileSize / 16) * 16;
  const size = start + processor.code.length;
  const from = segment.offset + start;
  if (!freeBehind(image, segment, size) || image.bytes.subarray(segment.offset + segment.fileSize, segment.offset + size).some((byte) => byte !== 0)) {
    throw new Error("no unused bytes behind the executable segment");
  }
  image.bytes.set(processor.code, from);
  image.setNumber(segment.header + 32, size);
  image.setNumber(segment.header + 40, size);
  return segment.address + start;
}

function freeBehind(image: ElfImage, segment: Segment, size: number): boolean {
  const others = image.segments.filter(({ header, type }) => type === PT_LOAD && header !== segment.header);
  return others.every((other) => (other.offset < segment.offset || other.offset >= segment.offset + size) && (other.address < segment.address || other.address >= segment.address + size));
}

function redirectStub(image: ElfImage, processor: Processor, symbol: number, code: number): void {
  const { bytes } = image;
  const relocations = image.section(".rela.plt");
  const numbers = Array.from({ length: relocations.size / 24 }, (_, i) => i).filter((i) => bytes.readUInt32LE(relocations.offset + i * 24 + 12) === symbol);
  const direct = image.section(".rela.dyn");
  for (let at = direct.offset; at < direct.offset + direct.size; at += 24) {
    if (bytes.readUInt32LE(at + 12) === symbol) throw new Error(`the address of ${symbolName} is taken`);
  }
  const [number] = numbers;
  if (number === undefined || numbers.length > 1) throw new Error(`${symbolName} has ${numbers.length} linkage stubs`);
  const slot = image.number(relocations.offset + number * 24);
  const plt = image.section(".plt");
  const within = processor.firstStub + number * processor.stubSize;
  if (processor.slotOf(image, plt.offset + within, plt.address + within) !== slot) throw new Error(`the linkage stub of ${symbolName} is not where it should be`);

  const text = image.section(".text");
  const calls = processor.calls(bytes.subarray(text.offset, text.offset + text.size), text.address, plt.address + within);
  const odd = calls.find(({ eight }) => !eight);
  if (calls.length === 0 || odd !== undefined) throw new Error(`${symbolName} is called with a size other than eight bytes${odd === undefined ? "" : ` at 0x${odd.at.toString(16)}`}`);
  processor.jump(plt.address + within, code).copy(bytes, plt.offset + within);
}

function words(...values: readonly number[]): readonly number[] {
  return values.flatMap((value) => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24]);
}
