/** Runs the outer machine's tools for the test hosts: argv only, and a failure that repeats what the tool said. */
import { spawnSync } from "node:child_process";

/** Standard output, trimmed. Throws with the tool's own words unless it exits 0. */
export function tool(argv: readonly [string, ...string[]], options: { readonly env?: NodeJS.ProcessEnv } = {}): string {
  const [program, ...rest] = argv;
  const done = spawnSync(program, rest, { encoding: "utf8", env: options.env ?? process.env, maxBuffer: 64 << 20 });
  if (done.error !== undefined) throw new Error(`${program} cannot be started: ${done.error.message}`);
  if (done.status !== 0) {
    throw new Error(`${argv.join(" ")} ended with ${done.status ?? done.signal}: ${(done.stderr + done.stdout).trim().slice(-2000)}`);
  }
  return done.stdout.trim();
}

/** For tearing down: the thing may be half there. True when the tool exited 0. */
export function attempt(argv: readonly [string, ...string[]]): boolean {
  const [program, ...rest] = argv;
  return spawnSync(program, rest, { stdio: "ignore" }).status === 0;
}

/** Blocks this thread: tearing down also runs in an `exit` handler, where nothing asynchronous happens any more. */
export function sleepSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
