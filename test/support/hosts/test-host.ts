/**
 * One bare machine without a way out: its own systemd as PID 1, root file system, disk, network stack and control groups.
 *
 * Owns: booting it, sending commands and files in, and taking its power, its cable or all of it away.
 * Refuses: knowing what is installed in it. Made by `TestNetwork.boot`. Everything that takes away is synchronous, so that it works in an exit handler too.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, copyFileSync, chmodSync, existsSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HostCgroup, cgroupVersion, hierarchies } from "./cgroups.ts";
import { attempt, sleepSync, tool } from "./commands.ts";
import { INTO_GROUPS, commandArgv, startCommand } from "./host-command.ts";
import type { CommandOptions, CommandResult, RunningCommand } from "./host-command.ts";
import { HostDisk } from "./host-disk.ts";
import { children, identify, isAlive, signal } from "./processes.ts";
import type { ProcessId } from "./processes.ts";

export interface HostOptions {
  /** Host name; at most 12 characters, the room Linux leaves in an interface's name. */
  readonly name: string;
  /** Size of the disk; default 24 GiB, of which only what is written takes space. */
  readonly diskBytes?: number;
  readonly memoryBytes?: number;
  /** An address of the other family as well: `fd77::N` beside `10.77.0.N`. */
  readonly ipv6?: true;
  /** Debian packages beyond the bare machine. */
  readonly packages?: readonly string[];
}

/** Given by the network the host hangs on. */
export interface HostPlace {
  readonly folder: string;
  readonly base: string;
  /** Namespace with the bridge. */
  readonly lab: string;
  readonly address: string;
  readonly prefixLength: number;
}

/** systemd's orderly power-off (systemd(1), signals). */
const POWER_OFF = 34 + 4;
/** nspawn's own filter refuses system calls that runc and the kubelet need; on a machine of one's own they are free. */
const SYSTEM_CALLS = "@default @keyring @mount @privileged @module @reboot @swap @raw-io @debug bpf perf_event_open";

export class TestHost {
  readonly name: string;
  readonly address: string;
  /** Only with `ipv6`. */
  readonly address6: string | undefined;
  readonly disk: HostDisk;
  readonly #place: HostPlace;
  readonly #options: HostOptions;
  readonly #unique: string;
  readonly #cgroup: HostCgroup;
  #nspawn: ProcessId | undefined;
  /** When it was last switched on. */
  bootedAt = new Date(0);

  constructor(place: HostPlace, options: HostOptions) {
    if (!/^[a-z][a-z0-9-]{0,11}$/.test(options.name)) throw new Error(`not a name for a test host: ${options.name}`);
    this.name = options.name;
    this.address = place.address;
    this.address6 = options.ipv6 === true ? `fd77::${place.address.split(".").at(-1)}` : undefined;
    this.#place = place;
    this.#options = options;
    this.#unique = `${place.lab}-${options.name}`;
    this.#cgroup = new HostCgroup(this.#unique);
    this.disk = new HostDisk(place.folder);
  }

  /** Process id of the host's systemd as the outer machine sees it; undefined while it is off. */
  get leader(): number | undefined {
    return this.#nspawn !== undefined && isAlive(this.#nspawn) ? children(this.#nspawn.pid)[0] : undefined;
  }

  /** First boot, or again with the disk as it was left. Resolves when systemd has started everything. */
  async boot(): Promise<void> {
    if (this.leader !== undefined) throw new Error(`${this.name} is up`);
    const first = !existsSync(this.disk.root);
    if (first) this.disk.create(this.#options.diskBytes ?? 24 * 2 ** 30);
    this.disk.mount(this.#place.base);
    if (first) {
      writeFileSync(join(this.disk.root, "etc/hostname"), `${this.name}\n`);
      writeFileSync(join(this.disk.root, "etc/hosts"), `127.0.0.1 localhost\n${this.address} ${this.name}\n`);
    }
    this.#wire();
    this.#cgroup.create(this.#options.memoryBytes === undefined ? {} : { memoryBytes: this.#options.memoryBytes });
    this.bootedAt = new Date();
    this.#start();
    await this.#started();
    // What only a guest lacks: the control groups come read-only, and mounts do not propagate as they do below a real PID 1.
    if (cgroupVersion() === 1) {
      for (const { mount, version } of hierarchies()) if (version === 1) await this.run(["sh", "-c", `[ ! -d "$0" ] || mount -o remount,bind,rw "$0"`, mount]);
    }
    await this.check(["mount", "--make-rshared", "/"]);
    // An installed machine has long been at rest on its disk; a power cut must not reach back into its making.
    if (first) await this.check(["sync"]);
  }

  #wire(): void {
    const { lab, address, prefixLength } = this.#place;
    const space = this.#unique;
    const cable = `v-${this.name}`;
    tool(["ip", "netns", "add", space]);
    const mac = `02:00:${address.split(".").map((part) => Number(part).toString(16).padStart(2, "0")).join(":")}`;
    tool(["ip", "-n", lab, "link", "add", cable, "type", "veth", "peer", "name", "eth0", "address", mac, "netns", space]);
    tool(["ip", "-n", lab, "link", "set", cable, "master", "br0", "up"]);
    // Usable at once, as on a machine that has been up for a while: no second of waiting for duplicates of its own address.
    tool(["ip", "netns", "exec", space, "sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad"]);
    tool(["ip", "-n", space, "link", "set", "lo", "up"]);
    tool(["ip", "-n", space, "link", "set", "eth0", "up"]);
    tool(["ip", "-n", space, "addr", "add", `${address}/${prefixLength}`, "dev", "eth0"]);
    if (this.address6 !== undefined) tool(["ip", "-n", space, "addr", "add", `${this.address6}/64`, "dev", "eth0", "nodad"]);
  }

  #start(): void {
    const argv = [
      ...INTO_GROUPS, ...this.#cgroup.bootFiles(), "--",
      // Powers off even if we are killed outright; what then remains on disk the next run takes away.
      "setpriv", "--pdeathsig", "TERM",
      "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit",
      `--directory=${this.disk.root}`, `--machine=${this.#unique}`, `--hostname=${this.name}`,
      `--network-namespace-path=/run/netns/${this.#unique}`,
      "--capability=all", `--system-call-filter=${SYSTEM_CALLS}`, "--resolv-conf=off", "--timezone=off", "--link-journal=no",
      "--bind=/dev/kmsg", ...this.disk.binds, // the kubelet watches the kernel's log
    ];
    const [program, ...rest] = argv;
    const console = openSync(join(this.#place.folder, "console.log"), "a");
    const child = spawn(program ?? "sh", rest, { detached: true, stdio: ["ignore", console, console], env: { ...process.env, SYSTEMD_NSPAWN_API_VFS_WRITABLE: "1" } });
    closeSync(console);
    child.unref();
    this.#nspawn = child.pid === undefined ? undefined : identify(child.pid);
  }

  async #started(): Promise<void> {
    const until = Date.now() + 60_000;
    let state = "";
    while (Date.now() < until && this.#nspawn !== undefined && isAlive(this.#nspawn)) {
      await sleep(100);
      if (this.leader === undefined) continue;
      state = (await this.run(["systemctl", "is-system-running"])).stdout.trim();
      if (state === "running" || state === "degraded") return;
    }
    const log = readFileSync(join(this.#place.folder, "console.log"), "utf8").slice(-2000);
    throw new Error(`${this.name} did not boot (systemd says '${state}'). Its console:\n${log}`);
  }

  start(argv: readonly string[], options?: CommandOptions): RunningCommand {
    return startCommand(this.#leader(), this.#cgroup.commandFiles(), argv, options);
  }

  /** Any exit code is a result. */
  run(argv: readonly string[], options?: CommandOptions): Promise<CommandResult> {
    return this.start(argv, options).result;
  }

  /** Standard output of a command that must succeed. */
  async check(argv: readonly string[], options?: CommandOptions): Promise<string> {
    const done = await this.run(argv, options);
    if (done.code !== 0) throw new Error(`on ${this.name}: ${argv.join(" ")} ended with ${done.code}\n${(done.stdout + done.stderr).trim().slice(-6000)}`);
    return done.stdout;
  }

  /** For a person: the command has this process's own terminal. Resolves to its exit code. */
  async interactive(argv: readonly string[]): Promise<number> {
    const [program, ...rest] = commandArgv(this.#leader(), this.#cgroup.commandFiles(), argv, { terminal: { columns: process.stdout.columns ?? 80, rows: process.stdout.rows ?? 24 } });
    const [code] = (await once(spawn(program ?? "sh", rest, { stdio: "inherit" }), "close")) as [number | null];
    return code ?? 1;
  }

  #leader(): number {
    const { leader } = this;
    if (leader === undefined) throw new Error(`${this.name} is off`);
    return leader;
  }

  /** A path of the running host as the outer machine reaches it, mounts made inside included. */
  inside(path: string): string {
    return join(`/proc/${this.#leader()}/root`, path);
  }

  put(source: string, destination: string): void {
    const target = this.inside(destination);
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(source, target);
    chmodSync(target, statSync(source).mode & 0o7777);
  }

  write(destination: string, content: string | Uint8Array, mode = 0o644): void {
    const target = this.inside(destination);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, content);
    chmodSync(target, mode);
  }

  read(path: string): string {
    return readFileSync(this.inside(path), "utf8");
  }

  /** Pulls the network cable, and puts it back. */
  cut(): void {
    tool(["ip", "-n", this.#place.lab, "link", "set", `v-${this.name}`, "down"]);
  }

  plug(): void {
    tool(["ip", "-n", this.#place.lab, "link", "set", `v-${this.name}`, "up"]);
  }

  /** Power cut: whatever was not flushed to the disk is lost, every process is gone at once. `boot` comes up with what the disk kept. */
  kill(): void {
    this.disk.cutPower();
    this.#off("SIGKILL", 30_000);
  }

  /** Orderly power-off. */
  shutdown(): void {
    this.#off(POWER_OFF, 90_000);
  }

  #off(how: NodeJS.Signals | number, patienceMs: number): void {
    const nspawn = this.#nspawn;
    const leader = this.leader;
    const systemd = leader === undefined ? undefined : identify(leader);
    if (systemd !== undefined) signal(systemd, how);
    if (nspawn !== undefined) {
      for (let waited = 0; waited < patienceMs && isAlive(nspawn); waited += 50) sleepSync(50);
      signal(nspawn, "SIGKILL");
      for (let waited = 0; waited < 5_000 && isAlive(nspawn); waited += 50) sleepSync(50);
    }
    this.#nspawn = undefined;
    // The memory of a machine without power: interfaces, routes, packet filter and control groups go with the namespace and the tree.
    // The cable first: the kernel takes its time with a namespace, and the next boot needs the name.
    attempt(["ip", "-n", this.#place.lab, "link", "del", `v-${this.name}`]);
    attempt(["ip", "netns", "del", this.#unique]);
    this.#cgroup.remove();
    this.disk.unmount();
  }

  /** The host and its disk are gone afterwards. */
  destroy(): void {
    this.#off("SIGKILL", 10_000);
    this.disk.remove();
  }
}
