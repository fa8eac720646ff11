/** Helm chart archives: recognised and named, carried as they are, never rendered. */
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { extract } from "tar-stream";
import { parse } from "yaml";
import { collect } from "./image.ts";
import { decompressed } from "./layer.ts";

export interface ChartFacts {
  readonly name: string;
  readonly version: string;
}

/** Helm refuses to load charts beyond this; an image archive need not be unpacked to its end to know that it is none. */
const MAX_UNPACKED = 100 * 1024 * 1024;
const MAX_CHART_FILE = 1024 * 1024;
/** Where image archives begin. */
const IMAGE_MEMBER = /^(manifest\.json|index\.json|oci-layout|repositories|blobs(\/|$)|[0-9a-f]{64}(\/|\.json$|\.tar$))/;

/** undefined: not a chart (a `NAME/Chart.yaml` with name and version is what makes one). */
export async function readChart(path: string): Promise<ChartFacts | undefined> {
  const unpack = extract();
  const source = Readable.from(limited(decompressed(createReadStream(path))), { objectMode: false });
  source.on("error", (error) => unpack.destroy(error));
  source.pipe(unpack as unknown as NodeJS.WritableStream);
  try {
    for await (const entry of unpack) {
      const name = entry.header.name.replace(/^(\.\/)+/, "");
      if (IMAGE_MEMBER.test(name)) return undefined;
      if (/^[^/]+\/Chart\.yaml$/.test(name)) {
        const text = Buffer.from(await collect(entry as AsyncIterable<Uint8Array>, MAX_CHART_FILE)).toString("utf8");
        const { name: chart, version } = (parse(text) ?? {}) as { name?: unknown; version?: unknown };
        return typeof chart === "string" && typeof version === "string" && /^[\w.-]+$/.test(chart) && /^[\w.+-]+$/.test(version) ? { name: chart, version } : undefined;
      }
      entry.resume();
    }
    return undefined;
  } catch {
    return undefined; // No archive at all, or a broken one: whoever reads it as images says what is wrong with it.
  } finally {
    source.destroy();
    unpack.destroy();
  }
}

async function* limited(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > MAX_UNPACKED) return;
    yield chunk;
  }
}
