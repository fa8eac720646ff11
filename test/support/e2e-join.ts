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

/**
 * Runs again and again, and kills each run as soon as it tells that it has made a thing of one of these ids, in whatever order they come; all of them must come.
 * Phases run beside each other, so a thing may be made in the moment in which the kill at another one arrives: `passed`.
 */
export async function joinKilledAt(host: TestHost, argv: readonly string[], ids: readonly RegExp[]): Promise<{ readonly killed: readonly string[]; readonly passed: readonly string[] }> {
  const killed: string[] = [];
  const passed: string[] = [];
  let left = ids;
  while (left.length > 0) {
    let at: string | undefined;
    let rest = "";
    const run = host.start(["./kubestick", "join", ...argv, "-o", "jsonl"], {
      timeoutMs: 500_000,
      onStdout: (text) => {
        const lines = (rest + text).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) {
          const { type, status, id = "" } = JSON.parse(line) as { readonly type: string; readonly id?: string; readonly status?: string };
          if (type !== "action" || status !== "applied" || !left.some((wanted) => wanted.test(id))) continue;
          if (at === undefined) {
            if (run.kill("SIGKILL")) at = id;
          } else if (!left.some((wanted) => wanted.test(id) && wanted.test(at ?? ""))) passed.push(id);
        }
      },
    });
    const done = await run.result;
    assert.ok(at !== undefined, `never made: ${left.join(", ")}; exit ${done.code}\n${done.stdout.slice(-2000)}\n${done.stderr.slice(-4000)}`);
    assert.equal(done.code, 137, done.stdout.slice(-2000));
    killed.push(at);
    left = left.filter((wanted) => ![...killed, ...passed].some((id) => wanted.test(id)));
  }
  return { killed, passed };
}
