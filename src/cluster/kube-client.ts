/**
 * The cluster room: talking to a Kubernetes API server and to etcd.
 *
 * Owns: credentials on the wire, paths, and typed failures (`API_NOT_FOUND`, `API_UNREACHABLE`, ...).
 * Refuses: retrying, waiting and deciding what an object should look like; the engine does the first two, phases the third.
 * Start at `connectCluster`; `etcd.ts` is its sister for etcd, `http.ts` carries both.
 */
import type { Dispatcher } from "undici";
import { isKubestickError, KubestickError } from "../errors.ts";
import { apiError } from "./api-error.ts";
import { openHttp, type HttpAnswer, type HttpRequest, type ServerCredentials } from "./http.ts";
import { collectionPath, discoveredResource, knownResource, type Resource, versionPath } from "./resource-paths.ts";
import type { Cluster, KubeObject, ListOptions, ObjectRef } from "./types.ts";

export type ClusterCredentials = ServerCredentials;

export interface ConnectOptions {
  /** Instead of the credentials' own, e.g. this node's address while a load balancer has no healthy member yet. */
  readonly server?: string;
  /** For one request, ms. */
  readonly timeoutMs?: number;
  /** Tests bring their own. */
  readonly dispatcher?: Dispatcher;
}

const patchTypes = {
  strategic: "application/strategic-merge-patch+json",
  merge: "application/merge-patch+json",
  json: "application/json-patch+json",
} as const;

/** Items of one page of a list; the server keeps the position. */
const pageSize = 500;

export function connectCluster(credentials: ClusterCredentials, options: ConnectOptions = {}): Cluster {
  const http = openHttp(options.server === undefined ? credentials : { ...credentials, server: options.server }, {
    timeoutMs: options.timeoutMs ?? 10_000,
    codePrefix: "API",
    serverName: "The API server",
    next: "crictl ps -a --name kube-apiserver; journalctl -u kubelet -n 50",
    dispatcher: options.dispatcher,
  });
  const discovered = new Map<string, Resource>();

  async function send(request: HttpRequest): Promise<unknown> {
    const answer = await http.send(request);
    if (answer.status < 200 || answer.status > 299) throw apiError(request.attempted, http.server, answer);
    return parsed(request, answer);
  }

  function parsed({ attempted }: HttpRequest, answer: HttpAnswer): unknown {
    try {
      return JSON.parse(answer.text);
    } catch (cause) {
      throw new KubestickError({ code: "API_WRONG_PROTOCOL", attempted, happened: `${http.server} answered ${answer.status} with something that is not JSON: ${answer.text.slice(0, 200)}`, next: "Check that the address is an API server's, not a proxy's: kubectl cluster-info", cause });
    }
  }

  /** undefined: the server has no such kind (a custom resource whose definition is not there yet). */
  async function resourceOf(apiVersion: string, kind: string): Promise<Resource | undefined> {
    const key = `${apiVersion} ${kind}`;
    const known = knownResource(apiVersion, kind) ?? discovered.get(key);
    if (known !== undefined) return known;
    const document = await ifFound(send({ method: "GET", path: versionPath(apiVersion), attempted: `looking up the kind ${kind} of ${apiVersion}` }));
    const found = discoveredResource(document, kind);
    if (found !== undefined) discovered.set(key, found);
    return found;
  }

  async function requiredResource(apiVersion: string, kind: string, attempted: string): Promise<Resource> {
    const resource = await resourceOf(apiVersion, kind);
    if (resource !== undefined) return resource;
    throw new KubestickError({ code: "API_NOT_FOUND", attempted, happened: `${http.server} knows no kind ${kind} in ${apiVersion}.`, next: "kubectl api-resources shows the kinds; a custom one needs its CustomResourceDefinition first." });
  }

  /** A namespaced object without a namespace is in `default`, as for kubectl. */
  const itemPath = (resource: Resource, { apiVersion, name, namespace }: ObjectRef): string => `${collectionPath(apiVersion, resource, namespace ?? "default")}/${encodeURIComponent(name)}`;

  return {
    async get(ref: ObjectRef): Promise<KubeObject | undefined> {
      const resource = await resourceOf(ref.apiVersion, ref.kind);
      if (resource === undefined) return undefined;
      return (await ifFound(send({ method: "GET", path: itemPath(resource, ref), attempted: `reading ${words(ref)}` }))) as KubeObject | undefined;
    },

    async list(apiVersion: string, kind: string, { namespace, labelSelector, fieldSelector }: ListOptions = {}): Promise<readonly KubeObject[]> {
      const resource = await resourceOf(apiVersion, kind);
      if (resource === undefined) return [];
      const items: KubeObject[] = [];
      let position: string | undefined;
      do {
        const query = new URLSearchParams({ limit: String(pageSize), ...(labelSelector === undefined ? {} : { labelSelector }), ...(fieldSelector === undefined ? {} : { fieldSelector }), ...(position === undefined ? {} : { continue: position }) });
        const page = (await send({ method: "GET", path: `${collectionPath(apiVersion, resource, namespace)}?${query}`, attempted: `listing ${kind} objects` })) as { readonly metadata?: { readonly continue?: string }; readonly items?: readonly KubeObject[] | null };
        // Items of a typed list come without their own type.
        for (const item of page.items ?? []) items.push({ ...item, apiVersion: item.apiVersion ?? apiVersion, kind: item.kind ?? kind });
        position = page.metadata?.continue === "" ? undefined : page.metadata?.continue;
      } while (position !== undefined);
      return items;
    },

    async create(object: KubeObject): Promise<KubeObject> {
      const ref = refOf(object);
      const attempted = `creating ${words(ref)}`;
      const resource = await requiredResource(ref.apiVersion, ref.kind, attempted);
      return (await send({ method: "POST", path: collectionPath(ref.apiVersion, resource, ref.namespace ?? "default"), attempted, body: object })) as KubeObject;
    },

    async replace(object: KubeObject): Promise<KubeObject> {
      const ref = refOf(object);
      const attempted = `replacing ${words(ref)}`;
      return (await send({ method: "PUT", path: itemPath(await requiredResource(ref.apiVersion, ref.kind, attempted), ref), attempted, body: object })) as KubeObject;
    },

    async patch(ref: ObjectRef, type: keyof typeof patchTypes, body: unknown): Promise<KubeObject> {
      const attempted = `changing ${words(ref)}`;
      return (await send({ method: "PATCH", path: itemPath(await requiredResource(ref.apiVersion, ref.kind, attempted), ref), attempted, body, contentType: patchTypes[type] })) as KubeObject;
    },

    async apply(object: KubeObject, options = {}): Promise<KubeObject> {
      const ref = refOf(object);
      const attempted = `applying ${words(ref)}`;
      const path = itemPath(await requiredResource(ref.apiVersion, ref.kind, attempted), ref);
      // JSON is YAML, and servers before 1.31 know only this name of the format.
      return (await send({ method: "PATCH", path: `${path}?fieldManager=kubestick&force=true${options.dryRun === true ? "&dryRun=All" : ""}`, attempted, body: object, contentType: "application/apply-patch+yaml" })) as KubeObject;
    },

    async delete(ref: ObjectRef): Promise<void> {
      const resource = await resourceOf(ref.apiVersion, ref.kind);
      // Gone already is what was wanted.
      if (resource !== undefined) await ifFound(send({ method: "DELETE", path: itemPath(resource, ref), attempted: `deleting ${words(ref)}` }));
    },

    async raw(path: string) {
      const { status, text } = await http.send({ method: "GET", path, attempted: `asking ${http.server} for ${path}` });
      return { status, body: text };
    },

    close: () => http.close(),
  };
}

async function ifFound<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isKubestickError(error) && error.code === "API_NOT_FOUND") return undefined;
    throw error;
  }
}

function refOf({ apiVersion, kind, metadata: { name, namespace } }: KubeObject): ObjectRef {
  return namespace === undefined ? { apiVersion, kind, name } : { apiVersion, kind, name, namespace };
}

function words({ kind, name, namespace }: ObjectRef): string {
  return `${kind} ${namespace === undefined ? "" : `${namespace}/`}${name}`;
}
