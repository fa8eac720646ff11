/**
 * The Host port: everything kubestick may ask of, or do to, the Linux machine it stands on.
 *
 * Phases receive `HostReader`, which has no method that changes anything; only the engine holds `Host`.
 * The Node implementation is `node-host.ts`; the in-memory one for tests is `test/support/memory-host.ts`;
 * both pass the same suite.
 */

export interface FileStat {
  readonly type: "file" | "directory" | "symlink" | "other";
  /** Permission bits only, e.g. 0o600. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
  /** Of a symbolic link: where it points, as written. */
  readonly target?: string;
}

export interface UnitState {
  /** systemd LoadState is `loaded`. */
  readonly exists: boolean;
  /** systemd ActiveState: active, activating, inactive, failed, ... */
  readonly active: string;
  /** systemd SubState: running, exited, auto-restart, dead, ... */
  readonly sub: string;
  /** UnitFileState is `enabled` (or `static`, `alias`, which cannot be enabled). */
  readonly enabled: boolean;
  /** Path of the unit file systemd uses. */
  readonly fragmentPath?: string;
  /** Program of ExecStart, when known: tells our containerd from somebody else's. */
  readonly program?: string;
  readonly mainPid?: number;
  readonly restarts: number;
  /** systemd Result: success, exit-code, oom-kill, ... */
  readonly result: string;
}

export interface InterfaceAddress {
  readonly interface: string;
  readonly address: string;
  readonly family: 4 | 6;
  readonly prefixLength: number;
  /** Linux address scope `global`. */
  readonly global: boolean;
}

export interface Route {
  /** CIDR, or `default`. */
  readonly destination: string;
  readonly family: 4 | 6;
  readonly device: string;
  readonly gateway?: string;
  /** Preferred source address. */
  readonly source?: string;
}

export interface ListeningPort {
  readonly port: number;
  /** `*` for all addresses. */
  readonly address: string;
  readonly pid?: number;
  /** comm of the owner, e.g. `kube-apiserver`. */
  readonly process?: string;
}

export interface Mount {
  readonly path: string;
  /** File system type: `tmpfs`, `overlay`, `nfs4`, `nsfs`. */
  readonly type: string;
}

/** One set of packet-filter rules, as the program that reads and writes it prints them. */
export type RuleSet =
  /** `iptables-save` format. `program` is the stem: `iptables-legacy`, to which `-save` and `-restore` are added. */
  | { readonly form: "iptables"; readonly program: string; readonly text: string }
  /** `nft -j list ruleset`. Holds what iptables-nft made, too. */
  | { readonly form: "nft"; readonly program: string; readonly text: string };

export interface Disk {
  /** Mount point that holds the path. */
  readonly mount: string;
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** Device number: two paths with equal ids share their free space. */
  readonly id: string;
}

/** Observed once at the start of a run; what the plan depends on. All values are plain data, so a dry run can print them. */
export interface HostFacts {
  readonly os: { readonly id: string; readonly versionId: string; readonly prettyName: string };
  readonly kernelRelease: string;
  /** Go's names. */
  readonly arch: "amd64" | "arm64" | string;
  readonly hostname: string;
  readonly uid: number;
  readonly cpus: number;
  /** Bytes. */
  readonly memoryTotal: number;
  readonly swaps: readonly string[];
  readonly cgroupVersion: 1 | 2;
  /** systemd is PID 1 and answers. */
  readonly systemd: boolean;
  /** systemd-resolved is active (kubeadm's rule for resolvConf). */
  readonly systemdResolved: boolean;
  /** Capability names of this process's effective set, e.g. `CAP_SYS_RESOURCE`. */
  readonly capabilities: readonly string[];
  readonly addresses: readonly InterfaceAddress[];
  readonly routes: readonly Route[];
  /** `nameserver` lines of /etc/resolv.conf; empty when the file is missing or lists none. */
  readonly nameservers: readonly string[];
  /** false when /proc/sys/net/netfilter/nf_conntrack_max cannot be written (nested or locked-down machine). */
  readonly conntrackWritable: boolean;
  /** Commands of the host that the plan may rely on, name to absolute path; absent when not in PATH. */
  readonly commands: Readonly<Record<string, string>>;
  /** CRI sockets that accept a connection, e.g. `unix:///var/run/containerd/containerd.sock`. */
  readonly criSockets: readonly string[];
  readonly listening: readonly ListeningPort[];
  /** Environment variables whose lower-cased name ends in `_proxy`, non-empty values only. */
  readonly proxyEnvironment: Readonly<Record<string, string>>;
  /** A container or namespace guest (systemd-detect-virt --container), where modules and some sysctls belong to somebody else. */
  readonly container: boolean;
  /** How the running kernel was built: options that are `y` or `m`, without `CONFIG_`. Absent when no place tells. */
  readonly kernelConfig?: { readonly source: string; readonly options: Readonly<Record<string, "y" | "m">> };
  /** The host name is in /etc/hosts or some name service knows it. Absent when there was no way to ask, or no answer in time. */
  readonly hostnameResolves?: boolean;
  /** Forwarding settings that exist here and cannot be written: `net.ipv4.ip_forward`, `net.ipv6.conf.all.forwarding`. */
  readonly readOnlySysctls: readonly string[];
}

/** Reads only. Everything resolves to undefined (not an error) when the thing does not exist. */
export interface HostReader {
  readFile(path: string): Promise<Uint8Array | undefined>;
  readText(path: string): Promise<string | undefined>;
  /** lstat. */
  stat(path: string): Promise<FileStat | undefined>;
  /** Names in a directory, sorted. */
  list(path: string): Promise<readonly string[] | undefined>;
  /** SHA-256 of a file's content, lower-case hex, streamed. */
  hashFile(path: string): Promise<string | undefined>;
  facts(): Promise<HostFacts>;
  /** Free space of the file system that holds `path` or its nearest existing ancestor. */
  disk(path: string): Promise<Disk>;
  unit(name: string): Promise<UnitState>;
  /** Loaded, or built into the running kernel. */
  moduleLoaded(name: string): Promise<boolean>;
  /** Value of a sysctl key in dotted form, trimmed; undefined when the key does not exist. */
  sysctl(key: string): Promise<string | undefined>;
  routes(): Promise<readonly Route[]>;
  /** Mounts in the order they were made. */
  mounts(): Promise<readonly Mount[]>;
  /** Names of the network interfaces. */
  interfaces(): Promise<readonly string[]>;
  /** What the packet filter programs of this machine show. Empty: there is none of them, which does not say that there are no rules. */
  packetFilter(): Promise<readonly RuleSet[]>;
  /** Newest lines of a unit's journal of this boot, oldest first. */
  unitLog(name: string, lines: number): Promise<readonly string[]>;
  now(): Date;
}

export type ByteSource = Uint8Array | string | AsyncIterable<Uint8Array>;

export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Host extends HostReader {
  /**
   * Atomic: a hidden temporary file in the same directory, mode and owner set, data flushed, then renamed and the
   * directory flushed. A reader sees the old content or the new one, also after a power cut. The directory must exist.
   */
  writeFile(path: string, content: ByteSource, options: { readonly mode: number; readonly uid?: number; readonly gid?: number }): Promise<void>;
  /**
   * Adds text at the end of a file, created with `mode` when missing, and flushes it. For the journal only: a power cut may leave
   * the last piece torn. The directory must exist.
   */
  append(path: string, text: string, mode: number): Promise<void>;
  /** What another program wrote into this file (or behind this link) is still there after a power cut. A file that is not there is fine. */
  flush(path: string): Promise<void>;
  chmod(path: string, mode: number): Promise<void>;
  /** Creates the directory; its parents, if missing, get 0755. Sets the mode only of a directory it created. Returns the paths it created, outermost first. */
  makeDirectory(path: string, mode: number): Promise<readonly string[]>;
  /** Symbolic link, replaced atomically. */
  symlink(path: string, target: string): Promise<void>;
  /** File, link or directory; missing is fine. A directory that is not empty needs `recursive`. */
  remove(path: string, options?: { readonly recursive?: boolean }): Promise<void>;
  /** systemd has read its unit files as they are: nothing happens when this run made it read them and changed none since. */
  daemonReload(): Promise<void>;
  /** Enabling and disabling do not make systemd read its unit files again. `kill` ends every process that is left of a unit, with SIGKILL; none is fine. */
  unitCommand(name: string, command: "start" | "restart" | "stop" | "kill" | "enable" | "disable" | "reset-failed"): Promise<void>;
  loadModule(name: string): Promise<void>;
  setSysctl(key: string, value: string): Promise<void>;
  replaceRoute(route: Route): Promise<void>;
  deleteRoute(route: Route): Promise<void>;
  /** The topmost mount at this path; none there is fine. `how`: umount2(2)'s MNT_FORCE and MNT_DETACH, for those who ask for them. */
  unmount(path: string, how?: readonly ("force" | "lazy")[]): Promise<void>;
  /** An interface that is not there is fine. */
  deleteInterface(name: string): Promise<void>;
  /** argv only, never a shell. Rejects when the program cannot be started or runs longer than `timeoutMs` (default 60 s); a non-zero exit is a result. */
  exec(argv: readonly [string, ...string[]], options?: { readonly stdin?: ByteSource; readonly timeoutMs?: number; readonly env?: Readonly<Record<string, string>> }): Promise<ExecResult>;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
