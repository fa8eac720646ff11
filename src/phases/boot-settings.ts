/** What the next boot would do to a node: files that switch swap on, set our kernel settings otherwise, or keep our modules out. Reads and parses, decides nothing. */
import type { HostReader } from "../host/types.ts";

type Read = Pick<HostReader, "list" | "readText" | "stat" | "unit">;

// ---------------------------------------------------------------- swap

/** fstab(5): type in the third field. `noauto` is not switched on by a boot. */
function isSwapLine(line: string): boolean {
  const [device, , type, options = ""] = line.trim().split(/\s+/);
  return device !== undefined && !device.startsWith("#") && type === "swap" && !options.split(",").includes("noauto");
}

export function swapLines(fstab: string): readonly string[] {
  return fstab.split("\n").filter(isSwapLine);
}

export function withoutSwap(fstab: string): string {
  return fstab.split("\n").map((line) => (isSwapLine(line) ? `# kubestick init --fix: ${line}` : line)).join("\n");
}

/** Services that make and switch on swap by themselves: zram-tools, zram-config, dphys-swapfile (Raspberry Pi OS), swapspace. */
export const swapServices: readonly string[] = ["zramswap.service", "zram-config.service", "zram-swap.service", "dphys-swapfile.service", "swapspace.service"];
const unitDirectories = ["/etc/systemd/system", "/run/systemd/system", "/run/systemd/generator", "/run/systemd/generator.late", "/usr/lib/systemd/system", "/lib/systemd/system"];

/** Units beyond /etc/fstab that would bring swap back: .swap units (also those of zram-generator and for GPT partitions) and services. */
export async function swapUnits(read: Read): Promise<readonly string[]> {
  const found = new Set<string>();
  const services = new Set<string>();
  for (const directory of unitDirectories) {
    for (const name of (await read.list(directory)) ?? []) {
      if (swapServices.includes(name)) services.add(name);
      if (!name.endsWith(".swap")) continue;
      // A link is an alias or a mask; what systemd made from fstab goes with its line there. An empty file is a mask as well.
      const path = `${directory}/${name}`;
      if ((await read.stat(path))?.type !== "file") continue;
      const text = (await read.readText(path)) ?? "";
      if (text !== "" && !/^SourcePath=\/etc\/fstab$/m.test(text)) found.add(name);
    }
  }
  for (const name of [...found, ...services]) {
    const { exists, enabled } = await read.unit(name);
    if (exists && enabled && !(await isMasked(read, name))) found.add(name);
    else found.delete(name);
  }
  return [...found].sort();
}

async function isMasked(read: Read, name: string): Promise<boolean> {
  const stat = await read.stat(`/etc/systemd/system/${name}`);
  return stat !== undefined && ((stat.type === "file" && stat.size === 0) || stat.target === "/dev/null");
}

export function maskPath(unit: string): string {
  return `/etc/systemd/system/${unit}`;
}

// ---------------------------------------------------------------- kernel settings

/** sysctl.d(5): of equal names the first directory counts, and files are read in the order of their names. */
const sysctlDirectories = ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];

/** Other names of the same switch in the kernel. */
const aliases: Readonly<Record<string, string>> = { "net.ipv4.conf.all.forwarding": "net.ipv4.ip_forward" };

export interface Override {
  readonly path: string;
  readonly key: string;
  readonly value: string;
}

/** Lines that are read after the file `ours` and set one of `settings` to something else. */
export async function overridingSysctls(read: Read, settings: readonly (readonly [key: string, value: string])[], ours: string): Promise<readonly Override[]> {
  const wanted = new Map(settings);
  const paths = await effective(read, sysctlDirectories);
  const overrides = new Map<string, Override>();
  for (const [name, path] of paths) {
    if (name <= ours || name.startsWith("zz-kubestick")) continue;
    for (const line of ((await read.readText(path)) ?? "").split("\n")) {
      const [, written, value] = /^\s*-?\s*([^#;=\s][^=\s]*)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
      if (written === undefined || value === undefined) continue;
      const dotted = written.replaceAll("/", ".");
      const key = aliases[dotted] ?? dotted;
      if (!wanted.has(key)) continue;
      // The last word counts.
      if (wanted.get(key) === value) overrides.delete(key);
      else overrides.set(key, { path, key, value });
    }
  }
  return [...overrides.values()];
}

// ---------------------------------------------------------------- modules

/** modprobe.d(5). */
const modprobeDirectories = ["/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"];

export interface Block {
  readonly path: string;
  readonly module: string;
  /** `install`: nobody can load it by name; `blacklist`: not at boot. */
  readonly how: "install" | "blacklist";
}

/** `install overlay /bin/false`, as hardening guides ask for, or `blacklist overlay`. Another command behind `install` may well load it. */
function blockOf(line: string): Omit<Block, "path"> | undefined {
  const [, how, module, command = ""] = /^\s*(install|blacklist)\s+(\S+)\s*(.*?)\s*$/.exec(line) ?? [];
  if (module === undefined || (how === "install" && !/^(\/\S*\/)?(true|false|:)$/.test(command))) return undefined;
  return { how: how as Block["how"], module: module.replaceAll("-", "_") };
}

export async function blockedModules(read: Read, modules: readonly string[]): Promise<readonly Block[]> {
  const blocks: Block[] = [];
  for (const [, path] of await effective(read, modprobeDirectories)) {
    for (const line of ((await read.readText(path)) ?? "").split("\n")) {
      const block = blockOf(line);
      if (block !== undefined && modules.includes(block.module)) blocks.push({ ...block, path });
    }
  }
  return blocks;
}

export function withoutBlocks(text: string, modules: readonly string[]): string {
  return text.split("\n").map((line) => {
    const block = blockOf(line);
    return block !== undefined && modules.includes(block.module) ? `# kubestick init --fix: ${line}` : line;
  }).join("\n");
}

/** File name to the path that counts, in the order of names. */
async function effective(read: Read, directories: readonly string[]): Promise<readonly (readonly [name: string, path: string])[]> {
  const paths = new Map<string, string>();
  for (const directory of directories) {
    for (const name of (await read.list(directory)) ?? []) if (name.endsWith(".conf") && !paths.has(name)) paths.set(name, `${directory}/${name}`);
  }
  return [...paths].sort(([one], [other]) => (one < other ? -1 : 1));
}
