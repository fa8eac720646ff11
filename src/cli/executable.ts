/** Where this program comes from: the one executable file with its embedded texts, or the source tree. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { getAsset, getAssetKeys, isSea } from "node:sea";
import manifest from "../../package.json" with { type: "json" };
import type { Assets } from "../engine/types.ts";

export const programVersion: string = manifest.version;

/** Go's name of the processor this runs on. */
export const programArch: string = process.arch === "x64" ? "amd64" : process.arch;

/** The running executable, which may carry a package; undefined when the source tree runs, whose executable is Node. */
export function runningExecutable(): string | undefined {
  return isSea() ? process.execPath : undefined;
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
