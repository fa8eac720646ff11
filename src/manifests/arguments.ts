/** Command-line flags of components: kubeadm's defaults with the user's extraArgs on top. Facts: kubeadm util/arguments.go. */
import type { Arg } from "../config/types.ts";

/** Name to value; a value that is undefined means: leave this default out. */
export type DefaultArguments = Readonly<Record<string, string | undefined>>;

/**
 * Defaults sorted by name, without those the user overrides, then the user's in their order, duplicates included: some flags
 * (`tls-sni-cert-key`) are meant to be repeated.
 */
export function mergeArguments(defaults: DefaultArguments, extra: readonly Arg[] = []): readonly string[] {
  const overridden = new Set(extra.map((arg) => arg.name));
  const kept = Object.entries(defaults)
    .filter(([name, value]) => value !== undefined && !overridden.has(name))
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([name, value]) => `--${name}=${value}`);
  return [...kept, ...extra.map((arg) => `--${arg.name}=${arg.value}`)];
}

/** The value a component ends up with when a flag is repeated: the last one. */
export function lastValue(args: readonly Arg[] | undefined, name: string): string | undefined {
  return args?.findLast((arg) => arg.name === name)?.value;
}
