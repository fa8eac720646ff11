/** What comes before any deletion in a reset: nothing that belongs to the cluster runs any more. */
import type { Action, ResetInput } from "../engine/types.ts";

/** The control groups of all pods (kubelet, --cgroup-root and the systemd driver). Stopping it ends what a dead runtime left running. */
const podSlice = "kubepods.slice";

/** Facts know kubeadm's candidates alone, under one of two names for the same folder. */
function answers(socket: string, given: boolean, { criSockets }: ResetInput["facts"]): boolean {
  const plain = (name: string): string => name.replace("/var/run/", "/run/");
  return given || criSockets.some((candidate) => plain(candidate) === plain(socket)) || !candidates.includes(plain(socket));
}

const candidates: readonly string[] = ["unix:///run/containerd/containerd.sock", "unix:///run/crio/crio.sock", "unix:///run/cri-dockerd.sock"];

export async function planQuiet({ read, criSocket, criSocketGiven, facts, made }: ResetInput): Promise<readonly Action[]> {
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
  if (criSocket !== undefined && (stopped || answers(criSocket, criSocketGiven, facts))) actions.push({ kind: "sandboxes", id: `pods/${criSocket.replace(/^unix:\/*/, "")}`, socket: criSocket });
  actions.push(...(await stop(podSlice)));
  return actions;
}
