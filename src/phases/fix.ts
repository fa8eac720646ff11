/**
 * `init --fix`: cures of what is wrong with a machine and can be put right safely from here. Swap off, for now and after the next boot;
 * kernel settings and modules that other files would take away again; directories that volumes of the control plane want.
 *
 * Checks and cures stand side by side, so that a finding names the flag exactly where the flag helps. The cures are actions like all others:
 * journaled, planned again by a second run, undone by reset. In files of others lines are commented out, or a file of our own answers them.
 * Advice only: ports of firewalld, names, proxies. Those say how a site is run, and are not ours to decide.
 */
import { basename } from "node:path";
import type { HostPathMount } from "../config/types.ts";
import type { Action, PlanInput } from "../engine/types.ts";
import { directory, file, swapOff } from "./actions.ts";
import { blockedModules, maskPath, overridingSysctls, swapLines, swapServices, swapUnits, withoutBlocks, withoutSwap, type Block, type Override } from "./boot-settings.ts";
import { neededModules, neededSysctls, sysctlFile, sysctlText } from "./kernel-needs.ts";
import type { Check, Input, Seen } from "./preflight-check.ts";

const step = "fix";
/** Read last, whatever number another file begins with. */
const lastSysctlFile = "zz-kubestick.conf";

export const lastingChecks: readonly Check[] = [
  { name: "Swap", severity: "warning", verifies: "swap that is off now stays off at the next boot", run: checkSwap },
  { name: "Sysctl-*", severity: "warning", verifies: "no other file sets the kernel settings of pods otherwise at the next boot", run: checkSysctls },
  { name: "KernelModule-*", severity: "warning", verifies: "no file keeps the needed kernel modules out", run: checkModules },
  { name: "HostPath-*", severity: "error", verifies: "directories and files that volumes of the control plane want exist", run: checkVolumes },
];

/** Nothing without the flag. */
export async function planFix(input: PlanInput<unknown>): Promise<readonly Action[]> {
  if (input.config.flags?.fix !== true) return [];
  return [...(await planSwap(input)), ...(await planSysctls(input)), ...(await planModules(input)), ...(await planVolumes(input))];
}

/** With the flag it is news; without, a finding whose cure is the flag. */
function curable({ config }: Pick<Input, "config">, seen: Seen, done: string): Seen {
  if (config.flags?.fix === true) return { ...seen, severity: "info", message: `${seen.message}: ${done} (--fix)` };
  return { ...seen, hint: `${seen.hint} Run it with --fix and it does that; reset undoes it.` };
}

// ---------------------------------------------------------------- swap

/** Swap that is on is told by `machine.ts`, because the kubelet's configuration depends on it. */
async function checkSwap(input: Input): Promise<readonly Seen[]> {
  const { facts, config, read } = input;
  // In a guest swap is the business of the machine below. Who allowed swap in the kubelet's configuration knows of it.
  if (facts.container || facts.swaps.length > 0 || config.kubelet?.["failSwapOn"] === false) return [];
  const lines = swapLines((await read.readText("/etc/fstab")) ?? "");
  const sources = [...(lines.length > 0 ? ["/etc/fstab"] : []), ...(await swapUnits(read))];
  if (sources.length === 0) return [];
  return [curable(input, {
    message: `swap is off, and ${sources.join(", ")} switch${sources.length === 1 ? "es" : ""} it on at the next boot`,
    hint: `The kubelet refuses to start with swap on, so the node would not come back. ${lines.length > 0 ? "Take its lines out of /etc/fstab." : `Mask it: systemctl mask ${sources.join(" ")}`}`,
  }, "it stays off")];
}

async function planSwap({ facts, read, made }: PlanInput<unknown>): Promise<readonly Action[]> {
  if (facts.container) return [];
  const actions: Action[] = [];
  const [fstab, stat] = [await read.readText("/etc/fstab"), await read.stat("/etc/fstab")];
  if (fstab !== undefined && stat?.type === "file" && (swapLines(fstab).length > 0 || made.has("file/etc/fstab"))) {
    // Options of network mounts may hold passwords: this file is never shown.
    actions.push(file("/etc/fstab", stat.mode, withoutSwap(fstab), { step, secret: true, why: "its lines of type swap are commented out" }));
  }
  const own = ((await read.list("/etc/systemd/system")) ?? []).filter((name) => (name.endsWith(".swap") || swapServices.includes(name)) && made.has(`file${maskPath(name)}`));
  for (const unit of [...new Set([...(await swapUnits(read)), ...own])].sort()) {
    actions.push(file(maskPath(unit), 0o644, "", { step, why: "an empty unit file masks the unit (systemd.unit(5)), so it brings no swap back" }));
  }
  return [...actions, swapOff({ step, why: "Kubernetes reckons with memory, not with swap" })];
}

// ---------------------------------------------------------------- kernel

/** What is still read after us: after the file that --fix wrote, when it did. */
async function overrides({ config, read, made }: PlanInput<unknown>): Promise<readonly Override[]> {
  return await overridingSysctls(read, neededSysctls(config), made.has(`file/etc/sysctl.d/${lastSysctlFile}`) ? lastSysctlFile : sysctlFile);
}

async function checkSysctls(input: Input): Promise<readonly Seen[]> {
  return (await overrides(input)).map((override) => {
    const { path, key, value } = override;
    const seen: Seen = {
      check: `Sysctl-${key}`, message: `${path} sets ${key} = ${value}, and is read last at a boot`,
      hint: "Pods would lose their network with the next boot. Take that line out.",
    };
    return basename(path) > lastSysctlFile ? seen : curable(input, seen, `/etc/sysctl.d/${lastSysctlFile} is read after it and sets it right`);
  });
}

async function planSysctls(input: PlanInput<unknown>): Promise<readonly Action[]> {
  const path = `/etc/sysctl.d/${lastSysctlFile}`;
  if (!input.made.has(`file${path}`) && (await overrides(input)).length === 0) return [];
  return [file(path, 0o644, sysctlText(input.config), { step, why: "another file sets them otherwise, and the last one counts" })];
}

/** A module that is part of the kernel needs no loading. */
function loadable({ config, facts }: PlanInput<unknown>): readonly string[] {
  return neededModules(config).filter(({ option }) => facts.kernelConfig?.options[option] !== "y").map(({ name }) => name);
}

async function checkModules(input: Input): Promise<readonly Seen[]> {
  const { facts, read } = input;
  if (facts.container) return [];
  const seen: Seen[] = [];
  for (const { path, module, how } of await blockedModules(read, loadable(input))) {
    const now = how === "install" && !(await read.moduleLoaded(module));
    const why = neededModules(input.config).find(({ name }) => name === module)?.why ?? "pods";
    seen.push(curable(input, {
      check: `KernelModule-${module}`, ...(now ? { severity: "error" } : {}),
      message: `${path} keeps the kernel module ${module} from being loaded${now ? "" : " at a boot"}`,
      hint: `Needed for ${why}. Take its ${how} line out.`,
    }, "its line is commented out"));
  }
  return seen;
}

/** A file of equal name in /etc answers one that a package brought; packages' own files stay. */
async function planModules(input: PlanInput<unknown>): Promise<readonly Action[]> {
  const { read, made, facts } = input;
  if (facts.container) return [];
  const modules = loadable(input);
  const blocks: readonly Block[] = await blockedModules(read, modules);
  const own = ((await read.list("/etc/modprobe.d")) ?? []).map((name) => `/etc/modprobe.d/${name}`).filter((path) => made.has(`file${path}`));
  const actions: Action[] = [];
  for (const path of [...new Set([...blocks.map((block) => block.path), ...own])].sort()) {
    const mode = (await read.stat(path))?.mode ?? 0o644;
    actions.push(file(`/etc/modprobe.d/${basename(path)}`, mode, withoutBlocks((await read.readText(path)) ?? "", modules), { step, why: "lines that keep needed modules out are commented out" }));
  }
  return actions;
}

// ---------------------------------------------------------------- volumes

/** Kubernetes makes these two itself (`DirectoryOrCreate`, `FileOrCreate`); with the plain types an absent path keeps the static pod from starting. */
function wantedPaths({ config: { cluster } }: PlanInput<unknown>): readonly { readonly component: string; readonly volume: HostPathMount }[] {
  return (["apiServer", "controllerManager", "scheduler"] as const).flatMap((component) => (cluster[component].extraVolumes ?? []).map((volume) => ({ component, volume })))
    .filter(({ volume }) => volume.pathType === "Directory" || volume.pathType === "File");
}

async function checkVolumes(input: Input): Promise<readonly Seen[]> {
  const seen: Seen[] = [];
  for (const { component, volume: { name, hostPath, pathType } } of wantedPaths(input)) {
    if ((await input.read.stat(hostPath)) !== undefined) continue;
    const absent: Seen = { check: `HostPath-${name}`, message: `${hostPath} does not exist, and the volume ${name} of ${component} wants a ${pathType === "File" ? "file" : "directory"} there`, hint: "The static pod would never start. " };
    if (pathType === "File") seen.push({ ...absent, hint: `${absent.hint}Put the file there, or correct extraVolumes.` });
    else seen.push(curable(input, { ...absent, hint: `${absent.hint}Make it: mkdir -p ${hostPath}` }, "it is made"));
  }
  return seen;
}

async function planVolumes(input: PlanInput<unknown>): Promise<readonly Action[]> {
  const actions = new Map<string, Action>();
  for (const { component, volume: { name, hostPath, pathType } } of wantedPaths(input)) {
    if (pathType !== "Directory") continue;
    const action = directory(hostPath, 0o755, { step, why: `volume ${name} of ${component}` });
    if (input.made.has(action.id) || (await input.read.stat(hostPath)) === undefined) actions.set(action.id, action);
  }
  return [...actions.values()];
}
