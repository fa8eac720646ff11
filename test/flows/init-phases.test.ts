/** `init phase`: each phase and each step alone, in every legal order, makes what one `init` makes; out of order it changes nothing. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readInvocation } from "../../src/cli/dispatch.ts";
import { initPhases, phaseCommands, phaseFlags, type PhaseCommand } from "../../src/cli/init-phase-table.ts";
import { runFlow } from "../../src/engine/run.ts";
import { initFlow } from "../../src/flows/init.ts";
import { actionsOf, collect, finalState, unlike, withoutRandomness, words, type Ran, type World } from "../engine/laws.ts";
import { initWorld } from "../support/init-world.ts";

// One token of known name, so that it is not confused with the one that limits the life of uploaded certificates.
const world = (): World => initWorld({ options: { token: "abcdef.0123456789abcdef" }, flags: { uploadCerts: true } });

/** Uploaded certificates are encrypted anew each time, and the uid of their owner counts requests. */
const normalise = (text: string): string => withoutRandomness(text.replaceAll("bootstrap-token-abcdef", "known-token"))
  .replaceAll(/"uid":"uid-\d+"/g, '"uid":"(random)"')
  .replaceAll(/"((?:[a-z-]+-)?(?:ca|sa)\.(?:crt|key|pub))":"[^"]+"/g, '"$1":"(random)"');

const run = (on: World, only?: readonly string[]): Promise<Ran> => collect(runFlow(initFlow, on.context(only === undefined ? {} : { only })));

async function runWell(on: World, only?: readonly string[]): Promise<Ran> {
  const ran = await run(on, only);
  assert.ok(ran.outcome.ok, `${only?.join(",") ?? "init"}: ${words(ran.outcome)}`);
  return ran;
}

const paths = (phase: string): readonly string[] => {
  const steps = initPhases.find((candidate) => candidate.phase === phase)?.steps ?? [];
  return steps.length === 0 ? [phase] : steps.map(({ id }) => `${phase}/${id}`);
};
const ids = initFlow.phases.map(({ id }) => id);

const after = (order: readonly string[], id: string, ...others: readonly string[]): readonly string[] => {
  const rest = order.filter((candidate) => !others.includes(candidate));
  return rest.toSpliced(rest.indexOf(id) + 1, 0, ...others);
};

/** Orders in which every phase finds what it reads. The API answers from kubelet-start on. */
const orders: Readonly<Record<string, readonly string[]>> = {
  "phase by phase": ids,
  "step by step": ids.flatMap(paths),
  "certificates before the node, control plane before etcd, addons before the configuration": after(
    ["preflight", "certs/sa", "certs/front-proxy-ca", "certs/front-proxy-client", "certs/etcd-ca", "certs/apiserver-etcd-client", "certs/etcd-healthcheck-client", "certs/etcd-peer", "certs/etcd-server", "certs/ca", "kubeconfig/scheduler",
      "certs/apiserver-kubelet-client", "certs/apiserver", ...ids.filter((id) => !["preflight", "certs", "etcd"].includes(id))],
    "wait-control-plane", "bootstrap-token", "addon/kube-proxy", "cni", "addon/coredns", "mark-control-plane", "upload-certs", "upload-config/kubelet", "upload-config",
  ).flatMap((id) => (id === "control-plane" ? ["control-plane/scheduler", "control-plane/apiserver", "control-plane/controller-manager", "etcd/local"] : [id])),
};

/** Two by default; KUBESTICK_ORDERS=20 tries more, KUBESTICK_FUZZ_SEED others. */
const seeds = Array.from({ length: Number(process.env["KUBESTICK_ORDERS"] ?? 2) }, (_, index) => Number(process.env["KUBESTICK_FUZZ_SEED"] ?? 1) + index);
const afterKubeletStart: ReadonlySet<string> = new Set(ids.slice(ids.indexOf("wait-control-plane")));

/** mulberry32. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

describe("init phase", () => {
  test("names every phase and step of the flow, in its order and with its titles", () => {
    assert.deepEqual(initPhases, initFlow.phases.map(({ id, title, steps = [] }) => ({ phase: id, title, steps: steps.map((step) => ({ id: step.id, title: step.title })) })));
  });

  for (const [name, order] of Object.entries(orders)) {
    test(`ends where one init ends: ${name}`, async () => {
      const whole = world();
      await runWell(whole);
      const wanted = finalState(whole, normalise);
      const single = world();
      for (const path of order) await runWell(single, [path]);
      assert.deepEqual(unlike(wanted, finalState(single, normalise)), []);
      // And nothing is left for anybody to do.
      const { events } = await runWell(single);
      assert.deepEqual(actionsOf(events).filter(({ status }) => status !== "unchanged"), []);
      for (const path of order) assert.deepEqual(actionsOf((await runWell(single, [path])).events).filter(({ status }) => status !== "unchanged"), [], path);
    });
  }

  // Which orders are legal the phases say themselves: what is refused as PHASE_NEEDED has to have changed nothing, and is tried again later.
  for (const seed of seeds) {
    test(`ends where one init ends in an order drawn by lot (seed ${seed})`, async () => {
      const whole = world();
      await runWell(whole);
      const single = world();
      const choose = random(seed);
      const waiting = ids.flatMap((id) => (choose(2) === 0 ? paths(id) : [id]));
      const done: string[] = [];
      let refused = 0;
      while (waiting.length > 0) {
        // Nobody answers requests before the kubelet has started, and a kubelet that starts later than its manifests are written finds them.
        const ready = waiting.filter((path) => !afterKubeletStart.has(path.split("/")[0] as string) || done.includes("kubelet-start"))
          .filter((path) => path !== "kubelet-start" || !waiting.some((other) => /^(kubeconfig|etcd|control-plane|certs|images)/.test(other)));
        const path = ready[choose(ready.length)] as string;
        const before = single.host.ledger.writes.length;
        const { outcome } = await run(single, [path]);
        if (!outcome.ok) {
          // Images need a runtime, whoever started it.
          const early = path === "images" && !done.includes("node") && !done.includes("node/runtime") ? "RUNTIME_UNREACHABLE" : "PHASE_NEEDED";
          assert.equal(outcome.error?.code, early, `${path} after ${done.join(", ")}: ${words(outcome)}`);
          assert.equal(single.host.ledger.writes.length, before, `${path} was refused after ${done.join(", ")} and changed something`);
          refused++;
          continue;
        }
        waiting.splice(waiting.indexOf(path), 1);
        done.push(path);
      }
      assert.ok(refused > 0, "no order was tried that is not legal");
      assert.deepEqual(unlike(finalState(whole, normalise), finalState(single, normalise)), [], done.join(", "));
      assert.deepEqual(actionsOf((await runWell(single)).events).filter(({ status }) => status !== "unchanged"), [], done.join(", "));
    });
  }

  for (const [path, missing] of [
    ["certs/apiserver", "certs/ca"], ["certs/apiserver-etcd-client", "certs/etcd-ca"], ["kubeconfig/admin", "certs/ca"], ["etcd/local", "certs/etcd-ca"],
    ["control-plane/scheduler", "certs"], ["kubelet-start", "node"], ["bootstrap-token", "certs"], ["upload-certs", "certs"], ["show-join-command", "certs"],
  ] as const) {
    test(`refuses ${path} before ${missing} and changes nothing`, async () => {
      const bare = world();
      const { outcome } = await run(bare, [path]);
      assert.equal(outcome.error?.code, "PHASE_NEEDED");
      assert.match(outcome.error.attempted + outcome.error.happened, new RegExp(missing.split("/")[0] as string));
      assert.deepEqual(bare.host.ledger.writes, []);
    });
  }

  test("kubeconfig/admin makes one file anew and leaves the others", async () => {
    const made = world();
    await runWell(made);
    await made.host.remove("/etc/kubernetes/admin.conf", {});
    const { events } = await runWell(made, ["kubeconfig/admin"]);
    assert.deepEqual(actionsOf(events).map(({ id, status }) => [id, status]), [["file/etc/kubernetes/admin.conf", "applied"]]);
  });
});

describe("options of single phases", () => {
  test("--kubeconfig is used as it stands for every request, and nothing is asked of this node's own API server", async () => {
    const made = world();
    await runWell(made);
    await made.host.writeFile("/root/other.conf", Buffer.from("somebody's kubeconfig"), { mode: 0o600 });
    await made.host.remove("/etc/kubernetes/admin.conf", {});
    made.cluster.objects.delete([...made.cluster.objects.keys()].find((key) => /Deployment.*coredns/.test(key)) as string);
    const asked = new Set<string>();
    const context = made.context({ only: ["addon/coredns"], kubeconfig: "/root/other.conf", connect: (text, server) => { asked.add(`${text} at ${server ?? "its own server"}`); return made.cluster.connect(text); } });
    const { outcome, events } = await collect(runFlow(initFlow, context));
    assert.ok(outcome.ok, words(outcome));
    assert.deepEqual([...asked], ["somebody's kubeconfig at its own server"]);
    assert.deepEqual(actionsOf(events).filter(({ status }) => status === "applied").map(({ id }) => id), ["deployment/kube-system/coredns"]);
    const absent = await collect(runFlow(initFlow, made.context({ only: ["addon/coredns"], kubeconfig: "/root/absent.conf" })));
    assert.equal(absent.outcome.error?.code, "KUBECONFIG_ABSENT");
    assert.match(absent.outcome.error.happened, /\/root\/absent\.conf/);
  });

  test("--kubeconfig-dir takes the files of phase kubeconfig, and those in /etc/kubernetes stay as they are", async () => {
    const made = initWorld({ flags: { kubeconfigDirectory: "/root/confs" } });
    for (const path of ["preflight", "certs/ca"]) await runWell(made, [path]);
    const { events } = await runWell(made, ["kubeconfig"]);
    assert.deepEqual(actionsOf(events).map(({ id, status }) => `${id} ${status}`), ["admin", "super-admin", "kubelet", "controller-manager", "scheduler"].map((name) => `file/root/confs/${name}.conf applied`));
    assert.equal(await made.host.readText("/etc/kubernetes/admin.conf"), undefined);
    assert.deepEqual(actionsOf((await runWell(made, ["kubeconfig"])).events).filter(({ status }) => status !== "unchanged"), []);
  });

  test("exist where kubeadm has them, next to --config, and --rootfs is refused with the reason", () => {
    const flags = (phase: string): readonly string[] => Object.keys(phaseFlags(phaseCommands.find((entry) => entry.phase === phase) as PhaseCommand));
    for (const phase of ["addon", "bootstrap-token", "upload-certs", "upload-config"]) assert.ok(flags(phase).includes("kubeconfig"), phase);
    for (const phase of ["certs", "kubeconfig", "mark-control-plane"]) assert.ok(!flags(phase).includes("kubeconfig"), phase);
    assert.ok(flags("kubeconfig").includes("kubeconfig-dir"));
    readInvocation(["init", "phase", "upload-config", "all", "--config", "c.yaml", "--kubeconfig", "a.conf"]);
    readInvocation(["init", "phase", "kubeconfig", "admin", "--config", "c.yaml", "--kubeconfig-dir", "/root"]);
    assert.throws(() => readInvocation(["init", "--rootfs", "/mnt"]), (error: { code: string; happened: string; next: string }) => {
      assert.deepEqual([error.code, /--rootfs is not here/.test(error.happened), /belong to the running system/.test(error.next)], ["CLI_FLAG_ABSENT", true, true]);
      return true;
    });
  });
});

test("init --upload-certs, killed around the upload and run again, ends in the same state without a second token", async () => {
  const reference = world();
  await runWell(reference);
  const wanted = finalState(reference, normalise);
  const { writes } = reference.host.ledger;
  const points = writes.flatMap((write, index) => (/CREATE v1\/Secret|kubeadm:kubeadm-certs/.test(write) ? [index, index + 1] : []));
  assert.ok(points.length >= 6, writes.join("\n"));
  for (const point of new Set(points)) {
    const killed = world();
    killed.host.ledger.crashAfter(point);
    await run(killed);
    killed.host.ledger.revive();
    await runWell(killed);
    assert.deepEqual(unlike(wanted, finalState(killed, normalise)), [], `killed after ${writes[point - 1] ?? "nothing"}`);
    const tokens = [...killed.cluster.objects.keys()].filter((key) => /bootstrap-token-/.test(key));
    assert.equal(tokens.length, 2, tokens.join(" "));
  }
});
