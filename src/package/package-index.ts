/**
 * The index of a package: encode, decode, and the rules a decoded one must keep before anybody relies on it.
 *
 * The index's digest is checked before it comes here, so what fails is a fault of the writer, not of the medium.
 * It is still read as a stranger's data: no field is used before its type, range and references are known to hold.
 */
import { Decoder, Encoder, setSizeLimits } from "cbor-x";
import { KubestickError, messageOf } from "../errors.ts";
import { isDigest } from "./digest.ts";
import type { Digest, PackageBinary, PackageDescriptor, PackageEntry, PackageImage, PackageIndex, PackageLayer } from "./types.ts";

// Plain maps only: records and structured clones are cbor-x's own dialect, and other CBOR readers should be able to show an index.
const encoder = new Encoder({ useRecords: false, mapsAsObjects: true, variableMapSize: true, structuredClone: false });
const decoder = new Decoder({ useRecords: false, mapsAsObjects: true, structuredClone: false });
// A damaged length must not reserve memory for a hundred million items before the end of the data is noticed.
setSizeLimits({ maxArraySize: 200_000, maxMapSize: 10_000, maxObjectSize: 10_000 });

const CNIS = ["flannel", "bridge", "none"] as const;

/** Equal values give equal bytes: fields are written in a fixed order, lists in the given one. */
export function encodeIndex(index: PackageIndex): Uint8Array {
  return Uint8Array.from(
    encoder.encode({
      formatVersion: 1,
      kubernetesVersion: index.kubernetesVersion,
      arch: index.arch,
      cni: index.cni,
      images: index.images.map((image) => ({
        reference: image.reference,
        role: image.role,
        target: plainDescriptor(image.target),
        manifest: plainDescriptor(image.manifest),
        config: plainDescriptor(image.config),
        layers: image.layers.map((layer) => ({ ...plainDescriptor(layer), diffId: layer.diffId, unpackedSize: layer.unpackedSize })),
      })),
      binaries: index.binaries.map(({ name, version, path, mode, digest, size, source }) => ({ name, version, path, mode, digest, size, source })),
      entries: index.entries.map(({ digest, size, encoding, offset, length, stored, label }) => ({ digest, size, encoding, offset, length, stored, label })),
    }),
  );
}

function plainDescriptor({ mediaType, digest, size }: PackageDescriptor): PackageDescriptor {
  return { mediaType, digest, size };
}

/** Where entries may lie: they fill the file from `start` to `end` without gaps, in order. */
export interface PayloadBounds {
  readonly start: number;
  readonly end: number;
}

/** Throws PACKAGE_INDEX, saying which field breaks which rule. */
export function decodeIndex(bytes: Uint8Array, bounds: PayloadBounds, path: string): PackageIndex {
  let value: unknown;
  try {
    value = decoder.decode(bytes);
  } catch (error) {
    throw indexError(path, `it is not CBOR: ${messageOf(error)}`, error);
  }
  try {
    return checkedIndex(value, bounds);
  } catch (error) {
    if (error instanceof Unacceptable) throw indexError(path, error.message);
    throw error;
  }
}

function indexError(path: string, why: string, cause?: unknown): KubestickError {
  return new KubestickError({
    code: "PACKAGE_INDEX",
    attempted: `reading the package in ${path}`,
    happened: `The index of the package cannot be used: ${why}.`,
    next: "Make the package again with `kubestick pack`; this one was not written correctly.",
    cause,
  });
}

/** Internal to this file: which field, which rule. */
class Unacceptable extends Error {}

function checkedIndex(value: unknown, bounds: PayloadBounds): PackageIndex {
  const top = record(value, "index");
  if (top["formatVersion"] !== 1) refuse("formatVersion", "must be 1");
  const entries = list(top["entries"], "entries").map(checkedEntry);
  const byDigest = new Map<string, PackageEntry>();
  let at = bounds.start;
  for (const [number, entry] of entries.entries()) {
    if (byDigest.has(entry.digest)) refuse(`entries[${number}].digest`, `${entry.digest} is listed twice`);
    byDigest.set(entry.digest, entry);
    if (entry.offset !== at) refuse(`entries[${number}].offset`, `is ${entry.offset}, but the bytes before it end at ${at}`);
    at += entry.length;
    if (at > bounds.end) refuse(`entries[${number}].length`, `${entry.length} reaches behind the payload, which ends at ${bounds.end}`);
  }
  if (at !== bounds.end) refuse("entries", `end at ${at}, but the payload ends at ${bounds.end}`);

  const refersTo = (digest: Digest, size: number, where: string): void => {
    const entry = byDigest.get(digest);
    if (entry === undefined) refuse(where, `${digest} is not among the entries`);
    if (entry.size !== size) refuse(where, `has size ${size}, but its entry has ${entry.size}`);
  };
  const images = list(top["images"], "images").map((item, number) => checkedImage(item, `images[${number}]`, refersTo));
  const binaries = list(top["binaries"], "binaries").map((item, number) => checkedBinary(item, `binaries[${number}]`, refersTo));
  unique(images.map((image) => image.reference), "images", "reference");
  unique(binaries.map((binary) => binary.name), "binaries", "name");
  unique(binaries.map((binary) => binary.path), "binaries", "path");

  const cni = CNIS.find((name) => name === top["cni"]);
  if (cni === undefined) refuse("cni", `must be one of ${CNIS.join(", ")}`);
  return Object.freeze({
    formatVersion: 1,
    kubernetesVersion: text(top["kubernetesVersion"], "kubernetesVersion"),
    arch: text(top["arch"], "arch"),
    cni,
    images: Object.freeze(images),
    binaries: Object.freeze(binaries),
    entries: Object.freeze(entries),
  });
}

function checkedEntry(value: unknown, number: number): PackageEntry {
  const where = `entries[${number}]`;
  const item = record(value, where);
  const encoding = item["encoding"];
  if (encoding !== "identity" && encoding !== "zstd") refuse(`${where}.encoding`, "must be identity or zstd");
  const entry: PackageEntry = {
    digest: digest(item["digest"], `${where}.digest`),
    size: count(item["size"], `${where}.size`),
    encoding,
    offset: count(item["offset"], `${where}.offset`),
    length: count(item["length"], `${where}.length`),
    stored: digest(item["stored"], `${where}.stored`),
    label: text(item["label"], `${where}.label`),
  };
  if (encoding === "identity" && (entry.stored !== entry.digest || entry.length !== entry.size)) {
    refuse(where, "travels as it is, but its stored digest or length differs from its content's");
  }
  return Object.freeze(entry);
}

type RefersTo = (digest: Digest, size: number, where: string) => void;

function checkedImage(value: unknown, where: string, refersTo: RefersTo): PackageImage {
  const item = record(value, where);
  return Object.freeze({
    reference: text(item["reference"], `${where}.reference`),
    role: text(item["role"], `${where}.role`),
    target: checkedDescriptor(item["target"], `${where}.target`, refersTo),
    manifest: checkedDescriptor(item["manifest"], `${where}.manifest`, refersTo),
    config: checkedDescriptor(item["config"], `${where}.config`, refersTo),
    layers: Object.freeze(
      list(item["layers"], `${where}.layers`).map((layer, number): PackageLayer => {
        const at = `${where}.layers[${number}]`;
        const fields = record(layer, at);
        return Object.freeze({
          ...checkedDescriptor(layer, at, refersTo),
          diffId: digest(fields["diffId"], `${at}.diffId`),
          unpackedSize: count(fields["unpackedSize"], `${at}.unpackedSize`),
        });
      }),
    ),
  });
}

function checkedDescriptor(value: unknown, where: string, refersTo: RefersTo): PackageDescriptor {
  const item = record(value, where);
  const descriptor = {
    mediaType: text(item["mediaType"], `${where}.mediaType`),
    digest: digest(item["digest"], `${where}.digest`),
    size: count(item["size"], `${where}.size`),
  };
  refersTo(descriptor.digest, descriptor.size, where);
  return Object.freeze(descriptor);
}

function checkedBinary(value: unknown, where: string, refersTo: RefersTo): PackageBinary {
  const item = record(value, where);
  const path = text(item["path"], `${where}.path`);
  // The engine writes to this path as root: only a plain absolute one is accepted.
  if (!/^(\/[A-Za-z0-9._+-]+)+$/.test(path) || path.split("/").some((part) => part === "." || part === "..")) {
    refuse(`${where}.path`, `${JSON.stringify(path)} is not a plain absolute path`);
  }
  const mode = count(item["mode"], `${where}.mode`);
  if (mode > 0o777) refuse(`${where}.mode`, `0o${mode.toString(8)} has more than permission bits`);
  const binary: PackageBinary = {
    name: text(item["name"], `${where}.name`),
    version: text(item["version"], `${where}.version`),
    path,
    mode,
    digest: digest(item["digest"], `${where}.digest`),
    size: count(item["size"], `${where}.size`),
    source: text(item["source"], `${where}.source`),
  };
  refersTo(binary.digest, binary.size, where);
  return Object.freeze(binary);
}

function refuse(where: string, rule: string): never {
  throw new Unacceptable(`${where} ${rule}`);
}

function record(value: unknown, where: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) refuse(where, "must be a map");
  return value as Record<string, unknown>;
}

function list(value: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(value)) refuse(where, "must be a list");
  // Array.from makes holes visible as undefined, which map() would skip.
  return Array.from(value as unknown[]);
}

function text(value: unknown, where: string): string {
  if (typeof value !== "string" || value.length === 0 || value.length > 4096) refuse(where, "must be a text of 1 to 4096 characters");
  return value;
}

/** cbor-x gives whole numbers from 2^32 as bigint when they were encoded as integers (it writes them as float64 itself). */
function count(given: unknown, where: string): number {
  const value = typeof given === "bigint" ? Number(given) : given;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) refuse(where, "must be a whole number from 0 to 2^53-1");
  return value;
}

function digest(value: unknown, where: string): Digest {
  if (!isDigest(value)) refuse(where, "must be sha256: and 64 lower-case hex digits");
  return value;
}

function unique(values: readonly string[], where: string, field: string): void {
  const seen = new Set<string>();
  for (const [number, value] of values.entries()) {
    if (seen.has(value)) refuse(`${where}[${number}].${field}`, `${JSON.stringify(value)} is there twice`);
    seen.add(value);
  }
}
