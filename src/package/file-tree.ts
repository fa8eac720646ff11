/**
 * Where image layouts are found on disk: a directory, or an archive read by offset. What is in the files is not known here.
 */
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, rm, stat, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { KubestickError, errnoOf, isKubestickError, messageOf } from "../errors.ts";
import { cacheFailed } from "./blob-cache.ts";
import { readRange } from "./file-bytes.ts";
import { compressionOf, decompressed } from "./layer.ts";
import { readTarIndex } from "./tar-index.ts";

/** Files by name: a directory, or a tar file. */
export interface FileTree {
  /** For people. */
  readonly path: string;
  has(name: string): Promise<boolean>;
  read(name: string, start?: number): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** People sort their archives into folders; deeper than this it is something else. */
const DEPTH = 3;

/** Every layout and archive in a folder, by name, some levels deep; or the one archive at `path`. `spool`: a folder for the unpacked form of compressed archives. */
export async function* findTrees(path: string, spool: string, depth = 0): AsyncGenerator<FileTree> {
  if (depth === 0 && (await stat(path).catch(() => undefined))?.isFile() === true) {
    yield await archiveTree(path, spool);
    return;
  }
  let names: string[];
  try {
    names = (await readdir(path)).sort();
  } catch (error) {
    throw new KubestickError({
      code: "IMAGES_DIRECTORY",
      attempted: `looking for images in ${path}`,
      happened: errnoOf(error) === "ENOENT" ? "The folder does not exist." : `The folder cannot be read: ${messageOf(error)}.`,
      next: "Name a folder that holds OCI layouts or image archives with --images DIR.",
      cause: error,
    });
  }
  if (names.includes("index.json") && names.includes("blobs")) {
    yield directoryTree(path);
    return;
  }
  for (const name of names) {
    const child = join(path, name);
    const found = await stat(child).catch((error: unknown) => {
      // A link that leads nowhere is no archive.
      if (errnoOf(error) === "ENOENT") return undefined;
      throw archiveInvalid(child, messageOf(error), error);
    });
    if (found === undefined) continue;
    if (found.isDirectory() && depth < DEPTH) yield* findTrees(child, spool, depth + 1);
    else if (found.isFile() && /\.(tar|tgz|tar\.gz|tar\.zst)$/.test(name)) yield await archiveTree(child, spool);
  }
}

function directoryTree(path: string): FileTree {
  // Names come from a file in it, and must not lead out of it.
  const inside = (name: string): boolean => !name.startsWith("/") && !name.split("/").includes("..");
  return {
    path,
    has: (name) => (inside(name) ? stat(join(path, name)).then((found) => found.isFile(), () => false) : Promise.resolve(false)),
    read: async function* (name, start = 0) {
      if (!inside(name)) throw archiveInvalid(path, `${JSON.stringify(name)} leads out of it`);
      try {
        yield* createReadStream(join(path, name), { start }) as AsyncIterable<Uint8Array>;
      } catch (error) {
        throw archiveInvalid(path, errnoOf(error) === "ENOENT" ? `${name} is missing in it` : messageOf(error), error);
      }
    },
    close: async () => undefined,
  };
}

let spooled = 0;

async function archiveTree(path: string, spool: string): Promise<FileTree> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4), 0, 4, 0);
    if (compressionOf(buffer.subarray(0, bytesRead)) !== "none") {
      await handle.close();
      handle = undefined;
      handle = await unpacked(path, spool);
    }
    const file = handle;
    const members = await readTarIndex(file);
    return {
      path,
      has: async (name) => members.has(name),
      read: (name, start = 0) => {
        const member = members.get(name);
        if (member === undefined) throw archiveInvalid(path, `${name} is missing in it`);
        return readRange(file, member.offset + start, Math.max(0, member.size - start));
      },
      close: () => file.close(),
    };
  } catch (error) {
    await handle?.close();
    throw isKubestickError(error) ? error : archiveInvalid(path, messageOf(error), error);
  }
}

/**
 * Compressed archives can only be read from the front, and their content is wanted in another order. The unpacked file has no name from
 * the start, so it is gone with the process, however that ends.
 */
async function unpacked(path: string, spool: string): Promise<FileHandle> {
  const name = join(spool, `${process.pid}-${(spooled += 1)}.tar`);
  let handle: FileHandle | undefined;
  try {
    await mkdir(spool, { recursive: true });
    handle = await open(name, "wx+");
    await rm(name);
    let at = 0;
    for await (const chunk of decompressed(createReadStream(path))) {
      for (let from = 0; from < chunk.length; ) {
        const { bytesWritten } = await handle.write(chunk, from, chunk.length - from, at);
        from += bytesWritten;
        at += bytesWritten;
      }
    }
    return handle;
  } catch (error) {
    await handle?.close();
    throw errnoOf(error) === "ENOSPC" ? cacheFailed(spool, error) : error;
  }
}

export function archiveInvalid(path: string, why: string, cause?: unknown): KubestickError {
  return new KubestickError({
    code: "IMAGES_ARCHIVE",
    attempted: `reading images from ${path}`,
    happened: `It is not a complete image archive or layout: ${why}.`,
    next: "Export it again, e.g. `skopeo copy docker://IMAGE oci-archive:FILE.tar:IMAGE`, or move it out of the folder.",
    cause,
  });
}
