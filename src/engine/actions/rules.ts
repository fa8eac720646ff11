/** Packet-filter rules of kube-proxy, the kubelet and the pod network: they live in the kernel and nobody takes them away when their makers are gone. */
import { KubestickError } from "../../errors.ts";
import type { ActionContext } from "../context.ts";
import { iptablesRemoval, nftRemoval, type Removal } from "../packet-rules.ts";
import type { RulesAction } from "../types.ts";
import type { Handler, Observation } from "./handler.ts";

export const rules: Handler<RulesAction> = {
  slow: false,
  journaled: false,
  observe,
  verify: observe,
  record: () => Promise.resolve(undefined),

  async apply(action, { host, ...context }) {
    const removal = await removalOf(action, { host, ...context });
    if (removal === undefined) return { what: "removed", detail: "removed already" };
    const argv: [string, ...string[]] = action.program === "nft" ? ["nft", "-f", "-"] : [`${action.program}-restore`, "--noflush"];
    const result = await host.exec(argv, { stdin: removal.input });
    if (result.code !== 0) {
      throw new KubestickError({
        code: "PACKET_FILTER_FAILED",
        attempted: "removing the packet-filter rules of kube-proxy and the pod network",
        happened: result.stderr.trim().split("\n")[0] || `${argv.join(" ")} ended with exit code ${result.code}.`,
        next: `Run the same command again. What is left shows in: ${action.program === "nft" ? "nft list ruleset" : `${action.program}-save`}; a reboot removes it.`,
        details: result.stderr.split("\n").filter(Boolean).slice(0, 5),
      });
    }
    return { what: "removed", detail: `removed ${words(removal)}` };
  },

  undo: () => Promise.resolve(undefined),
};

async function observe(action: RulesAction, context: ActionContext): Promise<Observation> {
  const removal = await removalOf(action, context);
  return removal === undefined ? { state: "same" } : { state: "differs", detail: words(removal) };
}

async function removalOf(action: RulesAction, { host }: ActionContext): Promise<Removal | undefined> {
  const found = (await host.packetFilter()).find(({ program }) => program === action.program);
  if (found === undefined) return undefined;
  return found.form === "nft" ? nftRemoval(found.text, action) : iptablesRemoval(found.text, action);
}

function words({ chains, rules: count, tables }: Removal): string {
  return [[tables, "table"], [chains, "chain"], [count, "rule"]].filter(([number]) => number !== 0).map(([number, name]) => `${number} ${name}${number === 1 ? "" : "s"}`).join(", ");
}
