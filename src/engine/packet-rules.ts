/**
 * Packet-filter rules as text, and the text that takes some of them away: chains by the beginning of their name, rules that lead into
 * them, whole tables. Everything else in the same tables stays as it is. Pure.
 */
import { KubestickError } from "../errors.ts";

export interface Unwanted {
  readonly chainPrefixes: readonly string[];
  /** `ip kube-proxy`. One of iptables' own tables goes only when nothing is left in it. */
  readonly tables: readonly string[];
  /** Chains and tables that were there before, as `chainsAndTables` names them. */
  readonly keep: readonly string[];
}

export interface Removal {
  /** For the standard input of `iptables-restore --noflush` or of `nft -f -`. */
  readonly input: string;
  readonly chains: number;
  readonly rules: number;
  readonly tables: number;
}

const iptablesTables: ReadonlySet<string> = new Set(["filter", "nat", "mangle", "raw", "security"]);

const iptablesHooks: ReadonlySet<string> = new Set(["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]);

/** From `iptables-save`. undefined: nothing to take away. */
export function iptablesRemoval(saved: string, unwanted: Unwanted): Removal | undefined {
  const ours = chainTest(unwanted);
  const out: string[] = [];
  let [chains, rules] = [0, 0];
  for (const block of saved.split(/^(?=\*)/m)) {
    const lines = block.split("\n").map((line) => line.trim());
    if (!lines[0]?.startsWith("*")) continue;
    const names = lines.filter((line) => line.startsWith(":")).map((line) => line.slice(1).split(" ")[0] ?? "").filter(ours);
    const leading = lines.filter((line) => line.startsWith("-A ") && !ours(line.split(" ")[1] ?? "") && ours(targetOf(line) ?? ""));
    if (names.length + leading.length === 0) continue;
    chains += names.length;
    rules += leading.length;
    // Naming a chain empties it (iptables-restore(8), --noflush), so that no chain still refers to another when they are deleted.
    out.push(lines[0], ...names.map((name) => `:${name} - [0:0]`), ...leading.map((line) => `-D ${line.slice(3)}`), ...names.map((name) => `-X ${name}`), "COMMIT");
  }
  return out.length === 0 ? undefined : { input: `${out.join("\n")}\n`, chains, rules, tables: 0 };
}

/** Where a rule leads; a comment may hold anything, so what stands in quotes is passed over. */
function targetOf(rule: string): string | undefined {
  return / -[jg] (\S+)/.exec(rule.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""'))?.[1];
}

interface NftChain { readonly family: string; readonly table: string; readonly name: string; readonly hook?: string; readonly policy?: string }
interface NftRule { readonly family: string; readonly table: string; readonly chain: string; readonly handle: number; readonly expr?: unknown }
interface NftObject { readonly table?: { readonly family: string; readonly name: string }; readonly chain?: NftChain; readonly rule?: NftRule; readonly [other: string]: unknown }

/** From `nft -j list ruleset` (libnftables-json(5)). undefined: nothing to take away. */
export function nftRemoval(listed: string, unwanted: Unwanted): Removal | undefined {
  const objects = nftObjects(listed);
  const ours = chainTest(unwanted);
  const chains = objects.flatMap(({ chain }) => (chain === undefined ? [] : [chain]));
  const rules = objects.flatMap(({ rule }) => (rule === undefined ? [] : [rule]));
  const out: string[] = [];
  const counts = { chains: 0, rules: 0, tables: 0 };
  for (const { table } of objects) {
    if (table === undefined) continue;
    const id = `${table.family} ${table.name}`;
    const inside = (entry: { readonly family: string; readonly table: string }): boolean => entry.family === table.family && entry.table === table.name;
    const listedTable = unwanted.tables.includes(id) && !unwanted.keep.includes(id);
    if (listedTable && !iptablesTables.has(table.name)) {
      out.push(`delete table ${id}`);
      counts.tables += 1;
      continue;
    }
    if (table.family !== "ip" && table.family !== "ip6") continue;
    const gone = chains.filter((chain) => inside(chain) && ours(chain.name));
    const leading = rules.filter((rule) => inside(rule) && !ours(rule.chain) && targetsOf(rule.expr).some(ours));
    const restRules = rules.filter((rule) => inside(rule) && !ours(rule.chain)).length - leading.length;
    const restChains = chains.filter((chain) => inside(chain) && !ours(chain.name));
    if (listedTable && restRules === 0 && restChains.every(({ hook, policy }) => hook !== undefined && (policy ?? "accept") === "accept")) {
      out.push(`delete table ${id}`);
      counts.tables += 1;
      continue;
    }
    // iptables-nft hooks its chains into a table that was there, too, and leaves them there when their rules are gone.
    const holds = (name: string): boolean => rules.some((rule) => inside(rule) && rule.chain === name && !leading.includes(rule));
    const hooked = !unwanted.keep.includes(id) || !iptablesTables.has(table.name) ? [] : restChains
      .filter(({ name, hook, policy }) => iptablesHooks.has(name) && hook !== undefined && (policy ?? "accept") === "accept" && !holds(name) && !unwanted.keep.includes(`${id} ${name}`));
    out.push(
      ...leading.map(({ chain, handle }) => `delete rule ${id} ${chain} handle ${handle}`), ...gone.map(({ name }) => `flush chain ${id} ${name}`),
      ...[...gone, ...hooked].map(({ name }) => `delete chain ${id} ${name}`),
    );
    counts.chains += gone.length + hooked.length;
    counts.rules += leading.length;
  }
  return out.length === 0 ? undefined : { input: `${out.join("\n")}\n`, ...counts };
}

/** Names of chains and tables that are there now, for a later comparison; chains with a hook with their table (`ip filter INPUT`), for each table has its own. */
export function chainsAndTables(form: "iptables" | "nft", text: string): readonly string[] {
  if (form === "iptables") return [...text.matchAll(/^:(\S+) -/gm)].map((match) => match[1] as string);
  return nftObjects(text).flatMap(({ table, chain }) => (table !== undefined ? [`${table.family} ${table.name}`] : chain === undefined ? [] : [chain.hook === undefined ? chain.name : `${chain.family} ${chain.table} ${chain.name}`]));
}

function targetsOf(expression: unknown): string[] {
  if (Array.isArray(expression)) return expression.flatMap(targetsOf);
  if (typeof expression !== "object" || expression === null) return [];
  return Object.entries(expression).flatMap(([key, value]) => {
    const target = key === "jump" || key === "goto" ? (value as { readonly target?: unknown } | null)?.target : undefined;
    return typeof target === "string" ? [target] : targetsOf(value);
  });
}

function chainTest({ chainPrefixes, keep }: Unwanted): (name: string) => boolean {
  return (name) => chainPrefixes.some((prefix) => name.startsWith(prefix)) && !keep.includes(name);
}

function nftObjects(text: string): readonly NftObject[] {
  if (text.trim() === "") return [];
  try {
    const value = JSON.parse(text) as { readonly nftables?: unknown };
    if (Array.isArray(value.nftables)) return value.nftables as readonly NftObject[];
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new KubestickError({
    code: "PACKET_FILTER_UNREADABLE",
    attempted: "reading the rules of the packet filter",
    happened: "What nft printed is no JSON of rules, or too long to be read.",
    next: "Look at it: nft -j list ruleset. A reboot empties the kernel's rules.",
  });
}
