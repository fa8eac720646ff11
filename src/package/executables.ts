/**
 * Programs that packages are made with: a bare executable, the one at the front of a package, or those that a file for several processors carries.
 * Only their bytes count; nothing is run, so that any machine makes files for any other.
 */
import { open, type FileHandle } from "node:fs/promises";
import { KubestickError, isKubestickError, messageOf } from "../errors.ts";
import { readAt, readRange } from "./file-bytes.ts";
import { decodeHeader, payloadStartFor } from "./format.ts";
import { PART_RECORD_SIZE, decodePartRecord } from "./part-format.ts";
import { openPackage } from "./reader.ts";
import { ANY_ARCH, readFront } from "./starter.ts";
import type { Digest } from "./types.ts";

/** The program part of an executable: what a stick is made from. */
export interface BareExecutable {
  readonly arch: string;
  /** The file it lies in, and its first byte there. */
  readonly path: string;
  readonly offset: number;
  readonly length: number;
  /** What it was when a package was put behind it; undefined when there is none. */
  readonly packed?: Digest;
}

/** One program, or one for each architecture of a file for several. Throws PACK_EXECUTABLE when the file is no executable a package can be put behind. */
export async function inspectExecutables(path: string): Promise<readonly BareExecutable[]> {
  const refuse = (happened: string, cause?: unknown): KubestickError =>
    new KubestickError({
      code: "PACK_EXECUTABLE",
      attempted: `taking ${path} as the executable of the new package`,
      happened,
      next: "Name a kubestick executable of the wanted architecture with --executable, e.g. `--executable ./kubestick-linux-arm64`.",
      cause,
    });
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    const file = handle;
    const { size } = await file.stat();
    const front = await readFront((offset, length) => readAt(file, offset, length));
    if (front === undefined) throw refuse("It is not a 64-bit ELF executable.");
    if (front.end > size) throw refuse(`It is cut: its headers describe ${front.end} bytes, the file has ${size}.`);
    if (front.arch === ANY_ARCH) return await programsOf(path);
    // Other bytes there (a signature, another tool's payload) would silently be lost.
    const next = await readAt(file, payloadStartFor(front.end), PART_RECORD_SIZE);
    const header = decodeHeader(next);
    const behind = size > front.end && header.is === "foreign" && decodePartRecord(next).is === "foreign";
    if (behind) throw refuse(`${size - front.end} bytes follow the program that are no kubestick package.`);
    return [{ arch: front.arch, path, offset: 0, length: front.end, ...(header.is === "intact" ? { packed: header.value.executable } : {}) }];
  } catch (error) {
    throw isKubestickError(error) ? error : refuse(`It cannot be read: ${messageOf(error)}.`, error);
  } finally {
    await handle?.close();
  }
}

/** All of them lie in the first file of a package in parts. */
async function programsOf(path: string): Promise<readonly BareExecutable[]> {
  const pkg = await openPackage(path, { incomplete: true });
  try {
    return pkg.index.platforms.map(({ arch, program }) => {
      const entry = pkg.index.entries.find(({ digest }) => digest === program?.digest);
      if (entry === undefined) throw new TypeError(`no program for ${arch}`); // refused with the index
      const place = pkg.source.parts?.places(entry.offset, entry.length)[0];
      return { arch, path: place?.path ?? path, offset: place?.offset ?? entry.offset, length: entry.length, packed: entry.digest };
    });
  } finally {
    await pkg.close();
  }
}

/** The program's bytes. */
export async function* executableBytes({ path, offset, length }: BareExecutable): AsyncGenerator<Uint8Array> {
  const file = await open(path, "r");
  try {
    yield* readRange(file, offset, length);
  } finally {
    await file.close();
  }
}
