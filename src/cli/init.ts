/** `kubestick init`: flags to a request, the request to a run on the screen. What the run consists of: `init-run.ts`. */
import type { RunOutcome } from "../engine/outcome.ts";
import type { RunEvent } from "../engine/types.ts";
import { initOptionsFromFlags, type InitFlags, type InitRequest } from "./init-options.ts";
import type { Io } from "./io.ts";
import type { MachinePorts } from "./machine.ts";
import { phaseRunTitle } from "./phase-table.ts";
import { renderRun } from "./render.ts";

export async function initCommand(flags: InitFlags, io: Io): Promise<void> {
  await runInit(initOptionsFromFlags(flags), io);
}

/** `ports`: the machine to work on; the real one when left out. */
export async function runInit(request: InitRequest, io: Io, ports?: MachinePorts): Promise<void> {
  await renderRun(events(request, io.signal, ports), io, {
    title: phaseRunTitle("init", request.only),
    format: request.format,
    continueWith: "Run the same command again: it continues where it stopped. To take everything back instead: kubestick reset",
  });
}

/** Loads what an installation needs only now, when the first line is on the screen already: that takes as long as the start of the program. */
async function* events(request: InitRequest, signal: AbortSignal, ports: MachinePorts | undefined): AsyncGenerator<RunEvent, RunOutcome> {
  const { initEvents } = await import("./init-run.ts");
  return yield* initEvents(request, signal, ports);
}
