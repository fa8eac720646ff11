/** The lists under offline-images, one folder per Kubernetes minor: what a package holds, as data. Unknown fields and wrong types are refused by name. */
import { parse } from "yaml";
import { KubestickError, isKubestickError, messageOf } from "../errors.ts";
import { isDigest } from "./digest.ts";
import { isLicenseExpression } from "./license-expression.ts";
import { parseReference, type Reference } from "./reference.ts";
import type { Digest, PackageIndex } from "./types.ts";

export type Cni = PackageIndex["cni"];

/** Text files that travel inside the executable. */
export interface ListTexts {
  text(path: string): string;
}

export interface ListedImage {
  readonly role: string;
  readonly reference: Reference;
  /** SPDX expression of its project. */
  readonly license?: string | undefined;
}

/** A program on the node. */
export interface ListedBinary {
  readonly name: string;
  readonly path: string;
  readonly mode: number;
  /** Member of the archive; undefined when the download is the program itself. */
  readonly from?: string;
}

/** One download. */
export interface ListedSource {
  readonly url: string;
  readonly version: string;
  /** Where its digest is found. */
  readonly check: { readonly sha256: Digest } | { readonly url: string };
  readonly binaries: readonly ListedBinary[];
  /** SPDX expression of its project. */
  readonly license?: string | undefined;
}

export interface PackageLists {
  /** With its v. */
  readonly kubernetesVersion: string;
  readonly images: readonly ListedImage[];
  readonly sources: readonly ListedSource[];
}

/** The minor a package is made for when nothing else is asked. */
const DEFAULT_MINOR = "v1.36";
const ARCHITECTURES = ["amd64", "arm64"];

export interface ListRequest {
  /** `v1.36.2`, `1.36.2`, `v1.36` (its default patch release), or undefined for the default. */
  readonly kubernetesVersion?: string | undefined;
  readonly arch: string;
  readonly cni: Cni;
}

/** Throws PACK_VERSION for a version there are no lists for, PACK_LIST for a list that cannot be used. */
export function loadLists(texts: ListTexts, request: ListRequest): PackageLists {
  if (!ARCHITECTURES.includes(request.arch)) {
    throw new KubestickError({
      code: "PACK_ARCH",
      attempted: "choosing what to pack",
      happened: `There are no packages for architecture ${JSON.stringify(request.arch)}.`,
      next: `Use one of: ${ARCHITECTURES.map((arch) => `--arch ${arch}`).join(", ")}.`,
    });
  }
  const asked = request.kubernetesVersion ?? DEFAULT_MINOR;
  const [, minor, patch] = /^v?(1\.\d+)(\.\d+(?:-[0-9A-Za-z.]+)?)?$/.exec(asked) ?? [];
  if (minor === undefined) throw versionRefused(asked, "It is not a version of the form v1.36.2.");
  const folder = `offline-images/v${minor}`;
  const binaries = readList(texts, `${folder}/binaries.yaml`, asked);
  const images = readList(texts, `${folder}/images.yaml`, asked);
  const kubernetesVersion = patch === undefined ? binaries.text("kubernetes") : `v${minor}${patch}`;
  binaries.allow("kubernetes", "sources");
  images.allow("images");
  return {
    kubernetesVersion,
    images: images.list("images").flatMap((item) => readImage(item, kubernetesVersion, request.cni)),
    sources: binaries.list("sources").map((item) => readSource(item, kubernetesVersion, request.arch)),
  };
}

function readImage(item: Fields, kubernetesVersion: string, cni: Cni): ListedImage[] {
  item.allow("role", "reference", "cni", "license");
  const only = item.optional("cni");
  if (only !== undefined && only !== cni) return [];
  return [{ role: item.text("role"), reference: parseReference(item.text("reference").replaceAll("{version}", kubernetesVersion)), license: readLicense(item) }];
}

function readSource(item: Fields, kubernetesVersion: string, arch: string): ListedSource {
  item.allow("version", "url", "checksum", "sha256", "name", "path", "mode", "members", "license");
  const written = item.text("version");
  const version = written === "kubernetes" ? kubernetesVersion : written;
  const fill = (template: string): string => {
    const url = template.replaceAll("{version}", version).replaceAll("{number}", version.replace(/^v/, "")).replaceAll("{arch}", arch);
    if (!URL.canParse(url)) throw item.refuse("url", `${JSON.stringify(url)} is not an address`);
    return url;
  };
  let check: ListedSource["check"];
  if (item.has("sha256")) {
    const sha256 = `sha256:${item.child("sha256").text(arch).replace(/^sha256:/, "")}`;
    if (!isDigest(sha256)) throw item.refuse("sha256", "must be 64 lower-case hex digits");
    check = { sha256 };
  } else {
    check = { url: fill(item.text("checksum")) };
  }
  const members = item.has("members") ? item.list("members") : [];
  for (const member of members) member.allow("name", "from", "path", "mode");
  return {
    url: fill(item.text("url")),
    version,
    check,
    license: readLicense(item),
    binaries: members.length > 0 ? members.map((member) => ({ ...readBinary(member), from: member.text("from") })) : [readBinary(item)],
  };
}

function readLicense(item: Fields): string | undefined {
  const license = item.optional("license");
  if (license !== undefined && !isLicenseExpression(license)) throw item.refuse("license", `${JSON.stringify(license)} is no SPDX expression of identifiers this program knows`);
  return license;
}

function readBinary(item: Fields): ListedBinary {
  return { name: item.text("name"), path: item.text("path"), mode: Number.parseInt(item.optional("mode") ?? "0755", 8) };
}

// ---------------------------------------------------------------- reading YAML strictly

interface Fields {
  text(key: string): string;
  optional(key: string): string | undefined;
  has(key: string): boolean;
  list(key: string): readonly Fields[];
  child(key: string): Fields;
  allow(...keys: readonly string[]): void;
  refuse(key: string, rule: string): KubestickError;
}

function readList(texts: ListTexts, path: string, version: string): Fields {
  let text: string;
  try {
    text = texts.text(path);
  } catch (error) {
    throw versionRefused(version, `This kubestick has no list ${path}.`, error);
  }
  try {
    return fieldsOf(parse(text), path, "");
  } catch (error) {
    throw isKubestickError(error) ? error : listRefused(path, messageOf(error));
  }
}

function fieldsOf(value: unknown, path: string, at: string): Fields {
  const refuse = (key: string, rule: string): KubestickError => listRefused(path, `${at}${key} ${rule}`);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw listRefused(path, `${at === "" ? "the document" : at.slice(0, -1)} must be a map`);
  const map = value as Record<string, unknown>;
  const optional = (key: string): string | undefined => {
    const found = map[key];
    if (found === undefined) return undefined;
    if (typeof found !== "string" || found === "") throw refuse(key, "must be a text");
    return found;
  };
  return {
    refuse,
    optional,
    has: (key) => map[key] !== undefined,
    text: (key) => {
      const found = optional(key);
      if (found === undefined) throw refuse(key, "is missing");
      return found;
    },
    list: (key) => {
      const found = map[key];
      if (!Array.isArray(found)) throw refuse(key, "must be a list");
      return found.map((item: unknown, number) => fieldsOf(item, path, `${at}${key}[${number}].`));
    },
    child: (key) => fieldsOf(map[key], path, `${at}${key}.`),
    allow: (...keys) => {
      const unknown = Object.keys(map).find((key) => !keys.includes(key));
      if (unknown !== undefined) throw refuse(unknown, "is not a known field");
    },
  };
}

function listRefused(path: string, why: string): KubestickError {
  return new KubestickError({ code: "PACK_LIST", attempted: `reading ${path}`, happened: `The list cannot be used: ${why}.`, next: "Correct the file in the source tree and build kubestick again." });
}

function versionRefused(version: string, why: string, cause?: unknown): KubestickError {
  return new KubestickError({
    code: "PACK_VERSION",
    attempted: `choosing what to pack for Kubernetes ${version}`,
    happened: why,
    next: `Use a release of ${DEFAULT_MINOR}, e.g. \`--kubernetes-version ${DEFAULT_MINOR}.2\`, or a kubestick that knows this minor.`,
    cause,
  });
}
