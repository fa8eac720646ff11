/** `node side-load-child.ts SOCKET PACKAGE`: imports all images as the engine does; prints seconds and peak resident memory as JSON. */
import { readFileSync } from "node:fs";
import { image } from "../../src/engine/actions/image.ts";
import { openPackage } from "../../src/package/reader.ts";
import { parallel } from "../../src/package/parallel.ts";
import { connectRuntime } from "../../src/runtime/connect.ts";

const [socket = "", file = ""] = process.argv.slice(2);
const source = await openPackage(file);
const runtime = connectRuntime(socket);
await runtime.info();
const started = performance.now();
await parallel(source.index.images, image.together ?? 1, undefined, async (wanted) => {
  await runtime.importImage(wanted, { open: (digest) => source.open(digest), stored: (digest) => source.stored(digest), owner: source.indexDigest });
});
const seconds = (performance.now() - started) / 1000;
await runtime.close();
await source.close();
// proc(5), VmHWM
const peakBytes = Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024;
process.stdout.write(JSON.stringify({ seconds, peakBytes }));
