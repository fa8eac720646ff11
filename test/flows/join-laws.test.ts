/** The laws of the engine on the real join flows, for a worker and for a control plane with its etcd member, and for both where every node has a haproxy of its own. */
import { controlPlaneJoinFlow, workerJoinFlow } from "../../src/flows/join.ts";
import { resetFlow } from "../../src/flows/reset.ts";
import { lawsOf } from "../engine/laws.ts";
import { joinWorld } from "../support/join-world.ts";

const ha = { joining: { controlPlanes: ["192.0.2.10:6443"] } };

lawsOf("join as a worker", () => workerJoinFlow, () => joinWorld("worker"), { crashPoints: 12, resetPhases: resetFlow });
lawsOf("join as a control plane", () => controlPlaneJoinFlow, () => joinWorld("control-plane"), { crashPoints: 10, resetPhases: resetFlow });
lawsOf("join as a worker with ha", () => workerJoinFlow, () => joinWorld("worker", ha), { crashPoints: 6, resetPhases: resetFlow });
lawsOf("join as a control plane with ha", () => controlPlaneJoinFlow, () => joinWorld("control-plane", ha), { crashPoints: 4, resetPhases: resetFlow });
