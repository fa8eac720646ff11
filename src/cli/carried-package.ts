/** The package a run installs from: that of the running executable, or of a file that was named. */
import { isKubestickError } from "../errors.ts";
import { openPackage } from "../package/reader.ts";
import type { PackageReader } from "../package/types.ts";
import { runningExecutable } from "./executable.ts";

/** A file without a package is not an error yet: preflight reports it together with everything else it finds. A damaged one is. */
export async function carriedPackage(named: string | undefined): Promise<PackageReader | undefined> {
  const path = named ?? runningExecutable();
  if (path === undefined) return undefined;
  try {
    return await openPackage(path);
  } catch (error) {
    if (named === undefined && isKubestickError(error) && error.code === "PACKAGE_ABSENT") return undefined;
    throw error;
  }
}
