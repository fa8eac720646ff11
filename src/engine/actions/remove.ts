/** A path that must not exist. What was there is kept in the backups, so that a reset brings it back. */
import type { ActionContext } from "../context.ts";
import type { RemoveAction } from "../types.ts";
import { recordPath, restorePath } from "./found-path.ts";
import type { Handler, Observation } from "./handler.ts";

export const remove: Handler<RemoveAction> = {
  slow: false,
  journaled: true,
  observe,
  verify: observe,
  record: ({ path }, context) => recordPath(path, context),

  async apply({ path, recursive, settles }, { host }) {
    for (const settled of settles ?? []) await host.flush(settled);
    await host.remove(path, { recursive: recursive ?? false });
    return { what: "removed", detail: "removed" };
  },

  undo: restorePath,
};

async function observe({ path }: RemoveAction, { host }: ActionContext): Promise<Observation> {
  const found = await host.stat(path);
  return found === undefined ? { state: "same" } : { state: "differs", detail: `removes a ${found.type}` };
}
