/** Kernel modules, sysctls and routes of this machine. */
import { readFile, stat, writeFile } from "node:fs/promises";
import { release } from "node:os";
import { KubestickError, messageOf } from "../errors.ts";
import { isMissing } from "./failures.ts";
import type { Exec } from "./systemd.ts";
import type { Route } from "./types.ts";

/** Where a module shows itself when it is built in without parameters, or when a guest has neither /sys/module nor /lib/modules of it. */
const traces: Readonly<Record<string, string>> = {
  br_netfilter: "/proc/sys/net/bridge",
  nf_conntrack: "/proc/sys/net/netfilter/nf_conntrack_max",
  ip_vs: "/proc/net/ip_vs",
};

export async function isModuleLoaded(name: string): Promise<boolean> {
  // The kernel's own spelling; modprobe takes both.
  const module = name.replaceAll("-", "_");
  if (await exists(`/sys/module/${module}`)) return true;
  if (new RegExp(`^${module} `, "m").test(await textOf("/proc/modules"))) return true;
  if (await exists(traces[module] ?? `/sys/module/${module}`)) return true;
  if (new RegExp(`^(nodev)?\\s+${module}$`, "m").test(await textOf("/proc/filesystems"))) return true;
  const builtin = await textOf(`/lib/modules/${release()}/modules.builtin`);
  return builtin.split("\n").some((line) => line.split("/").at(-1)?.replaceAll("-", "_") === `${module}.ko`);
}

export async function loadKernelModule(exec: Exec, name: string): Promise<void> {
  const result = await exec(["modprobe", "--", name]);
  if (result.code === 0) return;
  throw new KubestickError({
    code: "MODULE_FAILED",
    attempted: `loading the kernel module ${name}`,
    happened: result.stderr.trim().split("\n").at(-1) || `modprobe ended with exit code ${result.code}.`,
    next: `Install the kernel's modules of ${release()} (often the package linux-modules or linux-modules-extra), then try: modprobe ${name}`,
    details: result.stderr.split("\n").filter(Boolean),
  });
}

/** sysctl.d(5): dots and slashes swap, unless the first separator is a slash; interface names may hold dots. */
export function sysctlPath(key: string): string {
  const slashed = /^[^./]*\//.test(key) ? key : key.replaceAll(/[./]/g, (separator) => (separator === "." ? "/" : "."));
  return `/proc/sys/${slashed}`;
}

export async function readSysctl(key: string): Promise<string | undefined> {
  try {
    return (await readFile(sysctlPath(key), "utf8")).trim();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw sysctlFailure(`reading the kernel setting ${key}`, key, error);
  }
}

export async function writeSysctl(key: string, value: string): Promise<void> {
  try {
    await writeFile(sysctlPath(key), `${value}\n`, { flag: "r+" });
  } catch (error) {
    throw sysctlFailure(`setting the kernel setting ${key} to ${value}`, key, error);
  }
}

export async function putRoute(exec: Exec, route: Route): Promise<void> {
  const result = await exec(["ip", `-${route.family}`, "route", "replace", ...routeArguments(route)]);
  if (result.code === 0) return;
  throw routeFailure("adding", route, result.stderr);
}

/** A route that is already gone is what was asked for. */
export async function dropRoute(exec: Exec, route: Route): Promise<void> {
  const result = await exec(["ip", `-${route.family}`, "route", "del", ...routeArguments(route)]);
  if (result.code === 0 || /No such process|Cannot find device/.test(result.stderr)) return;
  throw routeFailure("removing", route, result.stderr);
}

function routeArguments(route: Route): string[] {
  return [
    route.destination,
    ...(route.gateway === undefined ? [] : ["via", route.gateway]),
    "dev", route.device,
    ...(route.source === undefined ? [] : ["src", route.source]),
  ];
}

function routeFailure(verb: string, route: Route, stderr: string): KubestickError {
  return new KubestickError({
    code: "ROUTE_FAILED",
    attempted: `${verb} the route ${routeArguments(route).join(" ")}`,
    happened: stderr.trim() || "The program ip reported a failure without words.",
    next: `Look at the routes and the interface: ip -${route.family} route; ip addr show ${route.device}`,
  });
}

function sysctlFailure(attempted: string, key: string, error: unknown): KubestickError {
  return new KubestickError({
    code: "SYSCTL_FAILED",
    attempted,
    happened: messageOf(error),
    next: `Try it by hand as root: sysctl ${key}. In a container or a locked-down guest the setting belongs to the machine below it.`,
    cause: error,
  });
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(() => true, () => false);
}

async function textOf(path: string): Promise<string> {
  return await readFile(path, "utf8").catch(() => "");
}
