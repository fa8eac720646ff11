/** Where this program comes from: the one executable file with its embedded texts, or the source tree. */
import { closeSync, fstatSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { getAsset, getAssetKeys, isSea } from "node:sea";
import manifest from "../../package.json" with { type: "json" };
import type { Assets } from "../engine/types.ts";
import { errnoOf } from "../errors.ts";
import { ownArch, STARTED_FILE } from "../package/starter.ts";

export const programVersion: string = manifest.version;

/** Go's name of the processor this runs on. */
export const programArch: string = ownArch;

/** The running executable, which may carry a package; undefined when the source tree runs, whose executable is Node. */
export function runningExecutable(): string | undefined {
  return isSea() ? (startedFile ?? process.execPath) : undefined;
}

/**
 * The file from which the lines at its front took this program (`package/starter.ts`). The copy that runs has no name any more, by which it is known:
 * a variable that somebody left behind leads nowhere. Those who are started from here are not to find it.
 */
const startedFile: string | undefined = fileOfCopy(process.env, process.execPath);
if (startedFile !== undefined) closeCopy();

/** What it takes to start this very program once more: its path, and what the environment said of where it came from. */
export function ownProgram(): { readonly path: string; readonly env: NodeJS.ProcessEnv } {
  return startedFile === undefined ? { path: process.execPath, env: {} } : { path: "/proc/self/exe", env: { [STARTED_FILE]: startedFile } };
}

/** The lines left it open, for there is no other way to the copy; children would inherit it. */
function closeCopy(): void {
  try {
    const [own, open] = [statSync("/proc/self/exe"), fstatSync(9)];
    if (own.ino === open.ino && own.dev === open.dev) closeSync(9);
  } catch (error) {
    if (errnoOf(error) !== "EBADF") throw error; // a shell that closes such files itself
  }
}

export function fileOfCopy(env: NodeJS.ProcessEnv, execPath: string): string | undefined {
  const file = env[STARTED_FILE];
  Reflect.deleteProperty(env, STARTED_FILE);
  if (file === undefined || !execPath.endsWith(" (deleted)")) return undefined;
  try {
    // As the kernel tells it of a program that is started by a link.
    return realpathSync(file);
  } catch {
    return file; // gone meanwhile: whoever opens it says so
  }
}

/** Embedded by `scripts/build.ts`; in the source tree the same files from disk. Only these folders are ever embedded. */
export const embeddedFolders = ["bundle", "offline-images"] as const;

export function embeddedAssets(): Assets {
  if (isSea()) {
    const keys = getAssetKeys().toSorted();
    return {
      text: (path) => getAsset(path, "utf8"),
      list: (prefix) => keys.filter((key) => key.startsWith(prefix)),
    };
  }
  // The bundle has no `import.meta`; this branch is for the source tree only.
  const root = join(import.meta.dirname, "../..");
  return {
    text: (path) => readFileSync(join(root, path), "utf8"),
    list: (prefix) => embeddedFolders
      .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => relative(root, join(entry.parentPath, entry.name)))
      .filter((path) => path.startsWith(prefix))
      .toSorted(),
  };
}
