/** Configuration of components that kubeadm keeps in ConfigMaps: defaults under the user's document, and the hash that tells generated from edited. */
import { createHash } from "node:crypto";
import type { KubeObject } from "../cluster/types.ts";
import { annotations } from "./names.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** `given` over `defaults`, object by object. null and the empty string mean "not set" in Go's types and leave the default. */
export function overlay(defaults: Fields, given: Fields | undefined): Fields {
  const result: Record<string, unknown> = { ...defaults };
  for (const [key, value] of Object.entries(given ?? {})) {
    const below = result[key];
    if (isFields(value)) result[key] = overlay(isFields(below) ? below : {}, value);
    else if (value !== null && value !== undefined && (value !== "" || below === undefined)) result[key] = value;
  }
  return result;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** kubeadm's checksum of a ConfigMap: SHA-256 over the values of `data` in key order (componentconfigs/checksums.go). */
export function configMapHash(data: Readonly<Record<string, string>>): string {
  const hash = createHash("sha256");
  for (const key of Object.keys(data).sort()) hash.update(data[key] as string);
  return `sha256:${hash.digest("hex")}`;
}

/** Annotation by which a later upgrade knows that nobody wrote or changed this configuration by hand; none when the user supplied it. */
export function hashAnnotation(data: Readonly<Record<string, string>>, userSupplied: boolean): { readonly annotations?: Readonly<Record<string, string>> } {
  return userSupplied ? {} : { annotations: { [annotations.componentConfigHash]: configMapHash(data) } };
}

export function configMap(metadata: KubeObject["metadata"], data: Readonly<Record<string, string>>): KubeObject {
  return { apiVersion: "v1", data, kind: "ConfigMap", metadata };
}
