/** A command inside a running test host: what `ssh root@host` would be, without a network, an sshd or a key. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { children, identify, signal } from "./processes.ts";

export interface CommandOptions {
  /** Runs on a terminal of this size; standard output and error are then one stream, as on a terminal. */
  readonly terminal?: { readonly columns: number; readonly rows: number };
  readonly stdin?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  /** Working directory; default /root. */
  readonly cwd?: string;
  /** Another user than root, by numeric id. */
  readonly uid?: number;
  /** Default ten minutes. When it is over the command is killed and the result rejects. */
  readonly timeoutMs?: number;
  readonly onStdout?: (text: string) => void;
  readonly onStderr?: (text: string) => void;
}

export interface CommandResult {
  readonly argv: readonly string[];
  /** Exit code, or 128 + signal as a shell says it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

export interface RunningCommand {
  readonly result: Promise<CommandResult>;
  /** Process id as the outer machine sees it, once the program itself runs: for /proc/PID/status and for signals without delay. */
  pid(): Promise<number>;
  /** At once and without asking. False when it had ended before. */
  kill(name: NodeJS.Signals): boolean;
  /** Types on its terminal or standard input. */
  type(text: string): void;
}

const ENVIRONMENT = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"];
/** Joins the control groups named before `--`, then becomes the rest. Also how a host's systemd is started. */
export const INTO_GROUPS = ["sh", "-c", 'while [ "$1" != -- ]; do echo $$ >"$1" || exit 125; shift; done; shift; exec "$@"', "sh"] as const;

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** The whole command line on the outer machine. */
export function commandArgv(leader: number, groups: readonly string[], argv: readonly string[], options: CommandOptions = {}): readonly string[] {
  const { terminal, uid } = options;
  let inner = uid === undefined ? argv : ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", ...argv];
  if (terminal !== undefined) {
    inner = ["script", "-qefc", `stty cols ${terminal.columns} rows ${terminal.rows}; exec ${inner.map(quote).join(" ")}`, "/dev/null"];
  }
  const environment = [...ENVIRONMENT, `TERM=${terminal === undefined ? "dumb" : "xterm-256color"}`, ...Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`)];
  return [
    ...INTO_GROUPS, ...groups, "--",
    "nsenter", "-t", String(leader), "-m", "-u", "-i", "-n", "-p", "-C", "--",
    "env", "-i", "-C", options.cwd ?? "/root", ...environment, ...inner,
  ];
}

export function startCommand(leader: number, groups: readonly string[], argv: readonly string[], options: CommandOptions = {}): RunningCommand {
  const { terminal } = options;
  const [program = "sh", ...rest] = commandArgv(leader, groups, argv, options);
  const started = performance.now();
  const child = spawn(program, rest, { stdio: ["pipe", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => { stdout += text; options.onStdout?.(text); });
  child.stderr.setEncoding("utf8").on("data", (text: string) => { stderr += text; options.onStderr?.(text); });
  child.stdin.on("error", () => { /* it may end without reading what we send */ });
  if (options.stdin !== undefined || terminal === undefined) child.stdin.end(options.stdin);

  /** Down from nsenter, which stays outside as the parent, to the program. */
  const find = (): number | undefined => {
    let pid = child.pid;
    for (let level = 0; level < (terminal === undefined ? 1 : 2); level++) pid = pid === undefined ? undefined : children(pid)[0];
    return pid;
  };
  const kill = (name: NodeJS.Signals): boolean => {
    const pid = find();
    const id = pid === undefined ? undefined : identify(pid);
    if (id === undefined) return false;
    signal(id, name);
    return true;
  };

  const result = (async (): Promise<CommandResult> => {
    const timeoutMs = options.timeoutMs ?? 600_000;
    let late = false;
    const timer = setTimeout(() => { late = true; if (!kill("SIGKILL")) child.kill("SIGKILL"); }, timeoutMs);
    try {
      const [code, by] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
      if (late) throw new Error(`${argv.join(" ")} ran longer than ${timeoutMs / 1000} s\n${(stdout + stderr).slice(-4000)}`);
      return { argv, code: code ?? 128 + (by === "SIGKILL" ? 9 : 15), stdout, stderr, ms: Math.round(performance.now() - started) };
    } finally {
      clearTimeout(timer);
    }
  })();
  result.catch(() => { /* whoever awaits it hears of it; nobody has to */ });

  return {
    result,
    kill,
    type: (text) => void child.stdin.write(text),
    async pid() {
      for (;;) {
        const pid = find();
        if (pid !== undefined) return pid;
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${argv.join(" ")} has ended: ${stderr}`);
        await sleep(5);
      }
    },
  };
}
