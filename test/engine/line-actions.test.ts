import assert from "node:assert/strict";
import { test } from "node:test";
import { line } from "../../src/engine/actions/line.ts";
import { MemoryHost } from "../support/memory-host.ts";
import { airgappedFacts } from "../support/facts.ts";

const path = "/etc/hosts";
const wanted = "127.0.0.1 kube-api.kubernetes.internal # kubestick";
const action = { kind: "line", id: `line${path}`, path, line: wanted } as const;

async function cycle(files: Readonly<Record<string, string>>, meanwhile: (host: MemoryHost) => Promise<void> = async () => undefined): Promise<readonly [during: string | undefined, after: string | undefined]> {
  const host = new MemoryHost({ facts: airgappedFacts(), files });
  const context = { host } as never;
  const observed = await line.observe(action, context, () => undefined);
  assert.equal(observed.state, "differs");
  const undo = await line.record(action, context);
  await line.apply(action, context, () => undefined, observed as never);
  assert.deepEqual(await line.observe(action, context, () => undefined), { state: "same" });
  const during = await host.readText(path);
  await meanwhile(host);
  const undone = await line.undo({ at: "", id: action.id, kind: "line", what: "intent", undo: undo ?? {} }, context);
  assert.equal(undone?.status, "removed");
  return [during, await host.readText(path)];
}

test("a line is added and taken out again, and all others stay as they are", async () => {
  const before = "127.0.0.1 localhost\n# ours\n\n192.0.2.1 gate\n";
  assert.deepEqual(await cycle({ [path]: before }), [`${before}${wanted}\n`, before]);
});

test("what others write meanwhile stays", async () => {
  const [, after] = await cycle({ [path]: "127.0.0.1 localhost\n" }, async (host) => { await host.writeFile(path, `${(await host.readText(path)) ?? ""}192.0.2.7 new\n`, { mode: 0o644 }); });
  assert.equal(after, "127.0.0.1 localhost\n192.0.2.7 new\n");
});

test("a last line without an end gets one for as long as ours follows it, and a file of ours alone goes", async () => {
  const unended = "127.0.0.1 localhost";
  assert.deepEqual(await cycle({ [path]: unended }), [`${unended}\n${wanted}\n`, unended]);
  const [, after] = await cycle({ [path]: unended }, async (host) => { await host.writeFile(path, `${(await host.readText(path)) ?? ""}192.0.2.7 new\n`, { mode: 0o644 }); });
  assert.equal(after, `${unended}\n192.0.2.7 new\n`);
  assert.deepEqual(await cycle({}), [`${wanted}\n`, undefined]);
});

test("a line that is gone by then is no failure", async () => {
  const [, after] = await cycle({ [path]: "127.0.0.1 localhost\n" }, async (host) => { await host.writeFile(path, "127.0.0.1 localhost\n", { mode: 0o644 }); });
  assert.equal(after, "127.0.0.1 localhost\n");
});
