/**
 * The entry: reads argv, runs one command, sets the exit code. The only file that does the last.
 *
 * Exit codes are kubeadm's (0 done, 1 anything else) and 128 + signal number when a signal ended the run. The first Ctrl-C asks the command
 * to stop where a later run can continue; the second stops at once.
 */
import { constants } from "node:os";
import { readInvocation, requestedFormat, runInvocation } from "./cli/dispatch.ts";
import { asKubestickError, errorDocument, errorText } from "./cli/errors.ts";
import { createProcess } from "./cli/process-io.ts";
import { startSteady } from "./cli/steady-memory.ts";
import { KubestickError } from "./errors.ts";

const argv = process.argv.slice(2);
const { io, configure, restore } = createProcess(process);
const abort = new AbortController();
let received: NodeJS.Signals | undefined;

for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(name, () => {
    if (received !== undefined) {
      restore();
      io.stderr.write("\nStopped at once. Run the same command again to continue where it was.\n");
      // Ended by the signal itself, as a shell expects; an orderly exit would wait for reads and writes that hang.
      process.removeAllListeners(name);
      process.kill(process.pid, name);
      return;
    }
    received = name;
    // Without a reason of our own: whoever notices tells in its own words what was interrupted.
    abort.abort();
  });
}
process.on("uncaughtException", (thrown) => {
  report(thrown);
  process.exit();
});

/** Tells the failure on both streams in their forms, and sets the exit code. */
function report(thrown: unknown): void {
  restore();
  const attempted = `running "kubestick ${argv[0] ?? ""}"`;
  const error = received !== undefined && isAbort(thrown) ? interrupted(received, attempted) : asKubestickError(thrown, attempted);
  process.exitCode = received === undefined ? error.exitCode : 128 + constants.signals[received];
  const format = requestedFormat(argv);
  // A command that ran for a while has put the failure into its own document; a second one would break `-o json`.
  if (format !== "text" && !io.stdout.written) {
    const document = { ok: false, error: errorDocument(error) };
    io.stdout.write(format === "json" ? `${JSON.stringify(document, null, 2)}\n` : `${JSON.stringify({ type: "run-finished", ...document })}\n`);
  }
  io.stderr.write(errorText(error, {
    color: io.color && io.stderr.isTerminal,
    columns: io.stderr.isTerminal ? io.stderr.columns() : undefined,
    verbosity: io.verbosity,
  }));
}

function isAbort(thrown: unknown): boolean {
  return thrown === abort.signal.reason || (thrown instanceof Error && thrown.name === "AbortError");
}

function interrupted(signal: NodeJS.Signals, attempted: string): KubestickError {
  return new KubestickError({ code: "INTERRUPTED", attempted, happened: `${signal} was received.`, next: "Run the same command again." });
}

async function main(): Promise<void> {
  try {
    const invocation = readInvocation(argv);
    if (invocation.kind === "command") startSteady(invocation.command.path, argv);
    await runInvocation(invocation, configure(invocation, abort.signal));
  } catch (thrown) {
    report(thrown);
  }
  // Nothing is left to do. A socket that a library keeps open must not keep a person waiting.
  setTimeout(() => process.exit(), 300).unref();
}

void main();
