/**
 * The three Reflect functions that tsyringe, the dependency container inside @peculiar/x509, insists on at import.
 * They implement just the part of the abandoned "metadata reflection" proposal it uses: values by key on a class, found through its
 * prototypes. The full polyfill is forty times this size.
 */
const stored = new WeakMap<object, Map<unknown, unknown>>();

function own(key: unknown, target: object): unknown {
  return stored.get(target)?.get(key);
}

function inherited(key: unknown, target: object): unknown {
  for (let at: object | null = target; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    if (stored.get(at)?.has(key) === true) return own(key, at);
  }
  return undefined;
}

function define(key: unknown, value: unknown, target: object): void {
  stored.set(target, (stored.get(target) ?? new Map<unknown, unknown>()).set(key, value));
}

if (!("getMetadata" in Reflect)) Object.assign(Reflect, { getMetadata: inherited, getOwnMetadata: own, defineMetadata: define });
