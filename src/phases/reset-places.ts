/** From what a survey found to what has to go. Pure. */
import type { Action, SurveyedPlace } from "../engine/types.ts";

/** What was there stays: the directory itself, and the names that were in it. Where too much was to be remembered, everything stays. */
export function planContents(places: readonly SurveyedPlace[]): readonly Action[] {
  return places.filter(({ was }) => was === "absent" || was === "directory")
    .map(({ path, was, names, mode, parents, onlyIfEmpty }) => ({ kind: "contents", id: `data${path}`, path, keep: names, keepItself: was === "directory", ...(mode === undefined ? {} : { mode }), parents, ...(onlyIfEmpty === true ? { onlyIfEmpty } : {}) }));
}
