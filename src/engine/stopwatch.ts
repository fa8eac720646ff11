/**
 * Elapsed time of a wait that a step of the wall clock cannot spoil. On the machines meant here the clock is often set right
 * while we wait (chrony reaches its server); a jump of an hour must neither end a wait nor keep it from ending.
 */
import type { HostReader } from "../host/types.ts";

/** No single try lasts longer: probes have time limits of their own. What looks longer is a clock that was set. */
const longestStepMs = 60_000;

export function startStopwatch(host: Pick<HostReader, "now">): () => number {
  let last = host.now().getTime();
  let elapsed = 0;
  return () => {
    const now = host.now().getTime();
    const step = now - last;
    last = now;
    if (step > 0 && step <= longestStepMs) elapsed += step;
    else if (step !== 0) elapsed += 500; // one poll interval, near enough
    return elapsed;
  };
}
