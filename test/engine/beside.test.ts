/** Phases that run beside those that follow them: who waits for whom, and how it ends when one of them fails. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RunContext } from "../../src/engine/context.ts";
import type { AnyPhase, Beside } from "../../src/engine/flow.ts";
import { runFlow } from "../../src/engine/run.ts";
import type { Action } from "../../src/engine/types.ts";
import { controlPlaneHaFlow, workerHaFlow } from "../../src/flows/ha-enable.ts";
import { initFlow } from "../../src/flows/init.ts";
import { controlPlaneJoinFlow, workerJoinFlow } from "../../src/flows/join.ts";
import { actionsOf, collect, type Ran } from "./laws.ts";
import { bench, fileAction } from "./one-phase.ts";

const phase = (id: string, actions: readonly Action[], needs: readonly string[] = []): AnyPhase => ({ id, title: id, needs: needs as never, plan: async () => ({ actions, output: {} }) });
const late = (path: string): Action => ({ ...fileAction(path, "x"), late: true });

/** A machine on which the writing of some files takes until somebody lets it go on. */
function slowBench(...slow: readonly string[]) {
  const made = bench();
  const gates = new Map(slow.map((path) => [path, Promise.withResolvers<void>()]));
  const write = made.host.writeFile.bind(made.host);
  const order: string[] = [];
  made.host.writeFile = async (path, content, options) => {
    await gates.get(path)?.promise;
    await write(path, content, options);
    order.push(path);
  };
  const run = (beside: Readonly<Record<string, Beside>>, phases: readonly AnyPhase[], changes: Partial<RunContext> = {}): Promise<Ran> =>
    collect(runFlow({ name: "test", phases, beside: new Map(Object.entries(beside)) }, made.context(changes)));
  const until = async (path: string): Promise<void> => { while (!order.includes(path)) await new Promise(setImmediate); };
  return { ...made, order, run, until, release: (path: string): void => { gates.get(path)?.resolve(); }, fail: (path: string, error: Error): void => { gates.get(path)?.reject(error); } };
}

const spin = async (): Promise<void> => { for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate); };

describe("a phase beside others", () => {
  const phases = [phase("images", [fileAction("/a1", "x"), late("/a2")]), phase("certs", [fileAction("/b", "x")]), phase("kubelet", [fileAction("/c", "x")]), phase("cni", [fileAction("/d", "x")])];

  test("lets those that follow begin, and is over before the one that is named", async () => {
    const { run, order, until, release } = slowBench("/a1");
    const running = run({ images: { before: "kubelet" } }, phases);
    await until("/b");
    await spin();
    assert.deepEqual(order, ["/b"]);
    release("/a1");
    const { outcome, events } = await running;
    assert.ok(outcome.ok);
    assert.deepEqual(order, ["/b", "/a1", "/a2", "/c", "/d"]);
    assert.equal(outcome.changed, 5);
    assert.deepEqual(events.flatMap((event) => (event.type === "phase-finished" ? [[event.phase, event.changed]] : [])), [["certs", 1], ["images", 2], ["kubelet", 1], ["cni", 1]]);
  });

  test("its late actions may go on longer", async () => {
    const { run, order, until, release } = slowBench("/a2");
    const running = run({ images: { before: "kubelet", lateBefore: "cni" } }, phases);
    await until("/c");
    await spin();
    assert.deepEqual(order.toSorted(), ["/a1", "/b", "/c"]);
    release("/a2");
    assert.ok((await running).outcome.ok);
    assert.deepEqual(order.slice(-3), ["/c", "/a2", "/d"]);
  });

  test("an action comes after those of phases beside its own that it names, and that phase's failure is its own", async () => {
    const after = (action: Action, ...ids: readonly string[]): Action => ({ ...action, after: ids });
    const both = [
      phase("images", [fileAction("/a1", "x"), late("/a2"), late("/a3")]),
      phase("control-plane", [after(fileAction("/b1", "x"), "file/a1", "file/nobodys"), after(late("/b2"), "file/a2")]),
      phase("kubelet", [fileAction("/c", "x")]),
      phase("tools", [after(fileAction("/t", "x"), "file/a2")]),
      phase("cni", [fileAction("/d", "x")]),
    ];
    const beside = { images: { before: "kubelet", lateBefore: "cni" }, "control-plane": { before: "kubelet", lateBefore: "cni" } };
    const { run, order, until, release } = slowBench("/a1", "/a2", "/a3");
    const running = run(beside, both);
    await spin();
    assert.equal(order.length, 0);
    release("/a1");
    await until("/c");
    await spin();
    assert.deepEqual(order.toSorted(), ["/a1", "/b1", "/c"]);
    release("/a2");
    await until("/b2");
    await until("/t");
    assert.equal(order.includes("/a3"), false);
    release("/a3");
    assert.ok((await running).outcome.ok);
    assert.equal(order.at(-1), "/d");

    const broken = slowBench("/a2");
    const ended = broken.run(beside, both);
    await broken.until("/c");
    broken.fail("/a2", new Error("the stick was pulled out"));
    const { outcome } = await ended;
    assert.match(`${outcome.error?.attempted} ${outcome.error?.happened}`, /phase images of test.*the stick was pulled out/);
    assert.deepEqual(broken.order.toSorted(), ["/a1", "/b1", "/c"]);

    // Where nobody makes what they come after, they do not wait.
    const alone = slowBench();
    assert.ok((await alone.run(beside, both, { skipPhases: ["images"] })).outcome.ok);
    assert.deepEqual(alone.order.toSorted(), ["/b1", "/b2", "/c", "/d", "/t"]);
  });

  test("a phase that reads its output waits for it, and one that ends the flow, too", async () => {
    const { run, order, release } = slowBench("/a2");
    const running = run({ images: { before: "cni" } }, [phases[0] as AnyPhase, phase("certs", [fileAction("/b", "x")], ["images"]), phases[3] as AnyPhase]);
    await spin();
    assert.deepEqual(order, ["/a1"]);
    release("/a2");
    assert.ok((await running).outcome.ok);
    assert.deepEqual(order, ["/a1", "/a2", "/b", "/d"]);
  });

  test("runs alone where the phase that would wait for it does not run, and in a dry run", async () => {
    const { run, order } = slowBench();
    assert.ok((await run({ images: { before: "kubelet" } }, phases, { skipPhases: ["kubelet"] })).outcome.ok);
    assert.deepEqual(order, ["/a1", "/a2", "/b", "/d"]);
    const { events } = await slowBench().run({ images: { before: "kubelet", lateBefore: "cni" } }, phases, { dryRun: true });
    assert.deepEqual(actionsOf(events).map(({ id }) => id), ["file/a1", "file/a2", "file/b", "file/c", "file/d"]);
  });

  test("its failure ends the run, with its own words, before the phase that would wait for it", async () => {
    const { run, order, until, fail } = slowBench("/a1");
    const running = run({ images: { before: "kubelet" } }, phases);
    await until("/b");
    fail("/a1", new Error("the stick was pulled out"));
    const { outcome } = await running;
    assert.match(`${outcome.error?.attempted} ${outcome.error?.happened}`, /phase images of test.*the stick was pulled out/);
    assert.deepEqual(order, ["/b"]);
  });

  test("a failure beside it stops it between two actions, and the run ends when it has stopped", async () => {
    const { run, order, release, fail } = slowBench("/a1", "/b");
    const running = run({ images: { before: "kubelet" } }, phases);
    await spin();
    fail("/b", new Error("no space"));
    await spin();
    release("/a1");
    const { outcome, events } = await running;
    assert.match(`${outcome.error?.attempted} ${outcome.error?.happened}`, /phase certs of test.*no space/);
    assert.deepEqual(order, ["/a1"]);
    assert.equal(events.at(-1)?.type, "run-finished");
  });

  test("Ctrl-C names all that is left, and the next run does it", async () => {
    const { run, order, until, release } = slowBench("/a1");
    const controller = new AbortController();
    const running = run({ images: { before: "kubelet" } }, phases, { signal: controller.signal });
    await until("/b");
    controller.abort();
    release("/a1");
    const { outcome } = await running;
    assert.equal(outcome.error?.code, "INTERRUPTED");
    assert.match(outcome.error?.happened ?? "", /still to be done: images, kubelet, cni/);
    assert.ok((await run({ images: { before: "kubelet" } }, phases)).outcome.ok);
    assert.deepEqual(order.toSorted(), ["/a1", "/a2", "/b", "/c", "/d"]);
  });
});

test("phases that a flow names as the end of others come later in it", () => {
  let named = 0;
  for (const flow of [initFlow, workerJoinFlow, controlPlaneJoinFlow, controlPlaneHaFlow, workerHaFlow]) {
    const ids = flow.phases.map(({ id }) => id);
    for (const [id, beside] of flow.beside) {
      for (const end of [beside.before, beside.lateBefore ?? beside.before]) {
        named++;
        assert.ok(ids.indexOf(end) > ids.indexOf(id), `${flow.name}: ${id} is to be over before ${end}`);
      }
      assert.ok(ids.indexOf(beside.lateBefore ?? beside.before) >= ids.indexOf(beside.before));
    }
  }
  assert.ok(named > 0);
});
