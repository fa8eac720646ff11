/**
 * What was found at a path before kubestick changed it, and the way back. Shared by everything that makes, replaces or removes
 * files. Backups keep the content of foreign files readable by root alone, in the state directory.
 */
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { KubestickError } from "../../errors.ts";
import { temporaryPath } from "../../host/atomic-write.ts";
import type { FileStat, Host } from "../../host/types.ts";
import type { ActionContext } from "../context.ts";
import type { JournalEntry } from "../types.ts";
import type { UndoContext, Undone, UndoRecord } from "./handler.ts";

/** One thing in a tree that was found. */
type Found =
  | { readonly path: string; readonly was: "absent" }
  | { readonly path: string; readonly was: "file"; readonly backup: string; readonly mode: number; readonly uid: number; readonly gid: number }
  | { readonly path: string; readonly was: "symlink"; readonly target: string }
  | { readonly path: string; readonly was: "directory"; readonly mode: number };

/** What is below a removed directory comes back too, unless it is more than this. */
const largestTree = 64 * 1024 * 1024;

/** For the journal's first line about a path. */
export async function recordPath(path: string, context: ActionContext): Promise<UndoRecord> {
  // An earlier line tells what was there before us; now there is our own work.
  if (context.journal.found("path", path) !== undefined) return { path, was: "ours" };
  const directories = await missingParents(path, context.host);
  const tree = await findTree(path, context.host);
  const size = tree.reduce((sum, { stat }) => sum + (stat.type === "file" ? stat.size : 0), 0);
  const first = tree[0];
  if (first === undefined) return { path, was: "absent", directories };
  if (first.stat.type === "directory" && size > largestTree) return { path, was: "too-large", bytes: size };
  const found: Found[] = [];
  for (const { path: each, stat } of tree) {
    if (stat.type === "symlink") found.push({ path: each, was: "symlink", target: stat.target ?? "" });
    else if (stat.type === "directory") found.push({ path: each, was: "directory", mode: stat.mode });
    else if (stat.type === "file") found.push({ path: each, was: "file", backup: await backUp(each, context), mode: stat.mode, uid: stat.uid, gid: stat.gid });
    // Sockets and pipes belong to a process that makes its own again.
  }
  const [top, ...rest] = found;
  return { ...(top ?? { was: "other" }), path, ...(rest.length > 0 ? { below: rest } : {}) };
}

/** Brings a path back to what its journal entry says was found. */
export async function restorePath(entry: JournalEntry, context: UndoContext): Promise<Undone | undefined> {
  const undo = entry.undo ?? {};
  const path = text(undo, "path", entry);
  const { host } = context;
  if (isUnitPath(path)) context.afterwards.reload = true;
  // A write that was killed half-way.
  await host.remove(temporaryPath(path));
  switch (undo["was"]) {
    case "ours":
      return undefined;
    case "absent": {
      const detail = await takeAway(path, host);
      const left = await removeEmpty(strings(undo["directories"]), host);
      if (left !== undefined) return { status: "kept", detail: `${detail}; ${left} stays, because it is not empty` };
      return { status: detail.startsWith("stays") ? "kept" : "removed", detail };
    }
    case "too-large":
      return { status: "kept", detail: `cannot come back: it was ${String(undo["bytes"])} bytes, too much to keep a copy` };
    case "other":
      return { status: "kept", detail: "was neither file nor directory" };
    case "file": case "symlink": case "directory": {
      for (const found of [undo, ...list(undo["below"])]) await bringBack(found, entry, context);
      return { status: "removed", detail: `restored the ${String(undo["was"])} that was there before` };
    }
    default:
      throw unreadable(entry, "was");
  }
}

async function bringBack(found: Readonly<Record<string, unknown>>, entry: JournalEntry, context: UndoContext): Promise<void> {
  const { host } = context;
  const path = text(found, "path", entry);
  const now = await host.stat(path);
  if (now?.type === "directory" && found["was"] !== "directory") await host.remove(path);
  switch (found["was"]) {
    case "symlink":
      if (now?.type !== "symlink" || now.target !== found["target"]) await host.symlink(path, text(found, "target", entry));
      return;
    case "directory":
      if (now !== undefined && now.type !== "directory") await host.remove(path);
      await host.makeDirectory(path, number(found, "mode", entry));
      return;
    case "file": {
      const backup = join(context.stateDirectory, "backups", text(found, "backup", entry));
      const content = await host.readFile(backup);
      if (content === undefined) {
        throw new KubestickError({ code: "BACKUP_ABSENT", attempted: `bringing back ${path}`, happened: `Its copy ${backup} does not exist.`, next: `Restore ${path} from your own backup, then run the same command again.` });
      }
      await host.makeDirectory(dirname(path), 0o755);
      await host.writeFile(path, content, { mode: number(found, "mode", entry), uid: number(found, "uid", entry), gid: number(found, "gid", entry) });
      return;
    }
    default:
      throw unreadable(entry, "was");
  }
}

/** Only an empty directory goes: what others put into ours is theirs. */
async function takeAway(path: string, host: Host): Promise<string> {
  const stat = await host.stat(path);
  if (stat === undefined) return "removed already";
  if (stat.type === "directory" && ((await host.list(path)) ?? []).length > 0) return "stays, because it is not empty";
  await host.remove(path);
  return "removed";
}

/** Innermost first. Returns the outermost one that has to stay. */
async function removeEmpty(directories: readonly string[], host: Host): Promise<string | undefined> {
  let left: string | undefined;
  for (const directory of directories.toReversed()) {
    const names = await host.list(directory);
    if (names === undefined) continue;
    if (names.length === 0) await host.remove(directory);
    else left = directory;
  }
  return left;
}

async function missingParents(path: string, host: Host): Promise<string[]> {
  const missing: string[] = [];
  for (let current = dirname(path); current !== "/" && (await host.stat(current)) === undefined; current = dirname(current)) missing.unshift(current);
  return missing;
}

/** The path itself first, then what is below it, parents before children. */
async function findTree(path: string, host: Host): Promise<{ readonly path: string; readonly stat: FileStat }[]> {
  const stat = await host.stat(path);
  if (stat === undefined) return [];
  const tree = [{ path, stat }];
  if (stat.type === "directory") for (const name of (await host.list(path)) ?? []) tree.push(...(await findTree(join(path, name), host)));
  return tree;
}

async function backUp(path: string, { host, stateDirectory }: ActionContext): Promise<string> {
  const name = createHash("sha256").update(path).digest("hex").slice(0, 24);
  const content = await host.readFile(path);
  await host.makeDirectory(stateDirectory, 0o700);
  await host.makeDirectory(join(stateDirectory, "backups"), 0o700);
  await host.writeFile(join(stateDirectory, "backups", name), content ?? "", { mode: 0o600 });
  return name;
}

function isUnitPath(path: string): boolean {
  return /^\/(etc|run|lib|usr\/lib|usr\/local\/lib)\/systemd\/system\//.test(path);
}

// ---------------------------------------------------------------- reading journal fields

export function text(record: Readonly<Record<string, unknown>>, field: string, entry: JournalEntry): string {
  const value = record[field];
  if (typeof value !== "string") throw unreadable(entry, field);
  return value;
}

function number(record: Readonly<Record<string, unknown>>, field: string, entry: JournalEntry): number {
  const value = record[field];
  if (typeof value !== "number") throw unreadable(entry, field);
  return value;
}

export function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

function list(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "object" && item !== null) as Readonly<Record<string, unknown>>[] : [];
}

export function unreadable(entry: JournalEntry, field: string): KubestickError {
  return new KubestickError({
    code: "JOURNAL_CORRUPT",
    attempted: `undoing ${entry.id}`,
    happened: `Its journal entry of ${entry.at} has no usable field ${JSON.stringify(field)}.`,
    next: "Another version of kubestick may have written it; use that one to undo its work.",
  });
}
