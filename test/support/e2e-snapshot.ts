/** What a host's file systems hold, to say that a command changed nothing. */
import type { TestHost } from "./hosts/test-host.ts";

/** Changed by a machine that does nothing: its own log, its clock's stamp, its timers, and what looking at it leaves behind. */
const RESTLESS = [
  /^\/var\/log\/(journal|wtmp|lastlog|btmp)/, /^\/run\/(log|systemd|user|utmp|udev|dbus|host)/, /^\/var\/lib\/systemd\/(timers|timesync|random-seed)/,
  /^\/run\/(lock|agetty\.reload)$/, /^\/run$/, /^\/dev\/pts/,
];

export type Snapshot = ReadonlyMap<string, string>;

/**
 * Every path with type, mode, owner, size and the times of its last change, nanoseconds included. The change time moves with each write, rename
 * or chmod and cannot be set back, so equal snapshots mean that nothing was written in between.
 */
export async function snapshot(host: TestHost): Promise<Snapshot> {
  const roots = ["/", "/run", "/tmp", "/var/lib/containerd", "/var/lib/kubelet", "/var/lib/etcd", "/dev/shm"];
  const text = await host.check(["find", ...roots, "-xdev", "-printf", "%p\\t%y %m %U:%G %s %T@ %C@ %l\\n"]);
  const lines = text.trimEnd().split("\n").map((line) => line.split("\t") as [string, string]);
  return new Map(lines.filter(([path]) => !RESTLESS.some((pattern) => pattern.test(path))));
}

/** `+ path`, `- path`, `~ path`, sorted. */
export function changes(before: Snapshot, after: Snapshot): string[] {
  const lines = [];
  for (const [path, state] of after) {
    const old = before.get(path);
    if (old === undefined) lines.push(`+ ${path}`);
    else if (old !== state) lines.push(`~ ${path}: ${old} -> ${state}`);
  }
  for (const path of before.keys()) if (!after.has(path)) lines.push(`- ${path}`);
  return lines.sort();
}

export interface Traffic {
  /** Packets that left by the cable, without what IPv6 says by itself to find its neighbours. */
  readonly sent: number;
  /** UDP datagrams to anywhere, this machine included: a question to a resolver that is not there would be one. */
  readonly datagrams: number;
}

/** What the host's kernel has sent since it booted. */
export async function traffic(host: TestHost): Promise<Traffic> {
  // From /proc/net: sysfs shows the devices of the namespace it was mounted in, which for a guest need not be its own.
  const text = await host.check(["sh", "-c", "grep eth0: /proc/net/dev; grep Icmp6OutMsgs /proc/net/dev_snmp6/eth0; grep Udp6OutDatagrams /proc/net/snmp6; grep ^Udp: /proc/net/snmp"]);
  const [device = "", icmp6 = "", udp6 = "", names = "", values = ""] = text.split("\n");
  const words = (line: string): readonly string[] => line.trim().split(/[\s:]+/);
  const last = (line: string): number => Number(words(line).at(-1));
  const packets = Number(words(device)[10]);
  const udp4 = Number(words(values)[words(names).indexOf("OutDatagrams")]);
  return { sent: packets - last(icmp6), datagrams: udp4 + last(udp6) };
}

/** Kernel state a plan could touch: sysctls, modules' folders, routes, units and mounts. */
export async function kernelState(host: TestHost): Promise<string> {
  return host.check(["sh", "-c", [
    "sysctl -a 2>/dev/null | grep -E '^(net\\.ipv[46]\\.(ip_forward|conf\\.all)|net\\.bridge|vm\\.|kernel\\.(panic|keys))' | grep -v -E 'stat|drop_caches'",
    "ip route show table all", "ip -br link", "systemctl list-unit-files --no-legend", "systemctl list-units --no-legend --plain --all --type=service | cut -c1-60",
    "cut -d' ' -f5 /proc/1/mountinfo",
  ].join("; ")]);
}
