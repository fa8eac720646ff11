/** JSON Patch (RFC 6902) with JSON Pointers (RFC 6901). The document given is not changed. */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Why a patch cannot be applied, in words that follow "operation 2: ". */
export class PatchProblem extends Error {}

interface Operation {
  readonly op: string;
  readonly path: string;
  readonly from?: string;
  readonly value?: Json;
}

export function applyJsonPatch(document: Json, patch: Json): Json {
  if (!Array.isArray(patch)) throw new PatchProblem("a json patch is a list of operations");
  return (patch as readonly Json[]).reduce<Json>((current, item, index) => {
    try {
      return applyOperation(current, operationOf(item));
    } catch (error) {
      if (error instanceof PatchProblem) throw new PatchProblem(`operation ${index + 1}: ${error.message}`);
      throw error;
    }
  }, document);
}

function operationOf(item: Json): Operation {
  if (!isMap(item)) throw new PatchProblem("an operation is a map with op and path");
  const { op, path, from, value } = item;
  if (typeof op !== "string" || typeof path !== "string") throw new PatchProblem("op and path must be text");
  if ((op === "move" || op === "copy") && typeof from !== "string") throw new PatchProblem(`${op} needs from`);
  if ((op === "add" || op === "replace" || op === "test") && value === undefined) throw new PatchProblem(`${op} needs value`);
  return { op, path, ...(typeof from === "string" ? { from } : {}), ...(value === undefined ? {} : { value }) };
}

function applyOperation(document: Json, { op, path, from = "", value = null }: Operation): Json {
  const tokens = tokensOf(path);
  switch (op) {
    case "add": return put(document, tokens, value, "add");
    case "replace": return put(document, tokens, value, "replace");
    case "remove": return remove(document, tokens);
    case "copy": return put(document, tokens, read(document, tokensOf(from)), "add");
    case "move": {
      if (path !== from && path.startsWith(`${from}/`)) throw new PatchProblem(`${from} cannot be moved into itself`);
      return put(remove(document, tokensOf(from)), tokens, read(document, tokensOf(from)), "add");
    }
    case "test": {
      if (!equal(read(document, tokens), value)) throw new PatchProblem(`the value at ${path} is not the one it tests for`);
      return document;
    }
    default: throw new PatchProblem(`there is no operation ${JSON.stringify(op)}; it must be add, remove, replace, move, copy or test`);
  }
}

function tokensOf(pointer: string): readonly string[] {
  if (pointer === "") return [];
  if (!pointer.startsWith("/")) throw new PatchProblem(`the path ${JSON.stringify(pointer)} must begin with a slash`);
  return pointer.slice(1).split("/").map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function read(document: Json, tokens: readonly string[]): Json {
  return tokens.reduce<Json>((current, token) => {
    const found = Array.isArray(current) ? (current as readonly Json[])[position(current, token, current.length - 1)] : isMap(current) && Object.hasOwn(current, token) ? current[token] : undefined;
    if (found === undefined) throw new PatchProblem(`there is nothing at ${pointerOf(tokens)}`);
    return found;
  }, document);
}

function put(document: Json, tokens: readonly string[], value: Json, how: "add" | "replace"): Json {
  if (tokens.length === 0) return value;
  if (how === "replace") read(document, tokens);
  return changed(document, tokens, tokens, (parent, token) => {
    if (!Array.isArray(parent)) return { ...(parent as { readonly [key: string]: Json }), [token]: value };
    const list = parent as readonly Json[];
    if (how === "replace") return list.with(position(list, token, list.length - 1), value);
    return list.toSpliced(token === "-" ? list.length : position(list, token, list.length), 0, value);
  });
}

function remove(document: Json, tokens: readonly string[]): Json {
  if (tokens.length === 0) throw new PatchProblem("the whole document cannot be removed");
  read(document, tokens);
  return changed(document, tokens, tokens, (parent, token) => {
    if (Array.isArray(parent)) return (parent as readonly Json[]).toSpliced(position(parent as readonly Json[], token, parent.length - 1), 1);
    return Object.fromEntries(Object.entries(parent as { readonly [key: string]: Json }).filter(([key]) => key !== token));
  });
}

/** A copy of the document in which the parent of the last token is changed. */
function changed(current: Json, rest: readonly string[], all: readonly string[], change: (parent: Json, token: string) => Json): Json {
  const [token = "", ...further] = rest;
  if (!Array.isArray(current) && !isMap(current)) throw new PatchProblem(`there is nothing that could hold ${pointerOf(all)}`);
  if (further.length === 0) return change(current, token);
  if (Array.isArray(current)) {
    const list = current as readonly Json[];
    const index = position(list, token, list.length - 1);
    return list.with(index, changed(list[index] as Json, further, all, change));
  }
  const map = current as { readonly [key: string]: Json };
  if (!Object.hasOwn(map, token)) throw new PatchProblem(`there is nothing that could hold ${pointerOf(all)}`);
  return { ...map, [token]: changed(map[token] as Json, further, all, change) };
}

function position(list: readonly Json[], token: string, last: number): number {
  const index = /^(0|[1-9]\d*)$/.test(token) ? Number(token) : -1;
  if (index < 0 || index > last) throw new PatchProblem(`${JSON.stringify(token)} is no place in a list of ${list.length}`);
  return index;
}

function pointerOf(tokens: readonly string[]): string {
  return tokens.map((token) => `/${token.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

export function isMap(value: unknown): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function equal(left: Json | undefined, right: Json | undefined): boolean {
  if (Array.isArray(left) && Array.isArray(right)) return left.length === right.length && (left as readonly Json[]).every((item, index) => equal(item, (right as readonly Json[])[index]));
  if (isMap(left) && isMap(right)) {
    const keys = Object.keys(left);
    return keys.length === Object.keys(right).length && keys.every((key) => Object.hasOwn(right, key) && equal(left[key], right[key]));
  }
  return left === right;
}

/** JSON Merge Patch (RFC 7386): maps are merged, null removes, everything else replaces. */
export function applyMergePatch(document: Json | undefined, patch: Json): Json {
  if (!isMap(patch)) return patch;
  const merged: Record<string, Json> = { ...(isMap(document) ? document : {}) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = applyMergePatch(merged[key], value);
  }
  return merged;
}
