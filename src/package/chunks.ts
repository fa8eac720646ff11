/** Hashes of fixed pieces of a byte run: what makes it possible to say where a package is damaged, and to mend or to send only that place. */
import { createHash, type Hash } from "node:crypto";

export const CHUNK_HASH_SIZE = 32;

/** How many chunks a run of `length` bytes has; none when it is empty. */
export function chunkCount(length: number, chunkSize: number): number {
  return Math.ceil(length / chunkSize);
}

export interface ChunkRange {
  readonly number: number;
  /** From the start of the run. */
  readonly offset: number;
  readonly length: number;
}

/** Calls `each` with the SHA-256 of every chunk as it is complete, however the bytes are cut on their way here. */
export class ChunkHasher {
  readonly #size: number;
  readonly #each: (hash: Buffer, range: ChunkRange) => void;
  #hash: Hash = createHash("sha256");
  #filled = 0;
  #number = 0;

  constructor(size: number, each: (hash: Buffer, range: ChunkRange) => void) {
    this.#size = size;
    this.#each = each;
  }

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + this.#size - this.#filled);
      this.#hash.update(part);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === this.#size) this.#emit();
    }
  }

  /** Ends the run: the last chunk may be short. */
  end(): void {
    if (this.#filled > 0) this.#emit();
  }

  #emit(): void {
    const range = { number: this.#number, offset: this.#number * this.#size, length: this.#filled };
    const digest = this.#hash.digest();
    this.#hash = createHash("sha256");
    this.#filled = 0;
    this.#number += 1;
    this.#each(digest, range);
  }
}

/** The hashes of a whole run, one after the other: the form in which the index keeps them. */
export class ChunkList {
  readonly #hashes: Buffer[] = [];
  readonly #hasher: ChunkHasher;

  constructor(size: number) {
    this.#hasher = new ChunkHasher(size, (hash) => this.#hashes.push(hash));
  }

  update(bytes: Uint8Array): void {
    this.#hasher.update(bytes);
  }

  end(): Uint8Array {
    this.#hasher.end();
    return Buffer.concat(this.#hashes);
  }
}

export function chunkHash(chunks: Uint8Array, number: number): Uint8Array {
  return chunks.subarray(number * CHUNK_HASH_SIZE, (number + 1) * CHUNK_HASH_SIZE);
}
