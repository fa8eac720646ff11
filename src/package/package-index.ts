/**
 * The index of a package: encode, decode, and the rules a decoded one must keep before anybody relies on it.
 *
 * The index's digest is checked before it comes here, so what fails is a fault of the writer, not of the medium.
 * It is still read as a stranger's data: no field is used before its type, range and references are known to hold.
 */
import { Decoder, Encoder, setSizeLimits } from "cbor-x";
import { KubestickError, messageOf } from "../errors.ts";
import { CHUNK_HASH_SIZE, chunkCount } from "./chunks.ts";
import { isDigest } from "./digest.ts";
import { ANY_ARCH, ownArch } from "./starter.ts";
import type { Digest, PackageBinary, PackageContent, PackageDescriptor, PackageDocument, PackageEntry, PackageExecutable, PackageImage, PackageIndex, PackageLayer, PackagePlatform } from "./types.ts";

// Plain maps only: records and structured clones are cbor-x's own dialect, and other CBOR readers should be able to show an index.
const encoder = new Encoder({ useRecords: false, mapsAsObjects: true, variableMapSize: true, structuredClone: false });
const decoder = new Decoder({ useRecords: false, mapsAsObjects: true, structuredClone: false });
// A damaged length must not reserve memory for a hundred million items before the end of the data is noticed.
setSizeLimits({ maxArraySize: 200_000, maxMapSize: 10_000, maxObjectSize: 10_000 });

const CNIS = ["flannel", "bridge", "none"] as const;

/** Equal values give equal bytes: fields are written in a fixed order, lists in the given one. */
export function encodeIndex(index: PackageContent & Pick<PackageIndex, "chunkSize" | "executable" | "entries">): Uint8Array {
  return Uint8Array.from(
    encoder.encode({
      formatVersion: 2,
      kubernetesVersion: index.kubernetesVersion,
      cni: index.cni,
      chunkSize: index.chunkSize,
      executable: { arch: index.executable.arch, length: whole(index.executable.length), digest: index.executable.digest, chunks: byteString(index.executable.chunks) },
      platforms: index.platforms.map(({ arch, program, images, binaries }) => ({
        arch,
        ...(program === undefined ? {} : { program: { digest: program.digest, size: whole(program.size) } }),
        images: images.map((image) => ({
          reference: image.reference,
          role: image.role,
          target: plainDescriptor(image.target),
          manifest: plainDescriptor(image.manifest),
          config: plainDescriptor(image.config),
          layers: image.layers.map((layer) => ({ ...plainDescriptor(layer), diffId: layer.diffId, unpackedSize: whole(layer.unpackedSize), entry: layer.entry })),
          ...(image.license === undefined ? {} : { license: image.license }),
        })),
        binaries: binaries.map(({ name, version, path, mode, digest, size, source, license }) => ({ name, version, path, mode, digest, size: whole(size), source, ...(license === undefined ? {} : { license }) })),
      })),
      documents: index.documents.map(({ kind, name, mediaType, digest, size }) => ({ kind, name, mediaType, digest, size: whole(size) })),
      entries: index.entries.map(({ digest, size, encoding, offset, length, stored, label, chunks }) => ({ digest, size: whole(size), encoding, offset: whole(offset), length: whole(length), stored, label, chunks: byteString(chunks) })),
    }),
  );
}

function plainDescriptor({ mediaType, digest, size }: PackageDescriptor): object {
  return { mediaType, digest, size: whole(size) };
}

/** cbor-x writes numbers from 2^32 as floats; the format has whole numbers only. */
function whole(value: number): number | bigint {
  return value > 0xffff_ffff ? BigInt(value) : value;
}

/** A Buffer becomes a plain byte string, any other typed array a tagged one. */
function byteString(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Where entries may lie: they fill the file from `start` to `end` without gaps, in order. */
export interface PayloadBounds {
  readonly start: number;
  readonly end: number;
}

/**
 * `arch`: whose images and programs to show, if there are any; else those of the architecture on which the file can be started. Throws PACKAGE_INDEX,
 * saying which field breaks which rule.
 */
export function decodeIndex(bytes: Uint8Array, bounds: PayloadBounds, path: string, arch: string = ownArch): PackageIndex {
  let value: unknown;
  try {
    value = decoder.decode(bytes);
  } catch (error) {
    throw indexError(path, `it is not CBOR: ${messageOf(error)}`, error);
  }
  try {
    return checkedIndex(value, bounds, arch);
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

function checkedIndex(value: unknown, bounds: PayloadBounds, wantedArch: string): PackageIndex {
  const top = record(value, "index");
  if (top["formatVersion"] !== 2) refuse("formatVersion", "must be 2");
  const chunkSize = count(top["chunkSize"], "chunkSize");
  if (chunkSize < 64 * 1024 || chunkSize > 16 * 1024 * 1024) refuse("chunkSize", "must be from 64 KiB to 16 MiB");
  const executable = checkedExecutable(top["executable"], chunkSize);
  const entries = list(top["entries"], "entries").map((item, number) => checkedEntry(item, `entries[${number}]`, chunkSize));
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
  const platforms = list(top["platforms"], "platforms").map((item, number) => checkedPlatform(item, `platforms[${number}]`, refersTo));
  unique(platforms.map(({ arch }) => arch), "platforms", "arch");
  const documents = list(top["documents"], "documents").map((item, number) => checkedDocument(item, `documents[${number}]`, refersTo));
  unique(documents.map(({ kind, name }) => `${kind} ${name}`), "documents", "name");
  checkPrograms(platforms, executable, entries);
  const shown = platforms.find(({ arch }) => arch === wantedArch) ?? platforms.find(({ arch }) => executable.arch === ANY_ARCH || arch === executable.arch);
  const started = executable.arch === ANY_ARCH || platforms.some(({ arch }) => arch === executable.arch);
  if (shown === undefined || !started) refuse("platforms", `has nothing for ${executable.arch}, only for ${platforms.map(({ arch }) => arch).join(", ") || "nothing"}`);

  const cni = CNIS.find((name) => name === top["cni"]);
  if (cni === undefined) refuse("cni", `must be one of ${CNIS.join(", ")}`);
  return Object.freeze({
    formatVersion: 2,
    kubernetesVersion: text(top["kubernetesVersion"], "kubernetesVersion"),
    cni,
    chunkSize,
    executable,
    ...shown,
    platforms: Object.freeze(platforms),
    documents: Object.freeze(documents),
    entries: Object.freeze(entries),
  });
}

function checkedExecutable(value: unknown, chunkSize: number): PackageExecutable {
  const item = record(value, "executable");
  const length = count(item["length"], "executable.length");
  return Object.freeze({ arch: text(item["arch"], "executable.arch"), length, digest: digest(item["digest"], "executable.digest"), chunks: chunkHashes(item["chunks"], length, chunkSize, "executable.chunks") });
}

/** The lines at the front know where the programs begin; whoever cuts the file has to keep them together with it. */
function checkPrograms(platforms: readonly PackagePlatform[], executable: PackageExecutable, entries: readonly PackageEntry[]): void {
  if (executable.arch !== ANY_ARCH) return;
  const digests = new Set(platforms.map(({ arch, program }, number) => program?.digest ?? refuse(`platforms[${number}].program`, `is missing: the file begins with no program, and there is none for ${arch}`)));
  for (const [number, entry] of entries.slice(0, digests.size).entries()) {
    if (!digests.has(entry.digest)) refuse(`entries[${number}]`, "is no program, and those come first");
    if (entry.encoding !== "identity") refuse(`entries[${number}].encoding`, "must be identity for a program");
  }
}

function checkedPlatform(value: unknown, where: string, refersTo: RefersTo): PackagePlatform {
  const item = record(value, where);
  const images = list(item["images"], `${where}.images`).map((image, number) => checkedImage(image, `${where}.images[${number}]`, refersTo));
  const binaries = list(item["binaries"], `${where}.binaries`).map((binary, number) => checkedBinary(binary, `${where}.binaries[${number}]`, refersTo));
  unique(images.map((image) => image.reference), `${where}.images`, "reference");
  unique(binaries.map((binary) => binary.name), `${where}.binaries`, "name");
  unique(binaries.map((binary) => binary.path), `${where}.binaries`, "path");
  const program = item["program"] === undefined ? undefined : checkedProgram(item["program"], `${where}.program`, refersTo);
  return Object.freeze({ arch: text(item["arch"], `${where}.arch`), ...(program === undefined ? {} : { program }), images: Object.freeze(images), binaries: Object.freeze(binaries) });
}

function checkedProgram(value: unknown, where: string, refersTo: RefersTo): NonNullable<PackagePlatform["program"]> {
  const item = record(value, where);
  const program = { digest: digest(item["digest"], `${where}.digest`), size: count(item["size"], `${where}.size`) };
  refersTo(program.digest, program.size, where);
  return Object.freeze(program);
}

function checkedDocument(value: unknown, where: string, refersTo: RefersTo): PackageDocument {
  const item = record(value, where);
  const document: PackageDocument = {
    kind: text(item["kind"], `${where}.kind`),
    name: text(item["name"], `${where}.name`),
    mediaType: text(item["mediaType"], `${where}.mediaType`),
    digest: digest(item["digest"], `${where}.digest`),
    size: count(item["size"], `${where}.size`),
  };
  refersTo(document.digest, document.size, where);
  return Object.freeze(document);
}

function checkedEntry(value: unknown, where: string, chunkSize: number): PackageEntry {
  const item = record(value, where);
  const encoding = item["encoding"];
  if (encoding !== "identity" && encoding !== "zstd") refuse(`${where}.encoding`, "must be identity or zstd");
  const length = count(item["length"], `${where}.length`);
  const entry: PackageEntry = {
    digest: digest(item["digest"], `${where}.digest`),
    size: count(item["size"], `${where}.size`),
    encoding,
    offset: count(item["offset"], `${where}.offset`),
    length,
    stored: digest(item["stored"], `${where}.stored`),
    label: text(item["label"], `${where}.label`),
    chunks: chunkHashes(item["chunks"], length, chunkSize, `${where}.chunks`),
  };
  if (encoding === "identity" && (entry.stored !== entry.digest || entry.length !== entry.size)) {
    refuse(where, "travels as it is, but its stored digest or length differs from its content's");
  }
  return Object.freeze(entry);
}

function chunkHashes(value: unknown, length: number, chunkSize: number, where: string): Uint8Array {
  const wanted = chunkCount(length, chunkSize) * CHUNK_HASH_SIZE;
  if (!(value instanceof Uint8Array)) refuse(where, "must be a byte string");
  if (value.length !== wanted) refuse(where, `has ${value.length} bytes; ${length} bytes in chunks of ${chunkSize} need ${wanted}`);
  return value;
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
        const described = {
          ...plainFields(fields, at),
          diffId: digest(fields["diffId"], `${at}.diffId`),
          unpackedSize: count(fields["unpackedSize"], `${at}.unpackedSize`),
          entry: digest(fields["entry"], `${at}.entry`),
        };
        if (described.entry === described.digest) refersTo(described.digest, described.size, at);
        else if (described.entry === described.diffId) refersTo(described.diffId, described.unpackedSize, at);
        else refuse(`${at}.entry`, "must be the layer's digest or its diffId");
        return Object.freeze(described);
      }),
    ),
    ...licenseOf(item, where),
  });
}

function checkedDescriptor(value: unknown, where: string, refersTo: RefersTo): PackageDescriptor {
  const descriptor = plainFields(record(value, where), where);
  refersTo(descriptor.digest, descriptor.size, where);
  return Object.freeze(descriptor);
}

function plainFields(item: Record<string, unknown>, where: string): PackageDescriptor {
  return {
    mediaType: text(item["mediaType"], `${where}.mediaType`),
    digest: digest(item["digest"], `${where}.digest`),
    size: count(item["size"], `${where}.size`),
  };
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
    ...licenseOf(item, where),
  };
  refersTo(binary.digest, binary.size, where);
  return Object.freeze(binary);
}

function licenseOf(item: Record<string, unknown>, where: string): { readonly license?: string } {
  return item["license"] === undefined ? {} : { license: text(item["license"], `${where}.license`) };
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
  // It is shown on terminals: a line break or an escape sequence could put words beside it that nobody signed.
  if (/[\p{C}\p{Zl}\p{Zp}]/u.test(value)) refuse(where, "must be a text without control characters");
  return value;
}

/** cbor-x gives whole numbers from 2^32 as bigint. */
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
