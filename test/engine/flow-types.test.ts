/** What must not compile. The type checker is the test; at run time the same mistakes are refused with words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { flow } from "../../src/engine/flow.ts";
import type { Phase } from "../../src/engine/types.ts";

type None = Record<never, never>;
const certs: Phase<"certs", None, { readonly ca: string }> = { id: "certs", title: "Certificates", needs: [], plan: async () => ({ actions: [], output: { ca: "pem" } }) };
const kubeconfig: Phase<"kubeconfig", { readonly certs: { readonly ca: string } }, { readonly admin: string }> = {
  id: "kubeconfig", title: "Kubeconfigs", needs: ["certs"],
  plan: async ({ from }) => ({ actions: [], output: { admin: from.certs.ca } }),
};
const both: Phase<"both", { readonly certs: { readonly ca: string }; readonly kubeconfig: { readonly admin: string } }, None> = {
  id: "both", title: "Both", needs: ["certs", "kubeconfig"],
  plan: async ({ from }) => ({ actions: [], output: {}, findings: [{ check: "X", severity: "info", message: `${from.certs.ca} ${from.kubeconfig.admin}` }] }),
};

test("flow() takes phases in an order in which each comes after those it needs", () => {
  assert.deepEqual(flow("init").add(certs).add(kubeconfig).add(both).phases.map(({ id }) => id), ["certs", "kubeconfig", "both"]);
});

test("flow() refuses a phase whose input nobody makes", () => {
  // @ts-expect-error: kubeconfig reads certs
  assert.throws(() => flow("init").add(kubeconfig), { code: "FLOW_ORDER" });
  // @ts-expect-error: both reads kubeconfig too
  assert.throws(() => flow("init").add(certs).add(both), { code: "FLOW_ORDER" });
});

test("flow() refuses the same phase twice", () => {
  // @ts-expect-error: certs is in the flow already
  assert.throws(() => flow("init").add(certs).add(certs), { code: "FLOW_ORDER" });
});

test("flow() refuses a phase that expects another output than the one made", () => {
  const other: Phase<"other", { readonly certs: { readonly ca: number } }, None> = { id: "other", title: "Other", needs: ["certs"], plan: async () => ({ actions: [], output: {} }) };
  // @ts-expect-error: ca is text
  const wrong = flow("init").add(certs).add(other);
  // Only the types can know; the list itself is in order.
  assert.equal(wrong.phases.length, 2);
});

test("flow() refuses a phase whose id is not literal", () => {
  const vague: Phase<string, None, None> = { id: "vague", title: "Vague", needs: [], plan: async () => ({ actions: [], output: {} }) };
  // @ts-expect-error: an id of type string would stand for every phase
  assert.equal(flow("init").add(vague).phases.length, 1);
});

test("a phase cannot read an output it does not name, nor write", () => {
  const silent: Phase<"silent", { readonly certs: { readonly ca: string } }, None> = {
    id: "silent", title: "Silent",
    // @ts-expect-error: only names of its input
    needs: ["kubeconfig"],
    async plan({ from, read }) {
      // @ts-expect-error: not among its needs
      const admin: unknown = from.kubeconfig;
      // @ts-expect-error: a reader has no way to write
      const write: unknown = read.writeFile;
      return { actions: [], output: {}, findings: [{ check: "X", severity: "info", message: `${String(admin)} ${String(write)}` }] };
    },
  };
  assert.equal(silent.id, "silent");
});
