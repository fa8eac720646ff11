/**
 * A control group subtree per test host, in every hierarchy the machine has: version 1, version 2, or both at once.
 *
 * Two hosts must never share one: their systemds (and kubelets) would each clean up the other's processes. The named
 * version 1 hierarchy of systemd and the unified one count too: systemd-nspawn --keep-unit starts below the group it is in.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sleepSync } from "./commands.ts";
import { identify, signal } from "./processes.ts";

interface Hierarchy {
  readonly mount: string;
  readonly version: 1 | 2;
  /** Version 1 only: what is attached, e.g. `cpu`, `name=systemd`. */
  readonly attached: readonly string[];
}

export function hierarchies(mountinfo = readFileSync("/proc/self/mountinfo", "utf8")): readonly Hierarchy[] {
  const found = new Map<string, Hierarchy>();
  for (const line of mountinfo.split("\n")) {
    const [left, right] = line.split(" - ");
    const mount = left?.split(" ")[4];
    const [type, , options] = right?.split(" ") ?? [];
    if (mount === undefined || options === undefined) continue;
    if (type === "cgroup2") found.set("2", { mount, version: 2, attached: [] });
    if (type === "cgroup") found.set(options, { mount, version: 1, attached: options.split(",").filter((word) => !/^(rw|ro|xattr|clone_children|release_agent=.*)$/.test(word)) });
  }
  return [...found.values()];
}

/** The version a systemd that boots in a test host will see. */
export function cgroupVersion(): 1 | 2 {
  return hierarchies().some((one) => one.version === 1 && !one.attached.includes("name=systemd")) ? 1 : 2;
}

/** Gives children of `folder` every controller it has to give. */
function delegate(folder: string): void {
  const available = readFileSync(join(folder, "cgroup.controllers"), "utf8").trim().split(" ").filter((word) => word !== "");
  const wanted = available.map((name) => `+${name}`).join(" ");
  if (wanted === "") return;
  try {
    writeFileSync(join(folder, "cgroup.subtree_control"), wanted);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EBUSY") throw error;
    // Inside a container the visible root holds processes, and a group with processes gives nothing to its children
    // (kernel, cgroup-v2 "No Internal Process Constraint"). They move one level down, where nothing is asked of them.
    const aside = join(folder, "kubestick-e2e-outer");
    mkdirSync(aside, { recursive: true });
    for (const pid of readFileSync(join(folder, "cgroup.procs"), "utf8").trim().split("\n")) {
      try {
        writeFileSync(join(aside, "cgroup.procs"), pid);
      } catch (moved) {
        const code = (moved as NodeJS.ErrnoException).code; // ended meanwhile, or a kernel thread
        if (code !== "ESRCH" && code !== "EINVAL") throw moved;
      }
    }
    writeFileSync(join(folder, "cgroup.subtree_control"), wanted);
  }
}

export class HostCgroup {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  create(limits: { readonly memoryBytes?: number } = {}): void {
    for (const { mount, version, attached } of hierarchies()) {
      const own = join(mount, this.#name);
      if (version === 2) delegate(mount);
      mkdirSync(own, { recursive: true });
      if (attached.includes("cpuset")) {
        // A new version 1 cpuset is empty, and nothing can run in it.
        for (const file of ["cpuset.cpus", "cpuset.mems"]) writeFileSync(join(own, file), readFileSync(join(mount, file)));
      }
      if (limits.memoryBytes !== undefined) {
        const file = join(own, version === 2 ? "memory.max" : "memory.limit_in_bytes");
        if (existsSync(file)) writeFileSync(file, String(limits.memoryBytes));
      }
    }
  }

  /** Files into which a process writes its id before it becomes the host's systemd. */
  bootFiles(): readonly string[] {
    return hierarchies().map(({ mount }) => join(mount, this.#name, "cgroup.procs"));
  }

  /**
   * The same for a command sent into the running host: it counts against the host's limits. Where systemd keeps its own tree the
   * command stands beside it, because systemd would move or kill what it does not know, and an inner group may hold no process.
   */
  commandFiles(): readonly string[] {
    return hierarchies().map(({ mount, version, attached }) => {
      const own = join(mount, this.#name);
      if (version === 1 && !attached.includes("name=systemd")) return join(own, "cgroup.procs");
      mkdirSync(join(own, "commands"), { recursive: true });
      return join(own, "commands", "cgroup.procs");
    });
  }

  /** Ends every process of the host, whoever its parent is by now. */
  killAll(): void {
    const folders = hierarchies().map(({ mount }) => join(mount, this.#name)).filter((folder) => existsSync(folder));
    for (let tries = 0; tries < 100; tries++) {
      const pids = new Set(folders.flatMap((folder) => processesBelow(folder)));
      if (pids.size === 0) return;
      for (const pid of pids) {
        const id = identify(pid);
        if (id !== undefined) signal(id, "SIGKILL");
      }
      sleepSync(50);
    }
  }

  /** Also ends what is still in them: the outer half of a command that was under way when the host lost its power. */
  remove(): void {
    this.killAll();
    for (const { mount } of hierarchies()) removeTree(join(mount, this.#name));
  }
}

/** Groups left by a run whose names begin with `prefix`. */
export function groupsNamed(prefix: string): readonly string[] {
  const names = hierarchies().flatMap(({ mount }) => readdirSync(mount).filter((name) => name.startsWith(prefix)));
  return [...new Set(names)];
}

function processesBelow(folder: string): readonly number[] {
  const own = readFileSync(join(folder, "cgroup.procs"), "utf8").split("\n").filter((line) => line !== "").map(Number);
  return [...own, ...readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? processesBelow(join(folder, entry.name)) : []))];
}

function removeTree(folder: string): void {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) if (entry.isDirectory()) removeTree(join(folder, entry.name));
  rmdirSync(folder);
}
