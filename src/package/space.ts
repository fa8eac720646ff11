/** Free space, and the error that names the exact numbers. */
import { statfs } from "node:fs/promises";
import { KubestickError } from "../errors.ts";

/** Bytes an ordinary user may still write to the file system of this folder. */
export async function freeSpace(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

export function noSpace(directory: string, needed: number, free: number, flag: string): KubestickError {
  return new KubestickError({
    code: "PACK_NO_SPACE",
    attempted: `checking the space in ${directory}`,
    happened: `${needed} bytes are needed, ${free} bytes are free: ${needed - free} are missing.`,
    next: `Free some space (\`df -h ${directory}\`) or name another place with ${flag}.`,
  });
}
