/**
 * Kubernetes' strategic merge patch, for the types that kubeadm patches: Pod, Deployment and KubeletConfiguration.
 *
 * As a JSON merge patch, but some lists are merged by a key instead of being replaced, and directives (`$patch`, `$retainKeys`,
 * `$deleteFromPrimitiveList/x`, `$setElementOrder/x`) say what a value cannot. A new element comes before those that were there, an
 * element with its key in the patch moves to the patch's order: that is how the API server does it too.
 * Facts: apimachinery pkg/util/strategicpatch/patch.go; merge keys from the struct tags of core/v1 and meta/v1 types.go.
 */
import { equal, isMap, PatchProblem, type Json } from "./json-patch.ts";

type JsonMap = { readonly [key: string]: Json };

/** Fields whose lists are merged by `key` (none: a list of plain values merged as a set), and what is known below a field. */
interface Shape {
  readonly key?: string;
  readonly merged?: true;
  readonly fields?: Readonly<Record<string, Shape>>;
}

const container: Shape["fields"] = {
  ports: { merged: true, key: "containerPort" },
  env: { merged: true, key: "name" },
  volumeMounts: { merged: true, key: "mountPath" },
  volumeDevices: { merged: true, key: "devicePath" },
};

const metadata: Shape = { fields: { ownerReferences: { merged: true, key: "uid" }, finalizers: { merged: true } } };

const podSpec: Shape = {
  fields: {
    volumes: { merged: true, key: "name" },
    containers: { merged: true, key: "name", fields: container },
    initContainers: { merged: true, key: "name", fields: container },
    ephemeralContainers: { merged: true, key: "name", fields: container },
    imagePullSecrets: { merged: true, key: "name" },
    hostAliases: { merged: true, key: "ip" },
    topologySpreadConstraints: { merged: true, key: "topologyKey" },
    schedulingGates: { merged: true, key: "name" },
    resourceClaims: { merged: true, key: "name" },
  },
};

const shapes = {
  Pod: { fields: { metadata, spec: podSpec } },
  Deployment: { fields: { metadata, spec: { fields: { template: { fields: { metadata, spec: podSpec } } } } } },
  // Its Go type has no merge keys: every list is replaced.
  KubeletConfiguration: {},
} satisfies Readonly<Record<string, Shape>>;

export type PatchedKind = keyof typeof shapes;

export function applyStrategicMerge(kind: PatchedKind, document: Json, patch: Json): Json {
  if (!isMap(document) || !isMap(patch)) throw new PatchProblem("a strategic patch is a map of the fields to change");
  return mergeMaps(document, patch, shapes[kind]);
}

function mergeMaps(document: JsonMap, patch: JsonMap, shape: Shape): JsonMap {
  const directive = patch["$patch"];
  if (directive === "replace") return withoutDirectives(without(patch, "$patch")) as JsonMap;
  if (directive === "delete") return {};
  if (directive !== undefined && directive !== "merge") throw new PatchProblem(`$patch cannot be ${JSON.stringify(directive)}; it must be replace, merge or delete`);
  const retained = patch["$retainKeys"];
  const merged: Record<string, Json> = Object.fromEntries(Object.entries(document).filter(([key]) => !Array.isArray(retained) || (retained as readonly Json[]).includes(key)));
  for (const [field, removed] of directivesIn(patch, "$deleteFromPrimitiveList/")) {
    const list = merged[field];
    if (Array.isArray(list)) merged[field] = (list as readonly Json[]).filter((item) => !removed.some((other) => equal(item, other)));
  }
  const orders = new Map(directivesIn(patch, "$setElementOrder/"));
  for (const [field, value] of Object.entries(patch)) {
    if (field.startsWith("$")) continue;
    const below = shape.fields?.[field] ?? {};
    const found = merged[field];
    if (value === null) delete merged[field];
    else if (isMap(value) && isMap(found)) merged[field] = mergeMaps(found, value, below);
    else if (Array.isArray(value) && below.merged === true) merged[field] = mergeLists(Array.isArray(found) ? found as readonly Json[] : [], value as readonly Json[], below, orders.get(field), field);
    else merged[field] = isMap(value) ? mergeMaps({}, value, below) : withoutDirectives(value);
  }
  // Only an order was given: nothing in the list changes but that.
  for (const [field, order] of orders) {
    const found = merged[field];
    const below = shape.fields?.[field];
    if (patch[field] === undefined && Array.isArray(found) && below?.merged === true) merged[field] = mergeLists(found as readonly Json[], [], below, order, field);
  }
  return merged;
}

function mergeLists(found: readonly Json[], patch: readonly Json[], shape: Shape, order: readonly Json[] | undefined, field: string): readonly Json[] {
  const { key } = shape;
  if (key === undefined) {
    const all = [...found, ...patch].filter((item, index, list) => list.findIndex((other) => equal(item, other)) === index);
    return ordered(all, order ?? patch, found, (one, other) => equal(one, other));
  }
  const same = (one: Json, other: Json): boolean => isMap(one) && isMap(other) && equal(one[key], other[key]);
  const items = patch.map((item) => {
    if (!isMap(item)) throw new PatchProblem(`the elements of ${field} are maps, not ${JSON.stringify(item)}`);
    return item;
  });
  if (items.some((item) => item["$patch"] === "replace")) return items.filter((item) => item["$patch"] !== "replace").map((item) => withoutDirectives(item));
  let merged = [...found];
  for (const item of items) {
    if (item[key] === undefined) throw new PatchProblem(`an element of ${field} has no ${key}, by which elements are told apart`);
    const at = merged.findIndex((other) => same(item, other));
    if (item["$patch"] === "delete") merged = merged.filter((other) => !same(item, other));
    else if (at < 0) merged.push(mergeMaps({}, item, { fields: shape.fields ?? {} }));
    else merged[at] = mergeMaps(merged[at] as JsonMap, item, { fields: shape.fields ?? {} });
  }
  return ordered(merged, order ?? items, found, same);
}

/** Elements of the patch in the patch's order, the others woven in where the live order puts them before an element of the patch, else behind. */
function ordered(all: readonly Json[], order: readonly Json[], live: readonly Json[], same: (one: Json, other: Json) => boolean): readonly Json[] {
  const place = (list: readonly Json[], item: Json): number => list.findIndex((other) => same(item, other));
  const patched = all.filter((item) => place(order, item) >= 0).sort((one, other) => place(order, one) - place(order, other));
  const others = all.filter((item) => place(order, item) < 0).sort((one, other) => place(live, one) - place(live, other));
  const result: Json[] = [];
  for (const item of patched) {
    const limit = place(live, item);
    while (limit >= 0 && others[0] !== undefined && place(live, others[0]) < limit) result.push(others.shift() as Json);
    result.push(item);
  }
  return [...result, ...others];
}

function directivesIn(patch: JsonMap, prefix: string): readonly (readonly [string, readonly Json[]])[] {
  return Object.entries(patch).filter(([field]) => field.startsWith(prefix)).map(([field, value]) => {
    if (!Array.isArray(value)) throw new PatchProblem(`${field} must be a list`);
    return [field.slice(prefix.length), value as readonly Json[]] as const;
  });
}

/** What is added as a whole has nothing to direct, and null asks for absence. */
function withoutDirectives(value: Json): Json {
  if (Array.isArray(value)) return (value as readonly Json[]).map(withoutDirectives);
  if (!isMap(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([key, item]) => !key.startsWith("$") && item !== null).map(([key, item]) => [key, withoutDirectives(item)]));
}

function without(map: JsonMap, field: string): JsonMap {
  return Object.fromEntries(Object.entries(map).filter(([key]) => key !== field));
}
