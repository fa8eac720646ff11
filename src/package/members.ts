/** Takes the wanted files out of a tar.gz release in one pass; nothing else of the archive touches the disk. */
import { createReadStream } from "node:fs";
import { extract } from "tar-stream";
import { Readable } from "node:stream";
import { KubestickError, isKubestickError, messageOf } from "../errors.ts";
import { decompressed } from "./layer.ts";

/**
 * Calls `take` for every wanted member, in the archive's order; its promise must not resolve before the bytes are consumed.
 * Throws PACK_ARCHIVE naming the members that are not there.
 */
export async function readMembers(path: string, label: string, wanted: readonly string[], take: (name: string, content: AsyncIterable<Uint8Array>) => Promise<void>, signal?: AbortSignal): Promise<void> {
  const invalid = (happened: string, cause?: unknown): KubestickError =>
    new KubestickError({ code: "PACK_ARCHIVE", attempted: `taking ${wanted.join(", ")} out of ${label}`, happened, next: "The release is laid out differently than offline-images says; use the versions listed there.", cause });
  const missing = new Set(wanted);
  const unpack = extract();
  const source = Readable.from(decompressed(createReadStream(path)), { objectMode: false });
  source.on("error", (error) => unpack.destroy(error));
  source.pipe(unpack as unknown as NodeJS.WritableStream);
  try {
    for await (const entry of unpack) {
      signal?.throwIfAborted();
      const name = entry.header.name.replace(/^(\.\/)+/, "");
      if (entry.header.type === "file" && missing.delete(name)) await take(name, entry as AsyncIterable<Uint8Array>);
      else entry.resume();
      if (missing.size === 0) break;
    }
  } catch (error) {
    if (isKubestickError(error) || signal?.aborted === true) throw error;
    throw invalid(`The archive cannot be read: ${messageOf(error)}.`, error);
  } finally {
    source.destroy();
    unpack.destroy();
  }
  if (missing.size > 0) throw invalid(`It has no ${[...missing].join(", ")}.`);
}
