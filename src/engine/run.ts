/**
 * The engine room: the only code that changes a machine or a cluster.
 *
 * Owns: running a flow (plan, look, change, look again, record, tell), waiting, dry runs, and undoing what was recorded.
 * Refuses: knowing any phase. What should exist comes in as actions; how each kind is looked at, made and undone is `actions/`.
 * Start at `runFlow`; `perform.ts` is the life of one action, `journal.ts` the memory between runs, `undo.ts` the way back.
 */
import { isKubestickError, type KubestickError } from "../errors.ts";
import { handlerOf } from "./actions/table.ts";
import { membersReader, openClients } from "./clients.ts";
import { stateDirectoryOf, type ActionContext, type RunContext } from "./context.ts";
import { withEvents } from "./event-queue.ts";
import { failureOf, judge } from "./findings.ts";
import type { AnyPhase } from "./flow.ts";
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
import type { Action, PhaseResult, Plan, PlanInput, RunEvent } from "./types.ts";

/** What `runFlow` needs of a flow: its name and its phases in order. */
export interface Runnable {
  readonly name: string;
  readonly phases: readonly AnyPhase[];
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
  #current: string | undefined;
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
    const planning = openPlanningCluster(context, (read) => { this.#record.reads(this.#current ?? "", read); });
    const acting: ActionContext = {
      host: context.host, pkg: context.pkg, clients, journal, signal: context.signal, dryRun: context.dryRun, planned: undefined,
      stateDirectory: stateDirectoryOf(context), diagnose: context.diagnose, httpGet: context.httpGet ?? httpGet,
      toYaml: context.toYaml ?? ((value) => `${JSON.stringify(value, null, 2)}\n`),
    };
    try {
      const running = this.#selected.filter(({ mode }) => mode === "run");
      for (const selected of this.#selected) {
        const { phase, mode } = selected;
        if (selected.leftOut) this.#emit({ type: "phase-skipped", phase: phase.id, reason: "left out by --skip-phases" });
        if (mode === "skip" || mode === "hidden") continue;
        context.signal.throwIfAborted();
        this.#current = phase.id;
        const readers = await planning.readers();
        const input = { ...this.#input(phase, facts, journal, readers.plan, await summarizeRuntime(context, facts), now), etcd: membersReader(clients) };
        if (mode === "output") {
          const plan = await phase.plan(input);
          await refuseUnmade(phase, plan.actions.filter((candidate) => selected.mustBeMade(candidate)), { ...acting, planned: readers.observe });
          this.#outputs.set(phase.id, plan.output);
          continue;
        }
        const planned = await this.#runPhase(selected, input, { ...acting, planned: readers.observe }, { index: running.indexOf(selected), total: running.length });
        if (context.dryRun) planning.expect(planned);
      }
      this.#current = undefined;
      if (outputDirectory !== undefined) await writePlan(this.#record, outputDirectory, context.host, acting.toYaml);
    } finally {
      await planning.close();
      await clients.close();
    }
  }

  async #runPhase(selected: SelectedPhase, input: PlanInput<never>, acting: ActionContext, place: { readonly index: number; readonly total: number }): Promise<readonly Action[]> {
    const { phase } = selected;
    const { host, dryRun, ignorePreflightErrors, signal } = this.#context;
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
    const before = { changed: this.#changed, unchanged: this.#unchanged };
    const actions = plan.actions.filter((candidate) => selected.acts(candidate));
    for (const group of groupsOf(actions)) {
      signal.throwIfAborted();
      if (this.#unlocked !== undefined) throw this.#unlocked;
      // A dry run tells everything in the order of the plan.
      const performed = await parallel(group.actions, dryRun ? 1 : group.atOnce, signal, (action, stop) => perform(phase.id, action, { ...acting, signal: stop }, this.#emit));
      for (const [number, { changed, observed }] of performed.entries()) {
        this.#record.action(phase.id, group.actions[number] as Action, observed);
        if (changed) this.#changed += 1;
        else this.#unchanged += 1;
      }
    }
    if (plan.result !== undefined) {
      this.#results.push(plan.result);
      this.#emit({ type: "result", phase: phase.id, result: plan.result });
    }
    this.#emit({
      type: "phase-finished", phase: phase.id, ms: Math.max(0, host.now().getTime() - started),
      changed: this.#changed - before.changed, unchanged: this.#unchanged - before.unchanged,
    });
    return actions;
  }

  #input(phase: AnyPhase, facts: HostFacts, made: PlanInput<never>["made"], cluster: PlanInput<never>["cluster"], runtime: PlanInput<never>["runtime"], now: Date): PlanInput<never> {
    const { config, host, pkg, assets } = this.#context;
    // Only what was asked for. That these outputs exist and fit is what `flow.ts` made sure of when the flow was written.
    const from = Object.fromEntries(phase.needs.map((need) => [need, this.#outputs.get(need)])) as never;
    const carried = pkg === undefined ? {} : { carried: { digest: pkg.indexDigest, path: pkg.path, read: (digest: Digest) => pkg.read(digest) } };
    return { config, facts, read: host, pkg: pkg?.index, ...carried, assets, cluster, runtime, from, made, now };
  }

  #failure(thrown: unknown): KubestickError {
    if (this.#context.signal.aborted) {
      const running = this.#selected.filter(({ mode }) => mode === "run").map(({ phase }) => phase.id);
      const from = this.#current === undefined ? 0 : Math.max(0, running.indexOf(this.#current));
      return interrupted(this.#flow.name, this.#current, running.slice(from));
    }
    const failure = toFailure(thrown, this.#current === undefined ? `running ${this.#flow.name}` : `running phase ${this.#current} of ${this.#flow.name}`);
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
    if (atOnce > 1 && last?.actions[0]?.kind === action.kind) last.actions.push(action);
    else groups.push({ actions: [action], atOnce });
  }
  return groups;
}
