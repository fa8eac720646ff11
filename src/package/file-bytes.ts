/** Positional reads from one open file or other source. Nothing here moves a file position, so any number of streams can share a handle. */
import type { PositionalBytes } from "./byte-source.ts";
import type { ChunkHold } from "./types.ts";

/** Large enough that a USB stick streams, small enough that a dozen streams stay far below the memory limit. */
export const CHUNK_SIZE = 256 * 1024;

/** Fills as much of `buffer` as the file has at `offset`; a read may be short although more is there (signals, network file systems). */
export async function readInto(handle: PositionalBytes, buffer: Uint8Array, offset: number): Promise<number> {
  let filled = 0;
  while (filled < buffer.length) {
    const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}

/** What the file has of a range: nothing when the range lies behind it, however far (pread refuses offsets from 2^63). */
export async function readAt(handle: PositionalBytes, offset: number, length: number): Promise<Uint8Array> {
  if (offset >= Number.MAX_SAFE_INTEGER) return new Uint8Array(0);
  const buffer = Buffer.alloc(Math.max(0, Math.min(length, MAX_WHOLE)));
  return buffer.subarray(0, await readInto(handle, buffer, offset));
}

/** Header tables and indexes are smaller; a length beyond this comes from a damaged header and is not worth the memory. */
const MAX_WHOLE = 64 * 1024 * 1024;

/**
 * The file's bytes from `offset`, at most `length`; ends early where the file ends. Every chunk is a buffer of its own: consumers keep
 * them (compressors, sockets) after asking for the next. Those that do not say so, and all bytes pass through one.
 */
export async function* readRange(handle: PositionalBytes, offset: number, length: number, hold: ChunkHold = "kept"): AsyncGenerator<Uint8Array> {
  const lent = hold === "lent" ? Buffer.allocUnsafeSlow(Math.min(CHUNK_SIZE, length)) : undefined;
  for (let at = 0; at < length; ) {
    const buffer = lent?.subarray(0, length - at) ?? Buffer.allocUnsafeSlow(Math.min(CHUNK_SIZE, length - at));
    const filled = await readInto(handle, buffer, offset + at);
    if (filled === 0) return;
    yield buffer.subarray(0, filled);
    at += filled;
  }
}

/**
 * Calls `each` with the bytes of a range, in order, while the next read is already under way: the disk and the hash work at the same time.
 * The chunk is only valid during the call. Resolves to the number of bytes there were.
 */
export async function scanRange(handle: PositionalBytes, offset: number, length: number, each: (chunk: Uint8Array) => void, signal?: AbortSignal): Promise<number> {
  const buffers = [Buffer.allocUnsafeSlow(4 * CHUNK_SIZE), Buffer.allocUnsafeSlow(4 * CHUNK_SIZE)] as const;
  const fetch = (at: number, turn: number): Promise<number> => {
    const buffer = turn % 2 === 0 ? buffers[0] : buffers[1];
    return readInto(handle, buffer.subarray(0, Math.min(buffer.length, length - at)), offset + at);
  };
  let at = 0;
  let pending = fetch(0, 0);
  for (let turn = 0; at < length; turn++) {
    const filled = await pending;
    signal?.throwIfAborted();
    if (filled === 0) break;
    at += filled;
    if (at < length) pending = fetch(at, turn + 1);
    each((turn % 2 === 0 ? buffers[0] : buffers[1]).subarray(0, filled));
  }
  return at;
}
