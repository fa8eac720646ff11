/** `kubestick init phase ...`: the run of init with one phase or step named, or that phase's objects as text. */
import { initOptionsFromFlags, type InitFlags } from "./init-options.ts";
import { runInit } from "./init.ts";
import type { FlagTable, FlagValues } from "./flags.ts";
import type { PhaseCommand } from "./init-phase-table.ts";
import type { Io } from "./io.ts";
import type { MachinePorts } from "./machine.ts";

/** `ports`: the machine to work on; the real one when left out. */
export async function initPhaseCommand({ phase, step }: PhaseCommand, values: FlagValues<FlagTable>, io: Io, ports?: MachinePorts): Promise<void> {
  const { "print-manifest": printManifest, ...flags } = values;
  const request = { ...initOptionsFromFlags(flags as InitFlags), only: [step === undefined ? phase : `${phase}/${step}`] };
  if ((printManifest as unknown) !== true) return await runInit(request, io, ports);
  const { addonManifests } = await import("./init-run.ts");
  io.stdout.write(await addonManifests(request, step as string, ports));
}
