/** What iproute2 prints with `-json`, as our values. Text that is not such JSON gives undefined: busybox's `ip` knows no -json. */
import type { InterfaceAddress, Route } from "./types.ts";

interface IpLink {
  readonly ifname?: string;
  readonly flags?: readonly string[];
  readonly addr_info?: readonly { readonly family?: string; readonly local?: string; readonly prefixlen?: number; readonly scope?: string; readonly dadfailed?: boolean }[];
}

interface IpRoute {
  readonly dst?: string;
  readonly dev?: string;
  readonly gateway?: string;
  readonly prefsrc?: string;
  readonly type?: string;
  readonly nexthops?: readonly { readonly dev?: string; readonly gateway?: string }[];
}

/** Addresses of interfaces that are up. */
export function parseAddresses(text: string): readonly InterfaceAddress[] | undefined {
  const links = arrayOf<IpLink>(text);
  return links?.filter((link) => link.flags?.includes("UP")).flatMap((link) => (link.addr_info ?? [])
    .filter((info) => (info.family === "inet" || info.family === "inet6") && info.local !== undefined && info.dadfailed !== true)
    .map((info) => ({
      interface: link.ifname ?? "",
      address: info.local ?? "",
      family: info.family === "inet6" ? 6 as const : 4 as const,
      prefixLength: info.prefixlen ?? 0,
      global: info.scope === "global",
    })));
}

/** Routes that lead somewhere; blackhole, unreachable and the like have no device. Of a multipath route, its first hop. */
export function parseRoutes(text: string, family: 4 | 6): readonly Route[] | undefined {
  return arrayOf<IpRoute>(text)?.flatMap((entry) => {
    const { dev, gateway } = entry.dev === undefined ? entry.nexthops?.[0] ?? {} : entry;
    if (entry.dst === undefined || dev === undefined || (entry.type !== undefined && entry.type !== "unicast")) return [];
    const destination = entry.dst === "default" || entry.dst.includes("/") ? entry.dst : `${entry.dst}/${family === 4 ? 32 : 128}`;
    return [{
      destination, family, device: dev,
      ...(gateway === undefined ? {} : { gateway }),
      ...(entry.prefsrc === undefined ? {} : { source: entry.prefsrc }),
    }];
  });
}

function arrayOf<T>(text: string): readonly T[] | undefined {
  try {
    // iproute2 before 4.20 prints nothing at all for an empty list.
    const value: unknown = text.trim() === "" ? [] : JSON.parse(text);
    return Array.isArray(value) ? value.filter((entry) => typeof entry === "object" && entry !== null) as T[] : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
