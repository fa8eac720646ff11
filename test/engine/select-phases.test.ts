import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AnyPhase } from "../../src/engine/flow.ts";
import { selectPhases } from "../../src/engine/select-phases.ts";

const phase = (id: string, needs: readonly string[] = [], steps: readonly string[] = []): AnyPhase => ({
  id, title: id, needs: needs as never, steps: steps.map((step) => ({ id: step, title: step })), plan: async () => ({ actions: [], output: {} }),
});
const init = { name: "init", phases: [phase("preflight"), phase("certs", [], ["ca", "apiserver"]), phase("kubeconfig", ["certs"], ["admin"]), phase("token"), phase("show", ["token"])] };
const modes = (skip: readonly string[], only?: readonly string[]) => selectPhases(init, skip, only).map(({ phase: { id }, mode }) => `${id}:${mode}`).join(" ");

describe("selectPhases()", () => {
  test("runs everything when nothing is said", () => {
    assert.equal(modes([]), "preflight:run certs:run kubeconfig:run token:run show:run");
  });

  test("plans a skipped phase for its output when a later one reads it, and leaves it out otherwise", () => {
    assert.equal(modes(["certs", "preflight"]), "preflight:skip certs:output kubeconfig:run token:run show:run");
    assert.equal(modes(["certs", "kubeconfig"]), "preflight:run certs:skip kubeconfig:skip token:run show:run");
  });

  test("says of a phase that it was left out by name, also when it is planned for its output", () => {
    assert.deepEqual(selectPhases(init, ["certs"], undefined).filter(({ leftOut }) => leftOut).map(({ phase: { id } }) => id), ["certs"]);
  });

  test("a skipped parent takes its steps with it, a skipped step nothing else", () => {
    const [, certs] = selectPhases(init, ["certs/ca"], undefined);
    assert.equal(certs?.mode, "run");
    assert.deepEqual([certs?.acts({ step: "ca" }), certs?.acts({ step: "apiserver" }), certs?.acts({})], [false, true, true]);
  });

  test("runs single phases and steps, and hides the rest", () => {
    assert.equal(modes([], ["kubeconfig"]), "preflight:hidden certs:output kubeconfig:run token:hidden show:hidden");
    const [, certs] = selectPhases(init, [], ["certs/ca"]);
    assert.deepEqual([certs?.mode, certs?.acts({ step: "ca" }), certs?.acts({ step: "apiserver" })], ["run", true, false]);
  });

  test("takes names in any case, as kubeadm does", () => {
    assert.equal(modes(["Certs", " KUBECONFIG "]), modes(["certs", "kubeconfig"]));
  });

  test("refuses an unknown name and lists those there are", () => {
    for (const name of ["cert", "certs/nosuch", ""]) {
      assert.throws(() => selectPhases(init, [name], undefined), (error: { code: string; details: readonly string[] }) => error.code === "UNKNOWN_PHASE" && error.details.includes("certs/ca"));
    }
    assert.throws(() => selectPhases(init, [], ["nosuch"]), { code: "UNKNOWN_PHASE" });
  });
});
