/** A YAML document beside its schema: every field that should not be there or has the wrong type, with its place; then the values, cleaned. */
import { isMap, isScalar, isSeq, type Node } from "yaml";
import { formatDuration, parseDuration } from "./duration.ts";
import type { Problem } from "./load.ts";
import { nearest } from "./names.ts";
import type { ObjectSchema, Schema } from "./schema.ts";

export interface NodeContext {
  readonly kind: string;
  /** `file:line:column` of an offset. */
  position(offset: number | undefined): string;
  /** The node an alias stands for; any other node itself. */
  resolve(node: unknown): unknown;
  /** Filled: field path to its place. */
  readonly positions: Map<string, string>;
  /** Filled. */
  readonly problems: Problem[];
  /** Filled: unknown fields where the schema says that they are passed over. */
  readonly warnings: Problem[];
}

/** Fills `positions` and `problems` of the context. */
export function checkNode(given: unknown, schema: Schema, path: string, context: NodeContext): void {
  const { kind, position, problems, positions } = context;
  const node = context.resolve(given);
  const at = position((given as Node | null | undefined)?.range?.[0]);
  if (!positions.has(path)) positions.set(path, at);
  const where = path === "" ? kind : `${kind}.${path}`;
  const wrong = (message: string): void => { problems.push({ path: where, at, message }); };
  // An explicit null is the same as an absent field, as in Go's decoder.
  if (isNull(node)) return;
  const child = (name: string | number): string => (path === "" ? String(name) : `${path}.${name}`);
  switch (schema.type) {
    case "any":
      return;
    case "object":
    case "booleanMap":
    case "stringMap": {
      if (!isMap(node)) return wrong("must be a mapping");
      for (const pair of node.items) {
        const key = isScalar(pair.key) ? String(pair.key.value) : "";
        const keyAt = position((pair.key as Node | null)?.range?.[0]);
        if (!isScalar(pair.key)) { problems.push({ path: where, at: keyAt, message: "a field's name must be a word" }); continue; }
        positions.set(child(key), keyAt);
        const field = schema.type === "object" ? fieldOf(schema, key) : { type: schema.type === "booleanMap" ? "boolean" : "string" } as Schema;
        if (field === undefined) ((schema as ObjectSchema).unknownFields === "warn" ? context.warnings : problems).push({ path: where, at: keyAt, message: unknownField(key, schema as ObjectSchema) });
        else checkNode(pair.value, field, child(key), context);
      }
      return;
    }
    case "list":
      if (!isSeq(node)) return wrong("must be a list");
      node.items.forEach((item, index) => {
        if (isNull(context.resolve(item))) problems.push({ path: `${kind}.${child(index)}`, at, message: "an empty item; write a value or take the line out" });
        else checkNode(item, schema.of, child(index), context);
      });
      return;
    default: {
      // An empty word is the same as an absent one, too.
      if (schema.type === "enum" && isScalar(node) && node.value === "") return;
      const fault = isScalar(node) ? scalarFault(node.value, schema) : `must be ${article(schema.type)}`;
      if (fault !== undefined) wrong(fault);
    }
  }
}

function isNull(node: unknown): boolean {
  return node === null || node === undefined || (isScalar(node) && node.value === null);
}

function fieldOf(schema: ObjectSchema, key: string): Schema | undefined {
  return Object.hasOwn(schema.fields, key) ? schema.fields[key] : undefined;
}

function unknownField(key: string, schema: ObjectSchema): string {
  const close = nearest(key, Object.keys(schema.fields));
  const shown = JSON.stringify(key.length > 80 ? `${key.slice(0, 80)}...` : key);
  return `unknown field ${shown}${close === undefined ? `; known: ${Object.keys(schema.fields).join(", ")}` : `; did you mean "${close}"?`}`;
}

function scalarFault(value: unknown, schema: Schema): string | undefined {
  switch (schema.type) {
    case "string":
      return typeof value === "string" ? undefined : `must be a string; write ${JSON.stringify(String(value))} in quotes`;
    case "boolean":
      return typeof value === "boolean" ? undefined : "must be true or false";
    case "integer":
      // Go's fields are int32.
      return Number.isInteger(value) && Math.abs(value as number) <= 2_147_483_647 ? undefined : "must be a whole number";
    case "number":
      return typeof value === "number" && Number.isFinite(value) ? undefined : "must be a number";
    case "duration":
      return typeof value === "string" && parseDuration(value) !== undefined ? undefined : `must be a duration such as 4m0s or 24h0m0s, not ${shorten(value)}`;
    case "enum": {
      if (typeof value === "string" && schema.values.includes(value)) return undefined;
      const close = nearest(String(value), schema.values);
      return `must be one of ${schema.values.join(", ")}, not ${shorten(value)}${close === undefined ? "" : `; did you mean ${close}?`}`;
    }
    default:
      return undefined;
  }
}

function shorten(value: unknown): string {
  const text = JSON.stringify(typeof value === "bigint" ? String(value) : value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}

function article(type: string): string {
  return type === "duration" ? "a duration" : type === "enum" ? "a word" : type === "integer" ? "a whole number" : `a ${type}`;
}

/** The values as Go's decoder leaves them: fields that are null are absent, texts a program needs are there. Wrong shapes stay as they are; they have been told. */
export function cleaned(value: unknown, schema: Schema): unknown {
  if (schema.type === "list") return Array.isArray(value) ? value.map((item: unknown) => cleaned(item, schema.of)) : value;
  if (schema.type === "duration" && typeof value === "string") return formatDuration(parseDuration(value) ?? 0);
  if (schema.type !== "object" && schema.type !== "booleanMap" && schema.type !== "stringMap") return value;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value as Readonly<Record<string, unknown>>).filter(([, field]) => field !== null && field !== undefined);
  if (schema.type !== "object") return Object.fromEntries(entries);
  return { ...schema.defaults, ...Object.fromEntries(entries.flatMap(([name, field]) => {
    const known = fieldOf(schema, name);
    if (known === undefined) return schema.unknownFields === "warn" ? [] : [[name, field]];
    const zero = field === false || field === 0 || field === "";
    return (zero && known.omitZero === true) || (field === "" && known.type === "enum") ? [] : [[name, cleaned(field, known)]];
  })) };
}
