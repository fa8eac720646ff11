/**
 * What is observed once at the start of a run. Nothing here may fail because something is absent: no systemd, no `ip`, no
 * /proc/swaps are facts too. Every parser is a pure function of text.
 */
import { constants } from "node:fs";
import { access, open, readFile, stat } from "node:fs/promises";
import { connect } from "node:net";
import { hostname, networkInterfaces, release } from "node:os";
import { join } from "node:path";
import { isKubestickError } from "../errors.ts";
import { searchPath } from "./exec.ts";
import { parseAddresses, parseRoutes } from "./ip-json.ts";
import { sysctlPath } from "./kernel.ts";
import { readKernelConfig } from "./kernel-config.ts";
import { readListening } from "./listening.ts";
import { readProcRoutes } from "./proc-routes.ts";
import { parseSwapAreas } from "./swaps.ts";
import { answer, readUnit, systemdAnswers, type Exec } from "./systemd.ts";
import type { HostFacts, InterfaceAddress, Route } from "./types.ts";

/** kubeadm's three (cmd/kubeadm/app/constants/constants_unix.go); what it calls "detected" is a socket that accepts. */
const criCandidates = ["unix:///var/run/containerd/containerd.sock", "unix:///var/run/crio/crio.sock", "unix:///var/run/cri-dockerd.sock"];

/** What kubelet, kube-proxy, the CNI plugins and this program call. */
const wantedCommands = [
  "conntrack", "containerd", "cp", "crictl", "ebtables", "ethtool", "ip", "ip6tables", "iptables", "journalctl", "losetup", "modprobe",
  "mount", "nft", "runc", "socat", "sysctl", "systemctl", "tc", "touch", "umount",
];

export async function readFacts(exec: Exec): Promise<HostFacts> {
  const [osRelease, status, meminfo, swaps, resolv, systemd, addresses, routes, commands, criSockets, container, kernelConfig, hostnameResolves, readOnlySysctls, arch] = await Promise.all([
    textOf("/etc/os-release").then(async (text) => text || (await textOf("/usr/lib/os-release"))),
    textOf("/proc/self/status"),
    textOf("/proc/meminfo"),
    textOf("/proc/swaps"),
    textOf("/etc/resolv.conf"),
    systemdRuns(exec),
    readAddresses(exec),
    readRoutes(exec),
    findCommands(wantedCommands),
    acceptingSockets(criCandidates),
    insideContainer(exec),
    readKernelConfig(release()),
    resolves(exec, hostname()),
    readOnly(["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"]),
    machineArch("/bin/sh"),
  ]);
  const os = parseOsRelease(osRelease);
  return {
    os: { id: os["ID"] ?? "linux", versionId: os["VERSION_ID"] ?? "", prettyName: os["PRETTY_NAME"] ?? os["NAME"] ?? "Linux" },
    kernelRelease: release(),
    arch,
    hostname: hostname(),
    uid: process.geteuid?.() ?? -1,
    cpus: parseCpuList(fieldOf(status, "Cpus_allowed_list")),
    memoryTotal: Number(/^MemTotal:\s+(\d+) kB/m.exec(meminfo)?.[1] ?? 0) * 1024,
    swaps: parseSwaps(swaps),
    // In the hybrid layout the v2 tree sits in `unified` below a v1 root, and the kubelet calls that v1.
    cgroupVersion: (await exists("/sys/fs/cgroup/cgroup.controllers")) ? 2 : 1,
    systemd,
    systemdResolved: systemd && (await readUnit(exec, "systemd-resolved.service")).active === "active",
    capabilities: parseCapabilities(fieldOf(status, "CapEff")),
    addresses,
    routes,
    nameservers: parseNameservers(resolv),
    conntrackWritable: await conntrackWritable(),
    commands,
    criSockets,
    listening: readListening(),
    proxyEnvironment: proxiesOf(process.env),
    container,
    ...(kernelConfig === undefined ? {} : { kernelConfig }),
    ...(hostnameResolves === undefined ? {} : { hostnameResolves }),
    readOnlySysctls,
  };
}

/**
 * Go's name of the machine's processor. An emulator (qemu-user with binfmt_misc) lets a program for another one start, and tells it what it wants to hear:
 * process.arch and uname name the program's. What the machine's own shell is made for, nobody changes. `shell`: path of it.
 */
export async function machineArch(shell: string): Promise<string> {
  const own = process.arch === "x64" ? "amd64" : process.arch;
  try {
    const file = await open(shell);
    try {
      // ELF header: class and byte order in bytes 4 and 5, e_machine at 18.
      const { buffer, bytesRead } = await file.read(Buffer.alloc(20), 0, 20, 0);
      const plain = bytesRead === 20 && buffer.toString("latin1", 0, 6) === "\x7fELF\x02\x01";
      return (plain ? ({ 62: "amd64", 183: "arm64" } as Readonly<Record<number, string>>)[buffer.readUInt16LE(18)] : undefined) ?? own;
    } finally {
      await file.close();
    }
  } catch {
    return own; // a machine without a shell there has nothing that could contradict
  }
}

// ---------------------------------------------------------------- pure parsers

/** os-release(5): shell-like assignments, quotes optional. */
export function parseOsRelease(text: string): Readonly<Record<string, string>> {
  const fields: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const match = /^([A-Z0-9_]+)=(.*)$/.exec(line.trim());
    if (match === null) continue;
    const [, name, raw] = match as unknown as [string, string, string];
    const quoted = /^(["'])(.*)\1$/.exec(raw);
    fields[name] = (quoted?.[2] ?? raw).replaceAll(/\\(["'$`\\])/g, "$1");
  }
  return fields;
}

/** `0-3,8`: the processors this process may use, which is what Go's NumCPU and therefore kubeadm counts. */
export function parseCpuList(list: string): number {
  return list.split(",").filter(Boolean).reduce((sum, range) => {
    const [first, last] = range.split("-").map(Number) as [number, number | undefined];
    return sum + (last ?? first) - first + 1;
  }, 0);
}

export function parseSwaps(text: string): readonly string[] {
  return parseSwapAreas(text).map(({ name }) => name);
}

export function parseNameservers(text: string): readonly string[] {
  return [...text.matchAll(/^[ \t]*nameserver[ \t]+(\S+)/gm)].map((match) => match[1] as string);
}

/** include/uapi/linux/capability.h, in order of their numbers. */
const capabilityNames = [
  "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE",
  "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN",
  "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE",
  "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
];

export function parseCapabilities(hex: string): readonly string[] {
  const mask = BigInt(/^[0-9a-f]+$/i.test(hex) ? `0x${hex}` : 0);
  return capabilityNames.filter((_, bit) => (mask >> BigInt(bit)) & 1n).map((name) => `CAP_${name}`);
}

export function proxiesOf(environment: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
  const entries = Object.entries(environment).filter((entry): entry is [string, string] => entry[0].toLowerCase().endsWith("_proxy") && Boolean(entry[1]));
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function fieldOf(status: string, name: string): string {
  return new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(status)?.[1] ?? "";
}

// ---------------------------------------------------------------- observations

async function textOf(path: string): Promise<string> {
  // Facts: whatever keeps a file from being read, its content is not known here.
  return await readFile(path, "utf8").catch(() => "");
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(() => true, () => false);
}

/** sd_booted(3) looks at the directory; a chroot of a booted machine has it too, so the manager must also answer. */
async function systemdRuns(exec: Exec): Promise<boolean> {
  return (await exists("/run/systemd/system")) && (await systemdAnswers(exec));
}

async function readAddresses(exec: Exec): Promise<readonly InterfaceAddress[]> {
  const listed = await answer(exec, ["ip", "-json", "address", "show"]);
  const parsed = listed === undefined ? undefined : parseAddresses(listed);
  return parsed ?? Object.entries(networkInterfaces()).flatMap(([name, entries]) => (entries ?? []).map((entry) => ({
    interface: name,
    address: entry.address,
    family: entry.family === "IPv6" ? 6 as const : 4 as const,
    prefixLength: Number(entry.cidr?.split("/")[1] ?? (entry.family === "IPv6" ? 128 : 32)),
    global: !entry.internal && !entry.address.startsWith("fe80:") && !entry.address.startsWith("169.254."),
  })));
}

export async function readRoutes(exec: Exec): Promise<readonly Route[]> {
  const [four, six] = await Promise.all([answer(exec, ["ip", "-json", "-4", "route", "show"]), answer(exec, ["ip", "-json", "-6", "route", "show"])]);
  const parsed = [...(four === undefined ? [] : parseRoutes(four, 4) ?? []), ...(six === undefined ? [] : parseRoutes(six, 6) ?? [])];
  return four === undefined ? readProcRoutes(await textOf("/proc/net/route"), await textOf("/proc/net/ipv6_route")) : parsed;
}

async function findCommands(names: readonly string[]): Promise<Readonly<Record<string, string>>> {
  const found = await Promise.all(names.map(async (name) => {
    for (const directory of searchPath()) {
      const path = join(directory, name);
      const runs = await access(path, constants.X_OK).then(() => true, () => false);
      if (runs) return [name, path] as const;
    }
    return undefined;
  }));
  return Object.fromEntries(found.filter((entry) => entry !== undefined));
}

async function acceptingSockets(candidates: readonly string[]): Promise<readonly string[]> {
  const accepted = await Promise.all(candidates.map((url) => new Promise<boolean>((resolve) => {
    const socket = connect(url.slice("unix://".length));
    const finish = (ok: boolean) => () => { socket.destroy(); resolve(ok); };
    socket.setTimeout(2000, finish(false));
    socket.once("connect", finish(true)).once("error", finish(false));
  })));
  return candidates.filter((_, index) => accepted[index]);
}

async function insideContainer(exec: Exec): Promise<boolean> {
  const detected = await answer(exec, ["systemd-detect-virt", "--container"]);
  if (detected !== undefined) return detected.trim() !== "none";
  // The program answers "none" with exit code 1, like an absent one: these marks are what it would have looked at itself.
  return (await Promise.all(["/run/systemd/container", "/.dockerenv", "/run/.containerenv"].map(exists))).includes(true);
}

/** How long a name service may take: one that needs longer keeps every login waiting too, but an installation need not join them. */
const lookupTimeoutMs = 1500;

/**
 * By the program, which can be ended: a resolver whose servers are out of reach keeps a thread of this process for half a minute.
 * First where no packet is sent. Servers are asked only where there are any: without, the C library tries a port of this machine.
 */
async function resolves(exec: Exec, name: string): Promise<boolean | undefined> {
  const ask = async (...service: readonly string[]): Promise<boolean | undefined> => {
    const { code } = await exec(["getent", ...service, "hosts", name], { timeoutMs: lookupTimeoutMs });
    // getent(1): 2 is "not found"; anything else is no answer.
    return code === 0 ? true : code === 2 ? false : undefined;
  };
  try {
    const known = await ask("-s", "hosts:files myhostname");
    return known === true || !/^\s*nameserver\s/m.test(await textOf("/etc/resolv.conf")) ? known : await ask();
  } catch (error) {
    if (isKubestickError(error)) return undefined;
    throw error;
  }
}

async function readOnly(keys: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(keys.map(async (key) => (await exists(sysctlPath(key))) && !(await opensForWriting(sysctlPath(key)))));
  return keys.filter((_, index) => found[index]);
}

/**
 * Opened for writing and closed: nothing changes, and only the kernel knows the answer. Where the module is not loaded
 * yet, the key is absent; it will be writable in the first network namespace only (nf_conntrack_standalone.c makes it 0444
 * elsewhere), and `netdev_max_backlog` exists nowhere but there.
 */
async function conntrackWritable(): Promise<boolean> {
  const key = "/proc/sys/net/netfilter/nf_conntrack_max";
  return await opensForWriting((await exists(key)) ? key : "/proc/sys/net/core/netdev_max_backlog");
}

async function opensForWriting(path: string): Promise<boolean> {
  try {
    await (await open(path, constants.O_WRONLY)).close();
    return true;
  } catch {
    return false;
  }
}
