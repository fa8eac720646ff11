/**
 * Where the bytes of a package come from. Reads are positional, so any number of streams can share a source.
 *
 * The reader knows no more than this: a file today, a file in parts, ranges of a server. A source may return less than was asked for, and
 * returns 0 only where the bytes end; a failure is thrown as it happened and gets its explanation above.
 */
import { open } from "node:fs/promises";
import { packageAbsent, packageUnreadable } from "./failures.ts";
import type { PartView } from "./part-source.ts";

/** The part of Node's FileHandle that is needed here. */
export interface PositionalBytes {
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
}

export interface ByteSource extends PositionalBytes {
  /** For messages: a path, an address. */
  readonly name: string;
  /** Over a network: reading costs more than the disk. */
  readonly remote?: true;
  /** Bytes of the whole. */
  readonly size: number;
  /** The bytes lie in several files. */
  readonly parts?: PartView;
  close(): Promise<void>;
}

/** Rejects with PACKAGE_UNREADABLE, or PACKAGE_ABSENT for what is no regular file. */
export async function openFileSource(path: string): Promise<ByteSource> {
  const handle = await open(path, "r").catch((error: unknown) => {
    throw packageUnreadable(path, error);
  });
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw packageAbsent(path, "It is not a regular file.");
    return { name: path, size: stat.size, read: (buffer, offset, length, position) => handle.read(buffer, offset, length, position), close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}
