/**
 * Mends a damaged package in place, from an intact copy of the same package: only the pieces that differ are written.
 *
 * What the copy says is believed only where it verifies. Everything is found and checked before the first byte is written, and each
 * write puts right bytes in a wrong place, so that an interrupted repair leaves a file that is less damaged than before, and the same command goes on.
 */
import { open, stat, type FileHandle } from "node:fs/promises";
import { KubestickError, errnoOf, isKubestickError, messageOf } from "../errors.ts";
import { openFileSource, type ByteSource } from "./byte-source.ts";
import { chunkIsIntact, damagedChunks, joined, placeText, regionsOf, type Chunk } from "./damage.ts";
import { packageCorrupt, packageUnreadable } from "./failures.ts";
import { readAt } from "./file-bytes.ts";
import { openPackage, type OpenedPackage } from "./reader.ts";
import type { ByteProgress, Damage } from "./types.ts";

export interface RepairOptions {
  /** The damaged file. */
  readonly path: string;
  /** The intact copy. */
  readonly from: string;
  readonly progress?: (step: "compare" | "write", event: Parameters<ByteProgress>[0]) => void;
  readonly signal?: AbortSignal;
}

export interface RepairResult {
  readonly path: string;
  /** What was damaged and is right now; none when nothing had to be done. */
  readonly repaired: readonly Damage[];
  /** Bytes behind the end of the package that were cut off. */
  readonly cutOff: number;
  /** Bytes of the whole file. */
  readonly size: number;
}

/**
 * Rejects with PACKAGE_REPAIR_SAME (one file under two names), PACKAGE_REPAIR_OTHER (not a copy of the same package), PACKAGE_CORRUPT (the copy is
 * damaged in the same place; nothing was written), PACKAGE_UNWRITABLE, and what opening the copy rejects with.
 */
export async function repairPackage(options: RepairOptions): Promise<RepairResult> {
  const { path, from, signal } = options;
  const copy = await openPackage(from);
  try {
    const target = await openFileSource(path);
    try {
      await refuseSameFile(path, from);
      const { fileLength } = copy.layout.header;
      const damaged = await compare(target, copy, options);
      const cutOff = Math.max(0, target.size - fileLength);
      // Only looked at, so that a copy which cannot help is found out before anything is written.
      for (const chunk of damaged) await goodBytes(copy, chunk, signal);
      if (damaged.length > 0 || cutOff > 0) await write(copy, damaged, options);
      return { path, repaired: joined(damaged), cutOff, size: fileLength };
    } finally {
      await target.close();
    }
  } finally {
    await copy.close();
  }
}

async function refuseSameFile(path: string, from: string): Promise<void> {
  const [one, other] = await Promise.all([stat(path), stat(from)]);
  if (one.ino !== other.ino || one.dev !== other.dev) return;
  throw new KubestickError({
    code: "PACKAGE_REPAIR_SAME",
    attempted: `repairing ${path}`,
    happened: `${from} is the same file; nothing was changed.`,
    next: "Name an intact copy with --from, for example the file on the machine it came from.",
  });
}

/** The chunks of `target` that are not as the copy's index wants them. Nobody is turned into another package: the two must be the same one. */
async function compare(target: ByteSource, copy: OpenedPackage, { path, from, progress, signal }: RepairOptions): Promise<readonly Chunk[]> {
  const index = await indexDigestOf(path);
  if (index !== undefined && index !== copy.indexDigest) throw otherPackage(path, from, "the two carry different packages");
  const damaged: Chunk[] = [];
  for await (const chunk of damagedChunks(target, regionsOf(copy.layout), copy.index.chunkSize, (event) => progress?.("compare", event), signal)) damaged.push(chunk);
  const wrong = damaged.reduce((sum, { length }) => sum + length, 0);
  // The tables that would tell are damaged themselves; then the content has to speak for it.
  if (index === undefined && wrong * 2 > copy.layout.header.fileLength) throw otherPackage(path, from, `${wrong} of ${copy.layout.header.fileLength} bytes differ, so it is rather another file than a damaged copy`);
  return damaged;
}

/** undefined: the file's own tables cannot be read. */
async function indexDigestOf(path: string): Promise<string | undefined> {
  try {
    const reader = await openPackage(path);
    await reader.close();
    return reader.indexDigest;
  } catch (error) {
    if (isKubestickError(error) && error.code !== "PACKAGE_UNREADABLE" && error.code !== "PACKAGE_FORMAT") return undefined;
    throw error;
  }
}

function otherPackage(path: string, from: string, why: string): KubestickError {
  return new KubestickError({
    code: "PACKAGE_REPAIR_OTHER",
    attempted: `repairing ${path} from ${from}`,
    happened: `${from} is no copy of it: ${why}. Nothing was changed.`,
    next: `Name an intact copy of the same package with --from (\`kubestick package show ${from}\` tells what that one carries), or copy the whole file again.`,
  });
}

/** From the copy, and right. */
async function goodBytes(copy: OpenedPackage, chunk: Chunk, signal: AbortSignal | undefined): Promise<Uint8Array> {
  signal?.throwIfAborted();
  const bytes = await readAt(copy.source, chunk.offset, chunk.length).catch((error: unknown) => {
    throw packageUnreadable(copy.path, error);
  });
  if (!chunkIsIntact(bytes, chunk)) throw packageCorrupt(copy.path, chunk.part, `${placeText(chunk)} are not as packed, so it cannot serve for a repair there; nothing was changed`);
  return bytes;
}

async function write(copy: OpenedPackage, damaged: readonly Chunk[], { path, progress, signal }: RepairOptions): Promise<void> {
  const total = damaged.reduce((sum, { length }) => sum + length, 0);
  let done = 0;
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r+");
    for (const chunk of damaged) {
      const bytes = await goodBytes(copy, chunk, signal);
      for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at, bytes.length - at, chunk.offset + at)).bytesWritten;
      done += chunk.length;
      progress?.("write", { done, total, label: chunk.part });
    }
    await file.truncate(copy.layout.header.fileLength);
    await file.sync();
  } catch (error) {
    if (isKubestickError(error) || signal?.aborted === true) throw error;
    throw unwritable(path, error);
  } finally {
    await file?.close();
  }
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
