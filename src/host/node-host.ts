/**
 * The Host port on a real Linux machine.
 *
 * Owns: how files, units, modules, sysctls, routes and programs of this machine are read and changed. Every file it writes is
 * atomic and flushed (`atomic-write.ts`), every program is started by argv (`exec.ts`), every observation copes with absence
 * (`facts.ts`). Refuses: deciding anything; who calls the changing half is the engine alone.
 * Start at `nodeHost`; the same suite runs against it and against the in-memory host of the tests.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, lstat, readdir, readFile, readlink, rm, rmdir } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { errnoOf } from "../errors.ts";
import { appendFlushed, flushDirectory, flushFile, linkAtomic, makeDirectories, writeAtomic } from "./atomic-write.ts";
import { readDisk } from "./disk.ts";
import { execute } from "./exec.ts";
import { readFacts, readRoutes } from "./facts.ts";
import { hostFailure, isMissing } from "./failures.ts";
import { dropRoute, isModuleLoaded, loadKernelModule, putRoute, readSysctl, writeSysctl } from "./kernel.ts";
import { readMounts, unmountPath } from "./mounts.ts";
import { dropInterface, readInterfaces } from "./interfaces.ts";
import { readPacketFilter } from "./packet-filter.ts";
import { readUnit, readUnitLog, unitFiles } from "./systemd.ts";
import type { FileStat, Host } from "./types.ts";

export function nodeHost(): Host {
  const units = unitFiles(execute);
  return {
    readFile: (path) => orAbsent("reading", path, async () => await readFile(path)),
    readText: (path) => orAbsent("reading", path, async () => await readFile(path, "utf8")),
    stat: (path) => orAbsent("looking at", path, () => statOf(path)),
    list: (path) => orAbsent("listing", path, async () => (await readdir(path)).sort()),
    hashFile: (path) => orAbsent("reading", path, () => hashOf(path)),
    facts: () => readFacts(execute),
    disk: async (path) => await readDisk(path).catch((error: unknown) => { throw hostFailure(`asking for the free space at ${path}`, path, error); }),
    unit: (name) => readUnit(execute, name),
    moduleLoaded: isModuleLoaded,
    sysctl: readSysctl,
    routes: () => readRoutes(execute),
    mounts: readMounts,
    interfaces: readInterfaces,
    packetFilter: () => readPacketFilter(execute),
    unitLog: (name, lines) => readUnitLog(execute, name, lines),
    now: () => new Date(),

    writeFile: (path, content, options) => writeAtomic(path, content, options).finally(() => { units.changed(path); }),
    append: appendFlushed,
    flush: flushFile,
    chmod: async (path, mode) => {
      await chmod(path, mode).catch((error: unknown) => { throw hostFailure(`setting the mode of ${path}`, path, error); });
    },
    makeDirectory: makeDirectories,
    symlink: (path, target) => linkAtomic(path, target).finally(() => { units.changed(path); }),
    remove: (path, options) => remove(path, options).finally(() => { units.changed(path); }),
    daemonReload: units.reload,
    unitCommand: units.command,
    loadModule: (name) => loadKernelModule(execute, name),
    setSysctl: writeSysctl,
    replaceRoute: (route) => putRoute(execute, route),
    deleteRoute: (route) => dropRoute(execute, route),
    unmount: (path, how) => unmountPath(execute, path, how),
    deleteInterface: (name) => dropInterface(execute, name),
    exec: execute,
    sleep: async (ms, signal) => { await delay(ms, undefined, signal === undefined ? {} : { signal }); },
  };
}

async function orAbsent<T>(verb: string, path: string, read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw hostFailure(`${verb} ${path}`, path, error);
  }
}

async function statOf(path: string): Promise<FileStat> {
  const found = await lstat(path);
  const type = found.isFile() ? "file" : found.isDirectory() ? "directory" : found.isSymbolicLink() ? "symlink" : "other";
  return {
    type, mode: found.mode & 0o7777, uid: found.uid, gid: found.gid, size: found.size,
    ...(type === "symlink" ? { target: await readlink(path) } : {}),
  };
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

async function remove(path: string, options: { readonly recursive?: boolean } = {}): Promise<void> {
  try {
    if (options.recursive === true) {
      await rm(path, { recursive: true, force: true });
    } else if ((await lstat(path)).isDirectory()) {
      await rmdir(path);
    } else {
      await rm(path);
    }
    await flushDirectory(dirname(path));
  } catch (error) {
    if (isMissing(error)) return;
    if (errnoOf(error) === "EINVAL") return; // a file system without directory flushing (some network mounts)
    throw hostFailure(`removing ${path}`, path, error);
  }
}
