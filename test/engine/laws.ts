/**
 * The laws that every flow keeps, as tests for any flow on an in-memory machine.
 *
 *   lawsOf("init", () => initFlow, makeWorld);
 *
 * 1. Planning after applying finds everything unchanged, and changes nothing.
 * 2. A dry run writes nothing.
 * 3. A reset after a run restores the machine as it was found.
 * 4. A run killed after any single change (and so after any single action), run again, ends in the same state; a reset
 *    instead restores the machine as it was found. The same after a power cut.
 * 5. No secret byte in an event, in a diff or in the journal.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultStateDirectory, type RunContext } from "../../src/engine/context.ts";
import { journalPath } from "../../src/engine/journal.ts";
import type { RunOutcome } from "../../src/engine/outcome.ts";
import { runFlow, type Runnable } from "../../src/engine/run.ts";
import type { Action, PlanInput, ResetPhase, RunEvent } from "../../src/engine/types.ts";
import { runReset } from "../../src/engine/undo.ts";
import type { MemoryClusterStore } from "../support/memory-cluster.ts";
import { differences, type MachineSnapshot, type MemoryHost } from "../support/memory-host.ts";
import type { MemoryRuntimeStore } from "../support/memory-runtime.ts";

/** One machine, for as many processes as a test wants to run on it. */
export interface World {
  readonly host: MemoryHost;
  readonly runtime: MemoryRuntimeStore;
  readonly cluster: MemoryClusterStore;
  /** For a new process on this machine. */
  context(changes?: Partial<RunContext>): RunContext;
  /** Texts that must not be told, beyond the private keys and Secrets that the laws find themselves. */
  secrets?(): readonly string[];
}

export interface LawOptions {
  /** How many of the changes of a run are tried as the last one before a kill; default all. */
  readonly crashPoints?: number;
  /** Takes out of a text what is random by nature, so that two runs can be compared; default: `withoutRandomness`. */
  readonly normalise?: (text: string) => string;
  /** What a reset of this flow consists of; default: the journal alone. */
  readonly resetPhases?: readonly ResetPhase[];
}

export interface Ran {
  readonly events: readonly RunEvent[];
  readonly outcome: RunOutcome;
}

export async function collect(run: AsyncGenerator<RunEvent, RunOutcome>): Promise<Ran> {
  const events: RunEvent[] = [];
  for (;;) {
    const { done, value } = await run.next();
    if (done === true) return { events, outcome: value };
    events.push(value);
  }
}

export function lawsOf(name: string, makeFlow: () => Runnable, makeWorld: () => World, options: LawOptions = {}): void {
  const normalise = options.normalise ?? withoutRandomness;
  const run = (world: World, changes?: Partial<RunContext>): Promise<Ran> => collect(runFlow(makeFlow(), world.context(changes)));
  const reset = (world: World): Promise<Ran> => collect(runReset(world.context(), options.resetPhases));

  const runWell = async (world: World, when: string): Promise<Ran> => {
    const ran = await run(world);
    assert.ok(ran.outcome.ok, `${when}: ${words(ran.outcome)}`);
    return ran;
  };
  const resetsTo = async (world: World, start: MachineSnapshot, when: string): Promise<void> => {
    const { outcome } = await reset(world);
    assert.ok(outcome.ok, `${when}: ${words(outcome)}`);
    assert.deepEqual(differences(start, lasting(world.host.snapshot(), start)), [], when);
  };
  /** Kills a run before its change number `point`. */
  const killed = async (point: number): Promise<{ readonly world: World; readonly start: MachineSnapshot; readonly when: string }> => {
    const world = makeWorld();
    const start = world.host.snapshot();
    world.host.ledger.crashAfter(point);
    await run(world);
    assert.ok(world.host.ledger.crashed, `change ${point} should have been the last`);
    world.host.ledger.revive();
    return { world, start, when: `killed after ${point} changes, the last being ${world.host.ledger.writes.at(-1) ?? "none"}` };
  };
  const crashPoints = async (): Promise<readonly number[]> => {
    const world = makeWorld();
    await runWell(world, "uninterrupted");
    const total = world.host.ledger.writes.length;
    const wanted = Math.min(options.crashPoints ?? total, total);
    return [...new Set(Array.from({ length: wanted }, (_, index) => Math.floor((index * total) / wanted)))];
  };

  describe(`laws of ${name}`, () => {
    test("law 1: a second run finds everything unchanged and changes nothing", async () => {
      const world = makeWorld();
      const first = await runWell(world, "first run");
      assert.ok(first.outcome.changed > 0);
      const before = world.host.ledger.writes.length;
      const { events } = await runWell(world, "second run");
      assert.deepEqual(world.host.ledger.writes.slice(before), []);
      assert.deepEqual(actionsOf(events).filter(({ status }) => status !== "unchanged"), []);
      assert.deepEqual(idsOf(events), idsOf(first.events));
    });

    test("law 2: a dry run writes nothing, on a bare machine and on a finished one", async () => {
      const world = makeWorld();
      const bare = await run(world, { dryRun: true });
      assert.ok(bare.outcome.ok, words(bare.outcome));
      assert.ok(actionsOf(bare.events).some(({ status }) => status === "planned"));
      assert.deepEqual(world.host.ledger.writes, []);

      await runWell(world, "run");
      const before = world.host.ledger.writes.length;
      const finished = await run(world, { dryRun: true });
      assert.ok(finished.outcome.ok, words(finished.outcome));
      assert.deepEqual(actionsOf(finished.events).filter(({ status }) => status !== "unchanged"), []);
      assert.equal(world.host.ledger.writes.length, before);
    });

    test("law 3: a reset after a run restores the machine as it was found", async () => {
      const world = makeWorld();
      const start = world.host.snapshot();
      await runWell(world, "run");
      await resetsTo(world, start, "reset after a run");
      await runWell(world, "run after the reset");
      await resetsTo(world, start, "second reset");
    });

    test("law 4: killed after any change and run again, it ends in the same state, which a reset can undo", async () => {
      const reference = makeWorld();
      await runWell(reference, "uninterrupted");
      const wanted = finalState(reference, normalise);
      for (const point of await crashPoints()) {
        const { world, start, when } = await killed(point);
        await runWell(world, `run again, ${when}`);
        assert.deepEqual(unlike(wanted, finalState(world, normalise)), [], when);
        const { events } = await runWell(world, `third run, ${when}`);
        assert.deepEqual(actionsOf(events).filter(({ status }) => status !== "unchanged"), [], when);
        await resetsTo(world, start, `reset at the end, ${when}`);
      }
    });

    test("law 4: killed after any change and reset, the machine is as it was found", async () => {
      for (const point of await crashPoints()) {
        const { world, start, when } = await killed(point);
        await resetsTo(world, start, `reset, ${when}`);
      }
    });

    test("law 4: after a power cut at any change, run again, it ends in the same state", async () => {
      const reference = makeWorld();
      await runWell(reference, "uninterrupted");
      const wanted = finalState(reference, normalise);
      for (const point of await crashPoints()) {
        const { world, when } = await killed(point);
        world.host.reboot();
        await runWell(world, `booted and run again, ${when}`);
        assert.deepEqual(unlike(wanted, finalState(world, normalise)), [], when);
      }
    });

    test("law 5: no secret in any event, diff or journal", async () => {
      const world = makeWorld();
      const told: RunEvent[] = [];
      const { flow, planned } = overheard(makeFlow());
      for (const changes of [{ dryRun: true }, {}, {}, { dryRun: true }]) {
        const { events, outcome } = await collect(runFlow(flow, world.context(changes)));
        assert.ok(outcome.ok, words(outcome));
        told.push(...events);
      }
      const journal = (await world.host.readText(journalPath(defaultStateDirectory))) ?? "";
      const secrets = [...new Set([...planned.flatMap(secretsOf), ...(world.secrets?.() ?? [])])];
      told.push(...(await reset(world)).events);
      assert.ok(secrets.length > 0, "a flow without secrets proves nothing");
      // A result is what was asked for on standard output, a join command with its token, and goes nowhere else.
      const text = told.filter(({ type }) => type !== "result").map((event) => JSON.stringify(event)).join("\n");
      for (const secret of secrets) {
        assert.ok(!text.includes(secret), `an event holds ${secret.slice(0, 12)}...`);
        assert.ok(!journal.includes(secret), `the journal holds ${secret.slice(0, 12)}...`);
      }
    });
  });
}

function idsOf(events: readonly RunEvent[]): readonly string[] {
  return [...new Set(actionsOf(events).map(({ id }) => id))].sort();
}

export function actionsOf(events: readonly RunEvent[]): readonly Extract<RunEvent, { type: "action" }>[] {
  return events.filter((event) => event.type === "action");
}

export function words({ error }: RunOutcome): string {
  return error === undefined ? "ended well" : [error.message, ...error.details].join("\n");
}

/** Loaded modules stay until the next boot, and with them the settings they brought: nobody can take them away safely. */
function lasting(now: MachineSnapshot, start: MachineSnapshot): MachineSnapshot {
  return { ...now, modules: start.modules, sysctls: Object.fromEntries(Object.entries(now.sysctls).filter(([key]) => key in start.sysctls)) };
}

/** Machine, images and objects, thing by thing, without what differs between any two runs. */
export function finalState({ host, runtime, cluster }: World, normalise: (text: string) => string): ReadonlyMap<string, string> {
  const { files, units, sysctls, routes, modules } = host.snapshot();
  const state = new Map<string, string>();
  for (const [path, line] of Object.entries(files)) if (!path.startsWith(`${defaultStateDirectory}/`)) state.set(`file ${path}`, normalise(line));
  for (const [name, line] of Object.entries(units)) state.set(`unit ${name}`, line);
  for (const [key, value] of Object.entries(sysctls)) state.set(`sysctl ${key}`, value);
  for (const value of [...routes, ...modules]) state.set(value, "there");
  for (const name of [...runtime.names.keys(), ...runtime.blobs.keys()]) state.set(`image ${name}`, "there");
  for (const [key, { metadata, ...rest }] of cluster.objects) {
    const { uid: _uid, resourceVersion: _version, creationTimestamp: _created, ...kept } = metadata;
    state.set(`object ${normalise(key)}`, normalise(JSON.stringify({ metadata: kept, ...rest }, (_, value: unknown) => (isPlain(value) ? Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1))) : value))));
  }
  return state;
}

/** One line per thing that differs. */
export function unlike(wanted: ReadonlyMap<string, string>, found: ReadonlyMap<string, string>): readonly string[] {
  return [...new Set([...wanted.keys(), ...found.keys()])].filter((key) => wanted.get(key) !== found.get(key)).map((key) => `${key}: ${found.get(key) ?? "absent"}, and not ${wanted.get(key) ?? "absent"}`);
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Keys, certificates and hashes over them; of a bootstrap token its id, secret and end. */
export function withoutRandomness(text: string): string {
  return text
    .replaceAll(/-----BEGIN ([A-Z ]+)-----[\s\S]*?-----END \1-----/g, "($1)")
    .replaceAll(/[A-Za-z0-9+/]{64,}={0,2}/g, "(random)")
    .replaceAll(/bootstrap-token-[a-z0-9]{6}\b/g, "bootstrap-token-(random)")
    .replaceAll(/"(token-id|token-secret|expiration)":"[^"]*"/g, '"$1":"(random)"');
}

/** Values of Secrets that are not secret: the words and dates of a bootstrap token (bootstrapapi/types.go). */
const plainKeys = /^(token-id|description|expiration|auth-extra-groups|usage-.*)$/;

function secretsOf(action: Action): readonly string[] {
  if (action.kind === "file") {
    const text = Buffer.from(action.content).toString("latin1");
    const pem = [...text.matchAll(/-----BEGIN [A-Z ]*PRIVATE KEY-----\n([\s\S]*?)-----END/g)].flatMap((match) => (match[1] ?? "").split("\n")).filter((part) => part.length >= 24);
    return [...pem, ...[...text.matchAll(/client-key-data: (\S+)/g)].map((match) => (match[1] ?? "").slice(0, 200))];
  }
  if (action.kind !== "object" || action.object.kind !== "Secret") return [];
  const values = (field: string): [string, string][] => Object.entries((action.object[field] ?? {}) as Record<string, string>).filter(([key, value]) => !plainKeys.test(key) && value !== "");
  return [
    ...values("data").flatMap(([, value]) => [value.slice(0, 200), Buffer.from(value, "base64").toString("latin1").slice(0, 200)]),
    ...values("stringData").flatMap(([, value]) => [value.slice(0, 200), Buffer.from(value).toString("base64").slice(0, 200)]),
  ];
}

/** The same flow, and every action its phases plan, also those of a dry run, whose keys are never written anywhere. */
function overheard({ name, phases }: Runnable): { readonly flow: Runnable; readonly planned: readonly Action[] } {
  const planned: Action[] = [];
  const listening = phases.map((phase) => ({
    ...phase,
    async plan(input: PlanInput<never>) {
      const plan = await phase.plan(input);
      planned.push(...plan.actions);
      return plan;
    },
  }));
  return { flow: { name, phases: listening }, planned };
}
