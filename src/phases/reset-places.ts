/** From what a survey found to what has to go. Pure. */
import type { Action, SurveyedPlace } from "../engine/types.ts";

/**
 * containerd ends when the directory that it watches for CNI configurations is removed (pkg/cri, cni_conf_syncer), and is still needed for
 * the images. The one of ours is stopped by the journal's undo, and the directory goes after it.
 */
export function awaitsRuntime({ path }: SurveyedPlace, made: { has(actionId: string): boolean }): boolean {
  return path === "/etc/cni/net.d" && made.has("unit/containerd.service");
}

/** What was there stays: the directory itself, and the names that were in it. Where too much was to be remembered, everything stays. */
export function planContents(places: readonly SurveyedPlace[]): readonly Action[] {
  return places.filter(({ was }) => was === "absent" || was === "directory")
    .map(({ path, was, names, mode, parents, onlyIfEmpty }) => ({ kind: "contents", id: `data${path}`, path, keep: names, keepItself: was === "directory", ...(mode === undefined ? {} : { mode }), parents, ...(onlyIfEmpty === true ? { onlyIfEmpty } : {}) }));
}
