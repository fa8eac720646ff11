/** `kubestick ha enable`: flags to a request, the request to a run on the screen. What the run consists of: `ha-run.ts`. */
import type { RunOutcome } from "../engine/outcome.ts";
import type { RunEvent } from "../engine/types.ts";
import type { haFlags } from "./flag-tables.ts";
import type { FlagValues } from "./flags.ts";
import type { HaRequest } from "./ha-run.ts";
import { onlyTyped } from "./init-options.ts";
import type { Io, OutputFormat } from "./io.ts";
import type { MachinePorts } from "./machine.ts";
import { renderRun } from "./render.ts";
import { trustFlags } from "./trust-flags.ts";

export type HaFlags = FlagValues<typeof haFlags>;

export async function haEnableCommand(flags: HaFlags, io: Io, ports?: MachinePorts): Promise<void> {
  const request: HaRequest = {
    dryRun: flags["dry-run"] === true,
    ...onlyTyped({ endpoint: flags["control-plane-endpoint"], packagePath: flags.package, packageParts: flags.part, trust: trustFlags(flags) }),
  };
  await renderRun(events(request, io.signal, ports), io, {
    title: "kubestick ha enable", format: (flags.output ?? "text") as OutputFormat, continueWith: "Run the same command again: it continues where it stopped.",
  });
}

async function* events(request: HaRequest, signal: AbortSignal, ports: MachinePorts | undefined): AsyncGenerator<RunEvent, RunOutcome> {
  const { haEvents } = await import("./ha-run.ts");
  return yield* haEvents(request, signal, ports);
}
