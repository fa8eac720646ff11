/**
 * Mends a damaged package in place, from an intact copy of the same package: only the pieces that differ are written.
 *
 * What the copy says is believed only where it verifies. Everything is found and checked before the first byte is written, and each
 * write puts right bytes in a wrong place, so that an interrupted repair leaves a file that is less damaged than before, and the same command goes on. Either of the two may be in parts.
 */
import { open, stat, type FileHandle } from "node:fs/promises";
import { KubestickError, errnoOf, isKubestickError, messageOf } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { chunkIsIntact, damagedChunks, joined, regionsOf, regionsWithin, runText, type Chunk } from "./damage.ts";
import { packageCorrupt, packageUnreadable } from "./failures.ts";
import { readAt } from "./file-bytes.ts";
import { openDamagedSource, type FilePlace } from "./part-source.ts";
import { openPackage, type OpenedPackage } from "./reader.ts";
import type { ByteProgress, Damage } from "./types.ts";

export interface RepairOptions {
  /** The damaged file; of a package in parts the first one, which stands for all of them, or a later one alone. */
  readonly path: string;
  /** Where the other parts of either are. */
  readonly parts?: readonly string[] | undefined;
  /** The intact copy. */
  readonly from: string;
  /** Rejects when the copy is not one to take anything from; asked before anything is compared. */
  readonly accept?: (copy: OpenedPackage) => Promise<void>;
  readonly progress?: (step: "compare" | "write", event: Parameters<ByteProgress>[0]) => void;
  readonly signal?: AbortSignal;
}

export interface RepairResult {
  readonly path: string;
  /** What was damaged and is right now; none when nothing had to be done. */
  readonly repaired: readonly Damage[];
  /** Bytes behind the end of the package that were cut off. */
  readonly cutOff: number;
  /** Set when a later part was mended by itself. */
  readonly part?: number;
  /** Bytes of the whole file, or of all files. */
  readonly size: number;
}

/**
 * Rejects with PACKAGE_REPAIR_SAME (one file under two names), PACKAGE_REPAIR_OTHER (not a copy of the same package), PACKAGE_CORRUPT (the copy is
 * damaged in the same place; nothing was written), PACKAGE_UNWRITABLE, and what opening the copy rejects with.
 */
export async function repairPackage(options: RepairOptions): Promise<RepairResult> {
  const { path, from, signal } = options;
  const target = await openDamagedSource(path, options.parts);
  try {
    // Its parts are its own: those of the target are no parts of a copy that lies in one file.
    const copy = await openPackage(from);
    try {
      await options.accept?.(copy);
      await refuseSameFile(filesOf(target, copy), copy, options);
      const damaged = await compare(target, copy, options);
      const files = filesOf(target, copy);
      const cutOff = files.reduce((sum, { length, size }) => sum + Math.max(0, size - length), 0);
      // Only looked at, so that a copy which cannot help is found out before anything is written.
      for (const chunk of damaged) await goodBytes(copy, target, chunk, signal);
      if (damaged.length > 0 || cutOff > 0) await write(copy, target, damaged, options);
      const alone = target.parts?.files.find((file) => file.path === path && file.number > 1)?.number;
      return { path, ...(alone === undefined ? {} : { part: alone }), repaired: joined(damaged, target.parts), cutOff, size: files.reduce((sum, { length }) => sum + length, 0) };
    } finally {
      await copy.close();
    }
  } finally {
    await target.close();
  }
}

interface TargetFile {
  readonly path: string;
  /** Bytes it has to have, and has. */
  readonly length: number;
  readonly size: number;
}

function filesOf(target: ByteSource, copy: OpenedPackage): readonly TargetFile[] {
  if (target.parts === undefined) return [{ path: target.name, length: copy.layout.header.fileLength, size: target.size }];
  return target.parts.files.flatMap(({ path, length, size }) => (path === undefined || length === undefined || size === undefined ? [] : [{ path, length, size }]));
}

async function refuseSameFile(targets: readonly TargetFile[], copy: OpenedPackage, { path }: RepairOptions): Promise<void> {
  const sources = copy.source.parts?.files.flatMap((file) => (file.path === undefined ? [] : [file.path])) ?? [copy.path];
  for (const target of targets) {
    for (const from of sources) {
      const [one, other] = await Promise.all([stat(target.path), stat(from)]);
      if (one.ino !== other.ino || one.dev !== other.dev) continue;
      throw new KubestickError({
        code: "PACKAGE_REPAIR_SAME",
        attempted: `repairing ${path}`,
        happened: `${from} is the same file; nothing was changed.`,
        next: "Name an intact copy with --from, for example the file on the machine it came from.",
      });
    }
  }
}

/** The chunks of `target` that are not as the copy's index wants them. Nobody is turned into another package: the two must be the same one. */
async function compare(target: ByteSource, copy: OpenedPackage, options: RepairOptions): Promise<readonly Chunk[]> {
  const { path, from, progress, signal } = options;
  const { parts } = target;
  const { chunkSize } = copy.index;
  const readable = await tablesOf(path, options.parts);
  const index = parts?.id ?? readable?.index;
  if (index !== undefined && index !== copy.indexDigest) throw otherPackage(path, from, "the two carry different packages");
  // Otherwise a repair could take away somebody's signature, or put on another one.
  if (readable !== undefined && readable.signatures !== copy.layout.footer.signatures) throw otherPackage(path, from, "the two carry the same content, but different signatures");
  const all = regionsOf(copy.layout, parts);
  const damaged: Chunk[] = [];
  for await (const chunk of damagedChunks(target, parts === undefined ? all : regionsWithin(all, parts, chunkSize), chunkSize, (event) => progress?.("compare", event), signal)) damaged.push(chunk);
  const wrong = damaged.reduce((sum, { length }) => sum + length, 0);
  // The tables that would tell are damaged themselves; then the content has to speak for it.
  if (index === undefined && wrong * 2 > copy.layout.header.fileLength) throw otherPackage(path, from, `${wrong} of ${copy.layout.header.fileLength} bytes differ, so it is rather another file than a damaged copy`);
  return damaged;
}

/** undefined: the file's own tables cannot be read. */
async function tablesOf(path: string, parts: RepairOptions["parts"]): Promise<{ readonly index: string; readonly signatures: string } | undefined> {
  try {
    const reader = await openPackage(path, { parts, incomplete: true });
    await reader.close();
    return { index: reader.indexDigest, signatures: reader.layout.footer.signatures };
  } catch (error) {
    // Also where the medium cannot read them (EIO): that is what a repair is for.
    if (isKubestickError(error) && error.code !== "PACKAGE_FORMAT" && (error.code !== "PACKAGE_UNREADABLE" || errnoOf(error.cause) === "EIO")) return undefined;
    throw error;
  }
}

function otherPackage(path: string, from: string, why: string): KubestickError {
  return new KubestickError({
    code: "PACKAGE_REPAIR_OTHER",
    attempted: `repairing ${path} from ${from}`,
    happened: `${from} is no copy of it: ${why}. Nothing was changed.`,
    next: `Name an intact copy of the same package with --from (\`kubestick package inspect ${from}\` tells what that one carries), or copy the whole file again.`,
  });
}

/** From the copy, and right. What only a file in parts has is told by the parts. */
async function goodBytes(copy: OpenedPackage, target: ByteSource, chunk: Chunk, signal: AbortSignal | undefined): Promise<Uint8Array> {
  signal?.throwIfAborted();
  const record = target.parts?.records.find(({ offset }) => offset === chunk.offset);
  if (record !== undefined) return record.bytes;
  const bytes = await readAt(copy.source, chunk.offset, chunk.length).catch((error: unknown) => {
    throw packageUnreadable(copy.path, error);
  });
  if (!chunkIsIntact(bytes, chunk)) throw packageCorrupt(copy.path, chunk.part, `${runText(chunk, copy.source.parts)} are not as packed, so it cannot serve for a repair there; nothing was changed`);
  return bytes;
}

async function write(copy: OpenedPackage, target: ByteSource, damaged: readonly Chunk[], { path, progress, signal }: RepairOptions): Promise<void> {
  const total = damaged.reduce((sum, { length }) => sum + length, 0);
  const handles = new Map<string, FileHandle>();
  let done = 0;
  let at = path;
  const writable = async (file: string): Promise<FileHandle> => {
    at = file;
    const handle = handles.get(file) ?? (await open(file, "r+"));
    handles.set(file, handle);
    return handle;
  };
  try {
    for (const chunk of damaged) {
      const bytes = await goodBytes(copy, target, chunk, signal);
      let from = 0;
      for (const place of placesOf(target, chunk)) {
        const file = await writable(place.path);
        for (let put = 0; put < place.length; ) put += (await file.write(bytes, from + put, place.length - put, place.offset + put)).bytesWritten;
        from += place.length;
      }
      done += chunk.length;
      progress?.("write", { done, total, label: chunk.part });
    }
    for (const { path: file, length, size } of filesOf(target, copy)) {
      if (!handles.has(file) && size === length) continue;
      const handle = await writable(file);
      await handle.truncate(length);
      await handle.sync();
    }
  } catch (error) {
    if (isKubestickError(error) || signal?.aborted === true) throw error;
    throw unwritable(at, error);
  } finally {
    for (const handle of handles.values()) await handle.close();
  }
}

function placesOf(target: ByteSource, { offset, length }: Chunk): readonly FilePlace[] {
  return target.parts?.places(offset, length) ?? [{ path: target.name, offset, length }];
}

function unwritable(path: string, error: unknown): KubestickError {
  const running = errnoOf(error) === "ETXTBSY";
  return new KubestickError({
    code: "PACKAGE_UNWRITABLE",
    attempted: `writing the missing pieces into ${path}`,
    happened: running ? "The file is being executed, and a running program cannot be written to." : `${messageOf(error)}.`,
    next: running ? `Let the intact copy do it: \`COPY package repair ${path}\`, where COPY is that other file.` : "Make the file writable (mount the stick read-write), or copy the whole file anew to a place that is; then run the same command again.",
    cause: error,
  });
}
