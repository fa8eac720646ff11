/** API objects for people: never a value of a Secret. */
import type { KubeObject } from "../../cluster/types.ts";
import { unifiedDiff } from "../text-diff.ts";
import type { ObjectAction } from "../types.ts";
import { isRecord, type Difference } from "./object-compare.ts";

const withheld = "<withheld>";

function isSecret({ secret, object }: Pick<ObjectAction, "secret" | "object">): boolean {
  return secret === true || object.kind === "Secret";
}

/** The object with the values of `data` and `stringData` withheld when it is secret; keys stay, they help to recognise it. */
export function withoutSecrets(action: Pick<ObjectAction, "secret" | "object">): KubeObject {
  if (!isSecret(action)) return action.object;
  return Object.fromEntries(Object.entries(action.object).map(([field, value]) => [
    field, (field === "data" || field === "stringData") && isRecord(value) ? Object.fromEntries(Object.keys(value).map((key) => [key, withheld])) : value,
  ])) as unknown as KubeObject;
}

/** One line per field that differs; of texts with several lines, a diff. */
export function differencesText(action: Pick<ObjectAction, "secret" | "object">, differences: readonly Difference[]): string {
  return differences.map(({ path, live, desired }) => {
    if (isSecret(action)) return `${path}: ${withheld}\n`;
    if (typeof live === "string" && typeof desired === "string" && (live.includes("\n") || desired.includes("\n"))) return unifiedDiff(live, desired, path);
    return `${path}: ${brief(live)} -> ${brief(desired)}\n`;
  }).join("");
}

function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? "(absent)";
  return text.length > 160 ? `${text.slice(0, 160)}...` : text;
}
