import assert from "node:assert/strict";
import { test } from "node:test";
import type { MachinePorts } from "../../src/cli/machine.ts";
import { resetCommand } from "../../src/cli/reset.ts";
import { testIo, TextSink, type TestIo } from "./screen.ts";
import type { Host } from "../../src/host/types.ts";
import { MemoryHost } from "../support/memory-host.ts";
import { plainFacts } from "../support/facts.ts";

function machine(host: Host): MachinePorts {
  const absent = (): never => { throw new Error("not asked for in these tests"); };
  return { host, runtime: absent, connect: absent, assets: { text: absent, list: () => [] }, lock: () => Promise.resolve({ release: () => Promise.resolve() }), toYaml: JSON.stringify };
}

function answering(answer: string | undefined): TestIo & { readonly questions: string[] } {
  const questions: string[] = [];
  return {
    ...testIo(),
    questions,
    ask: answer === undefined ? undefined : (question) => {
      questions.push(question);
      return Promise.resolve(answer);
    },
  };
}

const stderrOf = (io: TestIo): string => (io.stderr as TextSink).text;

test("reset asks for the name of the node and stops at another one", async () => {
  for (const answer of ["", "y", "yes", "cp2"]) {
    const host = new MemoryHost({ facts: plainFacts() });
    const io = answering(answer);
    const before = host.snapshot();
    await assert.rejects(resetCommand({}, io, machine(host)), { code: "RESET_NOT_CONFIRMED" });
    assert.match(io.questions[0] as string, /Type the name of this node, cp1,/);
    assert.match(stderrOf(io), /The data of the cluster on this node is lost\./);
    assert.deepEqual(host.snapshot(), before);
  }
});

test("reset goes on when the name of the node was typed", async () => {
  const io = answering(" cp1 ");
  await resetCommand({}, io, machine(new MemoryHost({ facts: plainFacts() })));
  assert.match(stderrOf(io), /no record of having installed anything here/);
});

test("reset does not ask with --yes, --force or --dry-run", async () => {
  for (const flags of [{ yes: true }, { force: true }, { "dry-run": true }]) {
    const io = answering("must not be asked");
    await resetCommand(flags, io, machine(new MemoryHost({ facts: plainFacts() })));
    assert.deepEqual(io.questions, []);
  }
});

test("reset without a terminal says how a script confirms", async () => {
  await assert.rejects(resetCommand({}, answering(undefined), machine(new MemoryHost({ facts: plainFacts() }))), { code: "RESET_NOT_CONFIRMED", next: /--yes/ });
});

test("reset refuses anybody but root before it asks", async () => {
  const io = answering("cp1");
  await assert.rejects(resetCommand({}, io, machine(new MemoryHost({ facts: plainFacts({ uid: 1000 }) }))), { code: "NOT_ROOT" });
  assert.deepEqual(io.questions, []);
});

test("reset works on a machine that has lost its addresses", async () => {
  await resetCommand({ yes: true }, answering(undefined), machine(new MemoryHost({ facts: plainFacts({ addresses: [], routes: [] }) })));
});

test("reset of a node made by something else is refused with --yes, says what --force does, and then does it", async () => {
  const host = new MemoryHost({ facts: plainFacts(), files: { "/etc/kubernetes/kubelet.conf": "x", "/etc/kubernetes/pki/ca.crt": "x" } });
  await assert.rejects(resetCommand({ yes: true }, answering(undefined), machine(host)), { code: "RESET_REFUSED", next: /kubestick reset --force/ });
  assert.notEqual(await host.stat("/etc/kubernetes/kubelet.conf"), undefined);
  const io = answering(undefined);
  await resetCommand({ force: true }, io, machine(host));
  assert.equal(await host.stat("/etc/kubernetes/kubelet.conf"), undefined);
  assert.doesNotMatch(stderrOf(io), /nothing to take back/);
});

test("reset --dry-run prints every thing that would go", async () => {
  const host = new MemoryHost({ facts: plainFacts(), files: { "/etc/kubernetes/kubelet.conf": "x", "/var/lib/kubelet/config.yaml": "x" } });
  const io = answering(undefined);
  await resetCommand({ "dry-run": true }, io, machine(host));
  assert.match((io.stdout as TextSink).text, /^data\/var\/lib\/kubelet: config\.yaml; the directory itself stays$[\s\S]*^data\/etc\/kubernetes\/kubelet\.conf: to be removed$[\s\S]*^To be undone: 2 data directories/m);
  assert.deepEqual(host.ledger.writes, []);
});
