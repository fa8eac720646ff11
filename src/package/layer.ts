/** What is inside a layer: the digest and size of its tar after unpacking, found by unpacking it once without keeping anything. */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createGunzip, createZstdDecompress } from "node:zlib";
import { KubestickError, isKubestickError, messageOf } from "../errors.ts";
import { Digester } from "./digest.ts";
import type { Digest, PackageDescriptor } from "./types.ts";

export type Compression = "none" | "gzip" | "zstd";

/** By the first bytes, as containerd does: media types in the wild are not always right. A tar never begins like this. */
export function compressionOf(head: Uint8Array): Compression {
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
  const word = head.length < 4 ? 0 : new DataView(head.buffer, head.byteOffset, 4).getUint32(0, true);
  // A zstd frame, or a skippable one before it (zstd:chunked).
  return word === 0xfd2fb528 || (word & 0xfffffff0) >>> 0 === 0x184d2a50 ? "zstd" : "none";
}

/** Bytes after decompression, whichever of the three it is. */
export async function* decompressed(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  const head: Uint8Array[] = [];
  let length = 0;
  while (length < 4) {
    const next = await iterator.next();
    if (next.done === true) break;
    head.push(next.value);
    length += next.value.length;
  }
  const whole: AsyncIterable<Uint8Array> = {
    async *[Symbol.asyncIterator]() {
      try {
        yield* head;
        for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
      } finally {
        await iterator.return?.();
      }
    },
  };
  const compression = compressionOf(Buffer.concat(head));
  if (compression === "none") {
    yield* whole;
    return;
  }
  // containerd accepts zstd windows up to 2^27 too (its decoder's default).
  const inflate = compression === "gzip" ? createGunzip() : createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: 27 } });
  const piping = pipeline(Readable.from(whole, { objectMode: false }), inflate).catch(() => undefined);
  try {
    for await (const chunk of inflate) yield chunk as Uint8Array;
  } finally {
    inflate.destroy();
    await piping;
  }
}

export interface LayerFacts {
  readonly diffId: Digest;
  readonly unpackedSize: number;
  readonly compression: Compression;
}

/** Checks the layer's own digest and size on the way. `label` names it in errors. */
export async function inspectLayer(descriptor: PackageDescriptor, chunks: AsyncIterable<Uint8Array>, label: string): Promise<LayerFacts> {
  const stored = new Digester();
  const content = new Digester();
  let compression: Compression | undefined;
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      compression ??= compressionOf(chunk);
      stored.update(chunk);
      yield chunk;
    }
  };
  const invalid = (happened: string, cause?: unknown): KubestickError =>
    new KubestickError({ code: "IMAGE_INVALID", attempted: `reading ${label}`, happened, next: "Have the image built, pushed or exported again; as it is no runtime could use it.", cause });
  try {
    for await (const chunk of decompressed(counted())) content.update(chunk);
  } catch (error) {
    if (isKubestickError(error) || (error instanceof Error && error.name === "AbortError")) throw error;
    throw invalid(`The layer cannot be unpacked: ${messageOf(error)}.`, error);
  }
  const digest = stored.digest();
  if (digest !== descriptor.digest || stored.size !== descriptor.size) {
    throw invalid(`The layer has ${stored.size} bytes of digest ${digest}; its manifest says ${descriptor.size} bytes of ${descriptor.digest}.`);
  }
  return { diffId: content.digest(), unpackedSize: content.size, compression: compression ?? "none" };
}
