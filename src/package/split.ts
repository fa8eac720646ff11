/** A package cut into files of a size that a medium takes, and put together again, bit for bit in both directions. */
import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { KubestickError, isKubestickError } from "../errors.ts";
import { HEADER_SIZE } from "./format.ts";
import { packageCorrupt, packageUnreadable } from "./failures.ts";
import { readInto } from "./file-bytes.ts";
import { leftOverParts, plannedParts, titleOf, writeOutput, type OutputFile } from "./package-output.ts";
import { frontEnd, type PackageShape, type PartRecord } from "./part-format.ts";
import { chunkIsIntact, chunksOf, regionsOf, runText, type Chunk, type PackageLayout } from "./damage.ts";
import { openPackage, type OpenedPackage } from "./reader.ts";
import type { ByteProgress, Digest } from "./types.ts";

export type CopyProgress = (step: "write" | "verify", event: Parameters<ByteProgress>[0]) => void;

export interface SplitOptions {
  /** A package, in one file or in parts. */
  readonly path: string;
  readonly parts?: readonly string[] | undefined;
  /** Folder for the parts. */
  readonly directory: string;
  /** Bytes. */
  readonly size: number;
  readonly progress?: CopyProgress;
  readonly signal?: AbortSignal;
}

export interface CopyResult {
  /** One, or the parts in order. */
  readonly files: readonly OutputFile[];
  /** Bytes of the whole. */
  readonly size: number;
  /** Of the whole: what `sha256sum` prints when it is one file. */
  readonly digest: Digest;
  /** The package's id. */
  readonly id: Digest;
  /** Names of parts beside it that belong to an earlier package. */
  readonly leftOver: readonly string[];
}

/** Rejects with PACK_SPLIT_SIZE, PACK_SPLIT_SAME (a part would replace what is read), PACK_WRITE, PACK_NO_SPACE, and what opening and verifying reject with. */
export async function splitPackage({ path, parts, directory, size, progress, signal }: SplitOptions): Promise<CopyResult> {
  const source = await openPackage(path, { parts });
  try {
    const output = join(directory, basename(path));
    await refuseToReplace(source, output);
    return await copyPackage(source, output, plannedParts(path, shapeOf(source.layout), size, source.indexDigest, titleOf(source.index)), progress, signal);
  } finally {
    await source.close();
  }
}

export interface JoinOptions {
  /** The first part, or a whole package, which is copied. */
  readonly path: string;
  readonly parts?: readonly string[] | undefined;
  readonly output: string;
  readonly progress?: CopyProgress;
  readonly signal?: AbortSignal;
}

/** Rejects as `splitPackage` does. */
export async function joinPackage({ path, parts, output, progress, signal }: JoinOptions): Promise<CopyResult> {
  const source = await openPackage(path, { parts });
  try {
    await refuseToReplace(source, output);
    return await copyPackage(source, output, undefined, progress, signal);
  } finally {
    await source.close();
  }
}

export function shapeOf({ header, footer, index }: PackageLayout): PackageShape {
  return {
    payloadStart: footer.payloadStart, frontEnd: frontEnd(index.entries, index.platforms.map(({ program }) => program?.digest), footer.payloadStart + HEADER_SIZE), indexOffset: footer.indexOffset,
    fileLength: header.fileLength, chunkSize: index.chunkSize, entries: index.entries,
  };
}

async function copyPackage(source: OpenedPackage, output: string, plan: readonly PartRecord[] | undefined, progress: CopyProgress | undefined, signal: AbortSignal | undefined): Promise<CopyResult> {
  const { fileLength } = source.layout.header;
  const { digest, files } = await writeOutput(output, { fileLength, plan }, async (out) => {
    const buffer = Buffer.allocUnsafeSlow(source.index.chunkSize);
    for (const chunk of chunksOf(regionsOf(source.layout), source.index.chunkSize)) {
      signal?.throwIfAborted();
      await out.write(await intactBytes(source, chunk, buffer));
      progress?.("write", { done: out.length, total: fileLength, label: chunk.part });
    }
    return { id: source.indexDigest, value: undefined };
  }, (event) => progress?.("verify", event), signal);
  return { files, size: fileLength, digest, id: source.indexDigest, leftOver: await leftOverParts(output, files) };
}

/** Read into `buffer` and compared with its hash: a damage is told as one of the source, not of the copy. */
export async function intactBytes(source: OpenedPackage, chunk: Chunk, buffer: Uint8Array): Promise<Uint8Array> {
  const target = buffer.subarray(0, chunk.length);
  const filled = await readInto(source.source, target, chunk.offset).catch((error: unknown) => {
    throw isKubestickError(error) ? error : packageUnreadable(source.path, error);
  });
  const bytes = target.subarray(0, filled);
  if (!chunkIsIntact(bytes, chunk)) throw packageCorrupt(source.path, chunk.part, `${runText(chunk, source.source.parts)} are not as packed`);
  return bytes;
}

/** Throws PACK_SPLIT_SAME when `output` is the package that is read, or a part of it. */
export async function refuseToReplace(source: Pick<OpenedPackage, "path" | "source">, output: string): Promise<void> {
  const target = await stat(output).catch(() => undefined);
  if (target === undefined) return;
  for (const path of source.source.parts?.files.map((file) => file.path) ?? [source.path]) {
    const own = path === undefined ? undefined : await stat(path);
    if (own?.ino !== target.ino || own.dev !== target.dev) continue;
    throw new KubestickError({
      code: "PACK_SPLIT_SAME",
      attempted: `writing ${output}`,
      happened: `It is ${path === source.path ? "the file" : "a part of the package"} that is read (${String(path)}); nothing was changed.`,
      next: "Name another place with -o.",
    });
  }
}
