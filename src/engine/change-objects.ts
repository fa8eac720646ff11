/** Changes of a cluster that belong to no machine (tokens, tickets): the same object actions as in a run, without journal, lock and phases. */
import type { Cluster } from "../cluster/types.ts";
import type { Host } from "../host/types.ts";
import { applyObject, observeObject, type ObjectContext } from "./actions/object.ts";
import type { ObjectAction } from "./types.ts";

export interface ObjectChange {
  readonly id: string;
  readonly status: "planned" | "unchanged" | "applied";
  readonly detail: string;
  /** In a dry run: the object without its secrets, or what differs. */
  readonly body?: string;
}

export interface ChangeContext {
  /** With the rights of the kubeconfig that was named. */
  readonly cluster: Cluster;
  readonly host: Pick<Host, "now" | "sleep">;
  readonly signal: AbortSignal;
  readonly dryRun: boolean;
  readonly toYaml: (value: unknown) => string;
}

/** In order; the first failure ends it, and what was done before stays, as each change was told. */
export async function* changeObjects(actions: readonly ObjectAction[], { cluster, host, signal, dryRun, toYaml }: ChangeContext): AsyncGenerator<ObjectChange, void> {
  const context: ObjectContext = { host, signal, dryRun, toYaml, planned: cluster, clients: { cluster: () => Promise.resolve(cluster) } };
  for (const action of actions) {
    signal.throwIfAborted();
    const observed = await observeObject(action, context);
    if (observed.state === "same") {
      yield { id: action.id, status: "unchanged", detail: observed.detail ?? "as it should be" };
    } else if (dryRun) {
      yield { id: action.id, status: "planned", detail: observed.detail, ...(observed.body === undefined ? {} : { body: observed.body }) };
    } else {
      const { detail } = await applyObject(action, context, observed);
      yield { id: action.id, status: "applied", detail };
    }
  }
}
