/** What comes before any deletion in a reset: nothing that belongs to the cluster runs any more. */
import type { Action, ResetInput } from "../engine/types.ts";

/** The control groups of all pods (kubelet, --cgroup-root and the systemd driver). Stopping it ends what a dead runtime left running. */
const podSlice = "kubepods.slice";

export async function planQuiet({ read, criSocket, facts, made }: ResetInput): Promise<readonly Action[]> {
  const stop = async (name: string): Promise<readonly Action[]> => {
    const state = await read.unit(name);
    // The journal's undo disables what init enabled.
    return ["active", "activating", "reloading"].includes(state.active) ? [{ kind: "unit", id: `unit/${name}`, name, enabled: state.enabled, running: false, fingerprint: "" }] : [];
  };
  const actions: Action[] = [...(await stop("kubelet.service"))];
  const containerd = await read.unit("containerd.service");
  const stopped = made.has("unit/containerd.service") && containerd.exists && ["inactive", "failed"].includes(containerd.active);
  // Pods outlive their daemon, and only the daemon knows how to end them.
  if (stopped) actions.push({ kind: "unit", id: "unit/containerd.service", name: "containerd.service", enabled: containerd.enabled, running: true, fingerprint: "" });
  if (stopped || facts.criSockets.includes(criSocket)) actions.push({ kind: "sandboxes", id: `pods/${criSocket.replace(/^unix:\/*/, "")}`, socket: criSocket });
  actions.push(...(await stop(podSlice)));
  return actions;
}
