/**
 * An image is a view: documents (index, manifest, config) and the layers they name. Registries, layout folders and archives are
 * sources of the same view, so everything behind this file is written once.
 *
 * A source implements three essential methods; `viewImage` derives the rest: platform choice, checks, the order of blobs.
 */
import { KubestickError, messageOf } from "../errors.ts";
import { digestOf, isDigest, shortDigest } from "./digest.ts";
import type { Reference } from "./reference.ts";
import type { Digest, PackageDescriptor } from "./types.ts";

/** Small documents only: an index or manifest beyond this is not one (the distribution specification lets registries refuse from 4 MiB). */
export const MAX_DOCUMENT = 4 * 1024 * 1024;
export const MAX_CONFIG = 8 * 1024 * 1024;

/** Names a blob for people, and tells how many bytes of it are wanted. */
export interface BlobRequest {
  readonly reference: Reference;
  readonly descriptor: PackageDescriptor;
}

export interface ImageSource {
  /** For messages: `registry registry.k8s.io`, `folder ./images`. */
  readonly description: string;
  /** What a reference points to, its bytes included; undefined when this source does not have it. */
  resolve(reference: Reference, signal?: AbortSignal): Promise<{ readonly descriptor: PackageDescriptor; readonly bytes: Uint8Array } | undefined>;
  /** A blob's bytes from `start` on. Not verified here: whoever consumes them knows the digest. */
  open(request: BlobRequest, start: number, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** A small blob whole, where a source can ask again for one that broke off. */
  read?(request: BlobRequest, signal?: AbortSignal): Promise<Uint8Array>;
  /** The bytes lie on this machine: reading them twice costs nothing, keeping a copy gains nothing. */
  readonly local: boolean;
}

export interface ImageView {
  readonly reference: Reference;
  readonly source: ImageSource;
  readonly target: PackageDescriptor;
  readonly manifest: PackageDescriptor;
  readonly config: PackageDescriptor;
  /** Oldest first. */
  readonly layers: readonly (PackageDescriptor & { readonly diffId: Digest })[];
  /** Bytes of target, manifest and config, once each, verified. */
  readonly documents: ReadonlyMap<Digest, Uint8Array>;
}

const INDEX_TYPES = new Set(["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"]);
const MANIFEST_TYPES = new Set(["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"]);

/** What a client accepts for a manifest request; the order is the preference. */
export const ACCEPTED_TYPES: readonly string[] = [...INDEX_TYPES, ...MANIFEST_TYPES];

/** undefined when the source does not have the reference. Rejects when it has something that cannot be packed. */
export async function viewImage(source: ImageSource, reference: Reference, arch: string, signal?: AbortSignal): Promise<ImageView | undefined> {
  const refuse = (code: string, happened: string, next: string): KubestickError =>
    new KubestickError({ code, attempted: `reading image ${reference.canonical} from ${source.description}`, happened, next });
  const broken = (what: string): KubestickError => refuse("IMAGE_INVALID", `The image is not well-formed: ${what}.`, "Have the image built or pushed again.");

  const resolved = await source.resolve(reference, signal);
  if (resolved === undefined) return undefined;
  const documents = new Map<Digest, Uint8Array>();
  const keep = (descriptor: PackageDescriptor, bytes: Uint8Array): unknown => {
    const found = digestOf(bytes);
    if (found !== descriptor.digest || bytes.length !== descriptor.size) throw broken(`${descriptor.digest} has ${bytes.length} bytes of digest ${found}`);
    documents.set(descriptor.digest, bytes);
    try {
      return JSON.parse(Buffer.from(bytes).toString("utf8"));
    } catch (error) {
      throw broken(`${descriptor.digest} is not JSON: ${messageOf(error)}`);
    }
  };
  const fetch = async (descriptor: PackageDescriptor, limit: number): Promise<unknown> => {
    if (descriptor.size > limit) throw broken(`the document ${descriptor.digest} has ${descriptor.size} bytes`);
    const request = { reference, descriptor };
    return keep(descriptor, await (source.read?.(request, signal) ?? collect(source.open(request, 0, signal), descriptor.size)));
  };

  const target = resolved.descriptor;
  if (reference.digest !== undefined && target.digest !== reference.digest) throw broken(`${reference.digest} was asked for, ${target.digest} came`);
  let document = record(keep(target, resolved.bytes), broken);
  let manifest = target;
  if (INDEX_TYPES.has(mediaTypeOf(target, document))) {
    const choice = choosePlatform(list(document["manifests"], "manifests", broken), arch, broken);
    if (choice.descriptor === undefined) {
      throw refuse(
        "IMAGE_PLATFORM",
        `The image has no variant for linux/${arch}; it has ${choice.available.join(", ") || "none at all"}.`,
        "Leave the image out, or pack for another architecture with --arch. `kubestick package add` puts images of one architecture into a package for several.",
      );
    }
    manifest = choice.descriptor;
    document = record(await fetch(manifest, MAX_DOCUMENT), broken);
    if (INDEX_TYPES.has(mediaTypeOf(manifest, document))) throw broken("its index points to another index");
  }
  if (!MANIFEST_TYPES.has(mediaTypeOf(manifest, document))) {
    if (document["schemaVersion"] === 1) throw refuse("IMAGE_SCHEMA1", "It is a docker schema 1 manifest, which containerd 2 no longer reads.", "Have the image pushed again with a current docker.");
    throw broken(`media type ${JSON.stringify(mediaTypeOf(manifest, document))} is not one of an image`);
  }

  const config = descriptorOf(document["config"], "config", broken);
  const layers = list(document["layers"], "layers", broken).map((layer, number) => descriptorOf(layer, `layers[${number}]`, broken));
  const foreign = layers.find(({ mediaType }) => /foreign|nondistributable/.test(mediaType));
  if (foreign !== undefined) {
    throw refuse("IMAGE_FOREIGN_LAYER", `Layer ${shortDigest(foreign.digest)} is marked as not distributable (${foreign.mediaType}): a registry does not serve it, and its licence may forbid carrying it.`, "Leave this image out of the package.");
  }
  const settings = record(await fetch(config, MAX_CONFIG), broken);
  const { architecture, os } = settings;
  if (architecture !== arch || os !== "linux") {
    throw refuse("IMAGE_PLATFORM", `The image is for ${String(os)}/${String(architecture)}, not for linux/${arch}.`, "Use a reference that has a variant for this architecture.");
  }
  const diffIds = list(record(settings["rootfs"], broken)["diff_ids"], "rootfs.diff_ids", broken);
  if (diffIds.length !== layers.length) throw broken(`it has ${layers.length} layers and ${diffIds.length} diff_ids`);
  return {
    reference,
    source,
    target,
    manifest,
    config,
    layers: layers.map((layer, number) => {
      const diffId = diffIds[number];
      if (!isDigest(diffId)) throw broken(`rootfs.diff_ids[${number}] is no sha256 digest`);
      return { ...layer, diffId };
    }),
    documents,
  };
}

interface Platform {
  readonly os?: unknown;
  readonly architecture?: unknown;
  readonly variant?: unknown;
}

/**
 * arm64 is v8 when it says nothing; amd64's v2 and up would not start on older machines, so the plain one wins.
 * Attestations are listed as `unknown/unknown` and never match.
 */
function choosePlatform(manifests: readonly unknown[], arch: string, broken: Broken): { descriptor?: PackageDescriptor; available: readonly string[] } {
  const available: string[] = [];
  let best: { readonly rank: number; readonly descriptor: PackageDescriptor } | undefined;
  for (const [number, item] of manifests.entries()) {
    const fields = record(item, broken);
    const platform = (fields["platform"] ?? {}) as Platform;
    const variant = typeof platform.variant === "string" ? platform.variant : "";
    if (platform.os !== "unknown") available.push([platform.os, platform.architecture, variant].filter(Boolean).join("/"));
    if (platform.os !== "linux" || platform.architecture !== arch) continue;
    const preferred = arch === "arm64" ? ["v8", ""] : ["", "v1"];
    const rank = preferred.indexOf(variant);
    if (rank === -1 || (best !== undefined && best.rank <= rank)) continue;
    best = { rank, descriptor: descriptorOf(item, `manifests[${number}]`, broken) };
  }
  return { ...(best === undefined ? {} : { descriptor: best.descriptor }), available };
}

type Broken = (what: string) => KubestickError;

/** The descriptor's word counts, except where a source only knows that it is JSON (a registry answering text/plain). */
function mediaTypeOf(descriptor: PackageDescriptor, document: Record<string, unknown>): string {
  const declared = document["mediaType"];
  if (ACCEPTED_TYPES.includes(descriptor.mediaType)) return descriptor.mediaType;
  return typeof declared === "string" ? declared : descriptor.mediaType;
}

function descriptorOf(value: unknown, where: string, broken: Broken): PackageDescriptor {
  const { mediaType, digest, size } = record(value, broken);
  if (!isDigest(digest)) throw broken(`${where}.digest ${JSON.stringify(digest)} is no sha256 digest`);
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) throw broken(`${where}.size is no size`);
  if (typeof mediaType !== "string" || mediaType === "") throw broken(`${where}.mediaType is missing`);
  return { mediaType, digest, size };
}

function record(value: unknown, broken: Broken): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw broken("a JSON object is missing where one must be");
  return value as Record<string, unknown>;
}

function list(value: unknown, where: string, broken: Broken): readonly unknown[] {
  if (!Array.isArray(value)) throw broken(`${where} is no list`);
  return value as readonly unknown[];
}

/** At most one byte more than `limit`: enough for the caller to see that there is too much. */
export async function collect(chunks: AsyncIterable<Uint8Array>, limit: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    parts.push(chunk);
    length += chunk.length;
    if (length > limit) break;
  }
  return Buffer.concat(parts).subarray(0, limit + 1);
}
