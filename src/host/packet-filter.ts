/** The packet filter's rules through the programs this machine has for it. Reading makes no table and loads nothing. */
import { isKubestickError, KubestickError } from "../errors.ts";
import type { Exec } from "./systemd.ts";
import type { RuleSet } from "./types.ts";

/** nft shows what iptables-nft made; where it is absent, iptables-nft itself does. The legacy tables are a world of their own in the kernel. */
const iptablesPrograms = ["iptables", "ip6tables"];

export async function readPacketFilter(exec: Exec): Promise<readonly RuleSet[]> {
  const sets: RuleSet[] = [];
  const nft = await answer(exec, ["nft", "-j", "list", "ruleset"]);
  if (nft !== undefined) sets.push({ form: "nft", program: "nft", text: nft });
  for (const stem of iptablesPrograms) {
    const legacy = await answer(exec, [`${stem}-legacy-save`]);
    if (legacy !== undefined) sets.push({ form: "iptables", program: `${stem}-legacy`, text: legacy });
    if (nft !== undefined) continue;
    const modern = await answer(exec, [`${stem}-nft-save`]);
    if (modern !== undefined) sets.push({ form: "iptables", program: `${stem}-nft`, text: modern });
    // Before 1.8 there was one iptables, and no suffix.
    const only = legacy === undefined && modern === undefined ? await answer(exec, [`${stem}-save`]) : undefined;
    if (only !== undefined) sets.push({ form: "iptables", program: stem, text: only });
  }
  return sets;
}

/** undefined: there is no such program. */
async function answer(exec: Exec, argv: readonly [string, ...string[]]): Promise<string | undefined> {
  try {
    const result = await exec(argv);
    if (result.code === 0) return result.stdout;
    // A kernel without these tables (no IPv6, no nf_tables) has no rules in them.
    if (/not supported|Protocol not|can't initialize|does not exist|No such file|cache initialization failed: Invalid argument/i.test(result.stderr)) return "";
    throw new KubestickError({
      code: "PACKET_FILTER_UNREADABLE",
      attempted: "reading the rules of the packet filter",
      happened: result.stderr.trim() || `${argv.join(" ")} ended with exit code ${result.code}.`,
      next: `Run it by hand as root: ${argv.join(" ")}`,
    });
  } catch (error) {
    if (isKubestickError(error) && error.code === "COMMAND_NOT_FOUND") return undefined;
    throw error;
  }
}
