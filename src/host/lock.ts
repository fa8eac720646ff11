/**
 * One kubestick per machine: two runs that change it at the same time would each take the other's half-done work for found.
 *
 * A file says who holds the lock: process id, that process's start time and this boot's id. A process id alone comes back after
 * a reboot or a wrap-around; together with its start time (proc_pid_stat(5), field 22) it names one process for ever. So a lock
 * left by kill -9 or a power cut is recognised and taken over without asking anybody.
 */
import { randomBytes } from "node:crypto";
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { KubestickError, errnoOf } from "../errors.ts";
import { hostFailure } from "./failures.ts";

export interface Lock {
  release(): Promise<void>;
}

export interface LockHolder {
  readonly pid: number;
  readonly startTime: string;
  readonly boot: string;
  readonly command: string;
  readonly since: string;
}

/** On tmpfs wherever systemd runs, so that a reboot clears it. */
export const defaultLockPath = "/run/kubestick.lock";

export async function acquireLock(command: string, path = defaultLockPath): Promise<Lock> {
  const me: LockHolder = { pid: process.pid, startTime: (await startTimeOf(process.pid)) ?? "", boot: await bootId(), command, since: new Date().toISOString() };
  const text = `${JSON.stringify(me)}\n`;
  // Written first and linked into place: nobody can see a lock file without its holder in it.
  const draft = `${path}.${process.pid}.${randomBytes(4).toString("hex")}`;
  try {
    await writeFile(draft, text, { flag: "wx", mode: 0o644 });
    const lock: Lock = { release: () => releaseLock(path, text) };
    for (let attempt = 0; attempt < 50; attempt += 1) {
      if (await linked(draft, path)) return lock;
      const found = await readFile(path, "utf8").catch(() => undefined);
      if (found === undefined) continue; // released between the two calls
      const holder = parseHolder(found);
      if (holder !== undefined && (await isAlive(holder))) throw lockedBy(holder, path);
      if (await takeOver(draft, path, found)) return lock;
      await delay(20);
    }
  } catch (error) {
    throw hostFailure("taking the lock that keeps two runs apart", path, error);
  } finally {
    await rm(draft, { force: true });
  }
  throw new KubestickError({
    code: "LOCKED",
    attempted: "taking the lock that keeps two runs apart",
    happened: `The lock ${path} kept changing hands.`,
    next: "Other runs of kubestick come and go on this machine. Find them with: pgrep -a kubestick",
  });
}

/**
 * Replaces a lock whose holder is dead. Two runs may have judged the same one, and the slower must not replace the faster one's:
 * so replacing happens one at a time, behind a name that only the kernel holds (unix(7), abstract sockets) and that goes with its
 * process, and only while the lock still is the one that was judged.
 */
async function takeOver(draft: string, path: string, judged: string): Promise<boolean> {
  const guard = createServer();
  const entered = await new Promise<boolean>((resolve, reject) => {
    guard.once("error", (error) => { if (errnoOf(error) === "EADDRINUSE") resolve(false); else reject(error); });
    guard.listen(`\0kubestick-takeover:${path}`, () => { resolve(true); });
  });
  if (!entered) return false;
  try {
    if ((await readFile(path, "utf8").catch(() => undefined)) !== judged) return false;
    await rename(draft, path);
    return true;
  } finally {
    await new Promise<void>((resolve) => { guard.close(() => { resolve(); }); });
  }
}

async function linked(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    throw error;
  }
}

async function releaseLock(path: string, text: string): Promise<void> {
  const found = await readFile(path, "utf8").catch(() => undefined);
  if (found === text) await rm(path, { force: true });
}

function lockedBy(holder: LockHolder, path: string): KubestickError {
  return new KubestickError({
    code: "LOCKED",
    attempted: "taking the lock that keeps two runs apart",
    happened: `Another run is at work on this machine: process ${holder.pid} (${holder.command}), since ${holder.since}.`,
    next: `Wait for it to end, or look at it: ps -fp ${holder.pid}`,
    details: [`lock file: ${path}`],
  });
}

function parseHolder(text: string): LockHolder | undefined {
  try {
    const value = JSON.parse(text) as Partial<LockHolder> | null;
    return typeof value?.pid === "number" && typeof value.startTime === "string" && typeof value.boot === "string"
      ? { pid: value.pid, startTime: value.startTime, boot: value.boot, command: String(value.command ?? "unknown"), since: String(value.since ?? "unknown") }
      : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined; // a torn file is nobody's lock
    throw error;
  }
}

async function isAlive(holder: LockHolder): Promise<boolean> {
  return holder.boot === (await bootId()) && (await startTimeOf(holder.pid)) === holder.startTime;
}

/** Field 22; counted after the last `)` because the name in field 2 may hold blanks and brackets. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  // A zombie still has its entry but does nothing any more.
  return fields?.[0] === "Z" ? undefined : fields?.[19];
}

async function bootId(): Promise<string> {
  return (await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => "")).trim();
}
