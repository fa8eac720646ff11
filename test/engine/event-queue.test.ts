import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { withEvents } from "../../src/engine/event-queue.ts";

describe("withEvents()", () => {
  test("yields events while the work goes on, and returns its result", async () => {
    const gate = Promise.withResolvers<void>();
    const run = withEvents<string, number>(async (emit) => {
      emit("first");
      await gate.promise;
      emit("second");
      emit("third");
      return 42;
    });
    assert.deepEqual(await run.next(), { done: false, value: "first" });
    gate.resolve();
    assert.deepEqual([await run.next(), await run.next(), await run.next()], [{ done: false, value: "second" }, { done: false, value: "third" }, { done: true, value: 42 }]);
  });

  test("yields what was told before a failure, then fails", async () => {
    const run = withEvents<string, never>(async (emit) => {
      emit("first");
      throw new Error("broke");
    });
    assert.deepEqual(await run.next(), { done: false, value: "first" });
    await assert.rejects(run.next(), /broke/);
  });

  test("lets the work end before a consumer that leaves early gets away", async () => {
    let ended = false;
    const run = withEvents<string, void>(async (emit) => {
      emit("first");
      await new Promise((resolve) => { setTimeout(resolve, 20); });
      ended = true;
    });
    for await (const event of run) {
      assert.equal(event, "first");
      break;
    }
    assert.ok(ended);
  });
});
