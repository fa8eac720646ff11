/** Phases `control-plane-join` and `wait-control-plane` of a join: labels and taints as at init, and the same questions to the components. */
import type { Phase } from "../engine/types.ts";
import { markControlPlane } from "./mark-control-plane.ts";
import { waitControlPlane } from "./wait-control-plane.ts";

export const controlPlaneJoin: Phase<"control-plane-join", Record<never, never>, Record<never, never>> = {
  id: "control-plane-join",
  title: "Mark this node as control plane",
  needs: [],
  steps: [{ id: "mark-control-plane", title: "Set the labels and taints of a control plane" }],
  async plan(input) {
    const { actions, output } = await markControlPlane.plan(input);
    return { actions: actions.map((action) => ({ ...action, step: "mark-control-plane" })), output };
  },
};

/** The kubelet was waited for already, and the administrators' rights are the cluster's. */
export const joinWaitControlPlane: Phase<"wait-control-plane", Record<never, never>, Record<never, never>> = {
  ...waitControlPlane,
  async plan(input) {
    const { actions, output } = await waitControlPlane.plan(input);
    return { actions: actions.filter(({ kind, id }) => kind === "wait" && id !== "wait/kubelet"), output };
  },
};
