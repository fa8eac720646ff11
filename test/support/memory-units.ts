/** systemd in memory: unit files are read when first needed and after a daemon-reload only, so a forgotten reload shows. */
import type { Host, UnitState } from "../../src/host/types.ts";
import { errno, type MemoryFiles } from "./memory-files.ts";

const unitDirectories = ["/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"];

interface Loaded {
  readonly path: string;
  readonly program: string | undefined;
  readonly installable: boolean;
}

interface Running {
  active: string;
  sub: string;
  result: string;
  /** Program as it was when the process started. */
  program: string | undefined;
  mainPid: number;
  starts: number;
}

export type UnitCommand = Parameters<Host["unitCommand"]>[1];

export class MemoryUnits {
  readonly #files: MemoryFiles;
  readonly #loaded = new Map<string, Loaded>();
  readonly #running = new Map<string, Running>();
  readonly #enabled = new Set<string>();
  readonly logs = new Map<string, string[]>();
  /** Called after a unit was started; may change its state: a crash-looping kubelet, a containerd that opens its socket. */
  onStart: (name: string, state: { active: string; sub: string; result: string }) => void = () => undefined;
  onStop: (name: string) => void = () => undefined;
  #nextPid = 1000;

  constructor(files: MemoryFiles) {
    this.#files = files;
  }

  state(name: string): UnitState {
    const loaded = this.#load(name);
    const running = this.#running.get(name);
    return {
      exists: loaded !== undefined,
      active: running?.active ?? "inactive",
      sub: running?.sub ?? "dead",
      enabled: loaded !== undefined && (this.#enabled.has(name) || !loaded.installable),
      ...(loaded === undefined ? {} : { fragmentPath: loaded.path }),
      ...(loaded?.program === undefined ? {} : { program: loaded.program }),
      ...(running !== undefined && running.active === "active" ? { mainPid: running.mainPid } : {}),
      restarts: 0,
      result: running?.result ?? "success",
    };
  }

  /** Program of the process that runs now. */
  program(name: string): string | undefined {
    return this.#running.get(name)?.program;
  }

  /** How often the unit was (re)started since boot. */
  starts(name: string): number {
    return this.#running.get(name)?.starts ?? 0;
  }

  reload(): void {
    this.#loaded.clear();
  }

  command(name: string, command: UnitCommand): void {
    const loaded = this.#load(name);
    if (loaded === undefined && command !== "stop" && command !== "kill") throw errno("ENOENT", name);
    switch (command) {
      case "enable": this.#enabled.add(name); return;
      case "disable": this.#enabled.delete(name); return;
      case "reset-failed":
        if (this.#running.get(name)?.active === "failed") this.#running.delete(name);
        return;
      case "stop":
        if (this.#running.delete(name)) this.onStop(name);
        return;
      case "kill":
        // A timer has no processes, and systemd says so.
        if (!name.endsWith(".service")) throw errno("ENOTSUP", name);
        return;
      case "start":
      case "restart": {
        if (command === "start" && this.#running.get(name)?.active === "active") return;
        const starts = this.starts(name) + 1;
        const state: Running = { active: "active", sub: "running", result: "success", program: loaded?.program, mainPid: this.#nextPid++, starts };
        this.#running.set(name, state);
        this.onStart(name, state);
      }
    }
  }

  reboot(): void {
    this.#running.clear();
    this.#loaded.clear();
    for (const name of [...this.#enabled].sort()) if (this.#load(name) !== undefined) this.command(name, "start");
  }

  snapshot(): Record<string, string> {
    const names = [...new Set([...this.#running.keys(), ...this.#enabled])].sort();
    return Object.fromEntries(names.map((name) => [name, `${this.#running.get(name)?.active ?? "inactive"} ${this.#enabled.has(name) ? "enabled" : "disabled"} ${this.program(name) ?? ""}`.trim()]));
  }

  #load(name: string): Loaded | undefined {
    const known = this.#loaded.get(name);
    if (known !== undefined) return known;
    for (const directory of unitDirectories) {
      const entry = this.#files.follow(`${directory}/${name}`);
      if (entry?.type !== "file") continue;
      const text = Buffer.from(entry.content).toString("utf8");
      const loaded = { path: `${directory}/${name}`, program: /^ExecStart=-?(\S+)/m.exec(text)?.[1], installable: text.includes("[Install]") };
      this.#loaded.set(name, loaded);
      return loaded;
    }
    return undefined;
  }
}
