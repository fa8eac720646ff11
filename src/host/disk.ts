/** Free space, and which paths share it. */
import { readFile, realpath, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { isMissing } from "./failures.ts";
import type { Disk } from "./types.ts";

export async function readDisk(path: string): Promise<Disk> {
  const existing = await nearestExisting(path);
  const [space, node, mounts] = await Promise.all([statfs(existing), stat(existing), readFile("/proc/self/mountinfo", "utf8").catch(() => "")]);
  return {
    mount: mountOf(await realpath(existing), parseMountPoints(mounts)),
    // What a process may use; the blocks reserved for root are left as a margin.
    freeBytes: space.bavail * space.bsize,
    totalBytes: space.blocks * space.bsize,
    id: String(node.dev),
  };
}

/** Fifth column of /proc/self/mountinfo (proc_pid_mountinfo(5)); blanks are written as octal escapes. */
export function parseMountPoints(mountinfo: string): readonly string[] {
  return mountinfo.split("\n").map((line) => line.split(" ")[4] ?? "").filter(Boolean)
    .map((point) => point.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))));
}

export function mountOf(path: string, mountPoints: readonly string[]): string {
  const holds = (point: string): boolean => path === point || point === "/" || path.startsWith(`${point}/`);
  return mountPoints.filter(holds).reduce((best, point) => (point.length > best.length ? point : best), "/");
}

async function nearestExisting(path: string): Promise<string> {
  try {
    await stat(path);
    return path;
  } catch (error) {
    if (!isMissing(error) || path === "/") throw error;
    return await nearestExisting(dirname(path));
  }
}
