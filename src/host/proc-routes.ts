/** Routes from /proc/net/route and /proc/net/ipv6_route, for machines without iproute2. */
import type { Route } from "./types.ts";

/** Routing flags of <linux/route.h>. */
const up = 0x1;
const reject = 0x200;

export function readProcRoutes(ipv4: string, ipv6: string): readonly Route[] {
  return [...parseIpv4(ipv4), ...parseIpv6(ipv6)];
}

/** Iface Destination Gateway Flags RefCnt Use Metric Mask ...; addresses are little-endian words. */
function parseIpv4(text: string): Route[] {
  return text.split("\n").slice(1).flatMap((line) => {
    const [device, destination, gateway, flags, , , , mask] = line.trim().split(/\s+/);
    if (device === undefined || destination === undefined || gateway === undefined || mask === undefined) return [];
    const bits = Number.parseInt(flags ?? "0", 16);
    if (!(bits & up) || bits & reject) return [];
    const prefix = [...Buffer.from(mask, "hex")].reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0);
    return [{
      destination: prefix === 0 ? "default" : `${dotted(destination)}/${prefix}`,
      family: 4 as const,
      device,
      ...(/^0+$/.test(gateway) ? {} : { gateway: dotted(gateway) }),
    }];
  });
}

/** destination prefix source prefix gateway metric refcount use flags device. Local and multicast entries stay out, as in the main table. */
function parseIpv6(text: string): Route[] {
  return text.split("\n").flatMap((line) => {
    const [destination, prefixHex, , , gateway, , , , flags, device] = line.trim().split(/\s+/);
    if (destination === undefined || prefixHex === undefined || gateway === undefined || device === undefined) return [];
    const bits = Number.parseInt(flags ?? "0", 16);
    const prefix = Number.parseInt(prefixHex, 16);
    if (!(bits & up) || bits & reject || device === "lo" || destination.startsWith("ff") || prefix === 128) return [];
    return [{
      destination: prefix === 0 ? "default" : `${colons(destination)}/${prefix}`,
      family: 6 as const,
      device,
      ...(/^0+$/.test(gateway) ? {} : { gateway: colons(gateway) }),
    }];
  });
}

function dotted(hex: string): string {
  return [...Buffer.from(hex, "hex")].reverse().join(".");
}

function colons(hex: string): string {
  return new URL(`http://[${(hex.match(/.{4}/g) ?? []).join(":")}]`).hostname.slice(1, -1);
}
