/** What a host consists of, to say that a command changed nothing, or that a reset put everything back. */
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

/** The whole machine, to be compared with itself later: files without the times of their changes, and everything that is no file. */
export async function machine(host: TestHost): Promise<Snapshot> {
  return new Map([...lasting(await snapshot(host)), ...(await running(host))]);
}

/** What was removed or put back is again as it was, but not unchanged since then; and the size of a folder never shrinks. */
function lasting(files: Snapshot): Snapshot {
  return new Map([...files].map(([path, state]) => {
    const [type, mode, owner, size, , , target] = state.split(" ");
    return [path, [type, mode, owner, type === "d" ? "" : size, target].join(" ")];
  }));
}

/** Each prints lines; a line that is there twice counts twice. */
const QUESTIONS: Readonly<Record<string, string>> = {
  "unit file": "systemctl list-unit-files --no-legend --plain | awk '{print $1, $2}'",
  // Devices come and go with udev's work. A unit of ours that waits for the network reaches this target, and it stays reached.
  unit: "systemctl list-units --all --no-legend --plain | awk '$1 !~ /[.]device$|^network-online[.]target$/ {print $1, $2, $3, $4}'",
  // Without this look itself, and without those whom udev calls when interfaces and disks of any host on this kernel come and go.
  process: "ps -eo ppid=,user=,args= --sort=args | awk -v me=$$ '$1 != me && $0 !~ /snapshot of the machine|[(]udev-worker[)]/ {$1 = \"\"; print}'",
  mount: "awk '{for (i = 7; $i != \"-\"; i++); print $5, $(i + 1), $(i + 2)}' /proc/1/mountinfo",
  interface: "ip -o link | sed 's/^[0-9]*: //'",
  address: "ip -o addr | sed 's/^[0-9]*: //'",
  route: "ip -4 route show table all; ip -6 route show table all",
  "routing rule": "ip -4 rule; ip -6 rule",
  "network namespace": "ip netns list",
  "nft rule": "nft list ruleset",
  "iptables rule": "for save in iptables-save iptables-legacy-save ip6tables-save ip6tables-legacy-save; do command -v $save >/dev/null && $save | grep -v '^#' | sed \"s/\\[[0-9]*:[0-9]*\\]$//; s/^/$save /\"; done; true",
  sysctl: "sysctl -a 2>/dev/null",
  "control group": "find /sys/fs/cgroup -type d",
};

/** Settings that are counters or change by themselves. */
const RESTLESS_SETTINGS = /^(fs\.(dentry-state|file-nr|inode-(nr|state)|quota\.|aio-nr)|kernel\.(random\.|perf_event_max_sample_rate|hung_task_|tainted|ns_last_pid|pty\.nr|sched_domain)|net\.netfilter\.nf_conntrack_count|vm\.(stat|drop))/;

/** Units, processes, mounts, network, settings, control groups: `sysctl net.ipv4.ip_forward = 0` and the like. */
async function running(host: TestHost): Promise<Snapshot> {
  const script = Object.entries(QUESTIONS).map(([name, question]) => `{ ${question}; } | sed 's/^/${name}\t/'`).join("\n");
  const text = await host.check(["sh", "-c", `: snapshot of the machine\n${script}`]);
  const counts = new Map<string, number>();
  for (const line of text.trimEnd().split("\n")) {
    const [name = "", ...rest] = line.split("\t");
    const told = rest.join(" ").trim();
    if (name === "sysctl" && RESTLESS_SETTINGS.test(told)) continue;
    counts.set(`${name}: ${told}`, (counts.get(`${name}: ${told}`) ?? 0) + 1);
  }
  return new Map([...counts].map(([line, count]) => [line, String(count)]));
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
