/** Runs of `./kubestick init` on a test host, with its answer as data; and what every refusal must look like. */
import assert from "node:assert/strict";
import type { CommandOptions, CommandResult } from "./hosts/host-command.ts";
import type { TestHost } from "./hosts/test-host.ts";
import { changes, kernelState, snapshot, traffic } from "./e2e-snapshot.ts";

/** What `-o json` prints, as far as the tests look. */
export interface InitDocument {
  readonly ok: boolean;
  readonly changed: number;
  readonly unchanged: number;
  readonly result: Readonly<Record<string, unknown>>;
  readonly findings: readonly { readonly check: string; readonly severity: string; readonly message: string }[];
  readonly actions: readonly { readonly phase: string; readonly id: string; readonly kind: string; readonly status: string }[];
  readonly error?: FailureDocument;
}

export interface FailureDocument {
  readonly code: string;
  readonly attempted: string;
  readonly happened: string;
  readonly next: string;
  readonly details: readonly string[];
}

export interface InitRun extends CommandResult {
  readonly document: InitDocument;
}

export async function init(host: TestHost, argv: readonly string[] = [], options?: CommandOptions): Promise<InitRun> {
  const done = await host.run(["./kubestick", "init", ...argv, "-o", "json"], { timeoutMs: 400_000, ...options });
  return { ...done, document: documentOf(done) };
}

/** Init that must end well. */
export async function initOk(host: TestHost, argv: readonly string[] = []): Promise<InitRun> {
  const done = await init(host, argv);
  assert.equal(done.code, 0, `init ended with ${done.code}\n${done.stderr.slice(-6000)}`);
  assert.equal(done.document.ok, true);
  return done;
}

export function documentOf(done: CommandResult): InitDocument {
  try {
    return JSON.parse(done.stdout) as InitDocument;
  } catch {
    throw new Error(`${done.argv.join(" ")} (exit ${done.code}) printed no JSON document on standard output: ${JSON.stringify(done.stdout.slice(0, 2000))}\nstandard error: ${done.stderr.slice(-4000)}`);
  }
}

export interface Refusal {
  /** The stable code. */
  readonly code: string;
  /** What must stand in the cause: `happened` and the details. */
  readonly cause: RegExp;
  /** What must stand in the next step. Default: anything. */
  readonly next?: RegExp;
}

/** An error a person can act on: exit code, the words, and the same on standard error. */
export function assertRefusal(done: InitRun, refusal: Refusal): void {
  const { error } = done.document;
  assert.notEqual(done.code, 0, `it was not refused:\n${done.stderr}`);
  assert.ok(error !== undefined, `no error in the document: ${done.stdout}`);
  assert.equal(error.code, refusal.code, JSON.stringify(error, null, 2));
  assert.match([error.happened, ...error.details].join("\n"), refusal.cause);
  assert.match(error.next, refusal.next ?? /\S/);
  assert.ok(done.stderr.includes(`error: ${error.code} while ${error.attempted}`), `standard error does not start its message with the code:\n${done.stderr}`);
  assert.ok(done.stderr.includes("next: "), done.stderr);
  assert.ok(!/\n\s+at .+:\d+:\d+/.test(done.stderr), `a stack trace reached the person:\n${done.stderr}`);
}

/** Runs something that must leave no trace: no file, unit, setting or route changed, no packet sent. */
export async function withoutTrace<T>(host: TestHost, act: () => Promise<T>): Promise<T> {
  const before = { files: await snapshot(host), kernel: await kernelState(host), traffic: await traffic(host) };
  const result = await act();
  assert.deepEqual(changes(before.files, await snapshot(host)), [], "files were changed");
  assert.equal(await kernelState(host), before.kernel, "settings, routes or units were changed");
  assert.deepEqual(await traffic(host), before.traffic, "something was sent or connected");
  return result;
}
