/** Temporary files carry the number of the process that writes them, so that the next run can clear away what a killed one left. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errnoOf } from "../errors.ts";

/** Hidden, beside the file it will become. */
export function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.partial`);
}

/** Removes the temporary files of dead processes in a folder: all, or those of one file. */
export async function removeAbandoned(directory: string, name?: string): Promise<void> {
  for (const found of await readdir(directory).catch(() => [])) {
    const [, of, pid] = /^\.(.+)\.(\d+)\.partial$/.exec(found) ?? [];
    if (of === undefined || (name !== undefined && of !== name) || isAlive(Number(pid))) continue;
    await rm(join(directory, found), { force: true });
  }
}

/** Makes a working folder of this process and removes those that dead processes left beside it. */
export async function makeWorkFolder(directory: string, name: string): Promise<string> {
  for (const found of await readdir(directory).catch(() => [])) {
    const pid = found.startsWith(`.${name}.`) ? /^(\d+)-[^.]+$/.exec(found.slice(name.length + 2))?.[1] : undefined;
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(directory, found), { recursive: true, force: true });
  }
  return mkdtemp(join(directory, `.${name}.${process.pid}-`));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) !== "ESRCH";
  }
}
