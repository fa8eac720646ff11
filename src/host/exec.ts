/** Programs of the host: argv only, never a shell; bounded in time and in what is kept of their output. */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { KubestickError, errnoOf, messageOf } from "../errors.ts";
import type { ByteSource, ExecResult, Host } from "./types.ts";

const defaultTimeoutMs = 60_000;
/** Enough for any tool asked here (`ip -j route` on a busy router is the largest); a program gone wild cannot fill our memory. */
const outputLimit = 4 * 1024 * 1024;
/** How long to wait for output after a program ended while a child of its own keeps the pipe open. */
const drainMs = 200;

/** `sudo` and cron drop the sbin directories, where modprobe and ip live. */
const standardDirectories = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

export function searchPath(environmentPath = process.env["PATH"] ?? ""): readonly string[] {
  return [...new Set([...environmentPath.split(":").filter((entry) => entry.startsWith("/")), ...standardDirectories])];
}

export async function execute(argv: readonly [string, ...string[]], options: Parameters<Host["exec"]>[1] = {}): Promise<ExecResult> {
  const [program, ...args] = argv;
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  const command = argv.join(" ");
  // Own session (`detached`): Ctrl-C at the terminal reaches us, who stop at a safe point, and not modprobe half-way.
  const child = spawn(program, args, {
    detached: true,
    shell: false,
    stdio: ["pipe", "pipe", "pipe"],
    // LC_ALL: output is parsed, so it must not be translated.
    env: { ...process.env, PATH: searchPath().join(":"), LC_ALL: "C", ...options.env },
  });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);

  const ended = new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => {
      killGroup(child.pid);
      reject(new KubestickError({
        code: "COMMAND_TIMED_OUT",
        attempted: `running ${command}`,
        happened: `It was still running after ${timeoutMs / 1000} s and was stopped.`,
        next: `Run it by hand to see what it waits for: ${command}`,
        details: [...stderr.text().split("\n").filter(Boolean).slice(-5)],
      }));
    }, timeoutMs);
    child.once("error", (error) => {
      clearTimeout(timer);
      const absent = errnoOf(error) === "ENOENT";
      reject(new KubestickError({
        code: absent ? "COMMAND_NOT_FOUND" : "COMMAND_FAILED",
        attempted: `running ${command}`,
        happened: absent ? `The program ${program} is not on this machine (looked in ${searchPath().join(", ")}).` : messageOf(error),
        next: absent ? `Install the program that provides ${program}, then run the same command again.` : `Run it by hand: ${command}`,
        cause: error,
      }));
    });
    let exitCode = 0;
    let drain: NodeJS.Timeout | undefined;
    child.once("exit", (code, signal) => {
      clearTimeout(timer);
      exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
      drain = setTimeout(() => { resolve(exitCode); }, drainMs);
    });
    child.once("close", () => {
      clearTimeout(timer);
      clearTimeout(drain);
      resolve(exitCode);
    });
  });

  // Both at once: a program that never reads its input must still run into its time limit.
  const [code] = await Promise.all([ended, feed(child.stdin, options.stdin).catch((error: unknown) => {
    killGroup(child.pid);
    throw error;
  })]);
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

function collect(stream: NodeJS.ReadableStream): { text(): string } {
  const chunks: Buffer[] = [];
  let kept = 0;
  stream.on("data", (chunk: Buffer) => {
    const room = outputLimit - kept;
    if (room <= 0) return;
    chunks.push(chunk.byteLength > room ? chunk.subarray(0, room) : chunk);
    kept += Math.min(chunk.byteLength, room);
  });
  return { text: () => Buffer.concat(chunks).toString("utf8") };
}

async function feed(stdin: NodeJS.WritableStream, source: ByteSource | undefined): Promise<void> {
  // A program that ends without reading its input closes the pipe: its exit code tells, not EPIPE.
  const closed = new Promise<void>((resolve) => { stdin.once("error", () => { resolve(); }); stdin.once("close", () => { resolve(); }); });
  const drained = (): Promise<void> => Promise.race([closed, new Promise<void>((resolve) => { stdin.once("drain", () => { resolve(); }); })]);
  if (typeof source === "string" || source instanceof Uint8Array) {
    stdin.end(source);
  } else {
    if (source !== undefined) {
      for await (const chunk of source) {
        if (!stdin.writable) break;
        if (!stdin.write(chunk)) await drained();
      }
    }
    stdin.end();
  }
}

/** The child leads its own process group, so its children end with it. */
function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if (errnoOf(error) !== "ESRCH") throw error;
  }
}
