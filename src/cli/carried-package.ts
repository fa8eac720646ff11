/** The package a run installs from: that of the running executable, or of a file that was named. */
import { setFlagsFromString } from "node:v8";
import { isKubestickError, KubestickError } from "../errors.ts";
import { openPackage } from "../package/reader.ts";
import type { PackageReader } from "../package/types.ts";
import { runningExecutable } from "./executable.ts";

/** From here on a package passes through as buffers that live for a moment: V8 is to collect them early. Not from the start of the program, which it would slow. */
export function collectEarly(): void {
  setFlagsFromString("--optimize-for-size");
}

/** `parts`: where more files of a package in several are. A file without a package is not an error yet: preflight reports it together with everything else it finds. A damaged one is. */
export async function carriedPackage(named: string | undefined, parts?: readonly string[]): Promise<PackageReader | undefined> {
  collectEarly();
  const path = named ?? runningExecutable();
  if (path === undefined) return undefined;
  try {
    return await openPackage(path, { parts });
  } catch (error) {
    if (named === undefined && isKubestickError(error) && error.code === "PACKAGE_ABSENT") return undefined;
    throw error;
  }
}

/** Where no preflight looks: images of another processor would be loaded and never start. `arch`: the machine's. */
export function requireOwnArchitecture({ path, index }: Pick<PackageReader, "path" | "index">, arch: string): void {
  if (index.arch === arch) return;
  throw new KubestickError({
    code: "PACKAGE_ARCHITECTURE",
    attempted: `loading images from the package in ${path}`,
    happened: `It is for ${index.platforms.map((platform) => platform.arch).join(" and ")}${index.platforms.some((platform) => platform.arch === arch) ? `, and this program is the one for ${index.arch}` : ""}; this machine is ${arch}. Nothing was changed.`,
    next: index.platforms.some((platform) => platform.arch === arch) ? `Start the kubestick for ${arch}.` : `On a connected machine: ./kubestick pack --arch ${arch} --executable ./kubestick-linux-${arch}`,
  });
}
