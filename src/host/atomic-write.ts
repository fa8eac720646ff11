/**
 * The one way a file comes to be: a reader sees the old content or the new one, never a part, also after a power cut.
 *
 * The temporary file's name follows from the path alone. There is one kubestick per machine (`lock.ts`), so it cannot collide,
 * and what a killed run left behind is replaced by the next one instead of piling up. It begins with a dot and ends in a
 * suffix nobody reads: the kubelet ignores hidden manifests, CNI and systemd select by suffix.
 */
import { constants } from "node:fs";
import { mkdir, open, realpath, rename, rm, stat, symlink, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errnoOf } from "../errors.ts";
import { hostFailure } from "./failures.ts";
import type { ByteSource } from "./types.ts";

export function temporaryPath(path: string): string {
  return join(dirname(path), `.${basename(path)}.kubestick-new`);
}

export interface WriteOptions {
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
}

export async function writeAtomic(path: string, content: ByteSource, options: WriteOptions): Promise<void> {
  const temporary = temporaryPath(path);
  try {
    const handle = await openFresh(temporary);
    try {
      for await (const chunk of chunksOf(content)) await writeWhole(handle, chunk);
      // Owner before mode: chown clears set-id bits. Explicit chmod: open's mode is cut by the umask.
      if (options.uid !== undefined || options.gid !== undefined) await handle.chown(options.uid ?? -1, options.gid ?? -1);
      await handle.chmod(options.mode);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    await flushDirectory(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined); // The first error is the one to tell; the next write replaces the rest.
    throw hostFailure(`writing ${path}`, path, error);
  }
}

export async function linkAtomic(path: string, target: string): Promise<void> {
  const temporary = temporaryPath(path);
  try {
    await rm(temporary, { force: true });
    await symlink(target, temporary);
    await rename(temporary, path);
    await flushDirectory(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw hostFailure(`linking ${path} to ${target}`, path, error);
  }
}

/** Appends and flushes. Not atomic: the journal, its only user, tolerates a torn last line. */
export async function appendFlushed(path: string, text: string, mode: number): Promise<void> {
  try {
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW;
    let created = false;
    const handle = await open(path, flags).catch(async (error: unknown) => {
      if (errnoOf(error) !== "ENOENT") throw error;
      created = true;
      return await open(path, flags | constants.O_CREAT | constants.O_EXCL, mode);
    });
    try {
      if (created) await handle.chmod(mode);
      await writeWhole(handle, Buffer.from(text));
      await handle.datasync();
    } finally {
      await handle.close();
    }
    if (created) await flushDirectory(dirname(path));
  } catch (error) {
    throw hostFailure(`appending to ${path}`, path, error);
  }
}

/** Creates a directory and its missing parents, each flushed into its parent. Returns what it created, outermost first. */
export async function makeDirectories(path: string, mode: number): Promise<string[]> {
  const created: string[] = [];
  try {
    for (const missing of await missingAncestors(path)) {
      const wanted = missing === path ? mode : 0o755;
      try {
        await mkdir(missing, { mode: wanted });
      } catch (error) {
        if (errnoOf(error) === "EEXIST") continue; // somebody else was faster: found, not made
        throw error;
      }
      created.push(missing);
      const handle = await open(missing, constants.O_RDONLY | constants.O_DIRECTORY);
      try {
        await handle.chmod(wanted);
      } finally {
        await handle.close();
      }
      await flushDirectory(dirname(missing));
    }
  } catch (error) {
    throw hostFailure(`creating the directory ${path}`, path, error);
  }
  return created;
}

/** `path` and its ancestors that do not exist, outermost first. */
async function missingAncestors(path: string): Promise<string[]> {
  const missing: string[] = [];
  for (let current = path; ; current = dirname(current)) {
    try {
      // stat, not lstat: /var/lib/kubelet may be a link to a bigger disk.
      if ((await stat(current)).isDirectory()) return missing.reverse();
      throw Object.assign(new Error(`ENOTDIR: not a directory, mkdir '${current}'`), { code: "ENOTDIR" });
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
      missing.push(current);
    }
  }
}

/** Content and name of a file that somebody else wrote, and of the link that leads to it. */
export async function flushFile(path: string): Promise<void> {
  try {
    const handle = await open(path, constants.O_RDONLY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
    for (const directory of new Set([dirname(await realpath(path)), dirname(path)])) await flushDirectory(directory);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw hostFailure(`flushing ${path} to disk`, path, error);
  }
}

/** Makes a rename or an unlink in this directory last. */
export async function flushDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** O_EXCL and O_NOFOLLOW after removing a left-over: nobody can make us write through a link planted there. */
async function openFresh(path: string): Promise<FileHandle> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  try {
    return await open(path, flags, 0o600);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
    await rm(path, { force: true });
    return await open(path, flags, 0o600);
  }
}

async function* chunksOf(content: ByteSource): AsyncIterable<Uint8Array> {
  if (typeof content === "string") yield Buffer.from(content);
  else if (content instanceof Uint8Array) yield content;
  else yield* content;
}

async function writeWhole(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let offset = 0; offset < chunk.byteLength;) {
    const { bytesWritten } = await handle.write(chunk, offset, chunk.byteLength - offset);
    offset += bytesWritten;
  }
}
