/**
 * Downloads on disk, named by digest: `blobs/<hex>` complete and verified, `blobs/<hex>.partial` on its way.
 *
 * Kept between runs on purpose: a package is 400 MB and more, and the line it comes over may be bad. A run that was interrupted, by
 * Ctrl-C or by the network, continues each file at the byte where it stopped. Everything here may be deleted at any time.
 *
 * Two packs may share the folder. They would write the same bytes to the same places of a partial file, and whoever finishes
 * first gives it its final name, so they need no lock.
 */
import { constants, mkdir, open, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { createHash, type Hash } from "node:crypto";
import { join } from "node:path";
import { KubestickError, errnoOf, isKubestickError, messageOf } from "../errors.ts";
import { CHUNK_SIZE, scanRange } from "./file-bytes.ts";
import { fetchFailed, isTransient, type HttpClient } from "./http.ts";
import type { Digest } from "./types.ts";

export interface Wanted {
  readonly digest: Digest;
  /** Not known for release files before the server tells; the digest decides. */
  readonly size?: number;
  readonly label: string;
  /** Address or reference, for messages. */
  readonly from: string;
}

export interface CachedBlob {
  readonly path: string;
  readonly size: number;
  /** Bytes that came over the network in this run. */
  readonly fetched: number;
}

/** `done`: bytes of this blob present so far. */
export type BlobProgress = (done: number) => void;

export class BlobCache {
  readonly directory: string;
  readonly #http: HttpClient;

  constructor(directory: string, http: HttpClient) {
    this.directory = directory;
    this.#http = http;
  }

  pathOf(digest: Digest): string {
    return join(this.directory, "blobs", digest.slice("sha256:".length));
  }

  /** Bytes that still have to be fetched, as far as one can know before. */
  async missing(wanted: Wanted): Promise<number> {
    const path = this.pathOf(wanted.digest);
    if ((await sizeOf(path)) !== undefined) return 0;
    return Math.max(0, (wanted.size ?? 0) - ((await sizeOf(`${path}.partial`)) ?? 0));
  }

  /** The blob, from here when it is here and whole, else through `openAt`, continuing what an earlier run began. */
  async ensure(wanted: Wanted, openAt: (start: number) => AsyncIterable<Uint8Array>, progress: BlobProgress, signal?: AbortSignal): Promise<CachedBlob> {
    const path = this.pathOf(wanted.digest);
    await mkdir(join(this.directory, "blobs"), { recursive: true }).catch((error: unknown) => {
      throw cacheFailed(this.directory, error);
    });
    const present = await this.#present(path, wanted, progress, signal);
    if (present !== undefined) return { path, size: present, fetched: 0 };

    const partial = await open(`${path}.partial`, constants.O_RDWR | constants.O_CREAT, 0o644).catch((error: unknown) => {
      throw cacheFailed(path, error);
    });
    try {
      return await this.#download(partial, path, wanted, openAt, progress, signal);
    } catch (error) {
      const fromDisk = error instanceof Error && "syscall" in error && !isKubestickError(error);
      throw fromDisk && signal?.aborted !== true ? cacheFailed(path, error) : error;
    } finally {
      await partial.close();
    }
  }

  /** Size of the finished file after hashing it again: a disk may have changed it since, and the package must not carry that. */
  async #present(path: string, wanted: Wanted, progress: BlobProgress, signal: AbortSignal | undefined): Promise<number | undefined> {
    let handle: FileHandle;
    try {
      handle = await open(path, "r");
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return undefined;
      throw cacheFailed(path, error);
    }
    try {
      const { size } = await handle.stat();
      const hash = createHash("sha256");
      await scanRange(handle, 0, size, (chunk) => hash.update(chunk), signal);
      if (`sha256:${hash.digest("hex")}` === wanted.digest) {
        progress(size);
        return size;
      }
    } finally {
      await handle.close();
    }
    await rm(path, { force: true });
    return undefined;
  }

  async #download(file: FileHandle, path: string, wanted: Wanted, openAt: (start: number) => AsyncIterable<Uint8Array>, progress: BlobProgress, signal: AbortSignal | undefined): Promise<CachedBlob> {
    let { hash, done } = await this.#resume(file, wanted, signal);
    let clean = done === 0;
    let fetched = 0;
    progress(done);
    for (let failures = 0; ; ) {
      try {
        if (wanted.size === undefined || done < wanted.size) {
          for await (const chunk of openAt(done)) {
            signal?.throwIfAborted();
            await file.write(chunk, 0, chunk.length, done).catch((error: unknown) => {
              throw cacheFailed(path, error);
            });
            hash.update(chunk);
            done += chunk.length;
            fetched += chunk.length;
            failures = 0;
            if (wanted.size !== undefined && done > wanted.size) break;
            progress(done);
          }
          if (wanted.size !== undefined && done < wanted.size) throw new CutShort(`the server closed after ${done} of ${wanted.size} bytes`);
        }
      } catch (error) {
        if (isKubestickError(error) || signal?.aborted === true) throw error;
        failures += 1;
        if (!(error instanceof CutShort || isTransient(error)) || failures >= this.#http.attempts) throw fetchFailed(wanted.from, error, signal);
        await this.#http.pause(wanted.from, messageOf(error), failures, undefined, signal);
        continue;
      }
      const found = `sha256:${hash.digest("hex")}`;
      if (found === wanted.digest) {
        await file.datasync();
        await rename(`${path}.partial`, path).catch(async (error: unknown) => {
          // Another pack finished the same file first.
          if (errnoOf(error) !== "ENOENT" || (await sizeOf(path)) === undefined) throw cacheFailed(path, error);
        });
        return { path, size: done, fetched };
      }
      await file.truncate(0);
      // The bytes an earlier run left may have been the wrong ones; those of this run were not.
      if (clean) throw wrongDigest(wanted, found, done);
      clean = true;
      hash = createHash("sha256");
      done = 0;
    }
  }

  async #resume(file: FileHandle, wanted: Wanted, signal: AbortSignal | undefined): Promise<{ hash: Hash; done: number }> {
    const { size } = await file.stat();
    const hash = createHash("sha256");
    if (wanted.size !== undefined && size > wanted.size) {
      await file.truncate(0);
      return { hash, done: 0 };
    }
    // After a power cut the end of a file may be blocks that were allocated but never written; they are fetched again.
    const trusted = Math.max(0, size - CHUNK_SIZE);
    const resumeAt = size === wanted.size ? size : trusted;
    await scanRange(file, 0, resumeAt, (chunk) => hash.update(chunk), signal);
    return { hash, done: resumeAt };
  }
}

/** A body that ended early without an error of its own. */
class CutShort extends Error {}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw cacheFailed(path, error);
  }
}

function wrongDigest(wanted: Wanted, found: string, size: number): KubestickError {
  return new KubestickError({
    code: "PACK_DIGEST",
    attempted: `fetching ${wanted.label} from ${wanted.from}`,
    happened: `The server sent ${size} bytes of digest ${found}; expected is ${wanted.digest}${wanted.size === undefined ? "" : ` (${wanted.size} bytes)`}.`,
    next: "Nothing of it was used. Try again later or name a mirror; if it stays, compare the digest with the one the project publishes.",
  });
}

export function cacheFailed(path: string, error: unknown): KubestickError {
  return new KubestickError({
    code: "PACK_CACHE",
    attempted: `keeping downloads at ${path}`,
    happened: `The file could not be read or written: ${messageOf(error)}.`,
    next: "Name another folder with --cache DIR, or free some space there.",
    cause: error,
  });
}
