/**
 * A network that leads nowhere, and the test hosts on it: a bridge in a namespace of its own, no default route, no resolver, no registry.
 *
 * Owns: names (unique per run, so that parallel runs never meet) and cleaning up, also after a crash: a run writes down who owns it, and the
 * next one takes away what a dead owner left. Touches only what carries its own prefix. Start at `TestNetwork.create`.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { baseImage, cacheFolder } from "./base-image.ts";
import { HostCgroup, groupsNamed } from "./cgroups.ts";
import { attempt, tool } from "./commands.ts";
import { HostDisk } from "./host-disk.ts";
import { identify, isAlive } from "./processes.ts";
import type { ProcessId } from "./processes.ts";
import { TestHost } from "./test-host.ts";
import type { HostOptions } from "./test-host.ts";

const PREFIX = "kse-";
const NETWORK = "10.77.0";
const PREFIX_LENGTH = 24;

const open = new Set<TestNetwork>();
let watching = false;

export class TestNetwork {
  readonly id: string;
  readonly #folder: string;
  readonly #hosts = new Set<TestHost>();

  private constructor() {
    this.id = `${PREFIX}${randomBytes(3).toString("hex")}`;
    this.#folder = join(runsFolder(), this.id);
  }

  static create(): TestNetwork {
    removeLeftovers();
    const network = new TestNetwork();
    mkdirSync(network.#folder, { recursive: true });
    shareMounts(network.#folder);
    writeFileSync(join(network.#folder, "owner.json"), JSON.stringify(identify(process.pid)));
    open.add(network);
    watch();
    roomForWatches();
    tool(["ip", "netns", "add", network.id]);
    // A quiet network: what is counted on a cable came from a program on the host, not from the bridge.
    tool(["ip", "netns", "exec", network.id, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6"]);
    tool(["ip", "-n", network.id, "link", "add", "br0", "type", "bridge"]);
    tool(["ip", "-n", network.id, "addr", "add", `${NETWORK}.1/${PREFIX_LENGTH}`, "dev", "br0"]);
    tool(["ip", "-n", network.id, "link", "set", "br0", "up"]);
    return network;
  }

  /** A host of the same name that a failed test left behind makes room. */
  async boot(options: HostOptions): Promise<TestHost> {
    for (const host of this.#hosts) if (host.name === options.name) this.remove(host);
    const taken = new Set([...this.#hosts].map((host) => host.address));
    const address = Array.from({ length: 100 }, (_, i) => `${NETWORK}.${11 + i}`).find((one) => !taken.has(one));
    if (address === undefined) throw new Error("no address is left on the test network");
    const host = new TestHost({
      folder: join(this.#folder, options.name),
      base: baseImage(options.packages),
      lab: this.id,
      address,
      prefixLength: PREFIX_LENGTH,
    }, options);
    this.#hosts.add(host);
    await host.boot();
    return host;
  }

  /** The host and its disk are gone afterwards, its name and address free again. */
  remove(host: TestHost): void {
    host.destroy();
    this.#hosts.delete(host);
  }

  destroy(): void {
    for (const host of this.#hosts) host.destroy();
    attempt(["ip", "netns", "del", this.id]);
    removeFolder(this.#folder);
    open.delete(this);
  }

  [Symbol.dispose](): void {
    this.destroy();
  }
}

function runsFolder(): string {
  return join(cacheFolder(), "runs");
}

/** A test that fails, an exception nobody caught and Ctrl-C all end here; only SIGKILL does not, and `removeLeftovers` is for that. */
function watch(): void {
  if (watching) return;
  watching = true;
  process.on("exit", () => { for (const network of [...open]) network.destroy(); });
  for (const [name, number] of [["SIGINT", 2], ["SIGTERM", 15], ["SIGHUP", 1]] as const) process.once(name, () => process.exit(128 + number));
}

/**
 * Every host keeps the mounts that it found below when it was started. With shared ones, an unmount here is one there, too; else the disk of a host that lost
 * its power would stay in use, and its next boot would get the dead one back.
 */
function shareMounts(folder: string): void {
  tool(["mount", "--bind", folder, folder]);
  tool(["mount", "--make-private", folder]);
  tool(["mount", "--make-shared", folder]);
}

/** Machines with kernels of their own do not share one limit of watchers: a host takes about fifteen, and the default for all of root is 128. */
function roomForWatches(): void {
  const path = "/proc/sys/fs/inotify/max_user_instances";
  if (Number(readFileSync(path, "utf8")) < 1024) attempt(["sh", "-c", `echo 1024 >${path}`]);
}

function removeFolder(folder: string): void {
  const mounted = readFileSync("/proc/self/mountinfo", "utf8").split("\n").some((line) => line.split(" ")[4] === folder);
  if (mounted && !attempt(["umount", folder])) tool(["umount", "--lazy", folder]);
  rmSync(folder, { recursive: true, force: true });
}

function removeLeftovers(): void {
  if (!existsSync(runsFolder())) return;
  for (const id of readdirSync(runsFolder())) {
    if (!id.startsWith(PREFIX)) continue;
    const folder = join(runsFolder(), id);
    const owner = ownerOf(folder);
    if (owner !== undefined && isAlive(owner)) continue;
    const groups = groupsNamed(`${id}-`).map((group) => new HostCgroup(group));
    for (const group of groups) group.killAll();
    for (const line of tool(["ip", "netns", "list"]).split("\n")) {
      const name = line.split(" ")[0] ?? "";
      if (name === id || name.startsWith(`${id}-`)) attempt(["ip", "netns", "del", name]);
    }
    for (const group of groups) group.remove();
    for (const entry of readdirSync(folder, { withFileTypes: true })) if (entry.isDirectory()) new HostDisk(join(folder, entry.name)).remove();
    removeFolder(folder);
  }
}

function ownerOf(folder: string): ProcessId | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, "owner.json"), "utf8")) as ProcessId;
  } catch {
    return undefined; // it died before it could sign
  }
}
