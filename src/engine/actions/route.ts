/** A route of the main table. */
import type { Route } from "../../host/types.ts";
import type { ActionContext } from "../context.ts";
import type { JournalEntry, RouteAction } from "../types.ts";
import { unreadable } from "./found-path.ts";
import type { Handler, Observation } from "./handler.ts";

export const route: Handler<RouteAction> = {
  slow: false,
  journaled: true,
  observe,
  verify: observe,

  async record({ route: wanted }, { host, journal }) {
    if (journal.found("destination", keyOf(wanted)) !== undefined) return { destination: keyOf(wanted), was: "ours" };
    const before = (await host.routes()).find((other) => keyOf(other) === keyOf(wanted));
    return { destination: keyOf(wanted), route: wanted, ...(before === undefined ? {} : { before }) };
  },

  async apply({ route: wanted }, { host }) {
    const before = (await host.routes()).some((other) => keyOf(other) === keyOf(wanted));
    await host.replaceRoute(wanted);
    return before ? { what: "changed", detail: `changed to ${words(wanted)}` } : { what: "created", detail: `created ${words(wanted)}` };
  },

  async undo(entry, { host }) {
    const undo = entry.undo ?? {};
    if (undo["was"] === "ours") return undefined;
    const ours = routeOf(undo["route"], entry);
    const now = (await host.routes()).find((other) => keyOf(other) === keyOf(ours));
    if (undo["before"] !== undefined) {
      await host.replaceRoute(routeOf(undo["before"], entry));
      return { status: "removed", detail: "restored the route that was there before" };
    }
    if (now === undefined) return { status: "removed", detail: "removed already" };
    if (!matches(now, ours)) return { status: "kept", detail: "somebody changed it since" };
    await host.deleteRoute(ours);
    return { status: "removed", detail: "removed" };
  },
};

async function observe({ route: wanted }: RouteAction, { host }: ActionContext): Promise<Observation> {
  const found = (await host.routes()).find((other) => keyOf(other) === keyOf(wanted));
  if (found === undefined) return { state: "differs", detail: words(wanted) };
  return matches(found, wanted) ? { state: "same" } : { state: "differs", detail: `${words(found)} becomes ${words(wanted)}` };
}

function keyOf({ destination, family }: Route): string {
  return `${destination} ${family}`;
}

/** Without a wanted source, whichever the kernel prefers. */
function matches(found: Route, wanted: Route): boolean {
  return found.device === wanted.device && found.gateway === wanted.gateway && (wanted.source === undefined || found.source === wanted.source);
}

function words({ device, gateway, source }: Route): string {
  return `${gateway === undefined ? "" : `via ${gateway} `}dev ${device}${source === undefined ? "" : ` src ${source}`}`;
}

function routeOf(value: unknown, entry: JournalEntry): Route {
  const found = value as Partial<Route> | null | undefined;
  if (typeof found?.destination !== "string" || typeof found.device !== "string" || (found.family !== 4 && found.family !== 6)) throw unreadable(entry, "route");
  return found as Route;
}
