/** Reset phase `cleanup-runtime`: the store of the runtime that init installed, when the runtime is stopped. One that was there before keeps its own. */
import type { Finding, ResetPhase } from "../engine/types.ts";
import { awaitsRuntime, planContents } from "./reset-places.ts";

export const cleanupRuntime: ResetPhase = {
  id: "cleanup-runtime",
  title: "Remove the data of the container runtime that init installed",
  async plan({ read, survey, made, dryRun }) {
    const places = (survey?.places ?? []).filter((place) => place.of === "runtime" || awaitsRuntime(place, made));
    if (places.length === 0) return { actions: [] };
    if (!dryRun && ["active", "deactivating"].includes((await read.unit("containerd.service")).active)) {
      const finding: Finding = { check: "RuntimeRunning", severity: "error", message: "containerd still runs, so its data in /var/lib/containerd cannot go", hint: "Stop it, then run the same command again: systemctl stop containerd" };
      return { actions: [], findings: [finding] };
    }
    const mounts = (await read.mounts()).map(({ path }) => path).filter((path) => places.some((place) => path.startsWith(`${place.path}/`)));
    return { actions: [...[...new Set(mounts.toReversed())].map((path) => ({ kind: "unmount" as const, id: `mount${path}`, path })), ...planContents(places)] };
  },
};
