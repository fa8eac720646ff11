/**
 * A glance at a package for `kubestick version`, which has to start as fast as Node itself: no cryptography, no streams, nothing verified.
 * Whatever is not as expected is undefined here; `openPackage` then says exactly what is wrong.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { Decoder } from "cbor-x/decode";
import { FOOTER_SIZE, indexPlace } from "./format.ts";
import { PART_RECORD_SIZE, isPartRecord } from "./part-format.ts";

export interface Glance {
  readonly kubernetesVersion: string;
  /** `amd64`, `amd64,arm64` */
  readonly arch: string;
  readonly cni: string;
}

export function peekPackage(path: string): Glance | undefined {
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    const read = (offset: number, length: number): Uint8Array => {
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, readSync(file, bytes, 0, length, offset));
    };
    // Behind the footer of a first part stands its record.
    const end = size < 2 * PART_RECORD_SIZE || !isPartRecord(read(size - PART_RECORD_SIZE, PART_RECORD_SIZE)) ? size : size - PART_RECORD_SIZE;
    const place = end < FOOTER_SIZE ? undefined : indexPlace(read(end - FOOTER_SIZE, FOOTER_SIZE));
    if (place === undefined || place.before > end - FOOTER_SIZE) return undefined;
    return glanceOf(read(end - FOOTER_SIZE - place.before, place.length));
  } finally {
    closeSync(file);
  }
}

function glanceOf(index: Uint8Array): Glance | undefined {
  let value: unknown;
  try {
    value = new Decoder({ useRecords: false, mapsAsObjects: true, structuredClone: false }).decode(index);
  } catch {
    return undefined; // a damaged index; the caller asks the reader that explains it
  }
  const { kubernetesVersion, executable, platforms, cni } = fieldsOf(value);
  const started = fieldsOf(executable)["arch"];
  // A file for several processors begins with lines that choose one.
  const arch = started === "any" && Array.isArray(platforms) ? platforms.map((platform) => fieldsOf(platform)["arch"]).join(",") : started;
  return typeof kubernetesVersion === "string" && typeof arch === "string" && typeof cni === "string" ? { kubernetesVersion, arch, cni } : undefined;
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
