/** Empty control groups of pods. Under cgroup v1 they remain in every hierarchy but systemd's when their slice is stopped, and nobody takes them away before the next boot. */
import { join } from "node:path";
import type { ActionContext } from "../context.ts";
import type { ControlGroupAction } from "../types.ts";
import type { Handler, Observation } from "./handler.ts";

/** A process that was killed a moment ago still holds its group; the kernel says EBUSY until it is gone. */
const tries = 20;
const pauseMs = 250;

export const controlGroup: Handler<ControlGroupAction> = {
  slow: false,
  journaled: false,
  observe,
  verify: observe,
  record: () => Promise.resolve(undefined),

  async apply({ paths }, { host, signal }) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        let removed = 0;
        for (const path of paths) removed += await removeBelow(path, host);
        return { what: "removed", detail: `removed ${groups(removed)}` };
      } catch (error) {
        if (attempt === tries) throw error;
        await host.sleep(pauseMs, signal);
      }
    }
  },

  undo: () => Promise.resolve(undefined),
};

async function observe({ paths }: ControlGroupAction, { host }: ActionContext): Promise<Observation> {
  let left = 0;
  for (const path of paths) if ((await host.stat(path)) !== undefined) left += 1;
  return left === 0 ? { state: "same" } : { state: "differs", detail: left === 1 ? "to be removed" : `to be removed in ${left} hierarchies` };
}

/** From the inside out: a group goes by rmdir, although it holds files. */
async function removeBelow(path: string, host: ActionContext["host"]): Promise<number> {
  if ((await host.stat(path)) === undefined) return 0;
  let removed = 1;
  for (const name of (await host.list(path)) ?? []) if ((await host.stat(join(path, name)))?.type === "directory") removed += await removeBelow(join(path, name), host);
  await host.remove(path);
  return removed;
}

function groups(count: number): string {
  return `${count} ${count === 1 ? "group" : "groups"}`;
}
