/** What a package holds, summed up for people and scripts. */
import type { Digest, PackageIndex } from "./types.ts";

export interface PackageSummary {
  readonly formatVersion: number;
  readonly kubernetesVersion: string;
  readonly arch: string;
  readonly cni: string;
  readonly images: readonly ImageSummary[];
  readonly binaries: readonly { readonly name: string; readonly version: string; readonly path: string; readonly size: number; readonly stored: number; readonly source: string }[];
  /** Bytes of all entries as they lie in the file. */
  readonly storedBytes: number;
  /** Bytes that would be needed on top if images did not share layers. */
  readonly sharedBytes: number;
  /** What init puts on the disk of a node, about: programs, image blobs and unpacked layers. */
  readonly installedBytes: number;
}

export interface ImageSummary {
  readonly reference: string;
  readonly role: string;
  readonly digest: Digest;
  readonly layers: number;
  /** Bytes in the file, shared layers included. */
  readonly stored: number;
  readonly unpacked: number;
}

export function summarize(index: PackageIndex): PackageSummary {
  const storedOf = new Map(index.entries.map(({ digest, length }) => [digest, length]));
  const stored = (digests: Iterable<Digest>): number => [...new Set(digests)].reduce((sum, digest) => sum + (storedOf.get(digest) ?? 0), 0);
  const blobsOf = (image: PackageIndex["images"][number]): Digest[] => [image.target.digest, image.manifest.digest, image.config.digest, ...image.layers.map(({ entry }) => entry)];
  const images = index.images.map((image): ImageSummary => ({
    reference: image.reference,
    role: image.role,
    digest: image.target.digest,
    layers: image.layers.length,
    stored: stored(blobsOf(image)),
    unpacked: image.layers.reduce((sum, { unpackedSize }) => sum + unpackedSize, 0),
  }));
  const layers = new Map(index.images.flatMap((image) => image.layers.map((layer) => [layer.digest, layer] as const)));
  const imageBlobs = new Map(index.images.flatMap((image) => [image.target, image.manifest, image.config, ...image.layers].map(({ digest, size }) => [digest, size] as const)));
  const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);
  const imagesOnce = stored(index.images.flatMap(blobsOf));
  return {
    formatVersion: index.formatVersion,
    kubernetesVersion: index.kubernetesVersion,
    arch: index.arch,
    cni: index.cni,
    images,
    binaries: index.binaries.map(({ name, version, path, size, digest, source }) => ({ name, version, path, size, stored: storedOf.get(digest) ?? 0, source })),
    storedBytes: sum(index.entries.map(({ length }) => length)),
    sharedBytes: sum(images.map((image) => image.stored)) - imagesOnce,
    installedBytes: sum(index.binaries.map(({ size }) => size)) + sum(imageBlobs.values()) + sum([...layers.values()].map(({ unpackedSize }) => unpackedSize)),
  };
}
