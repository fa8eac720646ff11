/**
 * The cluster as plans may read it.
 *
 * A real run has none before the API server answers. A dry run always has one: on a bare machine it answers that nothing
 * exists, and what its phases would make is there for the plans of later ones, as it would be. Either way what a dry run reads is recorded,
 * because kubeadm's own dry run shows reads among the requests it would make.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Cluster, ClusterReader, KubeObject, ListOptions, ObjectRef } from "../cluster/types.ts";
import { isKubestickError } from "../errors.ts";
import { refOf } from "./actions/object.ts";
import { credentialsOf } from "./clients.ts";
import type { RunContext } from "./context.ts";
import type { Action } from "./types.ts";

export type ClusterRead =
  | { readonly verb: "GET"; readonly ref: ObjectRef; readonly found: boolean }
  | { readonly verb: "LIST"; readonly apiVersion: string; readonly kind: string; readonly options: ListOptions };

/** A port of this machine either answers at once or not at all. */
const shortTryMs = 3000;

export interface PlanningCluster {
  /** For the plan of the next phase: `plan` is what it reads, `observe` what objects are compared with, which is nobody's request. */
  readers(): Promise<{ readonly plan: ClusterReader | undefined; readonly observe: ClusterReader | undefined }>;
  /** What a phase of a dry run would make. */
  expect(actions: readonly Action[]): void;
  close(): Promise<void>;
}

export function openPlanningCluster(context: Pick<RunContext, "host" | "connect" | "config" | "dryRun" | "kubeconfig">, record: (read: ClusterRead) => void): PlanningCluster {
  let connected: Cluster | undefined;
  const expected = new Map<string, KubeObject>();
  return {
    async readers() {
      connected ??= await tryToConnect(context);
      if (!context.dryRun) return { plan: connected, observe: connected };
      const observe = connected ?? emptyReader;
      return { plan: recording(observe, record, expected), observe };
    },
    expect(actions) {
      for (const action of actions) if (action.kind === "object" && action.policy !== "patch" && action.policy !== "absent") expected.set(keyOf(refOf(action.object)), action.object);
    },
    async close() {
      await connected?.close();
      connected = undefined;
    },
  };
}

async function tryToConnect(context: Pick<RunContext, "host" | "connect" | "config" | "dryRun" | "kubeconfig">): Promise<Cluster | undefined> {
  const { path, server } = credentialsOf(context, "admin");
  const text = await context.host.readText(path).catch((error: unknown) => {
    // A dry run without root cannot read it; for its plan that is the same as none.
    if (context.dryRun && isKubestickError(error)) return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const cluster = await context.connect(text, server);
  if (await answers(cluster)) return cluster;
  await cluster.close();
  return undefined;
}

async function answers(cluster: Cluster): Promise<boolean> {
  const stop = new AbortController();
  const limit = delay(shortTryMs, false, { signal: stop.signal }).catch(() => false);
  // Any failure here means "not there yet"; if it is more than that, the wait for the API server says so in full.
  const health = cluster.raw("/livez").then(({ status }) => status === 200, () => false);
  const alive = await Promise.race([health, limit]);
  stop.abort();
  return alive;
}

const emptyReader: ClusterReader = {
  get: async () => undefined,
  list: async () => [],
};

function keyOf({ apiVersion, kind, namespace = "", name }: ObjectRef): string {
  return [apiVersion, kind, namespace, name].join("\n");
}

function recording(reader: ClusterReader, record: (read: ClusterRead) => void, expected: ReadonlyMap<string, KubeObject>): ClusterReader {
  return {
    async get(ref): Promise<KubeObject | undefined> {
      const found = await reader.get(ref);
      record({ verb: "GET", ref, found: found !== undefined });
      return found ?? expected.get(keyOf(ref));
    },
    async list(apiVersion, kind, options = {}) {
      const found = await reader.list(apiVersion, kind, options);
      record({ verb: "LIST", apiVersion, kind, options });
      return found;
    },
  };
}
