/**
 * How the one executable keeps its memory small when gigabytes pass through it.
 *
 * glibc maps large blocks one by one and gives them back when they are freed, until the first one is: then it raises the limit for what is large (mallopt(3),
 * M_MMAP_THRESHOLD), keeps what it gets, and a package that passes through leaves a hundred megabytes behind. The limit stays where a variable sets it, which glibc reads only
 * when a program starts. So commands that read or make packages start themselves once more: the same process, terminal and files, a twentieth of a second later.
 *
 * V8 counts buffers that pass through like objects that stay, and lets a heap of 17 MB grow by eight before it looks through all of it again: twenty times a second
 * while an installation's bytes pass, a fifth of its processor time. Where somebody waits, the heap may become twice as large, which costs ten megabytes.
 */
import { accessSync, constants } from "node:fs";
import { isSea } from "node:sea";
import { setFlagsFromString } from "node:v8";
import { ownProgram } from "./executable.ts";

const variable = "MALLOC_MMAP_THRESHOLD_";
/** Bytes. Buffers of packages are at least this large, and nearly nothing else is. */
const threshold = "131072";

/** By their first word, or by all of them. */
const passesPackages: ReadonlySet<string> = new Set(["init", "join", "pack", "package", "images load", "config images pull"]);

/** A heap is looked through when it has grown by as much. */
export const heapGrowth = "--heap-growing-percent=100";

/** Those for which somebody stands in front of a machine. What makes packages has larger heaps, and takes minutes anyway. */
const hurried: ReadonlySet<string> = new Set(["init", "join", "images load"]);

/** Does not return where the program starts anew. A variable that is set already, by us or by somebody else, is left to work. */
export function startSteady(path: readonly string[], argv: readonly string[]): void {
  const among = (commands: ReadonlySet<string>): boolean => commands.has(path[0] ?? "") || commands.has(path.join(" "));
  if (!isSea() || !among(passesPackages)) return;
  if (among(hurried)) setFlagsFromString(heapGrowth);
  if (process.env[variable] !== undefined) {
    // Those who are started from here have memory of their own.
    Reflect.deleteProperty(process.env, variable);
    return;
  }
  const { path: program, env } = ownProgram();
  try {
    accessSync(program, constants.R_OK | constants.X_OK);
  } catch {
    return; // What cannot be started again goes on as it is.
  }
  process.execve?.(program, [process.argv0, ...argv], { ...process.env, ...env, [variable]: threshold });
}
