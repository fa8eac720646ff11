/** The real process as `Io`. */
import { isSea } from "node:sea";
import type { Invocation } from "./dispatch.ts";
import { allowsColor, showsUnicode, type Io, type TextOutput } from "./io.ts";

export interface ProcessIo {
  /** Verbosity and colour change when argv has been read; this object shows the newest. */
  readonly io: Pick<Io, "color" | "verbosity"> & { readonly stdout: TrackedOutput; readonly stderr: TextOutput };
  configure(invocation: Invocation, signal: AbortSignal): Io;
  /** Runs what was registered with `onExit`, once. */
  restore(): void;
}

export interface TrackedOutput extends TextOutput {
  readonly written: boolean;
}

export function createProcess(host: NodeJS.Process): ProcessIo {
  const stdout = new StreamOutput(() => host.stdout);
  const stderr = new StreamOutput(() => host.stderr);
  const env = host.env;
  const restorers = new Set<() => void>();
  const state = { verbosity: requestedVerbosity(host.argv), color: allowsColor(env, host.argv.includes("--no-color")) };
  const base = { stdout, stderr, env, unicode: showsUnicode(env), clock: () => Number(host.hrtime.bigint() / 1000n) / 1000 };
  return {
    io: { stdout, stderr, get color() { return state.color; }, get verbosity() { return state.verbosity; } },
    configure(invocation, signal) {
      if (invocation.kind === "command") {
        state.verbosity = invocation.verbosity;
        state.color = allowsColor(env, invocation.noColor);
      }
      // The executable runs with --no-warnings; in the source tree Node tells them itself.
      if (state.verbosity >= 5 && isSea()) host.on("warning", (warning) => stderr.write(`warning: ${warning.stack ?? warning.message}\n`));
      return {
        ...base,
        ...state,
        signal,
        get ask() {
          return host.stdin.isTTY && host.stderr.isTTY ? (question: string) => askTerminal(host, question, signal) : undefined;
        },
        onExit(restore) {
          restorers.add(restore);
          return () => restorers.delete(restore);
        },
      };
    },
    restore() {
      for (const restore of restorers) restore();
      restorers.clear();
    },
  };
}

/**
 * A stream whose reader went away (`kubestick init | head`, a closed terminal) is not a reason to stop half way through an installation:
 * what can no longer be shown is dropped.
 */
class StreamOutput implements TrackedOutput {
  written = false;
  readonly #open: () => NodeJS.WriteStream;
  #stream: NodeJS.WriteStream | undefined;
  #gone = false;

  /** Node makes its standard streams when they are first asked for, which takes a millisecond each. */
  constructor(open: () => NodeJS.WriteStream) {
    this.#open = open;
  }

  get #opened(): NodeJS.WriteStream {
    if (this.#stream !== undefined) return this.#stream;
    const stream = this.#open();
    stream.on("error", (error: NodeJS.ErrnoException) => {
      // EIO: the terminal behind it was closed.
      if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
      this.#gone = true;
    });
    this.#stream = stream;
    return stream;
  }

  get isTerminal(): boolean {
    return this.#opened.isTTY === true;
  }

  write(text: string): void {
    if (this.#gone || text === "") return;
    this.written = true;
    this.#opened.write(text);
  }

  columns(): number {
    return this.#opened.columns || 80;
  }

  rows(): number {
    return this.#opened.rows || 24;
  }
}

async function askTerminal(host: NodeJS.Process, question: string, signal: AbortSignal): Promise<string> {
  const { createInterface } = await import("node:readline/promises");
  const prompt = createInterface({ input: host.stdin, output: host.stderr });
  // readline takes Ctrl-C for itself while it asks.
  prompt.on("SIGINT", () => host.kill(host.pid, "SIGINT"));
  try {
    return await prompt.question(question, { signal });
  } finally {
    prompt.close();
  }
}

/** For mistakes in argv itself, which are reported before it has been read. */
function requestedVerbosity(argv: readonly string[]): number {
  const at = argv.findIndex((word) => /^(?:-v|--v)(?:=|$)/.test(word) || /^-v\d+$/.test(word));
  const word = argv[at];
  if (word === undefined) return 0;
  const level = Number(/\d+$/.exec(word)?.[0] ?? argv[at + 1]);
  return Number.isInteger(level) ? level : 0;
}
