/** What was in the places that the cluster is going to fill, written down before it does. Makes nothing. */
import { dirname } from "node:path";
import { isKubestickError } from "../../errors.ts";
import type { ActionContext } from "../context.ts";
import { chainsAndTables } from "../packet-rules.ts";
import type { SurveyAction, SurveyPlace, SurveyRecord, SurveyedPlace } from "../types.ts";
import type { Handler } from "./handler.ts";

/** Nobody keeps more than this in a directory that belongs to a cluster. */
const mostNames = 1000;

export const survey: Handler<SurveyAction> = {
  slow: false,
  journaled: true,

  async observe({ id, places }, { journal }) {
    return journal.has(id) ? { state: "same" } : { state: "differs", absent: true, detail: `notes what is in ${places.length} places before they are filled` };
  },

  async record({ places, settings = [] }, context) {
    // A version that knew no survey was here first. What is there by now may be ours: nothing can be said of it.
    if (["unit/containerd.service", "unit/kubelet.service"].some((id) => context.journal.has(id))) return { late: true };
    const surveyed: SurveyedPlace[] = [];
    for (const place of places) surveyed.push(await look(place, context));
    const values: Record<string, string> = {};
    for (const key of settings) {
      const value = await context.host.sysctl(key);
      if (value !== undefined) values[key] = value;
    }
    const rules = await context.host.packetFilter().catch((error: unknown) => {
      if (isKubestickError(error)) return undefined;
      throw error;
    });
    const record: SurveyRecord = {
      places: surveyed,
      interfaces: await context.host.interfaces(),
      settings: values,
      ...(rules === undefined || rules.length === 0 ? {} : { rules: [...new Set(rules.flatMap(({ form, text }) => chainsAndTables(form, text)))] }),
    };
    return record;
  },

  apply: ({ places }) => Promise.resolve({ what: "created", detail: `noted what is in ${places.length} places` }),

  undo: () => Promise.resolve(undefined),
};

async function look(place: SurveyPlace, { host }: ActionContext): Promise<SurveyedPlace> {
  const found = await host.stat(place.path);
  const names = await host.list(place.path);
  const parents: string[] = [];
  for (let current = dirname(place.path); current !== "/" && (await host.stat(current)) === undefined; current = dirname(current)) parents.unshift(current);
  const was = found === undefined ? "absent" : names === undefined ? "other" : names.length > mostNames ? "crowded" : "directory";
  return { ...place, was, names: was === "directory" ? names ?? [] : [], ...(found?.type === "directory" ? { mode: found.mode } : {}), parents };
}
