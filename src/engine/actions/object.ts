/** An API object, made by one of kubeadm's four ways (util/apiclient/idempotency.go). */
import { isDeepStrictEqual } from "node:util";
import type { Cluster, KubeObject, ObjectRef } from "../../cluster/types.ts";
import { KubestickError, isKubestickError } from "../../errors.ts";
import type { ActionContext } from "../context.ts";
import type { ObjectAction } from "../types.ts";
import { retrying, type Patience } from "./api-retry.ts";
import type { Applied, Handler, Observation } from "./handler.ts";
import { compareObjects, mergeInto, serverFields } from "./object-compare.ts";
import { differencesText, withoutSecrets } from "./object-text.ts";

/** What this kind needs of a run; a command that only changes a cluster has no more. */
export type ObjectContext = Pick<ActionContext, "signal" | "dryRun" | "planned" | "toYaml"> & {
  readonly host: Pick<ActionContext["host"], "now" | "sleep">;
  readonly clients: Pick<ActionContext["clients"], "cluster">;
};

export const object: Handler<ObjectAction> = {
  slow: false,
  journaled: true,
  observe: (action, context) => observeObject(action, context),
  // It lives in the cluster and goes with it; nothing of it is on this machine.
  record: async () => undefined,
  apply: (action, context, _progress, observed) => applyObject(action, context, observed),
  undo: async () => undefined,
};

export async function observeObject(action: ObjectAction, context: ObjectContext): Promise<Observation> {
  const ref = refOf(action.object);
  // A dry run compares with what plans may read; on a bare machine that is nothing.
  const live = context.dryRun
    ? await context.planned?.get(ref)
    : await retrying(patience(action, context, "reading"), async () => (await context.clients.cluster(action.as)).get(ref));
  const owner = action.owner === undefined || live === undefined ? undefined
    : context.dryRun ? await context.planned?.get(action.owner) : await (await context.clients.cluster(action.as)).get(action.owner);
  const observed = compared({ ...action, object: owned(action, owner) }, live, context);
  return action.policy === "apply" && observed.state === "differs" && live !== undefined ? await appliedAlready(action, live, context, observed) : observed;
}

/**
 * What a manifest says and what the server makes of it differ in form (quantities, lists merged by key), so the server is asked what applying it
 * would change, as `kubectl diff --server-side` does. A dry run asks the same, for nothing is stored; where that is refused, it shows the difference in form.
 */
async function appliedAlready(action: ObjectAction, live: KubeObject, context: ObjectContext, differs: Observation): Promise<Observation> {
  let after: KubeObject;
  try {
    after = await retrying(patience(action, context, "comparing"), async () => (await context.clients.cluster(action.as)).apply(action.object, { dryRun: true }));
  } catch (error) {
    if (context.dryRun && isKubestickError(error)) return differs;
    throw error;
  }
  return isDeepStrictEqual(withoutServerFields(after), withoutServerFields(live)) ? { state: "same" } : differs;
}

function withoutServerFields({ metadata, status: _, ...rest }: KubeObject): object {
  return { ...rest, metadata: Object.fromEntries(Object.entries(metadata).filter(([field]) => !serverFields.has(field))) };
}

export async function applyObject(action: ObjectAction, context: ObjectContext, observed: Extract<Observation, { state: "differs" }>): Promise<Applied> {
  const outcome = await retrying(patience(action, context, "writing"), async () => await write(action, await context.clients.cluster(action.as)));
  return { ...outcome, ...(outcome.what === "changed" && observed.body !== undefined && observed.absent !== true ? { body: observed.body } : {}) };
}

function compared(action: ObjectAction, live: KubeObject | undefined, { toYaml }: ObjectContext): Observation {
  if (action.policy === "absent") return live === undefined ? { state: "same", detail: "is not there" } : { state: "differs", detail: "to be deleted" };
  if (action.policy === "create" && live !== undefined) throw conflict(action.object, "it exists already");
  if (live === undefined) {
    return { state: "differs", absent: true, detail: action.policy === "patch" ? "to be patched" : "to be created", body: toYaml(withoutSecrets(action)) };
  }
  if (action.policy === "retain") return { state: "same", detail: "kept as it is" };
  const differences = compareObjects(action.object, live, { patch: action.policy === "patch" });
  if (differences.length === 0) return { state: "same" };
  return { state: "differs", detail: `differs in ${differences.map(({ path }) => path).slice(0, 3).join(", ")}${differences.length > 3 ? ", ..." : ""}`, body: differencesText(action, differences) };
}

async function write(action: ObjectAction, cluster: Cluster): Promise<Applied> {
  const { policy } = action;
  const owner = action.owner === undefined ? undefined : await cluster.get(action.owner);
  if (action.owner !== undefined && owner === undefined) throw conflict(action.object, `its owner ${action.owner.kind.toLowerCase()} ${action.owner.name} does not exist`);
  const desired = owned(action, owner);
  if (policy === "patch") return await patch(desired, cluster);
  if (policy === "apply") {
    const existed = (await cluster.get(refOf(desired))) !== undefined;
    await cluster.apply(desired);
    return existed ? { what: "changed", detail: "configured" } : { what: "created", detail: "created" };
  }
  if (policy === "absent") {
    await cluster.delete(refOf(desired));
    return { what: "removed", detail: "deleted" };
  }
  try {
    await cluster.create(desired);
    return { what: "created", detail: "created" };
  } catch (error) {
    if (policy === "create" || !isKubestickError(error) || error.code !== "API_ALREADY_EXISTS") throw error;
  }
  // Somebody made it in between; for `retain` that is as good.
  if (policy === "retain") return { what: "changed", detail: "kept as it is" };
  const live = await cluster.get(refOf(desired));
  if (live === undefined) throw conflict(desired, "it was there and is gone again");
  const next = policy === "mutate" ? mergeInto(live, desired) as KubeObject : desired;
  // Services refuse an update without it; with it, a change by somebody else in between is a conflict, and the next try reads again.
  await cluster.replace({ ...next, metadata: { ...next.metadata, resourceVersion: live.metadata["resourceVersion"] } });
  return { what: "changed", detail: "configured" };
}

/** Garbage collection goes by uid; a reference with a wrong one gets the object deleted. */
function owned({ object: desired, owner: ref }: ObjectAction, owner: KubeObject | undefined): KubeObject {
  if (ref === undefined || owner === undefined) return desired;
  const references = (desired.metadata["ownerReferences"] ?? []) as readonly Readonly<Record<string, unknown>>[];
  const filled = references.map((reference) => (reference["kind"] === ref.kind && reference["name"] === ref.name ? { ...reference, uid: owner.metadata["uid"] } : reference));
  return { ...desired, metadata: { ...desired.metadata, ownerReferences: filled } };
}

/** kubeadm waits for a node's hostname label: before the kubelet has set it, the node is not complete (apiclient/idempotency.go, PatchNode). */
async function patch(desired: KubeObject, cluster: Cluster): Promise<Applied> {
  const ref = refOf(desired);
  const live = await cluster.get(ref);
  if (live === undefined) throw conflict(desired, "it does not exist yet");
  if (desired.kind === "Node" && (live.metadata["labels"] as Record<string, string> | undefined)?.["kubernetes.io/hostname"] === undefined) throw conflict(desired, "the kubelet has not filled it in yet");
  const { apiVersion: _apiVersion, kind: _kind, metadata, ...rest } = desired;
  const { name: _name, namespace: _namespace, ...fields } = metadata;
  await cluster.patch(ref, "strategic", { ...(Object.keys(fields).length > 0 ? { metadata: fields } : {}), ...rest });
  return { what: "changed", detail: "patched" };
}

function conflict(desired: KubeObject, happened: string): KubestickError {
  const what = nameOf(desired);
  return new KubestickError({ code: "API_CONFLICT", attempted: `writing ${what}`, happened: `${what}: ${happened}.`, next: `See what the API server has: kubectl --kubeconfig /etc/kubernetes/admin.conf get ${desired.kind} -A` });
}

function patience(action: ObjectAction, { host, signal }: ObjectContext, verb: string): Patience {
  return {
    host, signal, timeoutMs: action.timeoutMs, attempted: `${verb} ${nameOf(action.object)}`,
    // While an API server starts, its namespaces (kube-public) and resources of its own appear one after the other.
    alsoRetry: verb === "writing" ? new Set(["API_NOT_FOUND"]) : new Set(),
  };
}

export function refOf({ apiVersion, kind, metadata: { name, namespace } }: KubeObject): ObjectRef {
  return { apiVersion, kind, name, ...(namespace === undefined ? {} : { namespace }) };
}

function nameOf({ kind, metadata: { name, namespace } }: KubeObject): string {
  return `${kind.toLowerCase()} ${namespace === undefined ? "" : `${namespace}/`}${name}`;
}

