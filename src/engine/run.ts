/**
 * The engine room: the only code that changes a machine or a cluster.
 *
 * Owns: running a flow (plan, look, change, look again, record, tell), waiting, dry runs, and undoing what was recorded.
 * Refuses: knowing any phase. What should exist comes in as actions; how each kind is looked at, made and undone is `actions/`.
 * Start at `runFlow`; `perform.ts` is the life of one action, `journal.ts` the memory between runs, `undo.ts` the way back.
 */
import { isKubestickError, type KubestickError } from "../errors.ts";
import { handlerOf } from "./actions/table.ts";
import { aloneAfter, settled, startAside, type Aside, type Milestones } from "./aside.ts";
import { membersReader, openClients } from "./clients.ts";
import { stateDirectoryOf, type ActionContext, type RunContext } from "./context.ts";
import { withEvents } from "./event-queue.ts";
import { failureOf, judge } from "./findings.ts";
import type { AnyPhase, Beside } from "./flow.ts";
import { httpGet } from "./http-get.ts";
import { openJournal } from "./journal.ts";
import { finishedEvent, interrupted, toFailure, type RunOutcome } from "./outcome.ts";
import { perform } from "./perform.ts";
import { openPlanningCluster } from "./planning-cluster.ts";
import { claimDirectory, planRecord, writePlan, type PlanRecord } from "./render-plan.ts";
import { summarizeRuntime } from "./runtime-summary.ts";
import { refuseUnmade } from "./skipped-output.ts";
import { selectPhases, type SelectedPhase } from "./select-phases.ts";
import { parallel } from "../package/parallel.ts";
import type { HostFacts } from "../host/types.ts";
import type { Digest } from "../package/types.ts";
import type { Action, PhaseResult, Plan, PlanInput, RunEvent, RuntimeSummary } from "./types.ts";

/** What `runFlow` needs of a flow: its name and its phases in order. */
export interface Runnable {
  readonly name: string;
  readonly phases: readonly AnyPhase[];
  readonly beside?: ReadonlyMap<string, Beside>;
}

/** Never throws: how it ended is the last event, `run-finished`, and the generator's value. */
export function runFlow(flow: Runnable, context: RunContext): AsyncGenerator<RunEvent, RunOutcome> {
  return withEvents((emit) => new FlowRun(flow, context, emit).run());
}

class FlowRun {
  readonly #flow: Runnable;
  readonly #context: RunContext;
  readonly #emit: (event: RunEvent) => void;
  readonly #outputs = new Map<string, unknown>();
  readonly #results: PhaseResult[] = [];
  readonly #record: PlanRecord = planRecord();
  #selected: readonly SelectedPhase[] = [];
  readonly #underWay = new Set<string>();
  readonly #finished = new Set<string>();
  /** Of phases that run beside each other the one that failed first; the others only end because of it. */
  #broken: { readonly phase: string; readonly error: unknown } | undefined;
  #unlocked: KubestickError | undefined;
  #changed = 0;
  #unchanged = 0;
  /** In a dry run, failed checks do not end the plan: seeing all of it is what a dry run is for. */
  #postponed: KubestickError | undefined;

  constructor(flow: Runnable, context: RunContext, emit: (event: RunEvent) => void) {
    this.#flow = flow;
    this.#context = context;
    this.#emit = emit;
  }

  async run(): Promise<RunOutcome> {
    const { host, dryRun } = this.#context;
    const started = host.now().getTime();
    let error: KubestickError | undefined;
    let lock: { release(): Promise<void> } | undefined;
    try {
      this.#selected = selectPhases(this.#flow, this.#context.skipPhases, this.#context.only);
      const visible = this.#selected.filter(({ mode, leftOut }) => mode === "run" || leftOut);
      this.#emit({ type: "run-started", flow: this.#flow.name, dryRun, phases: visible.map(({ phase: { id, title } }) => ({ id, title })) });
      if (!dryRun) lock = await this.#takeLock();
      await this.#runPhases();
      error = this.#postponed;
    } catch (thrown) {
      error = this.#failure(thrown);
    }
    await lock?.release().catch((thrown: unknown) => { error ??= toFailure(thrown, "releasing the lock"); });
    const outcome: RunOutcome = {
      ok: error === undefined, exitCode: error?.exitCode ?? 0, changed: this.#changed, unchanged: this.#unchanged,
      ms: Math.max(0, host.now().getTime() - started), results: this.#results, ...(error === undefined ? {} : { error }),
    };
    this.#emit(finishedEvent(outcome));
    return outcome;
  }

  /** Who may not take the lock may not be root: checks find that out and say it better, so only the first action needs it. */
  async #takeLock(): Promise<{ release(): Promise<void> } | undefined> {
    try {
      return await this.#context.lock?.();
    } catch (thrown) {
      if (isKubestickError(thrown) && thrown.code === "LOCKED") throw thrown;
      this.#unlocked = toFailure(thrown, "taking the lock that keeps two runs apart");
      return undefined;
    }
  }

  async #runPhases(): Promise<void> {
    const context = this.#context;
    const outputDirectory = context.dryRun ? context.outputDirectory : undefined;
    if (outputDirectory !== undefined) await claimDirectory(outputDirectory, context.host);
    const facts = await context.host.facts();
    const now = context.host.now();
    const journal = await openJournal(context.host, stateDirectoryOf(context), context.dryRun || facts.uid !== 0);
    const clients = openClients(context);
    const planning = openPlanningCluster(context, (read) => { this.#record.reads(this.#current() ?? "", read); });
    const stop = new AbortController();
    const signal = AbortSignal.any([context.signal, stop.signal]);
    const acting: ActionContext = {
      host: context.host, pkg: context.pkg, clients, journal, signal, dryRun: context.dryRun, planned: undefined,
      stateDirectory: stateDirectoryOf(context), diagnose: context.diagnose, httpGet: context.httpGet ?? httpGet,
      toYaml: context.toYaml ?? ((value) => `${JSON.stringify(value, null, 2)}\n`),
    };
    const running = this.#selected.filter(({ mode }) => mode === "run");
    const asides: Aside[] = [];
    try {
      for (const selected of this.#selected) {
        const { phase, mode } = selected;
        if (selected.leftOut) this.#emit({ type: "phase-skipped", phase: phase.id, reason: "left out by --skip-phases" });
        if (mode === "skip" || mode === "hidden") continue;
        await settled(asides, phase);
        signal.throwIfAborted();
        this.#underWay.add(phase.id);
        const place = { index: running.indexOf(selected), total: running.length };
        const run = async (milestones: Milestones): Promise<void> => {
          try {
            const readers = await planning.readers();
            const input = { ...this.#input(phase, facts, journal, readers.plan, now), etcd: membersReader(clients) };
            if (mode === "output") {
              const plan = await phase.plan(input);
              await refuseUnmade(phase, plan.actions.filter((candidate) => selected.mustBeMade(candidate)), { ...acting, planned: readers.observe });
              this.#outputs.set(phase.id, plan.output);
            } else {
              const planned = await this.#runPhase(selected, input, { ...acting, planned: readers.observe }, place, milestones);
              if (context.dryRun) planning.expect(planned);
              this.#finished.add(phase.id);
            }
            this.#underWay.delete(phase.id);
          } catch (error) {
            this.#broken ??= { phase: phase.id, error };
            stop.abort();
            throw error;
          }
        };
        const beside = mode === "run" ? this.#besideOf(phase, running.slice(place.index + 1)) : undefined;
        if (beside === undefined) await run(aloneAfter(asides));
        else asides.push(startAside(phase.id, beside, [...asides], run));
      }
      await Promise.all(asides.map(({ done }) => done));
      if (outputDirectory !== undefined) await writePlan(this.#record, outputDirectory, context.host, acting.toYaml);
    } catch (error) {
      stop.abort();
      await Promise.allSettled(asides.map(({ done }) => done));
      throw this.#broken?.error ?? error;
    } finally {
      await planning.close();
      await clients.close();
    }
  }

  /** Only where a phase that must wait for it does run. A dry run tells everything in the order of the plan. */
  #besideOf(phase: AnyPhase, later: readonly SelectedPhase[]): Required<Beside> | undefined {
    const beside = this.#flow.beside?.get(phase.id);
    const runs = (id: string): boolean => later.some((candidate) => candidate.phase.id === id);
    if (beside === undefined || this.#context.dryRun || !runs(beside.before)) return undefined;
    return { before: beside.before, lateBefore: beside.lateBefore !== undefined && runs(beside.lateBefore) ? beside.lateBefore : beside.before };
  }

  async #runPhase(selected: SelectedPhase, input: PlanInput<never>, acting: ActionContext, place: { readonly index: number; readonly total: number }, milestones: Milestones): Promise<readonly Action[]> {
    const { phase } = selected;
    const { host, dryRun, ignorePreflightErrors } = this.#context;
    const started = host.now().getTime();
    this.#emit({ type: "phase-started", phase: phase.id, title: phase.title, ...place });
    const plan: Plan<unknown> = await phase.plan(input);
    this.#outputs.set(phase.id, plan.output);

    const judged = judge(plan.findings ?? [], ignorePreflightErrors);
    for (const { finding, ignored } of judged) {
      this.#record.finding(phase.id, finding, ignored);
      this.#emit({ type: "finding", phase: phase.id, finding, ...(ignored ? { ignored } : {}) });
    }
    const failed = failureOf(judged, `checking before phase ${phase.id} of ${this.#flow.name}`);
    if (failed !== undefined && !dryRun) throw failed;
    this.#postponed ??= failed;

    await refuseUnmade(phase, plan.actions.filter((candidate) => selected.mustBeMade(candidate)), acting);
    const counts = { changed: 0, unchanged: 0 };
    const chosen = plan.actions.filter((candidate) => selected.acts(candidate));
    const late = chosen.filter((action) => action.late === true);
    const actions = [...chosen.filter((action) => action.late !== true), ...late];
    milestones.planned(actions);
    for (const group of groupsOf(actions)) {
      if (group.actions[0]?.late === true) milestones.early();
      acting.signal.throwIfAborted();
      if (this.#unlocked !== undefined) throw this.#unlocked;
      // A dry run tells everything in the order of the plan.
      const performed = await parallel(group.actions, dryRun ? 1 : group.atOnce, acting.signal, async (action, signal) => {
        await milestones.turn(action);
        signal.throwIfAborted();
        const performed = await perform(phase.id, action, { ...acting, signal }, this.#emit);
        milestones.done(action);
        return performed;
      });
      for (const [number, { changed, observed }] of performed.entries()) {
        this.#record.action(phase.id, group.actions[number] as Action, observed);
        if (changed) {
          counts.changed += 1;
          this.#changed += 1;
        } else {
          counts.unchanged += 1;
          this.#unchanged += 1;
        }
      }
    }
    if (plan.result !== undefined) {
      this.#results.push(plan.result);
      this.#emit({ type: "result", phase: phase.id, result: plan.result });
    }
    this.#emit({ type: "phase-finished", phase: phase.id, ms: Math.max(0, host.now().getTime() - started), ...counts });
    return actions;
  }

  /** The first phase, in the order of the flow, that has begun and not ended. */
  #current(): string | undefined {
    return this.#selected.find(({ phase }) => this.#underWay.has(phase.id))?.phase.id;
  }

  #input(phase: AnyPhase, facts: HostFacts, made: PlanInput<never>["made"], cluster: PlanInput<never>["cluster"], now: Date): PlanInput<never> {
    const { config, host, pkg, assets } = this.#context;
    // Only what was asked for. That these outputs exist and fit is what `flow.ts` made sure of when the flow was written.
    const from = Object.fromEntries(phase.needs.map((need) => [need, this.#outputs.get(need)])) as never;
    const carried = pkg === undefined ? {} : { carried: { digest: pkg.indexDigest, path: pkg.path, read: (digest: Digest) => pkg.read(digest) } };
    let summary: Promise<RuntimeSummary | undefined> | undefined;
    const runtime = (): Promise<RuntimeSummary | undefined> => (summary ??= summarizeRuntime(this.#context, facts));
    return { config, facts, read: host, pkg: pkg?.index, ...carried, assets, cluster, runtime, from, made, now };
  }

  #failure(thrown: unknown): KubestickError {
    const current = this.#current();
    if (this.#context.signal.aborted) {
      const left = this.#selected.filter(({ mode, phase }) => mode === "run" && !this.#finished.has(phase.id)).map(({ phase }) => phase.id);
      return interrupted(this.#flow.name, current, left);
    }
    const where = this.#broken?.phase ?? current;
    const failure = toFailure(thrown, where === undefined ? `running ${this.#flow.name}` : `running phase ${where} of ${this.#flow.name}`);
    // A plan that went on after failed checks may stumble over the very thing they found.
    return this.#postponed ?? failure;
  }
}

/** Actions in their order; those of a kind that bears it are in one group with their neighbours of the same kind. */
function groupsOf(actions: readonly Action[]): readonly { readonly actions: readonly Action[]; readonly atOnce: number }[] {
  const groups: { readonly actions: Action[]; readonly atOnce: number }[] = [];
  for (const action of actions) {
    const atOnce = handlerOf(action.kind).together ?? 1;
    const last = groups.at(-1);
    if (atOnce > 1 && last?.actions[0]?.kind === action.kind && last.actions[0].late === action.late) last.actions.push(action);
    else groups.push({ actions: [action], atOnce });
  }
  return groups;
}
