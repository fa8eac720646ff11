/** A package in memory: made-up contents behind the reader's interface, verified like the real one's. */
import { createHash } from "node:crypto";
import { KubestickError } from "../../src/errors.ts";
import type { ByteProgress, Digest, PackageIndex, PackageReader } from "../../src/package/types.ts";
import { contentOf } from "./package-index.ts";

const chunkBytes = 1000;

/** `content` defaults to what `packageIndexFor` made up for the entry's label. */
export function memoryPackage(index: PackageIndex, content: (label: string) => Uint8Array = contentOf): PackageReader {
  const bytesOf = (digest: Digest): Uint8Array => {
    const entry = index.entries.find((candidate) => candidate.digest === digest);
    if (entry === undefined) throw new KubestickError({ code: "PACKAGE_ENTRY_ABSENT", attempted: `opening ${digest}`, happened: "The package has no such entry.", next: "Make it again: kubestick pack" });
    const bytes = content(entry.label);
    if (`sha256:${createHash("sha256").update(bytes).digest("hex")}` !== digest) throw new KubestickError({ code: "PACKAGE_CORRUPT", attempted: `reading ${entry.label}`, happened: `The bytes of ${entry.label} do not match their digest.`, next: "Copy the file again." });
    return bytes;
  };
  async function* open(digest: Digest): AsyncIterable<Uint8Array> {
    const bytes = bytesOf(digest);
    for (let offset = 0; offset < bytes.byteLength; offset += chunkBytes) yield bytes.subarray(offset, offset + chunkBytes);
  }
  return {
    path: "/root/kubestick",
    index,
    indexDigest: `sha256:${createHash("sha256").update(JSON.stringify(index.entries.map((entry) => entry.digest))).digest("hex")}`,
    signers: [],
    open,
    stored: (digest) => ({ encoding: "identity", digest, size: bytesOf(digest).byteLength, open: () => open(digest) }),
    read: async (digest) => bytesOf(digest),
    damage: async () => [],
    async verify(progress?: ByteProgress, signal?: AbortSignal) {
      const total = index.entries.reduce((sum, entry) => sum + entry.length, 0);
      let done = 0;
      for (const entry of index.entries) {
        signal?.throwIfAborted();
        bytesOf(entry.digest);
        done += entry.length;
        progress?.({ done, total, label: entry.label });
      }
    },
    close: async () => undefined,
  };
}
