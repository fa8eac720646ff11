/**
 * A whole Linux machine in memory behind the Host port: files, units, modules, sysctls, routes, facts and a clock that only
 * `sleep` moves. It passes the same suite as the real one. Every change goes through a ledger, so that a test can count
 * changes and end the process between any two of them.
 */
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { KubestickError, errnoOf } from "../../src/errors.ts";
import { temporaryPath } from "../../src/host/atomic-write.ts";
import { hostFailure } from "../../src/host/failures.ts";
import type { ByteSource, Disk, ExecResult, FileStat, Host, HostFacts, Mount, Route, RuleSet, UnitState } from "../../src/host/types.ts";
import { airgappedFacts } from "./facts.ts";
import { MemoryFiles, directoryEntry, errno, fileEntry, linkEntry } from "./memory-files.ts";
import { MemoryUnits, type UnitCommand } from "./memory-units.ts";
import { WriteLedger } from "./write-ledger.ts";

export interface MemoryHostOptions {
  readonly facts?: Partial<HostFacts>;
  /** Path to text, or to text with a mode. */
  readonly files?: Readonly<Record<string, string | { readonly content: string | Uint8Array; readonly mode: number }>>;
  readonly directories?: Readonly<Record<string, number>>;
  readonly modules?: readonly string[];
  readonly sysctls?: Readonly<Record<string, string>>;
  /** Sysctls that appear when a module is loaded. */
  readonly moduleSysctls?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly routes?: readonly Route[];
  readonly now?: Date;
  readonly exec?: (argv: readonly string[]) => ExecResult | undefined;
  readonly ledger?: WriteLedger;
  readonly disk?: Partial<Disk>;
}

export interface MachineSnapshot {
  readonly files: Record<string, string>;
  readonly units: Record<string, string>;
  readonly sysctls: Record<string, string>;
  readonly routes: readonly string[];
  readonly modules: readonly string[];
  readonly mounts: readonly string[];
  readonly interfaces: readonly string[];
}

const standardDirectories = ["/etc/systemd/system", "/etc/modules-load.d", "/etc/sysctl.d", "/opt", "/root", "/run", "/tmp", "/usr/bin", "/usr/lib/systemd/system", "/usr/local/bin", "/var/lib", "/var/log"];

const standardModuleSysctls = {
  br_netfilter: { "net.bridge.bridge-nf-call-iptables": "0", "net.bridge.bridge-nf-call-ip6tables": "0" },
  nf_conntrack: { "net.netfilter.nf_conntrack_max": "262144" },
};

export class MemoryHost implements Host {
  readonly ledger: WriteLedger;
  readonly files = new MemoryFiles();
  readonly units = new MemoryUnits(this.files);
  /** CRI sockets that accept; a test's `units.onStart` opens them. */
  readonly openSockets = new Set<string>();
  /** What programs other than ours change; a test's `units.onStart` does. */
  readonly mounted: Mount[] = [];
  readonly links = new Set<string>(["lo", "eth0"]);
  ruleSets: readonly RuleSet[] = [];
  /** Paths of `flush`, in order. */
  readonly flushed: string[] = [];
  readonly #options: MemoryHostOptions;
  readonly #modules: Set<string>;
  readonly #sysctls: Map<string, string>;
  #routes: Route[];
  #now: number;

  constructor(options: MemoryHostOptions = {}) {
    this.#options = options;
    this.ledger = options.ledger ?? new WriteLedger();
    for (const path of standardDirectories) this.files.plantDirectory(path);
    for (const [path, mode] of Object.entries(options.directories ?? {})) this.files.plantDirectory(path, mode);
    for (const [path, file] of Object.entries(options.files ?? {})) {
      if (typeof file === "string") this.files.plant(path, file);
      else this.files.plant(path, file.content, file.mode);
    }
    this.#modules = new Set(options.modules ?? []);
    this.#sysctls = new Map(Object.entries(options.sysctls ?? { "net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0" }));
    this.#routes = [...(options.routes ?? [{ destination: "192.0.2.0/24", family: 4, device: "eth0", source: "192.0.2.10" }])];
    this.#now = (options.now ?? new Date("2026-11-21T03:00:00Z")).getTime();
  }

  // ---------------------------------------------------------------- reads

  async readFile(path: string): Promise<Uint8Array | undefined> {
    this.ledger.alive();
    const entry = this.files.follow(path);
    if (entry?.type === "directory") throw hostFailure(`reading ${path}`, path, errno("EISDIR", path));
    return entry?.content;
  }

  async readText(path: string): Promise<string | undefined> {
    const content = await this.readFile(path);
    return content === undefined ? undefined : Buffer.from(content).toString("utf8");
  }

  async stat(path: string): Promise<FileStat | undefined> {
    this.ledger.alive();
    const entry = this.files.look(path);
    if (entry === undefined) return undefined;
    const { type, mode, uid, gid, content, target } = entry;
    return { type, mode, uid, gid, size: type === "symlink" ? target.length : content.byteLength, ...(type === "symlink" ? { target } : {}) };
  }

  async list(path: string): Promise<readonly string[] | undefined> {
    this.ledger.alive();
    return this.files.names(path);
  }

  async hashFile(path: string): Promise<string | undefined> {
    const content = await this.readFile(path);
    return content === undefined ? undefined : createHash("sha256").update(content).digest("hex");
  }

  async facts(): Promise<HostFacts> {
    this.ledger.alive();
    return { ...airgappedFacts(), routes: [...this.#routes], criSockets: [...this.openSockets], ...this.#options.facts };
  }

  async disk(path: string): Promise<Disk> {
    this.ledger.alive();
    if (!path.startsWith("/")) throw new TypeError(`not an absolute path: ${path}`);
    return { mount: "/", freeBytes: 100 * 1024 ** 3, totalBytes: 200 * 1024 ** 3, id: "1", ...this.#options.disk };
  }

  async unit(name: string): Promise<UnitState> {
    this.ledger.alive();
    return this.units.state(name);
  }

  async moduleLoaded(name: string): Promise<boolean> {
    this.ledger.alive();
    return this.#modules.has(name);
  }

  async sysctl(key: string): Promise<string | undefined> {
    this.ledger.alive();
    return this.#sysctls.get(key);
  }

  async routes(): Promise<readonly Route[]> {
    this.ledger.alive();
    return [...this.#routes];
  }

  async mounts(): Promise<readonly Mount[]> {
    this.ledger.alive();
    return [...this.mounted];
  }

  async interfaces(): Promise<readonly string[]> {
    this.ledger.alive();
    return [...this.links];
  }

  async packetFilter(): Promise<readonly RuleSet[]> {
    this.ledger.alive();
    return this.ruleSets;
  }

  async unitLog(name: string, lines: number): Promise<readonly string[]> {
    this.ledger.alive();
    return (this.units.logs.get(name) ?? []).slice(-lines);
  }

  now(): Date {
    return new Date(this.#now);
  }

  // ---------------------------------------------------------------- changes

  /** Changes nothing that could be seen; what was flushed is told to tests. */
  async flush(path: string): Promise<void> {
    this.ledger.alive();
    this.flushed.push(path);
  }

  /** Two changes, as on a disk: the temporary file, then the rename. */
  async writeFile(path: string, content: ByteSource, options: { readonly mode: number; readonly uid?: number; readonly gid?: number }): Promise<void> {
    const temporary = temporaryPath(path);
    this.ledger.write(`write ${temporary}`);
    try {
      this.files.put(temporary, fileEntry(new Uint8Array(), 0o600));
      const bytes = await gather(content);
      this.files.put(temporary, fileEntry(bytes, options.mode, options.uid ?? 0, options.gid ?? 0));
      this.ledger.write(`rename ${path}`);
      this.files.move(temporary, path);
    } catch (error) {
      // A killed process tidies nothing; a failed write does.
      if (!this.ledger.crashed && this.files.look(temporary) !== undefined) this.files.delete(temporary, false);
      throw hostFailure(`writing ${path}`, path, error);
    }
  }

  /** A crash here leaves half of the text: the torn line that a journal must survive. */
  async append(path: string, text: string, mode: number): Promise<void> {
    const before = this.files.follow(path);
    const old = before?.content ?? new Uint8Array();
    const put = (added: string): void => { this.files.put(path, fileEntry(Buffer.concat([old, Buffer.from(added)]), before?.mode ?? mode)); };
    try {
      this.ledger.write(`append ${path}`);
    } catch (error) {
      if (this.files.follow(dirname(path)) !== undefined) put(text.slice(0, text.length / 2));
      throw error;
    }
    try {
      put(text);
    } catch (error) {
      throw hostFailure(`appending to ${path}`, path, error);
    }
  }

  async chmod(path: string, mode: number): Promise<void> {
    const entry = this.files.follow(path);
    if (entry === undefined) throw hostFailure(`setting the mode of ${path}`, path, errno("ENOENT", path));
    this.ledger.write(`chmod ${path}`);
    entry.mode = mode;
  }

  async makeDirectory(path: string, mode: number): Promise<readonly string[]> {
    const missing: string[] = [];
    let current = path;
    for (; this.files.follow(current) === undefined; current = dirname(current)) missing.unshift(current);
    if (this.files.follow(current)?.type !== "directory") throw hostFailure(`creating the directory ${path}`, path, errno("ENOTDIR", path));
    for (const directory of missing) {
      this.ledger.write(`mkdir ${directory}`);
      this.files.put(directory, directoryEntry(directory === path ? mode : 0o755));
    }
    return missing;
  }

  async symlink(path: string, target: string): Promise<void> {
    this.ledger.write(`symlink ${path}`);
    this.#file(`linking ${path} to ${target}`, path, () => { this.files.put(path, linkEntry(target)); });
  }

  async remove(path: string, options: { readonly recursive?: boolean } = {}): Promise<void> {
    this.ledger.alive();
    if (this.files.look(path) === undefined) return;
    this.ledger.write(`remove ${path}`);
    this.#file(`removing ${path}`, path, () => { this.files.delete(path, options.recursive ?? false); });
  }

  async daemonReload(): Promise<void> {
    this.ledger.write("systemctl daemon-reload");
    this.units.reload();
  }

  async unitCommand(name: string, command: UnitCommand): Promise<void> {
    this.ledger.write(`systemctl ${command} ${name}`);
    try {
      this.units.command(name, command);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
      throw new KubestickError({ code: "UNIT_COMMAND_FAILED", attempted: `running systemctl ${command} ${name}`, happened: `Unit ${name} not found.`, next: `See why: systemctl status ${name}` });
    }
  }

  async loadModule(name: string): Promise<void> {
    this.ledger.write(`modprobe ${name}`);
    this.#modules.add(name);
    const appearing = { ...standardModuleSysctls, ...this.#options.moduleSysctls } as Readonly<Record<string, Readonly<Record<string, string>>>>;
    for (const [key, value] of Object.entries(appearing[name] ?? {})) if (!this.#sysctls.has(key)) this.#sysctls.set(key, value);
  }

  async setSysctl(key: string, value: string): Promise<void> {
    if (!this.#sysctls.has(key)) throw new KubestickError({ code: "SYSCTL_FAILED", attempted: `setting the kernel setting ${key} to ${value}`, happened: "No such key.", next: `Try it by hand as root: sysctl ${key}` });
    this.ledger.write(`sysctl ${key}=${value}`);
    this.#sysctls.set(key, value);
  }

  async replaceRoute(route: Route): Promise<void> {
    this.ledger.write(`ip route replace ${route.destination}`);
    this.#routes = [...this.#routes.filter((other) => !sameDestination(other, route)), route];
  }

  async deleteRoute(route: Route): Promise<void> {
    this.ledger.write(`ip route del ${route.destination}`);
    this.#routes = this.#routes.filter((other) => !sameDestination(other, route));
  }

  async unmount(path: string, how: readonly string[] = []): Promise<void> {
    this.ledger.alive();
    const at = this.mounted.findLastIndex((mount) => mount.path === path);
    if (at < 0) return;
    this.ledger.write(["umount", ...how.map((word) => `--${word}`), path].join(" "));
    this.mounted.splice(at, 1);
  }

  async deleteInterface(name: string): Promise<void> {
    this.ledger.alive();
    if (!this.links.has(name)) return;
    this.ledger.write(`ip link delete ${name}`);
    this.links.delete(name);
    this.#routes = this.#routes.filter((route) => route.device !== name);
  }

  /** Whatever a program does, it may change things: counted. */
  async exec(argv: readonly [string, ...string[]]): Promise<ExecResult> {
    this.ledger.write(`exec ${argv.join(" ")}`);
    const result = this.#options.exec?.(argv);
    if (result !== undefined) return result;
    throw new KubestickError({ code: "COMMAND_NOT_FOUND", attempted: `running ${argv.join(" ")}`, happened: `The program ${argv[0]} is not on this machine.`, next: `Install the program that provides ${argv[0]}.` });
  }

  /** Moves the clock at once, and lets everything else that waits have its turn. */
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.ledger.alive();
    signal?.throwIfAborted();
    this.#now += ms;
    await turn();
    signal?.throwIfAborted();
  }

  // ---------------------------------------------------------------- for tests

  advance(ms: number): void {
    this.#now += ms;
  }

  /** Everything that a reboot keeps or a person could see, loaded modules included. */
  snapshot(): MachineSnapshot {
    return {
      files: this.files.snapshot(),
      units: this.units.snapshot(),
      sysctls: Object.fromEntries([...this.#sysctls].sort(([a], [b]) => (a < b ? -1 : 1))),
      routes: this.#routes.map((route) => JSON.stringify(route, Object.keys(route).sort())).sort(),
      modules: [...this.#modules].sort(),
      mounts: this.mounted.map(({ path, type }) => `${type} ${path}`),
      interfaces: [...this.links].sort(),
    };
  }

  /** Power cut and boot: what lived in memory is gone, what boot files ask for comes back. */
  reboot(): void {
    this.ledger.revive();
    this.#routes = [...(this.#options.routes ?? [{ destination: "192.0.2.0/24", family: 4, device: "eth0", source: "192.0.2.10" }])];
    this.#modules.clear();
    this.mounted.splice(0);
    for (const name of this.links) if (name !== "lo" && name !== "eth0") this.links.delete(name);
    this.openSockets.clear();
    for (const name of this.#options.modules ?? []) this.#modules.add(name);
    const configured = (directory: string): string[] => (this.files.names(directory) ?? []).filter((name) => name.endsWith(".conf"))
      .flatMap((name) => Buffer.from(this.files.follow(`${directory}/${name}`)?.content ?? []).toString("utf8").split("\n"))
      .map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
    this.#sysctls.clear();
    for (const [key, value] of Object.entries(this.#options.sysctls ?? { "net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0" })) this.#sysctls.set(key, value);
    for (const name of configured("/etc/modules-load.d")) {
      this.#modules.add(name);
      for (const [key, value] of Object.entries((standardModuleSysctls as Readonly<Record<string, Readonly<Record<string, string>>>>)[name] ?? {})) this.#sysctls.set(key, value);
    }
    for (const line of configured("/etc/sysctl.d")) {
      const [key, value] = line.split("=").map((part) => part.trim());
      if (key !== undefined && value !== undefined && this.#sysctls.has(key)) this.#sysctls.set(key, value);
    }
    for (const name of this.files.names("/run") ?? []) this.files.delete(`/run/${name}`, true);
    this.units.reboot();
  }

  #file(attempted: string, path: string, change: () => void): void {
    try {
      change();
    } catch (error) {
      throw hostFailure(attempted, path, error);
    }
  }
}

/** One line per thing that differs; empty when both are equal. */
export function differences(before: MachineSnapshot, after: MachineSnapshot): string[] {
  const lines: string[] = [];
  for (const part of ["files", "units", "sysctls"] as const) {
    for (const key of [...new Set([...Object.keys(before[part]), ...Object.keys(after[part])])].sort()) {
      const [old, now] = [before[part][key], after[part][key]];
      if (old !== now) lines.push(`${part} ${key}: ${brief(old)} => ${brief(now)}`);
    }
  }
  for (const part of ["routes", "modules", "mounts", "interfaces"] as const) {
    for (const value of before[part]) if (!after[part].includes(value)) lines.push(`${part}: ${value} => absent`);
    for (const value of after[part]) if (!before[part].includes(value)) lines.push(`${part}: absent => ${value}`);
  }
  return lines;
}

function brief(text: string | undefined): string {
  if (text === undefined) return "absent";
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}...` : text);
}

function sameDestination(a: Route, b: Route): boolean {
  return a.destination === b.destination && a.family === b.family;
}

async function gather(content: ByteSource): Promise<Uint8Array> {
  if (typeof content === "string") return Buffer.from(content);
  if (content instanceof Uint8Array) return content;
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks);
}
