/** `kubestick reset`: asks, then lets the engine run the reset: what the cluster left, and what the journal says was made. */
import { resolve } from "node:path";
import { resolveInitConfig } from "../config/resolve.ts";
import { resolveReset, type ResetRequest } from "../config/reset.ts";
import type { RunOutcome } from "../engine/outcome.ts";
import type { RunEvent } from "../engine/types.ts";
import { runReset } from "../engine/undo.ts";
import { KubestickError } from "../errors.ts";
import { resetFlow } from "../flows/reset.ts";
import type { HostFacts } from "../host/types.ts";
import { anyMachine } from "./any-machine.ts";
import { readConfigFile } from "./config-file.ts";
import type { resetFlags } from "./flag-tables.ts";
import type { FlagValues } from "./flags.ts";
import { onlyTyped } from "./init-options.ts";
import type { Io, OutputFormat } from "./io.ts";
import { machinePorts, type MachinePorts } from "./machine.ts";
import { phaseRunTitle, selected } from "./phase-table.ts";
import { renderRun } from "./render.ts";
import type { ResetPhaseRow } from "./reset-phase-table.ts";

export type ResetFlags = FlagValues<typeof resetFlags>;

export async function resetCommand(flags: ResetFlags, io: Io, ports: MachinePorts = machinePorts("kubestick reset")): Promise<void> {
  await reset(flags, undefined, io, ports);
}

export async function resetPhaseCommand(phase: ResetPhaseRow, flags: ResetFlags, io: Io, ports: MachinePorts = machinePorts("kubestick reset")): Promise<void> {
  await reset(flags, phase, io, ports);
}

async function reset(flags: ResetFlags, phase: ResetPhaseRow | undefined, io: Io, ports: MachinePorts): Promise<void> {
  const facts = await ports.host.facts();
  const request = await requestOf(flags, facts);
  const kubeconfig = flags.kubeconfig === undefined ? undefined : resolve(flags.kubeconfig);
  if (kubeconfig !== undefined && (await ports.host.stat(kubeconfig)) === undefined) throw noKubeconfig(kubeconfig);
  if (!request.dryRun) {
    if (facts.uid !== 0) throw notRoot(facts.uid);
    if (flags.yes !== true && !request.force && phase?.harmless !== true) await confirm(facts.hostname, phase?.phase, io);
  }
  const only = phase === undefined ? undefined : selected(phase);
  const state = await renderRun(events(request, { only, kubeconfig }, io.signal, ports), io, {
    title: phaseRunTitle("reset", only),
    format: (flags.output ?? "text") as OutputFormat,
    continueWith: "Run the same command again to take back the rest.",
  });
  if (phase === undefined && state.actions.size === 0 && flags.output !== "jsonl") io.stderr.write("This program has no record of having installed anything here, so there was nothing to take back.\n");
}

async function requestOf(flags: ResetFlags, facts: HostFacts): Promise<ResetRequest> {
  return resolveReset(onlyTyped({
    certDir: flags["cert-dir"], cleanupTmpDir: flags["cleanup-tmp-dir"], criSocket: flags["cri-socket"], dryRun: flags["dry-run"], force: flags.force,
    ignorePreflightErrors: flags["ignore-preflight-errors"], skipPhases: flags["skip-phases"],
  }), flags.config === undefined ? undefined : await readConfigFile(flags.config, "reset"), facts);
}

async function* events(
  { certificatesDir, criSocket, warnings, ...request }: ResetRequest, { only, kubeconfig }: { readonly only: readonly string[] | undefined; readonly kubeconfig: string | undefined }, signal: AbortSignal, ports: MachinePorts,
): AsyncGenerator<RunEvent, RunOutcome> {
  for (const message of warnings) yield { type: "finding", phase: "config", finding: { check: "Configuration", severity: "warning", message } };
  return yield* runReset({
    // What has to be undone stands in the journal; the configuration only completes the engine's context.
    ...ports, ...request, pkg: undefined, config: resolveInitConfig({ options: {}, facts: anyMachine }).config, signal,
    ...onlyTyped({ only, kubeconfig, certificatesDir, criSocket }),
  }, resetFlow);
}

/** Losing a cluster by pressing return once too often must not be possible: the answer is the node's name, as the question says. */
async function confirm(hostname: string, phase: string | undefined, io: Io): Promise<void> {
  if (io.ask === undefined) {
    throw new KubestickError({
      code: "RESET_NOT_CONFIRMED",
      attempted: "asking whether this node may be reset",
      happened: "There is no terminal to ask on.",
      next: `In scripts, confirm with: kubestick reset${phase === undefined ? "" : ` phase ${phase}`} --yes`,
    });
  }
  io.stderr.write(phase === undefined ? "This stops Kubernetes on this node, removes its pods and volumes, and removes what kubestick installed here. The data of the cluster on this node is lost.\n"
    : `This stops Kubernetes on this node and ends its pods. What phase ${phase} of reset removes is lost.\n`);
  const answer = await io.ask(`Type the name of this node, ${hostname}, to go on: `);
  if (answer.trim() === hostname) return;
  throw new KubestickError({
    code: "RESET_NOT_CONFIRMED",
    attempted: "asking whether this node may be reset",
    happened: answer.trim() === "" ? "No name was typed; nothing was changed." : `This node is ${hostname}, not ${answer.trim()}; nothing was changed.`,
    next: `Run the command again and type ${hostname}, or log in to the machine you meant.`,
  });
}

function noKubeconfig(path: string): KubestickError {
  return new KubestickError({ code: "KUBECONFIG_ABSENT", attempted: "resetting this node", happened: `There is no file ${path}.`, next: "Name a kubeconfig that exists with --kubeconfig, or leave it out; nothing was changed." });
}

function notRoot(uid: number): KubestickError {
  return new KubestickError({ code: "NOT_ROOT", attempted: "resetting this node", happened: `This runs as user id ${uid}, and resetting a node needs root.`, next: "sudo kubestick reset" });
}
