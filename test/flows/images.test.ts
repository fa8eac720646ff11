/** `images load` on a machine in memory: what it may touch, and what it makes of that machine in the eyes of a reset. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runFlow } from "../../src/engine/run.ts";
import { runReset } from "../../src/engine/undo.ts";
import { loadFlow } from "../../src/flows/images.ts";
import { resetFlow } from "../../src/flows/reset.ts";
import { collect, words, type World } from "../engine/laws.ts";
import { initWorld } from "../support/init-world.ts";

function nodeOfSomebodyElse(): World {
  const on = initWorld();
  on.runtime.answers = () => true;
  on.host.files.plant("/etc/kubernetes/kubelet.conf", "theirs");
  on.host.files.plant("/var/lib/kubelet/config.yaml", "theirs");
  return on;
}

describe("images load", () => {
  test("changes the runtime and its own records and nothing else, and a second run nothing at all", async () => {
    const on = nodeOfSomebodyElse();
    const before = on.host.snapshot();
    const ran = await collect(runFlow(loadFlow, on.context()));
    assert.ok(ran.outcome.ok, words(ran.outcome));
    const after = on.host.snapshot();
    const changed = Object.keys(after.files).filter((path) => JSON.stringify(after.files[path]) !== JSON.stringify(before.files[path]));
    assert.ok(changed.length > 0);
    assert.deepEqual({ ...after, files: {} }, { ...before, files: {} });
    for (const path of changed) assert.match(path, /^\/var\/lib\/kubestick/);
    assert.deepEqual(on.cluster.requests, []);
    const again = await collect(runFlow(loadFlow, on.context()));
    assert.equal(again.outcome.changed, 0, words(again.outcome));
  });

  test("makes no machine a node of ours: a reset there still needs consent", async () => {
    const on = nodeOfSomebodyElse();
    assert.ok((await collect(runFlow(loadFlow, on.context()))).outcome.ok);
    const refused = await collect(runReset({ ...on.context(), pkg: undefined }, resetFlow));
    assert.equal(refused.outcome.error?.code, "RESET_REFUSED", words(refused.outcome));
    assert.ok(on.host.files.look("/var/lib/kubelet/config.yaml") !== undefined);
    assert.ok(on.runtime.names.size > 0);
  });

  test("is taken back by a reset on a machine that is no node", async () => {
    const on = initWorld();
    on.runtime.answers = () => true;
    assert.ok((await collect(runFlow(loadFlow, on.context()))).outcome.ok);
    assert.ok(on.runtime.names.size > 0);
    const ran = await collect(runReset({ ...on.context(), pkg: undefined }, resetFlow));
    assert.ok(ran.outcome.ok, words(ran.outcome));
    assert.equal(on.runtime.names.size, 0);
    assert.equal(on.host.files.look("/var/lib/kubestick"), undefined);
  });
});
