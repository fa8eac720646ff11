/**
 * What is in a package, as a list of parts and who contains whom: the content of a bill of materials, before it is written as SPDX or CycloneDX.
 *
 * Everything comes from what is packed: digests of what was verified, versions of what was fetched, the list the executable carries of itself.
 * Equal packages give equal bills: nothing is random, and time comes from the images or from SOURCE_DATE_EPOCH, never from the clock.
 */
import { createHash } from "node:crypto";
import type { ProgramFacts } from "./program.ts";
import { isDigest } from "./digest.ts";
import { parseReference } from "./reference.ts";
import type { Digest, PackageContent, PackageImage, PackageLayer } from "./types.ts";

export type PartKind = "program" | "runtime" | "library" | "binary" | "image" | "layer" | "file";

export interface Part {
  /** Unique in the bill, in a form both formats take: letters, digits, `.` and `-`. */
  readonly id: string;
  readonly kind: PartKind;
  readonly name: string;
  readonly version?: string | undefined;
  /** Of its bytes: of an image, its manifest's. */
  readonly digest?: Digest | undefined;
  /** As its publisher declares; may be no SPDX expression. */
  readonly license?: string | undefined;
  readonly purl?: string | undefined;
  /** Where it was fetched. */
  readonly source?: string | undefined;
  /** More facts, in the order in which they are written. */
  readonly properties: Readonly<Record<string, string>>;
}

export interface BillOfMaterials {
  readonly name: string;
  readonly version: string;
  /** RFC 3339 with whole seconds, UTC. */
  readonly created: string;
  /** 64 hex digits, equal for equal bills. */
  readonly id: string;
  readonly tool: { readonly name: string; readonly version: string };
  readonly parts: readonly Part[];
  /** Of the whole: the parts directly in the package. */
  readonly top: readonly string[];
  /** Part to the parts in it. */
  readonly contains: ReadonlyMap<string, readonly string[]>;
}

export interface BillInput {
  readonly content: Omit<PackageContent, "documents">;
  /** What is carried besides, the bills themselves excepted. */
  readonly documents: readonly PackageContent["documents"][number][];
  /** One, or one for each architecture. */
  readonly programs: readonly ProgramFacts[];
  /** As in the bill. */
  readonly created: string;
}

export function billOfMaterials({ content, documents, programs, created }: BillInput): BillOfMaterials {
  const parts = new Map<string, Part>();
  const contains = new Map<string, readonly string[]>();
  const top: string[] = [];
  /** Names that differ only in what an id cannot hold get a number; the same part, such as a shared layer, is there once. */
  const add = (part: Part): string => {
    for (let number = 1; ; number += 1) {
      const id = number === 1 ? part.id : `${part.id}-${number}`;
      const known = parts.get(id);
      if (known !== undefined && JSON.stringify({ ...known, id: "" }) !== JSON.stringify({ ...part, id: "" })) continue;
      parts.set(id, { ...part, id });
      return id;
    }
  };

  for (const { description, digest, arch } of programs) {
    const own = add({
      id: programs.length === 1 ? "program" : `program-${slug(arch)}`, kind: "program", name: description?.name ?? "kubestick", version: description?.version, digest, license: description?.license,
      properties: { architecture: arch, ...(description === undefined ? { components: "not told by this executable" } : {}) },
    });
    top.push(own);
    contains.set(own, (description?.components ?? []).map(({ kind, name, version, license, purl }) => add({ id: `${kind}-${slug(name)}-${slug(version)}`, kind, name, version, license, purl, properties: {} })));
  }

  for (const { arch, binaries, images } of content.platforms) {
    for (const { name, version, path, digest, license, source } of binaries) {
      top.push(add({ id: `binary-${arch}-${slug(name)}`, kind: "binary", name, version, digest, license, purl: binaryPurl(name, version, source), source, properties: { architecture: arch, path } }));
    }
    for (const image of images) {
      const { name, tag } = nameOf(image);
      const id = add({
        id: `image-${arch}-${slug(name)}-${slug(tag ?? "untagged")}`, kind: "image", name, version: tag, digest: image.manifest.digest, license: image.license, purl: imagePurl(image, arch),
        properties: { architecture: arch, reference: image.reference, role: image.role, "published-digest": image.target.digest, "config-digest": image.config.digest },
      });
      top.push(id);
      contains.set(id, [...new Set(image.layers.map((layer) => add(layerPart(layer))))]);
    }
  }
  for (const { kind, name, mediaType, digest } of documents) top.push(add({ id: `document-${slug(kind)}-${slug(name)}`, kind: "file", name, digest, properties: { kind, "media-type": mediaType } }));

  const bill = {
    name: `kubestick package for Kubernetes ${content.kubernetesVersion}, ${content.platforms.map(({ arch }) => `linux/${arch}`).join(" and ")}, CNI ${content.cni}`,
    version: content.kubernetesVersion, created, tool: { name: "kubestick", version: programs[0]?.description?.version ?? "unknown" }, parts: [...parts.values()], top, contains,
  };
  return { ...bill, id: createHash("sha256").update(JSON.stringify({ ...bill, contains: [...contains] })).digest("hex") };
}

function layerPart({ digest, diffId, mediaType, size, unpackedSize }: PackageLayer): Part {
  return { id: `layer-${digest.slice("sha256:".length)}`, kind: "layer", name: digest, digest, properties: { "diff-id": diffId, "media-type": mediaType, size: String(size), "unpacked-size": String(unpackedSize) } };
}

function nameOf({ reference }: PackageImage): { readonly name: string; readonly tag: string | undefined } {
  const { registry, repository, tag } = parseReference(reference);
  return { name: `${registry}/${repository}`, tag };
}

/** https://github.com/package-url/purl-spec, type oci: the digest is the version. */
function imagePurl(image: PackageImage, arch: string): string {
  const { name, tag } = nameOf(image);
  const last = name.slice(name.lastIndexOf("/") + 1).toLowerCase();
  return `pkg:oci/${last}@${encodeURIComponent(image.manifest.digest)}?arch=${arch}&repository_url=${encodeURIComponent(name).replaceAll("%2F", "/")}${tag === undefined ? "" : `&tag=${encodeURIComponent(tag)}`}`;
}

/** Releases on GitHub by their repository, where databases of vulnerabilities know them; everything else by its address. */
function binaryPurl(name: string, version: string, source: string): string {
  const [, owner, repository] = /^https:\/\/github\.com\/([^/]+)\/([^/]+)\/releases\/download\//.exec(source) ?? [];
  if (owner !== undefined && repository !== undefined) return `pkg:github/${owner.toLowerCase()}/${repository.toLowerCase()}@${encodeURIComponent(version)}#${name.split("/").map(encodeURIComponent).join("/")}`;
  return `pkg:generic/${name.split("/").map(encodeURIComponent).join("/")}@${encodeURIComponent(version)}?download_url=${encodeURIComponent(source)}`;
}

function slug(text: string): string {
  return text.replace(/[^A-Za-z0-9.-]+/g, "-");
}

/**
 * The time a bill says it was made: SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/) where it is given, else that of the
 * newest image (`created` of its config), else the beginning of 1970. `known`: the time of what the package was made from, when that is a package.
 */
export function billTime(epoch: number | undefined, configs: Iterable<Uint8Array>, known?: string): string {
  if (epoch !== undefined) return instant(epoch * 1000);
  let newest = known === undefined ? 0 : Math.max(0, Date.parse(known) || 0);
  for (const config of configs) {
    const { created } = JSON.parse(Buffer.from(config).toString("utf8")) as { readonly created?: unknown };
    const time = typeof created === "string" ? Date.parse(created) : Number.NaN;
    if (time > newest && time < LATEST) newest = time;
  }
  return instant(newest);
}

/** Of four digits, as both formats want years. */
const LATEST = Date.UTC(9999, 0);

function instant(ms: number): string {
  return new Date(Math.floor(ms / 1000) * 1000).toISOString().replace(".000Z", "Z");
}

/** `org.opencontainers.image.licenses` of an image's config: what its builder declares. */
export function declaredLicense(config: Uint8Array): string | undefined {
  const { config: settings } = JSON.parse(Buffer.from(config).toString("utf8")) as { readonly config?: { readonly Labels?: Readonly<Record<string, unknown>> | null } | null };
  const declared = settings?.Labels?.["org.opencontainers.image.licenses"];
  return typeof declared === "string" && declared !== "" && declared.length <= 256 && !/\p{C}/u.test(declared) ? declared : undefined;
}

/** Of equal bills equal. RFC 9562, version 8: its bits are those of a hash. */
export function billUuid({ id }: Pick<BillOfMaterials, "id">): string {
  const variant = (8 + (Number.parseInt(id[16] ?? "0", 16) & 3)).toString(16);
  return `${id.slice(0, 8)}-${id.slice(8, 12)}-8${id.slice(13, 16)}-${variant}${id.slice(17, 20)}-${id.slice(20, 32)}`;
}

/** `sha256:...` to its hex digits. */
export function hexOf(digest: Digest): string {
  if (!isDigest(digest)) throw new TypeError(`${String(digest)} is no digest`);
  return digest.slice("sha256:".length);
}
