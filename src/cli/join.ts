/** `kubestick join`: flags to a request, the request to a run on the screen. What the run consists of: `join-run.ts`. */
import type { RunOutcome } from "../engine/outcome.ts";
import type { RunEvent } from "../engine/types.ts";
import type { FlagTable, FlagValues } from "./flags.ts";
import type { Io } from "./io.ts";
import { joinOptionsFromFlags, type JoinFlags, type JoinRunRequest } from "./join-options.ts";
import type { JoinPhaseCommand } from "./join-phase-table.ts";
import type { JoinPorts } from "./machine.ts";
import { phaseRunTitle, selected } from "./phase-table.ts";
import { renderRun } from "./render.ts";

const adminKubeconfig = "/etc/kubernetes/admin.conf";

export async function joinCommand(flags: JoinFlags, positionals: readonly string[], io: Io): Promise<void> {
  await runJoin(joinOptionsFromFlags(flags, positionals), io);
}

/** One phase or step. Without a word on discovery, the administrator's kubeconfig of this node says which cluster is meant (kubeadm cmd/join.go). */
export async function joinPhaseCommand(entry: JoinPhaseCommand, values: FlagValues<FlagTable>, positionals: readonly string[], io: Io, ports?: JoinPorts): Promise<void> {
  const flags = values as JoinFlags;
  const silent = positionals.length === 0 && flags.config === undefined && flags["discovery-file"] === undefined;
  const request = joinOptionsFromFlags(silent ? { ...flags, "discovery-file": adminKubeconfig } : flags, positionals);
  await runJoin({ ...request, only: selected(entry), ofControlPlane: entry.controlPlane === true }, io, ports);
}

/** `ports`: the machine to work on; the real one when left out. */
export async function runJoin(request: JoinRunRequest, io: Io, ports?: JoinPorts): Promise<void> {
  await renderRun(events(request, io.signal, ports), io, {
    title: phaseRunTitle("join", request.only),
    format: request.format,
    continueWith: "Run the same command again: it continues where it stopped. To take everything back instead: kubestick reset",
  });
}

/** Loads what an installation needs only now, when the first line is on the screen already. */
async function* events(request: JoinRunRequest, signal: AbortSignal, ports: JoinPorts | undefined): AsyncGenerator<RunEvent, RunOutcome> {
  const { joinEvents } = await import("./join-run.ts");
  return yield* joinEvents(request, signal, ports);
}
