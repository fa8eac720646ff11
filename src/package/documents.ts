/** Things a package carries besides programs and images, as index record and entry at once. Equal content gives equal bytes. */
import { constants, zstdCompressSync } from "node:zlib";
import { digestOf } from "./digest.ts";
import { ZSTD_WINDOW_LOG } from "./format.ts";
import type { PackageDocument } from "./types.ts";
import type { EntrySource } from "./writer.ts";

export interface CarriedDocument {
  readonly document: PackageDocument;
  readonly entry: EntrySource;
}

/** Compressed where that makes it smaller. */
export function carriedDocument(kind: string, name: string, mediaType: string, text: string): CarriedDocument {
  const content = Buffer.from(text, "utf8");
  const digest = digestOf(content);
  const packed = zstdCompressSync(content, { params: { [constants.ZSTD_c_compressionLevel]: 19, [constants.ZSTD_c_windowLog]: ZSTD_WINDOW_LOG } });
  const smaller = packed.length < content.length;
  const stored = smaller ? packed : content;
  return {
    document: { kind, name, mediaType, digest, size: content.length },
    entry: {
      digest, size: content.length, encoding: smaller ? "zstd" : "identity", length: stored.length, stored: smaller ? digestOf(stored) : digest, label: `${kind} ${name}`,
      open: async function* () { yield stored; },
    },
  };
}
