/**
 * The file, or the files, of a package while they are written: under hidden names beside the final ones, which they get only when all of it
 * is on the disk and was read back. What is written is the whole, from its first byte to its last; where it is cut is decided before.
 */
import { createHash } from "node:crypto";
import { access, constants, open, readdir, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { KubestickError, errnoOf, isKubestickError, messageOf } from "../errors.ts";
import { removeAbandoned, temporaryName } from "./abandoned.ts";
import { encodePartRecord, partName, piecesOf, planParts, recordPiecesOf, type PackageShape, type PartPiece, type PartRecord } from "./part-format.ts";
import { openPackage } from "./reader.ts";
import { freeSpace, noSpace } from "./space.ts";
import type { ByteProgress, Digest, PackageContent } from "./types.ts";

/** Of this many zeros a hole is made. */
const HOLE = 64 * 1024;
const ZEROS = new Uint8Array(HOLE);

export interface OutputFile {
  readonly path: string;
  readonly size: number;
}

interface OpenFile extends OutputFile {
  readonly temporary: string;
  readonly handle: FileHandle;
}

/** Appends, hashing what it writes. */
export class PackageOutput {
  readonly #files: readonly OpenFile[];
  readonly #plan: readonly PartRecord[];
  readonly #pieces: readonly PartPiece[];
  readonly #hash = createHash("sha256");
  #piece = 0;
  #open = true;
  length = 0;

  private constructor(files: readonly OpenFile[], plan: readonly PartRecord[], fileLength: number) {
    this.#files = files;
    this.#plan = plan;
    this.#pieces = plan.length === 0 ? [{ part: 1, from: 0, to: fileLength, at: 0 }] : plan.flatMap((part) => piecesOf(part)).sort((a, b) => a.from - b.from);
  }

  /** `plan`: of `planParts`; undefined for one file. Refuses what cannot be written, or does not fit, before anything is. */
  static async create(output: string, fileLength: number, plan: readonly PartRecord[] | undefined): Promise<PackageOutput> {
    const folder = dirname(output);
    const parts = plan ?? [];
    const wanted = parts.length === 0 ? [{ path: output, size: fileLength }] : parts.map((part) => ({ path: join(folder, partName(basename(output), part.number, part.count)), size: part.fileLength }));
    for (const { path } of wanted) await requireWritable(path);
    const needed = wanted.reduce((sum, { size }) => sum + size, 0);
    const free = await freeSpace(folder);
    if (free < needed) throw noSpace(folder, needed, free, "-o");
    const files: OpenFile[] = [];
    try {
      for (const { path, size } of wanted) {
        await removeAbandoned(folder, basename(path));
        const temporary = temporaryName(path);
        files.push({ path, size, temporary, handle: await open(temporary, "wx+", 0o600) });
      }
    } catch (error) {
      for (const { handle, temporary } of files) {
        await handle.close();
        await rm(temporary, { force: true });
      }
      throw writeFailed(output, error);
    }
    return new PackageOutput(files, parts, fileLength);
  }

  get files(): readonly OutputFile[] {
    return this.#files.map(({ path, size }) => ({ path, size }));
  }

  /** Of the whole. */
  digest(): Digest {
    return `sha256:${this.#hash.copy().digest("hex")}`;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let from = 0; from < bytes.length; ) {
      while (this.length === this.#pieces[this.#piece]?.to) this.#piece += 1;
      const piece = this.#pieces[this.#piece];
      if (piece === undefined) throw new RangeError(`more bytes than the ${this.length} that were announced`);
      const length = Math.min(bytes.length - from, piece.to - this.length);
      await this.#put(piece.part, bytes.subarray(from, from + length), piece.at + (this.length - piece.from));
      from += length;
      this.length += length;
    }
    this.#hash.update(bytes);
  }

  /** Fills `buffer` with what was written from `offset` on. */
  async readBack(offset: number, buffer: Uint8Array): Promise<Uint8Array> {
    for (let filled = 0; filled < buffer.length; ) {
      const at = offset + filled;
      const piece = this.#pieces.find(({ from, to }) => from <= at && at < to);
      if (piece === undefined || at >= this.length) throw new RangeError(`${offset} to ${offset + buffer.length} was not written yet`);
      const { handle } = this.#files[piece.part - 1] as OpenFile;
      const { bytesRead } = await handle.read(buffer, filled, Math.min(buffer.length - filled, piece.to - at), piece.at + (at - piece.from));
      if (bytesRead === 0) throw new RangeError(`byte ${at} was written and is not there`);
      filled += bytesRead;
    }
    return buffer;
  }

  /**
   * Brings everything to the disk, reads it back, compares it with its hashes, and only then gives the files their names: the first part, which makes
   * the others usable, last. `id`: the digest of the index. Resolves when a power cut no longer takes it away.
   */
  async finish(id: Digest, progress?: ByteProgress, signal?: AbortSignal): Promise<void> {
    for (const part of this.#plan) {
      const record = encodePartRecord({ ...part, id });
      for (const { at } of recordPiecesOf(part)) await this.#put(part.number, record, at);
    }
    for (const [number, { handle }] of this.#files.entries()) {
      await changeMode(handle, number === 0 ? 0o755 : 0o644);
      await handle.sync();
    }
    await this.#close();
    const [first, ...others] = this.#files as readonly [OpenFile, ...OpenFile[]];
    const written = await openPackage(first.temporary, { parts: others.map(({ temporary }) => temporary) });
    try {
      await written.verify(progress, signal);
    } finally {
      await written.close();
    }
    for (const { temporary, path } of [...others, first]) await rename(temporary, path);
    await syncDirectory(dirname(first.path));
  }

  /** Removes what was not finished. */
  async discard(): Promise<void> {
    await this.#close();
    for (const { temporary } of this.#files) await rm(temporary, { force: true });
  }

  async #close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    for (const { handle } of this.#files) await handle.close();
  }

  /** FileHandle.write may write less than asked (a full pipe, a signal), so it loops. Long runs of zeros become holes; no file ends with one. */
  async #put(part: number, bytes: Uint8Array, position: number): Promise<void> {
    if (bytes.length >= HOLE && isZero(bytes)) return;
    const { handle } = this.#files[part - 1] as OpenFile;
    for (let from = 0; from < bytes.length; ) from += (await handle.write(bytes, from, bytes.length - from, position + from)).bytesWritten;
  }
}

/**
 * Writes a package through `fill` and finishes it; on any failure nothing is left and what had the name before is as it was.
 * Rejects with PACK_WRITE, PACK_NO_SPACE, and what `fill` rejects with.
 */
export async function writeOutput<T>(
  output: string, shape: { readonly fileLength: number; readonly plan: readonly PartRecord[] | undefined }, fill: (out: PackageOutput) => Promise<{ readonly id: Digest; readonly value: T }>,
  progress?: ByteProgress, signal?: AbortSignal,
): Promise<{ readonly value: T; readonly digest: Digest; readonly files: readonly OutputFile[] }> {
  const out = await PackageOutput.create(output, shape.fileLength, shape.plan);
  try {
    const { id, value } = await fill(out);
    await out.finish(id, progress, signal);
    return { value, digest: out.digest(), files: out.files };
  } catch (error) {
    if (isKubestickError(error) || signal?.aborted === true) throw error;
    throw writeFailed(output, error);
  } finally {
    // After a success their names are gone, and with them all there is to do.
    await out.discard();
  }
}

/** Throws PACK_SPLIT_SIZE when no file may be so small. */
export function plannedParts(output: string, shape: PackageShape, limit: number, id: Digest, title: string): readonly PartRecord[] | undefined {
  const plan = planParts(shape, limit, id, title);
  if (plan === undefined || !("needs" in plan)) return plan;
  throw tooSmall(output, limit, plan.needs);
}

/** The same as far as it can be said before it is known what the package holds. */
export function requireRoomForProgram(output: string, executableLength: number, limit: number): void {
  const needs = executableLength + 8192;
  if (limit < needs) throw tooSmall(output, limit, needs);
}

function tooSmall(output: string, limit: number, needs: number): KubestickError {
  return new KubestickError({
    code: "PACK_SPLIT_SIZE",
    attempted: `dividing ${output} into files of at most ${limit} bytes`,
    happened: `The first file holds the program and the index, which need ${needs} bytes; nothing was written.`,
    next: `Allow larger files: ${Math.ceil(needs / 1024 ** 2)}M at least, 4095M for FAT32.`,
  });
}

/** For people who find a part alone: `v1.36.2 amd64 flannel`, `v1.36.2 amd64,arm64 flannel`. */
export function titleOf({ kubernetesVersion, cni, platforms }: Pick<PackageContent, "kubernetesVersion" | "cni" | "platforms">): string {
  return `${kubernetesVersion} ${platforms.map(({ arch }) => arch).join(",")} ${cni}`;
}

/** Files with names of parts of this output that are none of it: what an earlier, larger package left. */
export async function leftOverParts(output: string, files: readonly OutputFile[]): Promise<readonly string[]> {
  const name = basename(output);
  const ours = new Set(files.map(({ path }) => basename(path)));
  const found = await readdir(dirname(output));
  return found.filter((other) => other.startsWith(`${name}.part`) && /^\d+of\d+$/.test(other.slice(name.length + ".part".length)) && !ours.has(other)).sort().map((other) => join(dirname(output), other));
}

function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += HOLE) {
    const run = bytes.subarray(at, at + HOLE);
    if (Buffer.compare(run, ZEROS.subarray(0, run.length)) !== 0) return false;
  }
  return true;
}

/** On FAT and its relatives, which USB sticks come with, the mount decides about permissions and chmod is refused. */
async function changeMode(file: FileHandle, mode: number): Promise<void> {
  try {
    await file.chmod(mode);
  } catch (error) {
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL"].includes(errnoOf(error) ?? "")) throw error;
  }
}

/** Throws PACK_WRITE when `path` cannot become a file: better said before an hour of downloads than after. */
export async function requireWritable(path: string): Promise<void> {
  try {
    const found = await stat(path).catch((error: unknown) => {
      if (errnoOf(error) === "ENOENT") return undefined;
      throw error;
    });
    if (found !== undefined && !found.isFile()) throw new Error("a folder or device has that name");
    await access(dirname(path), constants.W_OK);
  } catch (error) {
    throw writeFailed(path, error);
  }
}

export function writeFailed(output: string, error: unknown): KubestickError {
  const errno = errnoOf(error);
  const next =
    errno === "ENOENT" ? `Make the folder first: \`mkdir -p ${dirname(output)}\`.`
    : errno === "ENOSPC" ? `Free some space (\`df -h ${dirname(output)}\`) or name another place with -o.`
    : errno === "EFBIG" ? "The file system does not take files of this size (FAT32 ends at 4 GiB). Write parts (`kubestick package split --size 4095M`, or --split where there is one), or name a place on another one with -o."
    : `Check that you may write there: \`ls -ld ${dirname(output)}\`.`;
  return new KubestickError({ code: "PACK_WRITE", attempted: `writing ${output}`, happened: `The file could not be written: ${messageOf(error)}.`, next, cause: error });
}

/** A renamed file survives a power cut only when its directory is on disk too. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } catch (error) {
    // Some network and FUSE file systems refuse fsync on directories; there is nothing more one can do for the name.
    if (errnoOf(error) !== "EINVAL" && errnoOf(error) !== "ENOTSUP") throw error;
  } finally {
    await handle.close();
  }
}
