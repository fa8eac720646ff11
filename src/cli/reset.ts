/** `kubestick reset`: asks, then lets the engine run the reset: what the cluster left, and what the journal says was made. */
import { runReset } from "../engine/undo.ts";
import { KubestickError } from "../errors.ts";
import { resetFlow } from "../flows/reset.ts";
import { configOfMachine } from "./machine-config.ts";
import type { resetFlags } from "./flag-tables.ts";
import type { FlagValues } from "./flags.ts";
import type { Io, OutputFormat } from "./io.ts";
import { machinePorts, type MachinePorts } from "./machine.ts";
import { renderRun } from "./render.ts";

export type ResetFlags = FlagValues<typeof resetFlags>;

export async function resetCommand(flags: ResetFlags, io: Io, ports: MachinePorts = machinePorts("kubestick reset")): Promise<void> {
  const dryRun = flags["dry-run"] === true;
  const facts = await ports.host.facts();
  if (!dryRun) {
    if (facts.uid !== 0) throw notRoot(facts.uid);
    if (flags.yes !== true && flags.force !== true) await confirm(facts.hostname, io);
  }
  const events = runReset({
    ...ports, pkg: undefined, config: configOfMachine(facts), dryRun, signal: io.signal,
    skipPhases: flags["skip-phases"] ?? [], force: flags.force === true, cleanupTmpDir: flags["cleanup-tmp-dir"] === true,
  }, resetFlow);
  const state = await renderRun(events, io, {
    title: "kubestick reset",
    format: (flags.output ?? "text") as OutputFormat,
    continueWith: "Run the same command again to take back the rest.",
  });
  if (state.actions.size === 0 && flags.output !== "jsonl") io.stderr.write("This program has no record of having installed anything here, so there was nothing to take back.\n");
}

/** Losing a cluster by pressing return once too often must not be possible: the answer is the node's name, as the question says. */
async function confirm(hostname: string, io: Io): Promise<void> {
  if (io.ask === undefined) {
    throw new KubestickError({
      code: "RESET_NOT_CONFIRMED",
      attempted: "asking whether this node may be reset",
      happened: "There is no terminal to ask on.",
      next: "In scripts, confirm with: kubestick reset --yes",
    });
  }
  io.stderr.write(`This stops Kubernetes on this node, removes its pods and volumes, and removes what kubestick installed here. The data of the cluster on this node is lost.\n`);
  const answer = await io.ask(`Type the name of this node, ${hostname}, to go on: `);
  if (answer.trim() === hostname) return;
  throw new KubestickError({
    code: "RESET_NOT_CONFIRMED",
    attempted: "asking whether this node may be reset",
    happened: answer.trim() === "" ? "No name was typed; nothing was changed." : `This node is ${hostname}, not ${answer.trim()}; nothing was changed.`,
    next: `Run the command again and type ${hostname}, or log in to the machine you meant.`,
  });
}

function notRoot(uid: number): KubestickError {
  return new KubestickError({ code: "NOT_ROOT", attempted: "resetting this node", happened: `This runs as user id ${uid}, and resetting a node needs root.`, next: "sudo kubestick reset" });
}
