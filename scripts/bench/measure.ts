/**
 * What every bench here needs: a command with its time and its memory, medians, a folder that goes away whatever happens, and the name of the machine.
 *
 * Everything a bench makes is below one folder, and every process it starts is its child: so one handler cleans up after Ctrl-C, too.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statfsSync } from "node:fs";
import { cpus, release, tmpdir, totalmem } from "node:os";
import { join, resolve } from "node:path";

export interface Measured {
  readonly seconds: number;
  /** Most resident memory, in bytes (VmHWM of proc(5), looked at every 10 ms until the end). */
  readonly peakBytes: number;
  readonly stdout: string;
}

export interface MeasureOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Ordinary commands that are timed and not watched: no memory. */
  readonly unwatched?: boolean;
  /** Largest share of its output that is kept, from the end. */
  readonly keep?: number;
}

/** Runs a command to its end. Throws when it fails, with what it said. */
export async function measured(argv: readonly string[], { env = process.env, unwatched = false, keep = 1 << 20 }: MeasureOptions = {}): Promise<Measured> {
  const [program = "", ...rest] = argv;
  const started = performance.now();
  const child = spawn(program, rest, { stdio: ["ignore", "pipe", "pipe"], env });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) child[name].setEncoding("utf8").on("data", (text: string) => { said[name] = (said[name] + text).slice(-keep); });
  let peakBytes = 0;
  const look = unwatched ? undefined : setInterval(() => { peakBytes = Math.max(peakBytes, peakOf(child.pid ?? 0)); }, 10);
  const [code, signal] = await new Promise<[number | null, string | null]>((end, fail) => {
    child.once("error", fail);
    child.once("close", (...how) => { end(how as [number | null, string | null]); });
  }).finally(() => { clearInterval(look); });
  const seconds = (performance.now() - started) / 1000;
  if (code !== 0) throw new Error(`${argv.join(" ").slice(0, 2000)} ended with ${code ?? signal}\n${said.stdout.slice(-2000)}${said.stderr.slice(-4000)}`);
  return { seconds, peakBytes, stdout: said.stdout };
}

/** Bytes resident at most; 0 when the process has ended. */
export function peakOf(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** What was written before does not slow what is measured next. */
export async function settle(): Promise<void> {
  await measured(["sync"], { unwatched: true });
}

/**
 * A folder for everything a bench writes, temporary files of what it starts included. It is gone when `work` ends or the bench is told to end,
 * and so are the processes that it started.
 */
export async function inWorkFolder<T>(below: string | undefined, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(resolve(below ?? tmpdir()), "kubestick-bench-"));
  const before = process.env["TMPDIR"];
  process.env["TMPDIR"] = folder;
  const clean = (): void => {
    endChildren();
    unmountBelow(folder);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
  const interrupted = (signal: NodeJS.Signals): void => {
    clean();
    process.exit(signal === "SIGINT" ? 130 : 143);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, interrupted);
  try {
    return await work(folder);
  } finally {
    clean();
    for (const signal of signals) process.off(signal, interrupted);
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
  }
}

/** All descendants, the youngest first. */
function endChildren(): void {
  for (let found = childrenOf(process.pid); found.length > 0; found = childrenOf(process.pid)) {
    for (const pid of found.reverse()) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended by itself.
      }
    }
    spawnSync("sleep", ["0.1"]);
    if (found.every((pid) => stateOf(pid) === "Z")) return; // ended; Node asks for their codes when it is its turn
  }
}

function childrenOf(parent: number): number[] {
  const direct = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && stat(Number(name))?.[1] === String(parent)).map(Number).filter((pid) => stateOf(pid) !== "Z");
  return direct.flatMap((pid) => [pid, ...childrenOf(pid)]);
}

function stateOf(pid: number): string | undefined {
  return stat(pid)?.[0];
}

/** From the state on: proc_pid_stat(5), fields 3 and 4. The name before may hold anything. */
function stat(pid: number): readonly string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

/** What a runtime that was ended in the middle of unpacking leaves. */
function unmountBelow(folder: string): void {
  const points = readFileSync("/proc/self/mounts", "utf8").split("\n").map((line) => (line.split(" ")[1] ?? "").replaceAll("\\040", " ")).filter((point) => point.startsWith(`${folder}/`));
  for (const point of points.reverse()) spawnSync("umount", ["--lazy", point]);
}

export function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

export interface Machine {
  readonly cores: number;
  readonly model: string;
  readonly memoryBytes: number;
  readonly kernel: string;
}

export function machine(): Machine {
  return { cores: cpus().length, model: cpus()[0]?.model.replaceAll(/\s+/g, " ").trim() ?? "unknown", memoryBytes: totalmem(), kernel: release() };
}

export function machineText({ cores, model, memoryBytes, kernel }: Machine): string {
  return `${cores} cores (${model}), ${Math.round(memoryBytes / 2 ** 30)} GiB of memory, Linux ${kernel}`;
}

/** Columns aligned; all but the first to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  return rows.map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join("  ").trimEnd()).join("\n");
}

export function markdownTable([head = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), `|${head.map((_, column) => (column === 0 ? "---" : "--:")).join("|")}|`, ...rows.map(line)].join("\n");
}

export function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
