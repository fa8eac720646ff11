/** `kubestick init phase ...`: the run of init with one phase or step named, or that phase's objects as text. */
import { resolve } from "node:path";
import { initOptionsFromFlags, type InitFlags, type InitRequest } from "./init-options.ts";
import { runInit } from "./init.ts";
import type { FlagTable, FlagValues } from "./flags.ts";
import type { PhaseCommand } from "./init-phase-table.ts";
import type { Io } from "./io.ts";
import type { MachinePorts } from "./machine.ts";
import { selected } from "./phase-table.ts";

/** `ports`: the machine to work on; the real one when left out. */
export async function initPhaseCommand(entry: PhaseCommand, values: FlagValues<FlagTable>, io: Io, ports?: MachinePorts): Promise<void> {
  const { "print-manifest": printManifest, kubeconfig, "kubeconfig-dir": directory, ...flags } = values as FlagValues<FlagTable> & { readonly kubeconfig?: string; readonly "kubeconfig-dir"?: string };
  const request: InitRequest = {
    ...initOptionsFromFlags(flags as InitFlags),
    only: selected(entry),
    ...(kubeconfig === undefined ? {} : { kubeconfig: resolve(kubeconfig) }),
    ...(directory === undefined ? {} : { kubeconfigDirectory: resolve(directory) }),
  };
  if ((printManifest as unknown) !== true) return await runInit(request, io, ports);
  const { addonManifests } = await import("./init-run.ts");
  io.stdout.write(await addonManifests(request, entry.step as string, ports));
}
