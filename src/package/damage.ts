/** The whole file as regions with a hash for every chunk, and the search for chunks that are not as packed. */
import { createHash } from "node:crypto";
import { errnoOf } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { CHUNK_HASH_SIZE, ChunkList, chunkCount, chunkHash } from "./chunks.ts";
import { packageUnreadable } from "./failures.ts";
import { readInto } from "./file-bytes.ts";
import { FOOTER_SIZE, encodeFooter, encodeHeader, type PackageFooter, type PackageHeader } from "./format.ts";
import type { PartView } from "./part-source.ts";
import type { ByteProgress, Damage, PackageIndex, PackageSigner } from "./types.ts";

/** Everything that says how the bytes of a file have to be. */
export interface PackageLayout {
  readonly header: PackageHeader;
  readonly footer: PackageFooter;
  readonly index: PackageIndex;
  readonly indexBytes: Uint8Array;
  readonly signatureBytes: Uint8Array;
  /** Of these bytes, found right. */
  readonly signers: readonly PackageSigner[];
}

export interface Region {
  /** Label for people. */
  readonly part: string;
  readonly offset: number;
  readonly length: number;
  /** SHA-256 of each chunk. */
  readonly chunks: Uint8Array;
}

export const EXECUTABLE = "the executable";

/** In file order; together they cover every byte of the whole, and of the files it lies in when these are several. */
export function regionsOf({ header, footer, index, indexBytes, signatureBytes }: PackageLayout, parts?: PartView): readonly Region[] {
  const known = (part: string, offset: number, bytes: Uint8Array): Region => {
    const list = new ChunkList(index.chunkSize);
    list.update(bytes);
    return { part, offset, length: bytes.length, chunks: list.end() };
  };
  const { executable } = index;
  const start = footer.payloadStart;
  return [
    { part: EXECUTABLE, offset: 0, length: executable.length, chunks: executable.chunks },
    known("the padding behind the executable", executable.length, new Uint8Array(start - executable.length)),
    known("the package header", start, encodeHeader(header)),
    ...index.entries.map(({ label, offset, length, chunks }) => ({ part: label, offset, length, chunks })),
    known("the package index", footer.indexOffset, indexBytes),
    known("the signatures", footer.indexOffset + footer.indexLength, signatureBytes),
    known("the package footer", header.fileLength - FOOTER_SIZE, encodeFooter(footer)),
    ...(parts?.records ?? []).map(({ part, offset, bytes }) => known(part, offset, bytes)),
  ];
}

/** What of the regions lies in the parts that are there, in whole chunks. */
export function regionsWithin(regions: readonly Region[], parts: PartView, chunkSize: number): readonly Region[] {
  const here: Region[] = [];
  for (const region of regions) {
    const count = chunkCount(region.length, chunkSize);
    const isHere = (number: number): boolean => parts.places(region.offset + number * chunkSize, Math.min(chunkSize, region.length - number * chunkSize)).length > 0;
    for (let first = 0; first < count; first++) {
      if (!isHere(first)) continue;
      let end = first + 1;
      while (end < count && isHere(end)) end++;
      const from = first * chunkSize;
      here.push({ part: region.part, offset: region.offset + from, length: Math.min(end * chunkSize, region.length) - from, chunks: region.chunks.subarray(first * CHUNK_HASH_SIZE, end * CHUNK_HASH_SIZE) });
      first = end;
    }
  }
  return here;
}

/** A chunk of the file, with the hash it has to have. */
export interface Chunk {
  readonly part: string;
  readonly offset: number;
  readonly length: number;
  readonly hash: Uint8Array;
}

export function* chunksOf(regions: readonly Region[], chunkSize: number): Generator<Chunk> {
  for (const { part, offset, length, chunks } of regions) {
    for (let number = 0; number < chunkCount(length, chunkSize); number++) {
      const from = number * chunkSize;
      yield { part, offset: offset + from, length: Math.min(chunkSize, length - from), hash: chunkHash(chunks, number) };
    }
  }
}

export function chunkIsIntact(bytes: Uint8Array, { hash, length }: Chunk): boolean {
  return bytes.length === length && Buffer.compare(createHash("sha256").update(bytes).digest(), hash) === 0;
}

/**
 * Reads every chunk once, in order, and yields those that are not as packed. The next read is under way while one is hashed. A chunk the
 * medium cannot read (EIO) counts as damaged: the rest of a worn stick is looked at all the same.
 */
export async function* damagedChunks(source: ByteSource, regions: readonly Region[], chunkSize: number, progress?: ByteProgress, signal?: AbortSignal): AsyncGenerator<Chunk> {
  const total = regions.reduce((sum, { length }) => sum + length, 0);
  const buffers = [Buffer.allocUnsafeSlow(chunkSize), Buffer.allocUnsafeSlow(chunkSize)] as const;
  const all = chunksOf(regions, chunkSize);
  const fetch = (chunk: Chunk, turn: number): Promise<Uint8Array> => {
    const buffer = (turn % 2 === 0 ? buffers[0] : buffers[1]).subarray(0, chunk.length);
    return readInto(source, buffer, chunk.offset).then(
      (filled) => buffer.subarray(0, filled),
      (error: unknown) => {
        if (errnoOf(error) === "EIO") return new Uint8Array(0);
        throw packageUnreadable(source.name, error);
      },
    );
  };
  let done = 0;
  let next = all.next();
  let pending = next.done === true ? undefined : fetch(next.value, 0);
  for (let turn = 0; pending !== undefined && next.done !== true; turn++) {
    const chunk: Chunk = next.value;
    const bytes: Uint8Array = await pending;
    signal?.throwIfAborted();
    next = all.next();
    pending = next.done === true ? undefined : fetch(next.value, turn + 1);
    // The next read may fail while this chunk is dealt with; its failure is met when its turn comes.
    pending?.catch(() => undefined);
    if (!chunkIsIntact(bytes, chunk)) yield chunk;
    done += chunk.length;
    progress?.({ done, total, label: chunk.part });
  }
}

/** Neighbouring chunks of one part as one place; of a package in several files, in the file where it is. */
export function joined(chunks: readonly Chunk[], parts?: PartView): readonly Damage[] {
  const places = neighbours(chunks);
  if (parts === undefined) return places;
  return places.flatMap(({ part, offset, length }) => parts.places(offset, length).map((place) => ({ part, file: place.path, offset: place.offset, length: place.length })));
}

function neighbours(chunks: readonly Chunk[]): readonly Damage[] {
  const places: Damage[] = [];
  for (const { part, offset, length } of chunks) {
    const last = places.at(-1);
    if (last !== undefined && last.part === part && last.offset + last.length === offset) places[places.length - 1] = { ...last, length: last.length + length };
    else places.push({ part, offset, length });
  }
  return places;
}

/** `bytes 4096 to 8191 of the file` */
export function placeText({ file = "the file", offset, length }: Omit<Damage, "part">): string {
  return length === 1 ? `byte ${offset} of ${file}` : `bytes ${offset} to ${offset + length - 1} of ${file}`;
}

/** The same for a run of the whole, which may lie in several files. */
export function runText(run: { readonly offset: number; readonly length: number }, parts: PartView | undefined): string {
  const places = parts?.places(run.offset, run.length) ?? [];
  return places.length === 0 ? placeText(run) : places.map(({ path, offset, length }) => placeText({ file: path, offset, length })).join(" and ");
}

