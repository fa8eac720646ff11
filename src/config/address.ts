/** IP addresses and CIDRs as numbers: the n-th address of a service network, families, containment. IPv6 text follows RFC 5952. */
import { isIP } from "node:net";

export interface Cidr {
  readonly family: 4 | 6;
  /** Network address as a number. */
  readonly base: bigint;
  readonly prefixLength: number;
}

export function familyOf(address: string): 4 | 6 | undefined {
  // Node takes a zone (`fe80::1%eth0`) for part of an address; Kubernetes does not.
  const family = address.includes("%") ? 0 : isIP(address);
  return family === 4 || family === 6 ? family : undefined;
}

export function addressToNumber(address: string): bigint {
  if (familyOf(address) === 4) return address.split(".").reduce((sum, part) => (sum << 8n) + BigInt(part), 0n);
  let text = address;
  const v4 = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (v4) {
    const low = addressToNumber(v4[2] as string);
    text = `${v4[1]}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`;
  }
  const [head = "", tail] = text.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const middle = tail === undefined ? [] : new Array<string>(8 - left.length - right.length).fill("0");
  return [...left, ...middle, ...right].reduce((sum, part) => (sum << 16n) + BigInt(`0x${part}`), 0n);
}

export function numberToAddress(value: bigint, family: 4 | 6): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => ((value >> shift) & 255n).toString()).join(".");
  const groups = Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(112 - 16 * i)) & 0xffffn));
  // RFC 5952 4.2: the longest run of two or more zero groups becomes `::`, the first one on a tie.
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const hex = groups.map((group) => group.toString(16));
  if (best.start < 0) return hex.join(":");
  return `${hex.slice(0, best.start).join(":")}::${hex.slice(best.start + best.length).join(":")}`;
}

export function parseCidr(text: string): Cidr | undefined {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const family = match === null ? undefined : familyOf(match[1] as string);
  if (match === null || family === undefined) return undefined;
  const prefixLength = Number(match[2]);
  const bits = family === 4 ? 32 : 128;
  if (prefixLength > bits) return undefined;
  const hostBits = BigInt(bits - prefixLength);
  return { family, base: (addressToNumber(match[1] as string) >> hostBits) << hostBits, prefixLength };
}

export function formatCidr(cidr: Cidr): string {
  return `${numberToAddress(cidr.base, cidr.family)}/${cidr.prefixLength}`;
}

/** Number of addresses. */
export function cidrSize(cidr: Cidr): bigint {
  return 1n << BigInt((cidr.family === 4 ? 32 : 128) - cidr.prefixLength);
}

/** The n-th address of a network; the network address itself is 0. */
export function addressInCidr(cidr: Cidr, n: number): string {
  return numberToAddress(cidr.base + BigInt(n), cidr.family);
}

export function cidrContains(cidr: Cidr, address: string): boolean {
  const family = familyOf(address);
  if (family !== cidr.family) return false;
  const hostBits = BigInt((family === 4 ? 32 : 128) - cidr.prefixLength);
  return addressToNumber(address) >> hostBits === cidr.base >> hostBits;
}

export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  if (a.family !== b.family) return false;
  const wide = a.prefixLength <= b.prefixLength ? a : b;
  const narrow = wide === a ? b : a;
  return cidrContains(wide, numberToAddress(narrow.base, narrow.family));
}

/** `a`, or `a,b` for dual stack, without blanks; undefined when any part is no CIDR. */
export function parseCidrList(text: string): readonly Cidr[] | undefined {
  const parsed = text.split(",").map((part) => parseCidr(part));
  return parsed.every((cidr) => cidr !== undefined) ? parsed : undefined;
}

/** Go's IsGlobalUnicast: neither unspecified, loopback, multicast, link-local nor the IPv4 broadcast address. */
export function isGlobalUnicast(address: string): boolean {
  const family = familyOf(address);
  if (family === undefined) return false;
  const inside = (cidr: string): boolean => cidrContains(parseCidr(cidr) as Cidr, address);
  if (family === 4) return address !== "0.0.0.0" && address !== "255.255.255.255" && !["127.0.0.0/8", "224.0.0.0/4", "169.254.0.0/16"].some(inside);
  return !["::/128", "::1/128", "ff00::/8", "fe80::/10"].some(inside);
}

/** `host:port` with brackets around IPv6. */
export function joinHostPort(host: string, port: number | string): string {
  return familyOf(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Splits `host`, `host:port`, `[v6]:port`, `v6`; the port is undefined when absent. undefined for malformed text, `[v6]` among it (kubeadm ParseHostPort). */
export function splitHostPort(text: string): { readonly host: string; readonly port?: number } | undefined {
  if (familyOf(text) !== undefined) return { host: text };
  const match = /^\[([^\]]+)\]:(\d{1,5})$/.exec(text) ?? /^([^:[\]]+)(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const host = match[1] as string;
  if (match[2] === undefined) return { host };
  const port = Number(match[2]);
  return port >= 1 && port <= 65_535 ? { host, port } : undefined;
}
