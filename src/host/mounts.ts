/** What is mounted on this machine, and taking a mount away. */
import { readFile } from "node:fs/promises";
import { KubestickError } from "../errors.ts";
import type { Exec } from "./systemd.ts";
import type { Mount } from "./types.ts";

export async function readMounts(): Promise<readonly Mount[]> {
  return parseMountInfo(await readFile("/proc/self/mountinfo", "utf8"));
}

/** proc_pid_mountinfo(5): id parent major:minor root mountpoint options [optional fields] - type source superoptions. */
export function parseMountInfo(text: string): readonly Mount[] {
  return text.split("\n").flatMap((line) => {
    const words = line.split(" ");
    const path = words[4];
    const type = words[words.indexOf("-", 6) + 1];
    return path === undefined || type === undefined ? [] : [{ path: plain(path), type }];
  });
}

/** Blank, tab, newline and backslash are written in octal. */
function plain(path: string): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** Lazily only on demand: a lazy unmount of a busy volume looks done while somebody still writes to it. */
export async function unmountPath(exec: Exec, path: string, how: readonly ("force" | "lazy")[] = []): Promise<void> {
  const result = await exec(["umount", ...how.map((word) => `--${word}`), "--", path]);
  if (result.code === 0 || /not mounted|no mount point/i.test(result.stderr)) return;
  throw new KubestickError({
    code: "UNMOUNT_FAILED",
    attempted: `unmounting ${path}`,
    happened: result.stderr.trim() || `umount ended with exit code ${result.code}.`,
    next: `See who uses it: fuser -vm ${path}. Stop that process, then run the same command again.`,
  });
}
