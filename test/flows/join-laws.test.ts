/** The laws of the engine on the real join flows, for a worker and for a control plane with its etcd member. */
import { controlPlaneJoinFlow, workerJoinFlow } from "../../src/flows/join.ts";
import { resetFlow } from "../../src/flows/reset.ts";
import { lawsOf } from "../engine/laws.ts";
import { joinWorld } from "../support/join-world.ts";

lawsOf("join as a worker", () => workerJoinFlow, () => joinWorld("worker"), { crashPoints: 12, resetPhases: resetFlow });
lawsOf("join as a control plane", () => controlPlaneJoinFlow, () => joinWorld("control-plane"), { crashPoints: 10, resetPhases: resetFlow });
