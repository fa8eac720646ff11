/** A regular file with exactly this content and mode. */
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { isUtf8 } from "node:buffer";
import { KubestickError } from "../../errors.ts";
import type { ActionContext } from "../context.ts";
import { unifiedDiff } from "../text-diff.ts";
import type { FileAction } from "../types.ts";
import { recordPath, restorePath } from "./found-path.ts";
import { modeText, type Handler, type Observation } from "./handler.ts";

/** Longer contents are not printed whole. */
const longestBody = 64 * 1024;

export const file: Handler<FileAction> = {
  slow: false,
  journaled: true,
  observe,
  verify: observe,
  record: async (action, context) => (action.ofCluster === true && context.journal.found("path", action.path) === undefined ? { path: action.path, was: "absent", directories: [] } : await recordPath(action.path, context)),

  async apply(action, { host }, _progress, observed) {
    const { path, mode } = action;
    const bytes = bytesOf(action);
    const before = await host.stat(path);
    if (before?.type === "file" && before.size === bytes.byteLength && (await host.hashFile(path)) === sha256(bytes)) {
      await host.chmod(path, mode);
      return { what: "changed", detail: `changed mode ${modeText(before.mode)} to ${modeText(mode)}` };
    }
    for (const settled of action.settles ?? []) await host.flush(settled);
    await host.makeDirectory(dirname(path), action.parentMode ?? 0o755);
    await host.writeFile(path, bytes, { mode });
    const what = before === undefined ? "created" : "changed";
    return { what, detail: `${what} ${describe(action)}`, ...(before !== undefined && observed.body !== undefined ? { body: observed.body } : {}) };
  },

  undo: restorePath,
};

async function observe(action: FileAction, { host }: ActionContext): Promise<Observation> {
  const { path, mode } = action;
  const wanted = bytesOf(action);
  const found = await host.stat(path);
  if (found === undefined) return { state: "differs", absent: true, detail: describe(action), ...shown(action) };
  if (found.type === "directory") throw inTheWay(path);
  if (found.type !== "file") return { state: "differs", detail: `replaces a ${found.type}`, ...(found.type === "symlink" ? shown(action) : {}) };
  const content = found.size === wanted.byteLength || action.secret !== true ? await host.readFile(path) : undefined;
  if (content !== undefined && Buffer.compare(content, wanted) === 0) {
    return found.mode === mode ? { state: "same" } : { state: "differs", detail: `mode ${modeText(found.mode)} becomes ${modeText(mode)}` };
  }
  return { state: "differs", detail: `content differs, ${describe(action)}`, ...difference(action, content) };
}

function describe(action: FileAction): string {
  return `${modeText(action.mode)}, ${bytesOf(action).byteLength} bytes`;
}

/** The content for a plan, unless it is secret or not text. */
function shown(action: FileAction): { readonly body?: string } {
  const text = printable(action, bytesOf(action));
  return text === undefined ? {} : { body: text };
}

function difference(action: FileAction, content: Uint8Array | undefined): { readonly body?: string } {
  const [before, after] = [content === undefined ? undefined : printable(action, content), printable(action, bytesOf(action))];
  return before === undefined || after === undefined ? {} : { body: unifiedDiff(before, after, action.path) };
}

function printable(action: FileAction, bytes: Uint8Array): string | undefined {
  if (action.secret === true || bytes.byteLength > longestBody || !isUtf8(bytes) || bytes.includes(0)) return undefined;
  return Buffer.from(bytes).toString("utf8");
}

function bytesOf({ content }: FileAction): Uint8Array {
  return typeof content === "string" ? Buffer.from(content) : content;
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function inTheWay(path: string): KubestickError {
  return new KubestickError({
    code: "PATH_IS_DIRECTORY",
    attempted: `writing ${path}`,
    happened: "There is a directory of that name.",
    next: `Look what it is, and move it away if it is not needed: ls -la ${path}; mv ${path} ${path}.old`,
  });
}
