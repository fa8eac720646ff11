/** The laws of the engine on the real init flow: every phase, on a machine in memory whose daemons come up when their units start. */
import { initFlow } from "../../src/flows/init.ts";
import { resetFlow } from "../../src/flows/reset.ts";
import { lawsOf } from "../engine/laws.ts";
import { initWorld } from "../support/init-world.ts";

// Keys are made anew for every kill: a sample of the changes keeps this within seconds. The fixture flow tries all of its own.
lawsOf("init", () => initFlow, initWorld, { crashPoints: 6, resetPhases: resetFlow });
