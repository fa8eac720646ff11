/** A configuration for runs that need nothing of it but the runtime's socket: it only completes the engine's context, so a machine that has lost its address will do. */
import { resolveInitConfig } from "../config/resolve.ts";
import type { ResolvedConfig } from "../config/types.ts";
import { isKubestickError } from "../errors.ts";
import type { HostFacts } from "../host/types.ts";
import { anyMachine } from "./any-machine.ts";

export function configOfMachine(facts: HostFacts, criSocket?: string): ResolvedConfig {
  const options = criSocket === undefined ? {} : { criSocket };
  try {
    return resolveInitConfig({ options, facts }).config;
  } catch (error) {
    if (!isKubestickError(error)) throw error;
    return resolveInitConfig({ options, facts: { ...anyMachine, criSockets: facts.criSockets } }).config;
  }
}
