/**
 * The way back: a reset. Its phases take away what the cluster left on the machine (pods, mounts, data, interfaces, rules), and one of
 * them is the journal: everything it says was made, undone in reverse.
 *
 * What was found is never removed: changed files get their old content back, units that ran before us run on, directories stay
 * when somebody else put things into them. A failure does not end it; all are told at the end, and the journal stays, so
 * that the same command can be run again.
 */
import type { ClusterReader } from "../cluster/types.ts";
import { KubestickError, sentence } from "../errors.ts";
import type { HostFacts } from "../host/types.ts";
import { sandboxRemover } from "./actions/sandboxes.ts";
import type { UndoContext } from "./actions/handler.ts";
import { handlerOf } from "./actions/table.ts";
import { kubeconfigPath, membersReader, openClients, type Clients } from "./clients.ts";
import { stateDirectoryOf, type RunContext } from "./context.ts";
import { withEvents } from "./event-queue.ts";
import { httpGet } from "./http-get.ts";
import { judge } from "./findings.ts";
import { openJournal } from "./journal.ts";
import { finishedEvent, interrupted, toFailure, type RunOutcome } from "./outcome.ts";
import { selectPhases } from "./select-phases.ts";
import type { Action, ActionStatus, Finding, JournalEntry, ResetInput, ResetPhase, ResetPlan, RunEvent, SurveyRecord } from "./types.ts";

export type ResetContext = Pick<RunContext, "host" | "pkg" | "runtime" | "connect" | "connectEtcd" | "config" | "dryRun" | "signal" | "stateDirectory" | "lock" | "only" | "kubeconfig">
  & Partial<Pick<RunContext, "skipPhases" | "ignorePreflightErrors">>
  & Partial<Pick<ResetInput, "force" | "cleanupTmpDir" | "certificatesDir" | "criSocket" | "unmountFlags" | "etcdTimeoutMs">>;

/** What this room knows of a reset by itself. */
const journalAlone: readonly ResetPhase[] = [{ id: "undo", title: "Undo what kubestick made on this machine", plan: () => Promise.resolve({ actions: [] }), undoesJournal: true }];

/** kubeadm's candidate when none answers. */
const usualSocket = "unix:///var/run/containerd/containerd.sock";

/** Never throws: how it ended is the last event, `run-finished`, and the generator's value. */
export function runReset(context: ResetContext, phases: readonly ResetPhase[] = journalAlone): AsyncGenerator<RunEvent, RunOutcome> {
  return withEvents((emit) => new Reset(context, phases, emit).run());
}

/**
 * One entry per thing, at the place where it was first touched: a unit is then undone after everything that was written while it
 * ran (images before their runtime stops) and before what it was started from (its unit file and its program).
 */
export function undoOrder(entries: readonly JournalEntry[]): readonly JournalEntry[] {
  return entries.filter((entry) => entry.what === "intent").toReversed();
}

/** By whose runtime the images went in. */
function socketOf(entries: readonly JournalEntry[]): string | undefined {
  const socket = entries.find((entry) => entry.kind === "image" && typeof entry.undo?.["socket"] === "string")?.undo?.["socket"];
  return typeof socket === "string" ? socket : undefined;
}

/** What init noted of the machine before the cluster filled it. */
export function surveyOf(entries: readonly JournalEntry[]): SurveyRecord | undefined {
  const undo = entries.find((entry) => entry.kind === "survey" && entry.what === "intent")?.undo;
  return Array.isArray(undo?.["places"]) && Array.isArray(undo["interfaces"]) ? undo as SurveyRecord : undefined;
}

/** Loading images makes no machine a node of ours: whoever made it is to say whether it may be emptied. */
const packageRecordId = "file/var/lib/kubestick/packages.json";

class Reset {
  readonly #context: ResetContext;
  readonly #phases: readonly ResetPhase[];
  readonly #emit: (event: RunEvent) => void;
  /** By what could not go. */
  readonly #failures = new Map<string, KubestickError>();
  readonly #planned = new Set<string>();
  readonly #counts = { changed: 0, unchanged: 0 };
  #socket: Promise<string | undefined> | undefined;

  constructor(context: ResetContext, phases: readonly ResetPhase[], emit: (event: RunEvent) => void) {
    this.#context = context;
    this.#phases = phases;
    this.#emit = emit;
  }

  async run(): Promise<RunOutcome> {
    const { host, dryRun, signal } = this.#context;
    const started = host.now().getTime();
    let lock: { release(): Promise<void> } | undefined;
    let error: KubestickError | undefined;
    try {
      const selected = this.#select();
      const running = this.#phases.filter((_, index) => selected[index] === "run");
      this.#emit({ type: "run-started", flow: "reset", dryRun, phases: this.#phases.filter((_, index) => selected[index] !== "hidden").map(({ id, title }) => ({ id, title })) });
      if (!dryRun) lock = await this.#context.lock?.();
      const undo = await undoContext(this.#context);
      try {
        const [guard] = this.#phases;
        // A phase that runs alone is no way around it.
        if (guard !== undefined && selected[0] === "hidden") this.#judge(guard.id, true, (await this.#plan(guard, undo)).findings ?? [], "errors");
        for (const [index, phase] of this.#phases.entries()) {
          if (selected[index] === "run") await this.#phase(phase, { index: running.indexOf(phase), total: running.length }, undo);
          else if (selected[index] === "skip") this.#emit({ type: "phase-skipped", phase: phase.id, reason: "left out by --skip-phases" });
        }
        const all = running.length === this.#phases.length;
        // The record goes last, and only when nothing is left that it would be needed for.
        if (!dryRun && all && this.#failures.size === 0) await host.remove(undo.stateDirectory, { recursive: true });
      } finally {
        await undo.clients.close();
      }
      error = incomplete(this.#failures, undo.stateDirectory);
    } catch (thrown) {
      error = signal.aborted && !(thrown instanceof KubestickError) ? interrupted("reset", undefined, []) : toFailure(thrown, "resetting this machine");
    }
    await lock?.release().catch((thrown: unknown) => { error ??= toFailure(thrown, "releasing the lock"); });
    const ms = Math.max(0, host.now().getTime() - started);
    const outcome: RunOutcome = { ok: error === undefined, exitCode: error?.exitCode ?? 0, ...this.#counts, ms, results: [], ...(error === undefined ? {} : { error }) };
    this.#emit(finishedEvent(outcome));
    return outcome;
  }

  #select(): readonly ("run" | "skip" | "hidden")[] {
    const phases = this.#phases.map(({ id, title }) => ({ id, title, needs: [], plan: () => Promise.resolve({ actions: [], output: {} }) }));
    return selectPhases({ name: "reset", phases }, this.#context.skipPhases ?? [], this.#context.only).map(({ mode }) => (mode === "output" ? "hidden" : mode));
  }

  async #phase(phase: ResetPhase, place: { readonly index: number; readonly total: number }, undo: UndoContext): Promise<void> {
    const { host } = this.#context;
    const started = host.now().getTime();
    const before = { ...this.#counts };
    this.#emit({ type: "phase-started", phase: phase.id, title: phase.title, ...place });
    const { actions, findings = [], needed } = await this.#plan(phase, undo);
    this.#judge(phase.id, phase === this.#phases[0], findings, "all");
    const stayed: { readonly action: Action; readonly changed: number }[] = [];
    for (const [at, action] of actions.entries()) {
      if (this.#context.signal.aborted) throw interrupted("reset", phase.id, actions.slice(at).map(({ id }) => id));
      const failure = await this.#takeAway(phase.id, action, undo);
      if (failure === undefined) continue;
      if (needed?.action === action.id) {
        if (this.#ignores(needed.check)) continue;
        throw blocked(needed, failure);
      }
      this.#failures.set(action.id, failure);
      stayed.push({ action, changed: this.#counts.changed });
    }
    // What went since may have been in the way: on a full disk a runtime forgets its pods only after their data has made room.
    for (const { action, changed } of stayed) {
      if (this.#context.signal.aborted) throw interrupted("reset", phase.id, [action.id]);
      const failure = this.#counts.changed > changed ? await this.#takeAway(phase.id, action, undo, "again") : undefined;
      if (failure !== undefined) this.#failures.set(action.id, failure);
    }
    if (phase.undoesJournal === true) await this.#undoJournal(phase.id, undo);
    this.#emit({
      type: "phase-finished", phase: phase.id, ms: Math.max(0, host.now().getTime() - started),
      changed: this.#counts.changed - before.changed, unchanged: this.#counts.unchanged - before.unchanged,
    });
  }

  async #plan(phase: ResetPhase, { journal, clients }: UndoContext): Promise<ResetPlan> {
    const { host, dryRun, force, cleanupTmpDir, criSocket, certificatesDir, unmountFlags = [], etcdTimeoutMs = 30_000 } = this.#context;
    try {
      const facts = await host.facts();
      // Once: what says so is among the things that go.
      this.#socket ??= this.#findSocket(journal.entries, facts);
      const input: ResetInput = {
        facts, read: host, criSocket: await this.#socket, criSocketGiven: criSocket !== undefined, certificatesDir, unmountFlags, survey: surveyOf(journal.entries), recorded: journal.entries.some(({ kind, id }) => kind !== "image" && id !== packageRecordId),
        made: { has: (id) => journal.has(id) }, etcd: membersReader(clients), etcdTimeoutMs, cluster: clusterReader(clients), dryRun,
        force: force === true || this.#ignores("NoRecord"), cleanupTmpDir: cleanupTmpDir === true,
      };
      return await phase.plan(input);
    } catch (thrown) {
      // What cannot be looked at cannot be taken away; the rest can.
      this.#failed(phase.id, phase.id, toFailure(thrown, `planning phase ${phase.id} of reset`), "remove");
      return { actions: [] };
    }
  }

  /** A person's word, else the record's, else the kubelet's, else that of the only runtime there is. */
  async #findSocket(entries: readonly JournalEntry[], { criSockets }: HostFacts): Promise<string | undefined> {
    const { criSocket, host } = this.#context;
    const known = criSocket ?? socketOf(entries);
    if (known !== undefined) return known;
    for (const path of ["/var/lib/kubelet/instance-config.yaml", "/var/lib/kubelet/config.yaml"]) {
      const socket = /^containerRuntimeEndpoint:\s*["']?(unix:\/\/\/[^\s"']+)/m.exec((await host.readText(path)) ?? "")?.[1];
      if (socket !== undefined) return socket;
    }
    return criSockets.length > 1 ? undefined : criSockets[0] ?? usualSocket;
  }

  #ignores(check: string): boolean {
    return judge([{ check, severity: "error", message: "" }], this.#context.ignorePreflightErrors ?? [])[0]?.ignored === true;
  }

  /** The first phase decides whether there is a reset at all; later ones are only about their own part. */
  #judge(phase: string, first: boolean, findings: readonly Finding[], tell: "all" | "errors"): void {
    const fatal: KubestickError[] = [];
    for (const { finding, ignored } of judge(findings, this.#context.ignorePreflightErrors ?? [])) {
      const { check, severity, message, hint } = finding;
      if (tell === "all" || severity === "error") this.#emit({ type: "finding", phase, finding, ...(ignored ? { ignored } : {}) });
      if (severity !== "error" || ignored) continue;
      const error = new KubestickError({
        code: first ? "RESET_REFUSED" : "RESET_BLOCKED",
        attempted: `resetting this machine (${check})`,
        happened: `${message.charAt(0).toUpperCase()}${message.slice(1)}.`,
        next: first ? `${hint ?? ""} To go on in spite of it: ${check === "NoRecord" ? "kubestick reset --force" : `--ignore-preflight-errors=${check}`}`.trim() : hint ?? "Run the same command again.",
      });
      fatal.push(error);
      if (!first || this.#context.dryRun) this.#failures.set(`${phase} ${check}`, error);
    }
    const [only, ...more] = fatal;
    if (!first || this.#context.dryRun || only === undefined) return;
    if (more.length === 0) throw only;
    throw new KubestickError({
      code: "RESET_REFUSED", attempted: "resetting this machine", happened: `${fatal.length} checks found errors. Nothing was changed.`, next: "Read each of them; each says what cures it, and how to go on in spite of it.",
      details: fatal.map(({ attempted, happened, next }) => `${attempted.replace(/^.*\(|\)$/g, "")}: ${happened} ${next}`),
    });
  }

  /** Resolves to what went wrong. A thing that goes after all is no failure any more. */
  async #takeAway(phase: string, action: Action, context: UndoContext, turn: "first" | "again" = "first"): Promise<KubestickError | undefined> {
    const { id, kind } = action;
    const handler = handlerOf(kind);
    const tell = (status: ActionStatus, detail: string): void => { this.#emit({ type: "action", phase, id, kind, status, detail }); };
    try {
      const observed = await handler.observe(action, context, ignore);
      if (observed.state === "same") {
        // With a detail it says why it could not look.
        if (observed.detail === undefined) this.#failures.delete(id);
        return undefined;
      }
      if (this.#context.dryRun) {
        // Two phases need the same thing gone first; it goes once.
        if (!this.#planned.has(id)) tell("planned", observed.detail);
        this.#planned.add(id);
        this.#counts.changed += 1;
        return undefined;
      }
      if (handler.slow) tell("started", observed.detail);
      const applied = await handler.apply(action, context, ignore, observed);
      const second = await handler.verify?.(action, context);
      if (second?.state === "differs") throw comesBack(action, second.detail);
      this.#counts.changed += 1;
      this.#failures.delete(id);
      tell("removed", applied.detail);
      return undefined;
    } catch (thrown) {
      const failure = toFailure(thrown, `removing ${id}`);
      if (turn === "first") tell("failed", failure.happened);
      return failure;
    }
  }

  #failed(phase: string, id: string, error: KubestickError, kind: Action["kind"]): void {
    this.#failures.set(id, error);
    this.#emit({ type: "action", phase, id, kind, status: "failed", detail: error.happened });
  }

  async #undoJournal(phase: string, undo: UndoContext): Promise<void> {
    const entries = undoOrder(undo.journal.entries);
    for (const [index, entry] of entries.entries()) {
      if (this.#context.signal.aborted) throw interrupted("reset", undefined, entries.slice(index).map(({ id }) => id));
      await this.#undoOne(phase, entry, undo);
    }
    if (!undo.dryRun) await this.#afterwards(phase, undo);
  }

  async #undoOne(phase: string, entry: JournalEntry, context: UndoContext): Promise<void> {
    const tell = (status: ActionStatus, detail?: string): void => {
      this.#emit({ type: "action", phase, id: entry.id, kind: entry.kind, status, ...(detail === undefined ? {} : { detail }) });
    };
    // A survey is read, not undone.
    if (entry.kind === "survey") return;
    if (context.dryRun) {
      this.#counts.changed += 1;
      return tell("planned", "to be undone");
    }
    try {
      const undone = await handlerOf(entry.kind).undo(entry, context);
      if (undone === undefined) return;
      if (undone.status === "removed") this.#counts.changed += 1;
      else this.#counts.unchanged += 1;
      tell(undone.status, undone.detail);
    } catch (thrown) {
      this.#failed(phase, entry.id, toFailure(thrown, `undoing ${entry.id}`), entry.kind);
    }
  }

  /** systemd learns of removed unit files; units that were there before us read their old configuration again. */
  async #afterwards(phase: string, { host, afterwards: { reload, restart } }: UndoContext): Promise<void> {
    const attempt = async (id: string, work: () => Promise<void>): Promise<void> => {
      await work().catch((thrown: unknown) => { this.#failed(phase, id, toFailure(thrown, `undoing ${id}`), "unit"); });
    };
    if (reload) await attempt("unit/daemon-reload", () => host.daemonReload());
    for (const name of restart) await attempt(`unit/${name}`, () => host.unitCommand(name, "restart"));
  }
}

/** Connects with the first question. */
function clusterReader(clients: Clients): ClusterReader {
  return {
    get: async (ref) => await (await clients.cluster("admin")).get(ref),
    list: async (apiVersion, kind, options) => await (await clients.cluster("admin")).list(apiVersion, kind, options),
  };
}

/** A reset tells of things, not of bytes. */
function ignore(): void {
  // Nothing to report.
}

function comesBack({ id }: Action, detail: string): KubestickError {
  return new KubestickError({
    code: "VERIFY_FAILED",
    attempted: `removing ${id}`,
    happened: `It was removed, but a second look still finds: ${detail}.`,
    next: "Something on this machine makes it again. Find out what does, stop it, then run the same command again.",
  });
}

async function undoContext(context: ResetContext): Promise<UndoContext> {
  const stateDirectory = stateDirectoryOf(context);
  return {
    host: context.host, pkg: context.pkg, signal: context.signal, dryRun: context.dryRun, stateDirectory,
    clients: openClients({ ...context, kubeconfig: context.kubeconfig ?? kubeconfigPath("admin") }), journal: await openJournal(context.host, stateDirectory, context.dryRun),
    planned: undefined, diagnose: undefined, httpGet, toYaml: JSON.stringify,
    sandboxes: sandboxRemover(), afterwards: { reload: false, restart: new Set() },
  };
}

function blocked({ check, next }: NonNullable<ResetPlan["needed"]>, { happened, next: cure, details }: KubestickError): KubestickError {
  return new KubestickError({
    code: "RESET_BLOCKED",
    attempted: `resetting this machine (${check})`,
    happened: `${happened} Nothing else was changed.`,
    next: `${sentence(cure)} Then run the same command again. To go on in spite of it: --ignore-preflight-errors=${check}${next}`,
    ...(details === undefined ? {} : { details }),
  });
}

function incomplete(failures: ReadonlyMap<string, KubestickError>, stateDirectory: string): KubestickError | undefined {
  if (failures.size === 0) return undefined;
  return new KubestickError({
    code: "RESET_INCOMPLETE",
    attempted: "resetting this machine",
    happened: `${failures.size} ${failures.size === 1 ? "thing" : "things"} could not be removed: ${[...failures.keys()].join(", ")}.`,
    next: `Cure what is listed and run the same command again; ${stateDirectory} stays until everything is gone.`,
    details: Array.from(failures, ([id, error]) => `${id}: ${error.happened} ${error.next}`),
  });
}
