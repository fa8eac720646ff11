/** Runs actions as a flow of one phase on an in-memory machine, and takes them back. */
import { resolveInitConfig } from "../../src/config/resolve.ts";
import type { RunContext } from "../../src/engine/context.ts";
import { flow } from "../../src/engine/flow.ts";
import { runFlow } from "../../src/engine/run.ts";
import type { Action, Finding, Phase } from "../../src/engine/types.ts";
import { runReset } from "../../src/engine/undo.ts";
import { airgappedFacts } from "../support/facts.ts";
import { MemoryClusterStore } from "../support/memory-cluster.ts";
import { MemoryHost, type MemoryHostOptions } from "../support/memory-host.ts";
import { MemoryRuntimeStore } from "../support/memory-runtime.ts";
import { collect, type Ran } from "./laws.ts";

export interface Bench {
  readonly host: MemoryHost;
  readonly runtime: MemoryRuntimeStore;
  readonly cluster: MemoryClusterStore;
  context(changes?: Partial<RunContext>): RunContext;
  run(actions: readonly Action[], changes?: Partial<RunContext>, findings?: readonly Finding[]): Promise<Ran>;
  reset(changes?: Partial<RunContext>): Promise<Ran>;
}

export function bench(options: MemoryHostOptions = {}): Bench {
  const host = new MemoryHost({ ...options, files: { "/etc/kubernetes/admin.conf": { content: "admin", mode: 0o600 }, "/etc/kubernetes/super-admin.conf": { content: "super-admin", mode: 0o600 }, ...options.files } });
  const runtime = new MemoryRuntimeStore(host.ledger);
  const cluster = new MemoryClusterStore(host.ledger);
  const { config } = resolveInitConfig({ options: { cni: "none" }, facts: airgappedFacts() });
  const context = (changes: Partial<RunContext> = {}): RunContext => ({
    host, config, dryRun: false, skipPhases: [], ignorePreflightErrors: [],
    runtime: (socket) => runtime.connect(socket),
    connect: (text) => cluster.connect(text),
    assets: { text: () => "", list: () => [] },
    signal: new AbortController().signal,
    ...changes,
  });
  return {
    host, runtime, cluster, context,
    run(actions, changes, findings = []) {
      const phase: Phase<"only", Record<never, never>, Record<never, never>> = { id: "only", title: "Only", needs: [], plan: async () => ({ actions, output: {}, findings }) };
      return collect(runFlow(flow("bench").add(phase), context(changes)));
    },
    reset: (changes) => collect(runReset(context(changes))),
  };
}

export const fileAction = (path: string, content: string | Uint8Array, more: Partial<Extract<Action, { kind: "file" }>> = {}): Action => ({ kind: "file", id: `file${path}`, path, mode: 0o644, content, ...more });
