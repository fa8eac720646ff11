/** Runs of `./kubestick join` on a test host, with its answer as data. */
import assert from "node:assert/strict";
import type { InitRun } from "./e2e-init.ts";
import { documentOf } from "./e2e-init.ts";
import type { TestHost } from "./hosts/test-host.ts";

/** The words behind `kubestick join` in a command that init or token create printed. */
export function wordsOf(command: string): readonly string[] {
  const [program, verb, ...words] = command.trim().split(/\s+/);
  assert.deepEqual([program, verb], ["kubestick", "join"]);
  return words;
}

export async function join(host: TestHost, argv: readonly string[]): Promise<InitRun> {
  const done = await host.run(["./kubestick", "join", ...argv, "-o", "json"], { timeoutMs: 500_000 });
  return { ...done, document: documentOf(done) };
}

/** Join that must end well. */
export async function joinOk(host: TestHost, argv: readonly string[]): Promise<InitRun> {
  const done = await join(host, argv);
  assert.equal(done.code, 0, `join on ${host.name} ended with ${done.code}\n${done.stderr.slice(-6000)}`);
  assert.equal(done.document.ok, true);
  return done;
}

/** Kills the run as soon as it tells that it has made the thing of this id; that thing must come. */
export async function joinKilledAfter(host: TestHost, argv: readonly string[], id: RegExp): Promise<void> {
  let killed = false;
  let rest = "";
  const run = host.start(["./kubestick", "join", ...argv, "-o", "jsonl"], {
    timeoutMs: 500_000,
    onStdout: (text) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const event = JSON.parse(line) as { readonly type: string; readonly id?: string; readonly status?: string };
        if (!killed && event.type === "action" && event.status === "applied" && id.test(event.id ?? "")) killed = run.kill("SIGKILL");
      }
    },
  });
  const done = await run.result;
  assert.ok(killed, `${id} was never made; exit ${done.code}\n${done.stdout.slice(-2000)}\n${done.stderr.slice(-4000)}`);
  assert.equal(done.code, 137, done.stdout.slice(-2000));
}
