/** Constructors for actions: one place that knows how an action's id is spelled. Pure. */
import { createHash } from "node:crypto";
import type { KubeObject, ObjectRef } from "../cluster/types.ts";
import type { DirectoryAction, FileAction, ImageAction, KernelAction, LineAction, ObjectAction, PayloadAction, Probe, RouteAction, SurveyAction, SurveyPlace, UnitAction, WaitAction } from "../engine/types.ts";
import type { Route } from "../host/types.ts";
import type { PackageBinary, PackageImage } from "../package/types.ts";

/** Optional parts that any action may carry. */
interface Common {
  readonly step?: string;
  readonly why?: string;
  readonly late?: true;
  readonly after?: readonly string[];
}

export function file(path: string, mode: number, content: string | Uint8Array, more: Common & { readonly secret?: true; readonly ofCluster?: true; readonly settles?: readonly string[]; readonly parentMode?: number } = {}): FileAction {
  return { kind: "file", id: `file${path}`, path, mode, content, ...more };
}

export function directory(path: string, mode: number, more: Common = {}): DirectoryAction {
  return { kind: "directory", id: `directory${path}`, path, mode, ...more };
}

export function line(path: string, wanted: string, more: Common = {}): LineAction {
  return { kind: "line", id: `line${path}`, path, line: wanted, ...more };
}

export function payload(binary: PackageBinary, more: Common = {}): PayloadAction {
  return { kind: "payload", id: `file${binary.path}`, path: binary.path, mode: binary.mode, digest: binary.digest, size: binary.size, ...more };
}

/** `key` tells apart two actions that (re)start the same unit for different reasons. */
export function unit(name: string, fingerprint: string, more: Common & { readonly key?: string; readonly oneshot?: true } = {}): UnitAction {
  const { key, ...rest } = more;
  return { kind: "unit", id: `unit/${name}${key === undefined ? "" : `/${key}`}`, name, enabled: true, running: true, fingerprint, ...rest };
}

export function kernelModule(module: string, more: Common = {}): KernelAction {
  return { kind: "kernel", id: `module/${module}`, module, ...more };
}

export function sysctl(key: string, value: string, more: Common = {}): KernelAction {
  return { kind: "kernel", id: `sysctl/${key}`, sysctl: key, value, ...more };
}

/** No swap at all; the journal remembers which areas were on. */
export function swapOff(more: Common = {}): KernelAction {
  return { kind: "kernel", id: "swap/off", swap: "off", ...more };
}

export function route(wanted: Route, more: Common = {}): RouteAction {
  return { kind: "route", id: `route/${wanted.destination}`, route: wanted, ...more };
}

export function image(socket: string, packageImage: PackageImage, alsoAs: readonly string[] = [], more: Common = {}): ImageAction {
  return { kind: "image", id: `image/${packageImage.reference}`, socket, image: packageImage, ...(alsoAs.length > 0 ? { alsoAs } : {}), ...more };
}

export function object(value: KubeObject, policy: ObjectAction["policy"], timeoutMs: number, more: Common & { readonly as?: "super-admin"; readonly owner?: ObjectRef } = {}): ObjectAction {
  const { as, ...rest } = more;
  const { name, namespace } = value.metadata;
  return {
    kind: "object", id: `${value.kind.toLowerCase()}/${namespace === undefined ? "" : `${namespace}/`}${name}`,
    object: value, policy, as: as ?? "admin", timeoutMs, ...(value.kind === "Secret" ? { secret: true as const } : {}), ...rest,
  };
}

export function wait(name: string, title: string, probe: Probe, timeoutMs: number, more: Common = {}): WaitAction {
  return { kind: "wait", id: `wait/${name}`, title, probe, timeoutMs, ...more };
}

export function survey(name: string, places: readonly SurveyPlace[], more: Common & { readonly settings?: readonly string[] } = {}): SurveyAction {
  return { kind: "survey", id: `survey/${name}`, places, ...more };
}

/** Fingerprint over everything a process reads when it starts. */
export function fingerprint(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(typeof part === "string" ? `${part.length}:` : `${part.byteLength}:`).update(part);
  return hash.digest("hex");
}

/** Fills `@NAME@` in a bundled text; a name without a value, or a value without its name, is a mistake of ours. */
export function fillTemplate(text: string, values: Readonly<Record<string, string>>): string {
  for (const name of Object.keys(values)) {
    if (!text.includes(`@${name}@`)) throw new TypeError(`the template has no @${name}@`);
  }
  return text.replaceAll(/@([A-Z_]+)@/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new TypeError(`no value for @${name}@`);
    return value;
  });
}
