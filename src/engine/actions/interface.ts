/** A network interface that must not be there. Its addresses and routes go with it. */
import type { ActionContext } from "../context.ts";
import type { InterfaceAction } from "../types.ts";
import type { Handler, Observation } from "./handler.ts";

export const networkInterface: Handler<InterfaceAction> = {
  slow: false,
  journaled: false,
  observe,
  verify: observe,
  record: () => Promise.resolve(undefined),

  async apply({ name }, { host }) {
    await host.deleteInterface(name);
    return { what: "removed", detail: "removed" };
  },

  undo: () => Promise.resolve(undefined),
};

async function observe({ name }: InterfaceAction, { host }: ActionContext): Promise<Observation> {
  return (await host.interfaces()).includes(name) ? { state: "differs", detail: "with its addresses and routes" } : { state: "same" };
}
