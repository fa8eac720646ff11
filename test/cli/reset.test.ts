import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { MachinePorts } from "../../src/cli/machine.ts";
import { readInvocation } from "../../src/cli/dispatch.ts";
import { resetPhaseRows, type ResetPhaseRow } from "../../src/cli/reset-phase-table.ts";
import { resetCommand, resetPhaseCommand } from "../../src/cli/reset.ts";
import { resetFlow } from "../../src/flows/reset.ts";
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

const phase = (name: string): ResetPhaseRow => resetPhaseRows.find((row) => row.phase === name) as ResetPhaseRow;

test("reset phase names every phase of the flow, in its order and with its titles", () => {
  assert.deepEqual(resetPhaseRows.map(({ phase: id, title }) => ({ id, title })), resetFlow.map(({ id, title }) => ({ id, title })));
});

test("reset has kubeadm's flags, and mixes them with --config as kubeadm does", () => {
  const read = (...words: readonly string[]): unknown => readInvocation(["reset", ...words]);
  for (const words of [["--cert-dir", "/srv/pki"], ["--cleanup-tmp-dir"], ["--cri-socket", "unix:///run/x.sock"], ["--force"], ["-f"]]) {
    read(...words);
    assert.throws(() => read("--config", "reset.yaml", ...words), { code: "CLI_MIXED_CONFIG" }, words.join(" "));
  }
  read("--config", "reset.yaml", "--dry-run", "--ignore-preflight-errors", "all", "--kubeconfig", "admin.conf", "--skip-phases", "cleanup-node", "--yes");
});

test("reset phase has the flags of kubeadm's phase", () => {
  for (const [name, ...flags] of [
    ["preflight", "--dry-run", "--force", "--ignore-preflight-errors=all"], ["remove-etcd-member", "--dry-run", "--kubeconfig=x"], ["cleanup-node", "--cert-dir=/srv/pki", "--cleanup-tmp-dir", "--cri-socket=unix:///x", "--dry-run"],
  ]) readInvocation(["reset", "phase", name as string, ...flags]);
  assert.throws(() => readInvocation(["reset", "phase", "undo", "--cert-dir", "/x"]), { code: "CLI_UNKNOWN_FLAG" });
});

test("reset phase asks as reset does, save where nothing goes", async () => {
  for (const { phase: name, harmless } of resetPhaseRows) {
    const host = new MemoryHost({ facts: plainFacts() });
    const run = resetPhaseCommand(phase(name), {}, answering(undefined), machine(host));
    if (harmless === true) await run;
    else await assert.rejects(run, { code: "RESET_NOT_CONFIRMED", next: new RegExp(`reset phase ${name} --yes`) });
    assert.deepEqual(host.ledger.writes, []);
  }
});

test("reset phase cleanup-node leaves what belongs to other phases, and refuses a node of somebody else's", async () => {
  const files = { "/etc/kubernetes/kubelet.conf": "x", "/etc/kubernetes/manifests/etcd.yaml": "spec: {volumes: [{name: etcd-data, hostPath: {path: /data/etcd}}]}", "/data/etcd/member/wal": "x" };
  const host = new MemoryHost({ facts: plainFacts(), files });
  await assert.rejects(resetPhaseCommand(phase("cleanup-node"), { yes: true }, answering(undefined), machine(host)), { code: "RESET_REFUSED" });
  assert.deepEqual(host.ledger.writes, []);
  const io = answering(undefined);
  await resetPhaseCommand(phase("cleanup-node"), { force: true }, io, machine(host));
  assert.equal(await host.stat("/etc/kubernetes/kubelet.conf"), undefined);
  assert.notEqual(await host.stat("/data/etcd/member/wal"), undefined);
  assert.match(stderrOf(io), /cleanup-node/);
  assert.doesNotMatch(stderrOf(io), /remove-etcd-member|cleanup-runtime/);
});

test("reset reads a ResetConfiguration, and flags that may stand beside it win", async () => {
  const folder = mkdtempSync(join(tmpdir(), "kubestick-reset-"));
  const path = join(folder, "reset.yaml");
  try {
    writeFileSync(path, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ResetConfiguration\nforce: true\ncleanupTmpDir: true\ncertificatesDir: /srv/pki\nskipPhases: [remove-etcd-member]\ndryRun: true\n");
    const files = { "/etc/kubernetes/kubelet.conf": "x", "/etc/kubernetes/tmp/old": "x", "/srv/pki/ca.crt": "x", "/etc/kubernetes/pki/ca.crt": "x", "/var/lib/kubelet/config.yaml": "x" };
    const host = new MemoryHost({ facts: plainFacts(), files });
    const dry = answering(undefined);
    await resetCommand({ config: path }, dry, machine(host));
    assert.deepEqual(host.ledger.writes, []);
    assert.match((dry.stdout as TextSink).text, /^data\/srv\/pki: ca\.crt; the directory itself stays$/m);
    await resetCommand({ config: path, "dry-run": false }, answering(undefined), machine(host));
    assert.deepEqual([await host.list("/srv/pki"), await host.list("/etc/kubernetes/tmp"), await host.list("/etc/kubernetes/pki")], [[], [], ["ca.crt"]]);
    await assert.rejects(resetCommand({ config: join(folder, "absent.yaml") }, answering(undefined), machine(host)), { code: "CONFIG_UNREADABLE", next: /config print reset-defaults > reset\.yaml/ });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("reset refuses what it could not do or should not do, and changes nothing", async () => {
  for (const [flags, happened] of [
    [{ "cert-dir": "pki" }, /--cert-dir: "pki" must be an absolute path/], [{ "cert-dir": "/etc" }, /--cert-dir: \/etc is not a directory of certificates/], [{ "cert-dir": "/srv/../etc" }, /without \.\./],
    [{ "cri-socket": "tcp://1.2.3.4:5" }, /--cri-socket/], [{ "ignore-preflight-errors": ["all", "Swap"] }, /all cannot be combined/], [{ kubeconfig: "/absent.conf" }, /no file \/absent\.conf/],
  ] as const) {
    const host = new MemoryHost({ facts: plainFacts(), files: { "/etc/kubernetes/kubelet.conf": "x" } });
    await assert.rejects(resetCommand({ force: true, ...flags }, answering(undefined), machine(host)), { happened }, JSON.stringify(flags));
    assert.deepEqual(host.ledger.writes, []);
  }
});
