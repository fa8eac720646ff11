import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RunContext } from "../../src/engine/context.ts";
import { KubestickError } from "../../src/errors.ts";
import { flow, type AnyPhase } from "../../src/engine/flow.ts";
import { runFlow } from "../../src/engine/run.ts";
import type { Action, Finding, PhaseResult, PlanInput } from "../../src/engine/types.ts";
import { fixtureFlow, fixtureWorld } from "../support/fixture-flow.ts";
import { image as imageAction } from "../../src/phases/actions.ts";
import type { PackageReader } from "../../src/package/types.ts";
import { memoryPackage } from "../support/memory-package.ts";
import { packageIndexFor } from "../support/package-index.ts";
import { actionsOf, collect, type Ran } from "./laws.ts";
import { bench, fileAction } from "./one-phase.ts";

const swap: Finding = { check: "Swap", severity: "error", message: "swap is on", hint: "Turn it off: swapoff -a" };
const port: Finding = { check: "Port-6443", severity: "error", message: "port 6443 is taken" };

interface Made {
  readonly needs?: readonly string[];
  readonly steps?: readonly string[];
  readonly actions?: readonly Action[];
  readonly findings?: readonly Finding[];
  readonly output?: unknown;
  readonly result?: PhaseResult;
  readonly seen?: (input: PlanInput<never>) => void;
}

const phase = (id: string, made: Made = {}): AnyPhase => ({
  id, title: `Title of ${id}`, needs: (made.needs ?? []) as never, steps: (made.steps ?? []).map((step) => ({ id: step, title: step })),
  async plan(input) {
    made.seen?.(input);
    return { actions: made.actions ?? [], output: made.output ?? {}, ...(made.findings === undefined ? {} : { findings: made.findings }), ...(made.result === undefined ? {} : { result: made.result }) };
  },
});

const runAll = (context: RunContext, ...phases: AnyPhase[]): Promise<Ran> => collect(runFlow({ name: "test", phases }, context));

describe("runFlow() findings", () => {
  test("reports all errors together and changes nothing of that phase", async () => {
    const { host, run } = bench();
    const { outcome, events } = await run([fileAction("/etc/a", "x")], {}, [swap, port, { check: "Mem", severity: "warning", message: "little memory" }]);
    assert.equal(outcome.error?.code, "PREFLIGHT_FAILED");
    assert.deepEqual(outcome.error?.details, ["[Swap] swap is on. Turn it off: swapoff -a", "[Port-6443] port 6443 is taken"]);
    assert.match(outcome.error?.next ?? "", /--ignore-preflight-errors=Swap,Port-6443$/);
    assert.equal(events.filter(({ type }) => type === "finding").length, 3);
    assert.deepEqual(host.ledger.writes, []);
    assert.equal(outcome.exitCode, 1);
  });

  test("goes on past errors that are ignored by name in any case, or all", async () => {
    for (const ignore of [["swap", "PORT-6443"], ["all"]]) {
      const { run } = bench();
      const { outcome, events } = await run([fileAction("/etc/a", "x")], { ignorePreflightErrors: ignore }, [swap, port]);
      assert.ok(outcome.ok);
      assert.deepEqual(events.filter((event) => event.type === "finding").map(({ ignored }) => ignored), [true, true]);
    }
    const { run } = bench();
    assert.equal((await run([], { ignorePreflightErrors: ["swap"] }, [swap, port])).outcome.ok, false);
  });

  test("a dry run shows the whole plan and then fails with what the checks found", async () => {
    const { context } = bench();
    const { outcome, events } = await runAll(context({ dryRun: true }), phase("preflight", { findings: [port] }), phase("files", { actions: [fileAction("/etc/a", "x")] }));
    assert.deepEqual(actionsOf(events).map(({ status }) => status), ["planned"]);
    assert.equal(outcome.error?.code, "PREFLIGHT_FAILED");
  });

  test("a plan that stumbles over what the checks of a dry run found does not hide it", async () => {
    const { context } = bench();
    const broken = phase("broken", { seen: () => { throw new TypeError("no address"); } });
    const { outcome } = await runAll(context({ dryRun: true }), phase("preflight", { findings: [port] }), broken);
    assert.equal(outcome.error?.code, "PREFLIGHT_FAILED");
  });
});

describe("runFlow() phases", () => {
  test("gives a phase the outputs it named and no others", async () => {
    const { context } = bench();
    let from: unknown;
    await runAll(context(), phase("a", { output: 1 }), phase("b", { output: 2 }), phase("c", { needs: ["b"], seen: (input) => { from = input.from; } }));
    assert.deepEqual(from, { b: 2 });
  });

  test("tells what happens in order", async () => {
    const { context } = bench();
    const result: PhaseResult = { name: "join", value: 1, text: "join\n" };
    const { events, outcome } = await runAll(context(), phase("a", { actions: [fileAction("/etc/a", "x")] }), phase("b", { result }));
    assert.deepEqual(events.map((event) => ("phase" in event ? `${event.type} ${event.phase}` : event.type)), [
      "run-started", "phase-started a", "action a", "phase-finished a", "phase-started b", "result b", "phase-finished b", "run-finished",
    ]);
    assert.deepEqual(outcome.results, [result]);
    assert.deepEqual([outcome.changed, outcome.unchanged], [1, 0]);
  });

  test("leaves out skipped steps and says which phases were left out", async () => {
    const { host, context } = bench();
    const actions = [{ ...fileAction("/etc/ca", "x"), step: "ca" }, { ...fileAction("/etc/api", "x"), step: "apiserver" }];
    const { events } = await runAll(context({ skipPhases: ["certs/ca", "other"] }), phase("certs", { steps: ["ca", "apiserver"], actions }), phase("other"));
    assert.equal(await host.stat("/etc/ca"), undefined);
    assert.ok(await host.stat("/etc/api"));
    assert.deepEqual(events.filter((event) => event.type === "phase-skipped").map((event) => event.phase), ["other"]);
  });

  test("reads the output of a skipped phase only when what it makes is in place", async () => {
    const { host, context } = bench();
    const certs = phase("certs", { output: "ca", actions: [fileAction("/etc/ca.key", "key", { secret: true })] });
    let from: unknown;
    const kubeconfig = phase("kubeconfig", { needs: ["certs"], seen: (input) => { from = input.from; } });
    const refused = await runAll(context({ skipPhases: ["certs"] }), certs, kubeconfig);
    assert.equal(refused.outcome.error?.code, "PHASE_NEEDED");
    assert.deepEqual(refused.outcome.error?.details, ["file/etc/ca.key: 0644, 3 bytes"]);
    assert.deepEqual(host.ledger.writes, []);

    await host.writeFile("/etc/ca.key", "key", { mode: 0o644 });
    assert.ok((await runAll(context({ skipPhases: ["certs"] }), certs, kubeconfig)).outcome.ok);
    assert.deepEqual(from, { certs: "ca" });
    assert.ok((await runAll(context({ only: ["kubeconfig"] }), certs, kubeconfig)).outcome.ok);
  });

  test("refuses an unknown phase before anything else", async () => {
    const { host, context } = bench();
    const { outcome, events } = await runAll(context({ skipPhases: ["nosuch"] }), phase("a", { actions: [fileAction("/etc/a", "x")] }));
    assert.equal(outcome.error?.code, "UNKNOWN_PHASE");
    assert.deepEqual(events.map(({ type }) => type), ["run-finished"]);
    assert.deepEqual(host.ledger.writes, []);
  });

  test("plans without a cluster before there is one, and with it once it answers", async () => {
    const { cluster, context } = bench();
    const seen: boolean[] = [];
    const look = phase("look", { seen: (input) => { seen.push(input.cluster !== undefined); } });
    cluster.healthy = false;
    await runAll(context(), look);
    cluster.healthy = true;
    await runAll(context(), look);
    cluster.answers = () => false;
    await runAll(context(), look);
    await runAll(context({ dryRun: true }), look);
    assert.deepEqual(seen, [false, true, false, true]);
  });

  test("reads the cluster at this node's own address with the admin kubeconfig", async () => {
    const { cluster, context } = bench();
    const asked: (string | undefined)[][] = [];
    await runAll(context({ connect: async (text, server) => { asked.push([text, server]); return cluster.connect(text); } }), phase("a"));
    assert.deepEqual(asked, [["admin", "https://192.0.2.10:6443"]]);
  });

  test("tells plans what the runtime says of itself, and nothing where none answers", async () => {
    const { host, runtime, context } = bench();
    const seen: unknown[] = [];
    const look: AnyPhase = {
      id: "look", title: "look", needs: [],
      async plan(input) {
        seen.push(await input.runtime());
        assert.equal(await input.runtime(), seen.at(-1), "asked once for each plan");
        return { actions: [], output: {} };
      },
    };
    await runAll(context(), look);
    host.openSockets.add("unix:///var/run/containerd/containerd.sock");
    await runAll(context(), look);
    runtime.answers = () => false;
    await runAll(context(), look);
    assert.deepEqual(seen, [undefined, { name: "containerd", version: "v2.1.0" }, undefined]);
  });

  test("a mistake of a phase is told as one, with where it happened", async () => {
    const { context } = bench();
    const { outcome } = await runAll(context(), phase("broken", { seen: () => { throw new TypeError("undefined is not a function"); } }));
    assert.equal(outcome.error?.code, "INTERNAL");
    assert.match(outcome.error?.attempted ?? "", /phase broken of test/);
    assert.ok((outcome.error?.details.length ?? 0) > 0);
  });
});

describe("runFlow() and interruption", () => {
  test("Ctrl-C ends after the action under way, says what is left, exits with 130; the next run continues", async () => {
    const { host, context } = bench();
    const controller = new AbortController();
    const write = host.writeFile.bind(host);
    host.writeFile = async (path, content, options) => {
      if (path === "/etc/b") controller.abort();
      await write(path, content, options);
    };
    const phases = [
      phase("one", { actions: [fileAction("/etc/a", "x"), fileAction("/etc/b", "x"), fileAction("/etc/c", "x")] }),
      phase("two", { actions: [fileAction("/etc/d", "x")] }),
    ];
    const { outcome, events } = await runAll(context({ signal: controller.signal }), ...phases);
    assert.deepEqual(actionsOf(events).map(({ id, status }) => `${id} ${status}`), ["file/etc/a applied", "file/etc/b applied"]);
    assert.equal(outcome.error?.code, "INTERRUPTED");
    assert.equal(outcome.exitCode, 130);
    assert.match(outcome.error?.happened ?? "", /still to be done: one, two/);
    assert.match(outcome.error?.next ?? "", /same command again/);
    assert.equal(events.at(-1)?.type, "run-finished");

    host.writeFile = write;
    const second = await runAll(context(), ...phases);
    assert.deepEqual(actionsOf(second.events).map(({ status }) => status), ["unchanged", "unchanged", "applied", "applied"]);
  });

  test("Ctrl-C ends a wait at once", async () => {
    const { run } = bench();
    const controller = new AbortController();
    let tries = 0;
    const { outcome, events } = await run([{ kind: "wait", id: "wait/x", title: "X", timeoutMs: 60_000, probe: { type: "http", url: "http://127.0.0.1:1", component: "x", socket: "" } }], {
      signal: controller.signal,
      httpGet: async () => {
        tries += 1;
        if (tries === 3) controller.abort();
        throw new Error("refused");
      },
    });
    assert.equal(outcome.error?.code, "INTERRUPTED");
    assert.ok(tries <= 3);
    assert.ok(!actionsOf(events).some(({ status }) => status === "failed"));
  });

  test("Ctrl-C in the middle of a program leaves no half of it", async () => {
    const { host, context } = fixtureWorld();
    const controller = new AbortController();
    const base = context({ signal: controller.signal });
    const pkg = base.pkg;
    assert.ok(pkg);
    const { outcome } = await collect(runFlow(fixtureFlow(), {
      ...base,
      pkg: {
        ...pkg,
        async* open(digest) {
          for await (const chunk of pkg.open(digest)) {
            yield chunk.subarray(0, 4);
            controller.abort();
            yield chunk.subarray(4);
          }
        },
      },
    }));
    assert.equal(outcome.error?.code, "INTERRUPTED");
    assert.deepEqual(await host.list("/usr/local/bin"), []);
  });

  test("an aborted signal before the start changes nothing", async () => {
    const { host, run } = bench();
    const { outcome } = await run([fileAction("/etc/a", "x")], { signal: AbortSignal.abort() });
    assert.equal(outcome.exitCode, 130);
    assert.deepEqual(host.ledger.writes, []);
  });

  test("a consumer that stops listening does not leave the run behind half-way", async () => {
    const { host, context } = bench();
    const run = runFlow({ name: "test", phases: [phase("a", { actions: [fileAction("/etc/a", "x"), fileAction("/etc/b", "x")] })] }, context());
    await run.next();
    await run.return(undefined as never);
    const writes = host.ledger.writes.length;
    await new Promise((resolve) => { setTimeout(resolve, 20); });
    assert.equal(host.ledger.writes.length, writes);
  });
});

describe("runFlow() and the lock", () => {
  test("holds the lock while it runs and gives it back, also after a failure", async () => {
    const { run } = bench();
    const told: string[] = [];
    const lock = async () => { told.push("taken"); return { release: async () => { told.push("released"); } }; };
    await run([], { lock });
    await run([], { lock }, [port]);
    await run([], { lock, dryRun: true });
    assert.deepEqual(told, ["taken", "released", "taken", "released"]);
  });

  const failing = (code: string) => async (): Promise<never> => { throw new KubestickError({ code, attempted: "taking the lock", happened: "no", next: "x" }); };

  test("does not even plan while another run holds the lock", async () => {
    const { host, run } = bench();
    const { outcome, events } = await run([fileAction("/etc/a", "x")], { lock: failing("LOCKED") }, [port]);
    assert.equal(outcome.error?.code, "LOCKED");
    assert.ok(!events.some(({ type }) => type === "phase-started"));
    assert.deepEqual(host.ledger.writes, []);
  });

  test("lets checks say that root is needed before it says that the lock cannot be taken", async () => {
    const { host, run } = bench();
    assert.equal((await run([fileAction("/etc/a", "x")], { lock: failing("HOST_FILE_FAILED") }, [port])).outcome.error?.code, "PREFLIGHT_FAILED");
    assert.equal((await run([fileAction("/etc/a", "x")], { lock: failing("HOST_FILE_FAILED") })).outcome.error?.code, "HOST_FILE_FAILED");
    assert.deepEqual(host.ledger.writes, []);
  });
});

test("runFlow() tells of a long import in bytes, with a last word that is complete", async () => {
  const { context } = fixtureWorld();
  const { events } = await collect(runFlow(fixtureFlow(), context()));
  const bytes = events.filter((event) => event.type === "progress" && event.id === "image/registry.k8s.io/etcd:v1");
  const last = bytes.at(-1);
  assert.ok(last?.type === "progress");
  assert.deepEqual([last.done, last.unit], [last.total, "bytes"]);
});

describe("runFlow() and images", () => {
  const content = packageIndexFor(bench().context().config);
  const actions = content.images.slice(0, 4).map((wanted) => imageAction("unix:///run/cri.sock", wanted));
  const pkg = memoryPackage(content);

  test("loads two at a time, and tells and counts each", async () => {
    const { host, run } = bench();
    let [running, most] = [0, 0];
    const counted: PackageReader = {
      ...pkg,
      async *open(digest) {
        most = Math.max(most, ++running);
        try {
          for await (const chunk of pkg.open(digest)) {
            yield chunk;
            await new Promise(setImmediate);
          }
        } finally {
          running--;
        }
      },
    };
    const { outcome, events } = await run(actions, { pkg: counted });
    assert.equal(outcome.error, undefined);
    assert.equal(outcome.changed, actions.length);
    assert.equal(most, 2);
    assert.deepEqual(actionsOf(events).filter(({ status }) => status === "applied").map(({ id }) => id).sort(), actions.map(({ id }) => id).sort());
    // Whole lines, an intent before each deed.
    const lines = ((await host.readText("/var/lib/kubestick/journal.jsonl")) ?? "").trimEnd().split("\n").map((line) => JSON.parse(line) as { id: string; what: string });
    for (const { id } of actions) assert.deepEqual(lines.filter((line) => line.id === id).map(({ what }) => what), ["intent", "created"]);
    assert.equal((await run(actions, { pkg: counted })).outcome.changed, 0);
  });

  test("stops the other when one fails, tells the failure once, and finishes on the next run", async () => {
    const { run } = bench();
    const bad = content.images[1]?.layers[0]?.entry;
    const failing: PackageReader = { ...pkg, open: (digest) => { if (digest === bad) throw new Error("the stick was pulled out"); return pkg.open(digest); } };
    const { outcome, events } = await run(actions, { pkg: failing });
    assert.equal(outcome.ok, false);
    assert.deepEqual(actionsOf(events).filter(({ status }) => status === "failed").map(({ id }) => id), [actions[1]?.id]);
    assert.equal(actionsOf(events).some(({ id }) => id === actions[3]?.id), false, "nothing new is begun");
    const again = await run(actions, { pkg });
    assert.equal(again.outcome.error, undefined);
  });
});

test("flow() builds what runFlow() runs", async () => {
  const { context } = bench();
  const { outcome } = await collect(runFlow(flow("empty"), context()));
  assert.ok(outcome.ok);
});
