/** A path at which nothing may be mounted: volumes of pods, whose content must be out of reach before directories are removed. */
import type { ActionContext } from "../context.ts";
import type { UnmountAction } from "../types.ts";
import type { Handler, Observation } from "./handler.ts";

/** Mounts on top of each other at one path. */
const deepest = 16;

export const unmount: Handler<UnmountAction> = {
  slow: false,
  journaled: false,
  observe,
  verify: observe,
  record: () => Promise.resolve(undefined),

  async apply({ path, how }, { host }) {
    for (let layer = 0; layer < deepest && (await host.mounts()).some((mount) => mount.path === path); layer += 1) await host.unmount(path, how);
    return { what: "removed", detail: "unmounted" };
  },

  undo: () => Promise.resolve(undefined),
};

async function observe({ path }: UnmountAction, { host }: ActionContext): Promise<Observation> {
  const found = (await host.mounts()).findLast((mount) => mount.path === path);
  return found === undefined ? { state: "same" } : { state: "differs", detail: `a mount of type ${found.type}` };
}
