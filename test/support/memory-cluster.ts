/** An API server in memory: objects with what a server adds to them, its refusals with the codes of the real client, and patches good enough for labels and taints. */
import type { Cluster, KubeObject, ListOptions, ObjectRef } from "../../src/cluster/types.ts";
import { KubestickError } from "../../src/errors.ts";
import type { WriteLedger } from "./write-ledger.ts";

export interface MemoryRequest {
  readonly verb: "CREATE" | "UPDATE" | "PATCH" | "DELETE";
  readonly ref: ObjectRef;
  /** The kubeconfig text the client was made from. */
  readonly by: string;
}

/** What a cluster has one of, however many clients there are. */
export class MemoryClusterStore {
  readonly ledger: WriteLedger;
  readonly objects = new Map<string, KubeObject>();
  readonly requests: MemoryRequest[] = [];
  /** Whether anything listens; a test ties it to the state of a unit and to the clock. */
  answers: () => boolean = () => true;
  /** `/livez` */
  healthy = true;
  /** Refuses a request with one of the client's codes, e.g. API_FORBIDDEN. */
  refuse: (request: MemoryRequest) => string | undefined = () => undefined;
  #version = 100;

  constructor(ledger: WriteLedger) {
    this.ledger = ledger;
    for (const name of ["default", "kube-system", "kube-public", "kube-node-lease"]) this.plant({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
  }

  connect(kubeconfigText: string): Cluster {
    return new MemoryCluster(this, kubeconfigText);
  }

  /** As a controller or the kubelet would, without a request being counted. */
  plant(object: KubeObject): KubeObject {
    const key = keyOf(refOf(object));
    const known = this.objects.get(key)?.metadata;
    const stored: KubeObject = {
      ...structuredClone(object),
      metadata: {
        ...structuredClone(object.metadata),
        uid: known?.["uid"] ?? `uid-${this.#version}`,
        creationTimestamp: known?.["creationTimestamp"] ?? "2026-11-21T03:00:00Z",
        resourceVersion: String(this.#version++),
      },
    };
    this.objects.set(key, stored);
    return structuredClone(stored);
  }

  live(ref: ObjectRef): KubeObject | undefined {
    return structuredClone(this.objects.get(keyOf(ref)));
  }
}

class MemoryCluster implements Cluster {
  readonly #store: MemoryClusterStore;
  readonly #by: string;

  constructor(store: MemoryClusterStore, by: string) {
    this.#store = store;
    this.#by = by;
  }

  async get(ref: ObjectRef): Promise<KubeObject | undefined> {
    this.#reach();
    return this.#store.live(ref);
  }

  async list(apiVersion: string, kind: string, { namespace, labelSelector, fieldSelector }: ListOptions = {}): Promise<readonly KubeObject[]> {
    this.#reach();
    return [...this.#store.objects.values()].filter((object) => object.apiVersion === apiVersion && object.kind === kind
      && (namespace === undefined || object.metadata.namespace === namespace)
      && selects(labelSelector, (key) => fieldOf(object, ["metadata", "labels", key]))
      && selects(fieldSelector, (key) => fieldOf(object, key.split(".")))).map((object) => structuredClone(object));
  }

  async create(object: KubeObject): Promise<KubeObject> {
    const ref = refOf(object);
    this.#begin("CREATE", ref);
    if (this.#store.objects.has(keyOf(ref))) throw failure("API_ALREADY_EXISTS", `${ref.kind} "${ref.name}" already exists`);
    if (ref.namespace !== undefined && !this.#store.objects.has(keyOf({ apiVersion: "v1", kind: "Namespace", name: ref.namespace }))) throw failure("API_NOT_FOUND", `namespaces "${ref.namespace}" not found`);
    return this.#write("CREATE", ref, stored(object));
  }

  async replace(object: KubeObject): Promise<KubeObject> {
    const ref = refOf(object);
    this.#begin("UPDATE", ref);
    const live = this.#store.objects.get(keyOf(ref));
    if (live === undefined) throw failure("API_NOT_FOUND", `${ref.kind} "${ref.name}" not found`);
    const wanted = object.metadata["resourceVersion"];
    // The real server refuses unconditional updates of this kind among others (registry/core/service/strategy.go).
    if (wanted === undefined && ref.kind === "Service") throw failure("API_INVALID", "metadata.resourceVersion: must be specified for an update");
    if (wanted !== undefined && wanted !== live.metadata["resourceVersion"]) throw failure("API_CONFLICT", "the object has been modified");
    return this.#write("UPDATE", ref, { ...stored(object), ...(live["status"] === undefined ? {} : { status: live["status"] }) });
  }

  async patch(ref: ObjectRef, type: "strategic" | "merge" | "json", body: unknown): Promise<KubeObject> {
    this.#begin("PATCH", ref);
    const live = this.#store.objects.get(keyOf(ref));
    if (live === undefined) throw failure("API_NOT_FOUND", `${ref.kind} "${ref.name}" not found`);
    if (type === "json") throw failure("API_INVALID", "JSON patches are not part of this stand-in");
    return this.#write("PATCH", ref, merge(live, body) as KubeObject);
  }

  async apply(object: KubeObject, options: { readonly dryRun?: true } = {}): Promise<KubeObject> {
    const ref = refOf(object);
    this.#begin("PATCH", ref);
    const live = this.#store.objects.get(keyOf(ref));
    if (live === undefined && ref.namespace !== undefined && !this.#store.objects.has(keyOf({ apiVersion: "v1", kind: "Namespace", name: ref.namespace }))) throw failure("API_NOT_FOUND", `namespaces "${ref.namespace}" not found`);
    const merged = (live === undefined ? stored(object) : merge(live, stored(object))) as KubeObject;
    return options.dryRun === true ? merged : this.#write("PATCH", ref, merged);
  }

  async delete(ref: ObjectRef): Promise<void> {
    this.#begin("DELETE", ref);
    if (!this.#store.objects.has(keyOf(ref))) throw failure("API_NOT_FOUND", `${ref.kind} "${ref.name}" not found`);
    this.#store.ledger.write(`DELETE ${keyOf(ref)}`);
    this.#store.objects.delete(keyOf(ref));
  }

  async raw(path: string): Promise<{ readonly status: number; readonly body: string }> {
    this.#reach();
    if (path !== "/livez") return { status: 404, body: "404 page not found" };
    return this.#store.healthy ? { status: 200, body: "ok" } : { status: 500, body: "[-]etcd failed: reason withheld" };
  }

  async close(): Promise<void> {
    // Nothing is open.
  }

  #reach(): void {
    this.#store.ledger.alive();
    if (!this.#store.answers()) throw failure("API_UNREACHABLE", "The API server on https://192.0.2.10:6443 cannot be reached: connect ECONNREFUSED.");
  }

  #begin(verb: MemoryRequest["verb"], ref: ObjectRef): void {
    this.#reach();
    const code = this.#store.refuse({ verb, ref, by: this.#by });
    if (code !== undefined) throw failure(code, `${verb} of ${keyOf(ref)} refused`);
  }

  #write(verb: MemoryRequest["verb"], ref: ObjectRef, object: KubeObject): KubeObject {
    this.#store.ledger.write(`${verb} ${keyOf(ref)}`);
    this.#store.requests.push({ verb, ref, by: this.#by });
    return this.#store.plant(object);
  }
}

function failure(code: string, happened: string): KubestickError {
  return new KubestickError({ code, attempted: "asking the API server", happened, next: "crictl ps -a --name kube-apiserver" });
}

function refOf({ apiVersion, kind, metadata: { name, namespace } }: KubeObject): ObjectRef {
  return { apiVersion, kind, name, ...(namespace === undefined ? {} : { namespace }) };
}

function keyOf({ apiVersion, kind, name, namespace }: ObjectRef): string {
  return [apiVersion, kind, namespace, name].filter((part) => part !== undefined).join("/");
}

/** What a server stores of a request: nothing empty, a Secret's text as bytes. */
function stored(object: KubeObject): KubeObject {
  const { stringData, ...rest } = object;
  const data = { ...(rest["data"] as Record<string, unknown> | undefined), ...Object.fromEntries(Object.entries((stringData ?? {}) as Record<string, string>).map(([key, text]) => [key, Buffer.from(text).toString("base64")])) };
  return withoutEmpty(object.kind === "Secret" ? { ...rest, data, type: rest["type"] ?? "Opaque" } : object) as KubeObject;
}

function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value).map(([key, item]) => [key, withoutEmpty(item)] as const).filter(([, item]) => !isEmpty(item));
  return Object.fromEntries(kept);
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || (typeof value === "object" && Object.keys(value).length === 0);
}

/** Maps merge, null removes, lists are replaced: true of strategic patches too where the list is atomic, as a node's taints are. */
function merge(live: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const base = typeof live === "object" && live !== null && !Array.isArray(live) ? live as Record<string, unknown> : {};
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = merge(base[key], value);
  }
  return merged;
}

function selects(selector: string | undefined, valueOf: (key: string) => unknown): boolean {
  return (selector ?? "").split(",").filter(Boolean).every((term) => {
    const [key, value] = term.split(/==?/);
    return value === undefined ? valueOf(key ?? "") !== undefined : valueOf(key ?? "") === value;
  });
}

function fieldOf(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((current, field) => (typeof current === "object" && current !== null ? (current as Record<string, unknown>)[field] : undefined), value);
}
