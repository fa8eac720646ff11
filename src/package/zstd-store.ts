/**
 * Entries that travel as zstd, compressed once and kept beside the downloads.
 *
 * Equal inputs must give an equal package, and only the same encoder gives the same bytes: the folder's name holds the library's version,
 * the level, and the size of the pieces it is fed in, because where the input is cut decides where blocks end. The encoder is told how much will come,
 * so that a small layer does not cost the tables of a large one: a thousand of them took seven times as long, and left the memory of all those tables in shreds.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable, Transform, type TransformCallback } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createZstdCompress, zstdCompressSync, type ZstdOptions } from "node:zlib";
import { KubestickError, isKubestickError } from "../errors.ts";
import { removeAbandoned, temporaryName } from "./abandoned.ts";
import { cacheFailed } from "./blob-cache.ts";
import { Digester } from "./digest.ts";
import { ZSTD_WINDOW_LOG } from "./format.ts";
import { decompressed } from "./layer.ts";
import type { Digest } from "./types.ts";
import type { EntrySource } from "./writer.ts";

/** `best`: for packages, which are made once and carried often. `fast`: where somebody waits. */
export type Compression = "best" | "fast";

/**
 * Go executables: 9 saves a tenth over 3 and still runs at disk speed. 18 saves an eighth more at a hundredth of the speed of a disk, a minute or two
 * for a whole package; 19 half a hundredth more for half as much time again. All need the same to be read.
 */
const LEVELS: Readonly<Record<Compression, number>> = { best: 18, fast: 9 };
const PIECE = 1024 * 1024;
/**
 * Of content that does not shrink (models, videos, archives in a layer) `best` compresses 2 MB a second, 3 nearly 400, and neither makes it smaller: an image
 * of 5 GB would take three quarters of an hour. What it is, its first pieces tell; only the content decides, so equal inputs still give equal bytes.
 */
const HOPELESS = { level: 3, pieces: 8, above: 0.98 } as const;
/** An encoder with this window holds some 50 to 70 MB. Two keep two cores busy. */
const AT_ONCE = 2;

export class ZstdStore {
  readonly #directory: string;
  readonly #waiting: (() => void)[] = [];
  #free = AT_ONCE;
  readonly #level: number;
  #ready: Promise<void> | undefined;

  constructor(cacheDirectory: string, compression: Compression) {
    this.#level = LEVELS[compression];
    this.#directory = join(cacheDirectory, `zstd-${process.versions["zstd"]}-${this.#level}-${PIECE}-sized`);
  }

  /** The stored form of content whose digest is already known, if an earlier run made it and it still unpacks to that digest. */
  async find(digest: Digest, label: string, signal?: AbortSignal): Promise<EntrySource | undefined> {
    const path = this.#pathOf(digest);
    if (!(await exists(path))) return undefined;
    const stored = new Digester();
    const content = new Digester();
    const counted = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of createReadStream(path, signal === undefined ? {} : { signal })) {
        stored.update(chunk as Uint8Array);
        yield chunk as Uint8Array;
      }
    };
    try {
      for await (const chunk of decompressed(counted())) content.update(chunk);
      if (content.digest() === digest) return entryAt(path, label, digest, content.size, stored);
    } catch (error) {
      if (signal?.aborted === true) throw error;
      // Damaged: made again below, from content that is verified.
    }
    await rm(path, { force: true });
    return undefined;
  }

  /** Compresses while reading once; the content's digest is found on the way. `size`: of the content. `onBytes`: of the content so far. */
  async add(chunks: AsyncIterable<Uint8Array>, size: number, label: string, signal?: AbortSignal, onBytes?: (done: number) => void): Promise<EntrySource> {
    this.#ready ??= this.#prepare();
    await this.#ready;
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await this.#compress(chunks, size, label, signal, onBytes);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }

  async #compress(chunks: AsyncIterable<Uint8Array>, size: number, label: string, signal: AbortSignal | undefined, onBytes: ((done: number) => void) | undefined): Promise<EntrySource> {
    const temporary = temporaryName(join(this.#directory, `entry${(counter += 1)}`));
    const content = new Digester();
    const stored = new Digester();
    const options = (level: number): ZstdOptions => ({ pledgedSrcSize: size, params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_windowLog]: ZSTD_WINDOW_LOG, [constants.ZSTD_c_checksumFlag]: 0 } });
    const pieces = inPieces(ofSize(chunks, size, label));
    try {
      if (size <= PIECE) {
        // At once and here: an encoder on another thread for each of a thousand small layers leaves that thread's memory in shreds, and takes longer.
        let whole: Uint8Array = new Uint8Array(0);
        for await (const piece of pieces) whole = piece;
        content.update(whole);
        onBytes?.(whole.length);
        const compressed = zstdCompressSync(whole, options(this.#level));
        stored.update(compressed);
        await writeFile(temporary, compressed, { flag: "wx" });
        signal?.throwIfAborted();
      } else {
        const first: Uint8Array[] = [];
        while (first.length < HOPELESS.pieces) {
          const { value, done } = await pieces.next();
          if (done === true) break;
          first.push(value);
        }
        const level = isHopeless(first) ? Math.min(HOPELESS.level, this.#level) : this.#level;
        await pipeline(Readable.from(following(first, pieces), { objectMode: false, highWaterMark: PIECE }), passing(content, onBytes), createZstdCompress(options(level)), passing(stored), createWriteStream(temporary, { flags: "wx" }), signal === undefined ? {} : { signal });
      }
      const digest = content.digest();
      const path = this.#pathOf(digest);
      await rename(temporary, path);
      return entryAt(path, label, digest, content.size, stored);
    } catch (error) {
      // The disk's own errors name a system call; the others come from the content.
      const fromDisk = error instanceof Error && "syscall" in error && !isKubestickError(error);
      throw fromDisk && signal?.aborted !== true ? cacheFailed(temporary, error) : error;
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async #prepare(): Promise<void> {
    await mkdir(this.#directory, { recursive: true }).catch((error: unknown) => {
      throw cacheFailed(this.#directory, error);
    });
    await removeAbandoned(this.#directory);
  }

  #pathOf(digest: Digest): string {
    return join(this.#directory, digest.slice("sha256:".length));
  }
}

let counter = 0;

function entryAt(path: string, label: string, digest: Digest, size: number, stored: Digester): EntrySource {
  return { digest, size, encoding: "zstd", length: stored.size, stored: stored.digest(), label, open: () => createReadStream(path) as AsyncIterable<Uint8Array> };
}

function isHopeless(pieces: readonly Uint8Array[]): boolean {
  const [from, to] = pieces.reduce(([all, shrunk], piece) => [all + piece.length, shrunk + zstdCompressSync(piece, { params: { [constants.ZSTD_c_compressionLevel]: 1 } }).length], [0, 0] as readonly [number, number]);
  return to > from * HOPELESS.above;
}

async function* following(first: Uint8Array[], rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (let piece = first.shift(); piece !== undefined; piece = first.shift()) yield piece;
  yield* rest;
}

/** The encoder's own complaint would name neither the content nor a way out. */
async function* ofSize(chunks: AsyncIterable<Uint8Array>, size: number, label: string): AsyncGenerator<Uint8Array> {
  let found = 0;
  for await (const chunk of chunks) {
    found += chunk.length;
    if (found > size) break;
    yield chunk;
  }
  if (found === size) return;
  throw new KubestickError({
    code: "PACK_SOURCE_CHANGED",
    attempted: `compressing ${label}`,
    happened: `It has ${found > size ? "more than" : `${found} bytes instead of`} the ${size} bytes found when it was looked at.`,
    next: "Run the same command again; if it happens again, the disk that holds the cache or the --images folder is failing.",
  });
}

async function* inPieces(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let piece = Buffer.allocUnsafeSlow(PIECE);
  let filled = 0;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const taken = chunk.subarray(at, at + PIECE - filled);
      piece.set(taken, filled);
      filled += taken.length;
      at += taken.length;
      if (filled < PIECE) continue;
      yield piece;
      piece = Buffer.allocUnsafeSlow(PIECE);
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

function passing(digester: Digester, onBytes?: (done: number) => void): Transform {
  return new Transform({
    transform(chunk: Uint8Array, _encoding: BufferEncoding, callback: TransformCallback): void {
      digester.update(chunk);
      onBytes?.(digester.size);
      callback(null, chunk);
    },
  });
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
