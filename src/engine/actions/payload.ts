/** An executable carried in the package, streamed to its place: the package's reader verifies the bytes on the way. */
import { dirname } from "node:path";
import { KubestickError } from "../../errors.ts";
import type { PackageReader } from "../../package/types.ts";
import type { Progress } from "../context.ts";
import type { PayloadAction } from "../types.ts";
import { inTheWay } from "./file.ts";
import { recordPath, restorePath } from "./found-path.ts";
import { modeText, type Handler } from "./handler.ts";

export const payload: Handler<PayloadAction> = {
  slow: true,
  // One is unpacked and hashed while the other is flushed to the disk.
  together: 2,
  journaled: true,

  async observe(action, { host }) {
    const found = await host.stat(action.path);
    const wanted = `${modeText(action.mode)}, ${action.size} bytes from the package`;
    if (found === undefined) return { state: "differs", absent: true, detail: wanted };
    if (found.type === "directory") throw inTheWay(action.path);
    if (found.type !== "file") return { state: "differs", detail: `replaces a ${found.type}, ${wanted}` };
    // Sizes differ between almost all versions, and spare hashing a hundred megabytes.
    if (found.size !== action.size || `sha256:${await host.hashFile(action.path)}` !== action.digest) return { state: "differs", detail: `another version is there, ${wanted}` };
    if (found.mode !== action.mode) return { state: "differs", detail: `mode ${modeText(found.mode)} becomes ${modeText(action.mode)}` };
    return { state: "same" };
  },

  record: (action, context) => recordPath(action.path, context),

  async apply(action, { host, pkg, signal }, progress, observed) {
    const before = await host.stat(action.path);
    if (observed.detail.startsWith("mode ")) {
      await host.chmod(action.path, action.mode);
      return { what: "changed", detail: `changed ${observed.detail.replace(" becomes ", " to ")}` };
    }
    await host.makeDirectory(dirname(action.path), 0o755);
    await host.writeFile(action.path, counted(open(pkg, action), action.size, progress, signal), { mode: action.mode });
    const what = before === undefined ? "created" : "changed";
    return { what, detail: `${what} ${modeText(action.mode)}, ${action.size} bytes` };
  },

  /** The stream was verified against its digest while it was read, and the write was flushed: length and mode are what is left to see. */
  async verify(action, { host }) {
    const found = await host.stat(action.path);
    if (found?.type === "file" && found.size === action.size && found.mode === action.mode) return { state: "same" };
    return { state: "differs", detail: found === undefined ? "absent" : `${found.type} ${modeText(found.mode)}, ${found.size} bytes` };
  },

  undo: restorePath,
};

function open(pkg: PackageReader | undefined, action: PayloadAction): AsyncIterable<Uint8Array> {
  if (pkg !== undefined) return pkg.open(action.digest);
  throw new KubestickError({
    code: "PACKAGE_ABSENT",
    attempted: `installing ${action.path}`,
    happened: "This executable carries no package.",
    next: "Use the file that kubestick pack made, or name one that carries a package with --package FILE.",
  });
}

/** Ctrl-C stops between two chunks; the atomic write then leaves the old file. */
async function* counted(source: AsyncIterable<Uint8Array>, total: number, progress: Progress, signal: AbortSignal): AsyncIterable<Uint8Array> {
  let done = 0;
  for await (const chunk of source) {
    signal.throwIfAborted();
    yield chunk;
    done += chunk.byteLength;
    progress(done, total, "bytes");
  }
}
