/**
 * Whether a live API object already says everything a desired one says. The live object has more: defaults, status, what
 * controllers add. So desired must be contained in live; lists are compared element by element, because most lists of the API are
 * replaced as a whole.
 */
import type { KubeObject } from "../../cluster/types.ts";

export interface Difference {
  /** `spec.template.spec.containers.0.image` */
  readonly path: string;
  readonly live: unknown;
  readonly desired: unknown;
}

export interface CompareOptions {
  /** For patches: null asks for absence, and a list needs only to contain the desired elements (others add taints of their own). */
  readonly patch: boolean;
}

/** Set by the API server, whatever a request says. */
export const serverFields: ReadonlySet<string> = new Set(["resourceVersion", "uid", "creationTimestamp", "generation", "managedFields", "selfLink"]);

export function compareObjects(desired: KubeObject, live: KubeObject, options: CompareOptions): readonly Difference[] {
  const { status: _status, metadata, ...rest } = withEncodedStrings(desired);
  const ours = Object.fromEntries(Object.entries(metadata).filter(([field]) => !serverFields.has(field)));
  return compare({ metadata: ours, ...rest }, live, "", options);
}

/** A Secret's `stringData` is write-only: the API server moves it into `data`. */
function withEncodedStrings(object: KubeObject): KubeObject {
  if (object.kind !== "Secret" || !isRecord(object["stringData"])) return object;
  const { stringData, ...rest } = object;
  const encoded = Object.entries(stringData as Record<string, unknown>).map(([key, value]) => [key, Buffer.from(String(value)).toString("base64")]);
  return { ...rest, data: { ...(rest["data"] as object | undefined), ...Object.fromEntries(encoded) } };
}

function compare(desired: unknown, live: unknown, path: string, options: CompareOptions): Difference[] {
  if (desired === undefined) return [];
  if (desired === null) return options.patch && live !== undefined && live !== null ? [{ path, live, desired }] : [];
  if (live === undefined || live === null) return saysNothing(desired) ? [] : [{ path, live, desired }];
  if (Array.isArray(desired)) {
    if (!Array.isArray(live)) return [{ path, live, desired }];
    if (options.patch) {
      const missing = desired.filter((wanted) => !live.some((found) => compare(wanted, found, path, options).length === 0));
      return missing.length === 0 ? [] : [{ path, live, desired }];
    }
    if (desired.length !== live.length) return [{ path, live, desired }];
    return desired.flatMap((wanted, index) => compare(wanted, live[index], join(path, String(index)), options));
  }
  if (isRecord(desired)) {
    if (!isRecord(live)) return [{ path, live, desired }];
    return Object.entries(desired).flatMap(([field, wanted]) => compare(wanted, live[field], join(path, field), options));
  }
  // Quantities may be written as numbers and come back as text: cpu: 1.
  const same = desired === live || (typeof desired === "number" && live === String(desired));
  return same ? [] : [{ path, live, desired }];
}

/** The API server drops empty values, so they are there when nothing is there. */
function saysNothing(desired: unknown): boolean {
  if (desired === null || desired === undefined) return true;
  if (Array.isArray(desired)) return desired.length === 0;
  return isRecord(desired) && Object.values(desired).every(saysNothing);
}

/** Desired fields put over the live object: maps are merged, everything else is replaced. */
export function mergeInto(live: unknown, desired: unknown): unknown {
  if (!isRecord(live) || !isRecord(desired)) return desired;
  const merged: Record<string, unknown> = { ...live };
  for (const [field, wanted] of Object.entries(desired)) merged[field] = wanted === null || wanted === undefined ? live[field] : mergeInto(live[field], wanted);
  return merged;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function join(path: string, field: string): string {
  return path === "" ? field : `${path}.${field}`;
}

/** undefined where there is no such way. */
export function fieldOf(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((current, field) => (isRecord(current) ? current[field] : undefined), value);
}
