/**
 * An import in a process of its own, to be killed in the middle or to be measured.
 *
 *   node import-child.ts SOCKET REFERENCE MEGABYTES [STOP_AFTER_MEGABYTES]
 *
 * Prints `halfway` and then waits for ever when it has handed over STOP_AFTER_MEGABYTES of the large layer; else prints its peak
 * resident memory in bytes.
 */
import { readFileSync } from "node:fs";
import { connectRuntime } from "../../src/runtime/connect.ts";
import { bigLayer, generatedImage, smallLayer } from "./generated-image.ts";

const [socket, reference, megabytes, stopAfter] = process.argv.slice(2) as [string, string, string, string | undefined];
const { image, open } = generatedImage(reference, [await smallLayer({ "etc/name": reference }), await bigLayer(reference, Number(megabytes))]);

async function* stopping(source: AsyncIterable<Uint8Array>, limit: number): AsyncGenerator<Uint8Array> {
  let passed = 0;
  for await (const chunk of source) {
    yield chunk;
    passed += chunk.length;
    if (passed < limit) continue;
    process.stdout.write("halfway\n");
    setInterval(() => undefined, 1000);
    await new Promise(() => undefined);
  }
}

const runtime = connectRuntime(socket);
const limit = stopAfter === undefined ? Infinity : Number(stopAfter) * 1024 * 1024;
await runtime.importImage(image, { open: (digest) => stopping(open(digest), limit) });
await runtime.close();
const peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024;
process.stdout.write(`${peak}\n`);
