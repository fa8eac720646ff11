/** Images made for tests, and the forms in which people hand them over: registry, OCI layout, OCI archive, docker archive. */
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { pack as tarPack } from "tar-stream";
import { digestOf } from "../../src/package/digest.ts";
import type { Digest, PackageDescriptor } from "../../src/package/types.ts";
import type { TestRegistry } from "../support/registry.ts";

export const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
export const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
export const DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
export const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";

export type Compress = "gzip" | "zstd" | "none";

export interface Document {
  readonly descriptor: PackageDescriptor;
  readonly bytes: Buffer;
}

export interface TestImage {
  /** What a tag points to: an index or a manifest. */
  readonly target: Document;
  readonly manifests: readonly Document[];
  /** Configs and layers. */
  readonly blobs: ReadonlyMap<Digest, Buffer>;
}

export function document(mediaType: string, value: unknown): Document {
  const bytes = Buffer.from(JSON.stringify(value));
  return { bytes, descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length } };
}

export async function tarOf(files: Readonly<Record<string, Uint8Array>>): Promise<Buffer> {
  const archive = tarPack();
  for (const [name, content] of Object.entries(files)) archive.entry({ name, mode: 0o755, mtime: new Date(0) }, Buffer.from(content));
  archive.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of archive) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

export interface ImageRecipe {
  readonly arches?: readonly string[];
  /** Uncompressed tars. */
  readonly layers: readonly Buffer[];
  readonly compress?: Compress;
  /** One architecture and no index. */
  readonly single?: boolean;
  readonly docker?: boolean;
  /** Replaces parts of the manifest. */
  readonly override?: Record<string, unknown>;
  readonly diffIds?: readonly string[];
  readonly layerType?: string;
  /** Of the config. */
  readonly labels?: Readonly<Record<string, string>>;
}

export function makeImage({ arches = ["amd64", "arm64"], layers, compress = "gzip", single = false, docker = false, override = {}, diffIds, layerType, labels }: ImageRecipe): TestImage {
  const blobs = new Map<Digest, Buffer>();
  const stored = layers.map((tar) => {
    const bytes = compress === "gzip" ? gzipSync(tar) : compress === "zstd" ? zstdCompressSync(tar) : tar;
    blobs.set(digestOf(bytes), bytes);
    return bytes;
  });
  const suffix = compress === "none" ? "" : `+${compress}`;
  const mediaType = layerType ?? (docker ? "application/vnd.docker.image.rootfs.diff.tar.gzip" : `application/vnd.oci.image.layer.v1.tar${suffix}`);
  const manifests = arches.map((architecture) => {
    const config = document("application/vnd.oci.image.config.v1+json", { architecture, os: "linux", config: labels === undefined ? {} : { Labels: labels }, rootfs: { type: "layers", diff_ids: diffIds ?? layers.map((tar) => digestOf(tar)) } });
    blobs.set(config.descriptor.digest, config.bytes);
    const type = docker ? DOCKER_MANIFEST : OCI_MANIFEST;
    return document(type, {
      schemaVersion: 2,
      mediaType: type,
      config: config.descriptor,
      layers: stored.map((bytes) => ({ mediaType, digest: digestOf(bytes), size: bytes.length })),
      ...override,
    });
  });
  const [first] = manifests;
  if (first === undefined) throw new TypeError("an image needs an architecture");
  if (single) return { target: first, manifests, blobs };
  const index = document(docker ? DOCKER_LIST : OCI_INDEX, {
    schemaVersion: 2,
    mediaType: docker ? DOCKER_LIST : OCI_INDEX,
    manifests: [
      { ...document("application/vnd.oci.image.manifest.v1+json", { attestation: true }).descriptor, platform: { os: "unknown", architecture: "unknown" } },
      ...manifests.map(({ descriptor }, at) => ({ ...descriptor, platform: { os: "linux", architecture: arches[at], ...(arches[at] === "arm64" ? { variant: "v8" } : {}) } })),
    ],
  });
  return { target: index, manifests, blobs };
}

export function serve(registry: TestRegistry, repository: string, tag: string, image: TestImage): void {
  for (const bytes of image.blobs.values()) registry.addBlob(bytes);
  for (const { descriptor, bytes } of image.manifests) registry.addManifest(repository, undefined, descriptor.mediaType, bytes);
  registry.addManifest(repository, tag, image.target.descriptor.mediaType, image.target.bytes);
}

/** Files of an OCI layout. `annotations` as the exporter would write them. */
export function layoutFiles(images: readonly { readonly image: TestImage; readonly annotations: Record<string, string> }[]): Record<string, Buffer> {
  const files: Record<string, Buffer> = { "oci-layout": Buffer.from('{"imageLayoutVersion":"1.0.0"}') };
  const put = (bytes: Buffer): void => {
    files[`blobs/sha256/${digestOf(bytes).slice(7)}`] = bytes;
  };
  for (const { image } of images) {
    for (const { bytes } of [image.target, ...image.manifests]) put(bytes);
    for (const bytes of image.blobs.values()) put(bytes);
  }
  files["index.json"] = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: images.map(({ image, annotations }) => ({ ...image.target.descriptor, annotations })) }));
  return files;
}

export async function writeFiles(directory: string, files: Readonly<Record<string, Uint8Array>>): Promise<void> {
  for (const [name, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), bytes);
  }
}

/** What `docker save` wrote before docker 25. */
export function dockerArchiveFiles(reference: string, layers: readonly Buffer[], architecture = "amd64"): Record<string, Buffer> {
  const config = Buffer.from(JSON.stringify({ architecture, os: "linux", rootfs: { type: "layers", diff_ids: layers.map((tar) => digestOf(tar)) } }));
  const id = createHash("sha256").update(config).digest("hex");
  const files: Record<string, Buffer> = {};
  const names = layers.map((tar, number) => {
    files[`layer${number}/layer.tar`] = tar;
    return `layer${number}/layer.tar`;
  });
  files[`${id}.json`] = config;
  files["manifest.json"] = Buffer.from(JSON.stringify([{ Config: `${id}.json`, RepoTags: [reference], Layers: names }]));
  return files;
}
