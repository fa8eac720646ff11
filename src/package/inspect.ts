/** What a package holds, summed up for people and scripts. Everything comes from the index: nothing of the payload is read. */
import { FOOTER_SIZE, HEADER_SIZE } from "./format.ts";
import { digestsOfImage, digestsOfPlatform } from "./platform.ts";
import type { Digest, PackageDocument, PackageEntry, PackageIndex, PackagePlatform, PackageSigner } from "./types.ts";

export interface PackageSummary {
  readonly formatVersion: number;
  readonly kubernetesVersion: string;
  readonly cni: string;
  /** What the file begins with: a program, and its architecture is the one on which it can be started, or (`any`) lines that start one of the platforms' programs. */
  readonly executable: { readonly arch: string; readonly size: number; readonly digest: Digest };
  readonly signers: readonly PackageSigner[];
  readonly platforms: readonly PlatformSummary[];
  readonly documents: readonly PackageDocument[];
  readonly sizes: SizeSummary;
}

export interface PlatformSummary {
  /** Go's name. */
  readonly arch: string;
  /** In a file for several architectures, the kubestick for this one. */
  readonly program?: { readonly digest: Digest; readonly size: number };
  readonly images: readonly ImageSummary[];
  readonly binaries: readonly BinarySummary[];
  /** What init puts on the disk of a node, about: programs, image blobs and unpacked layers. */
  readonly installedBytes: number;
  /** Bytes of the file that are for this architecture, and how many of them are for another one, too. */
  readonly stored: number;
  readonly storedShared: number;
}

export interface ImageSummary {
  readonly reference: string;
  readonly role: string;
  /** `linux/arm64` */
  readonly platform: string;
  /** What the reference resolves to, as published: an image index, or the manifest itself. */
  readonly digest: Digest;
  readonly manifest: Digest;
  readonly config: Digest;
  readonly layers: readonly { readonly digest: Digest; readonly diffId: Digest; readonly mediaType: string; readonly size: number; readonly unpacked: number; readonly encoding: PackageEntry["encoding"]; readonly stored: number }[];
  /** Bytes in the file, shared layers included. */
  readonly stored: number;
  /** Bytes as published. */
  readonly size: number;
  readonly unpacked: number;
  /** SPDX expression of its project, or what its builder declares, where it is known. */
  readonly license?: string | undefined;
}

export interface BinarySummary {
  readonly name: string;
  readonly version: string;
  readonly path: string;
  readonly digest: Digest;
  readonly size: number;
  /** Bytes in the file. */
  readonly stored: number;
  readonly source: string;
  /** SPDX expression of its project, where it is known. */
  readonly license?: string | undefined;
}

/** Bytes of the file by what they are for; together they are the whole file, but for the padding behind the executable. */
export interface SizeSummary {
  /** All of them, where there are several. */
  readonly executable: number;
  /** Stored once, whoever refers to it. */
  readonly binaries: number;
  readonly images: number;
  readonly documents: number;
  /** Entries nothing in the index refers to; a later version may know what they are for. */
  readonly other: number;
  /** Header, index, signatures, footer. */
  readonly tables: number;
  /** Bytes that would be needed on top if nothing were shared between images. */
  readonly shared: number;
}

/** `tables`: bytes of index and signatures. */
export function summarize(index: PackageIndex, signers: readonly PackageSigner[], tables: number): PackageSummary {
  const entries = new Map(index.entries.map((entry) => [entry.digest, entry]));
  const stored = (digests: Iterable<Digest>): number => sum([...new Set(digests)].map((digest) => entries.get(digest)?.length ?? 0));
  const images = index.platforms.flatMap((platform) => platform.images);
  const binaries = index.platforms.flatMap((platform) => platform.binaries);
  const programs = new Set(index.platforms.flatMap(({ program }) => program?.digest ?? []));
  const ofBinaries = new Set(binaries.map(({ digest }) => digest));
  const ofImages = new Set(images.flatMap(digestsOfImage).filter((digest) => !ofBinaries.has(digest)));
  const ofDocuments = new Set(index.documents.map(({ digest }) => digest).filter((digest) => !ofBinaries.has(digest) && !ofImages.has(digest)));
  const known = stored(programs) + stored(ofBinaries) + stored(ofImages) + stored(ofDocuments);
  const carried = new Map(index.platforms.map((platform) => [platform.arch, new Set(digestsOfPlatform(platform))]));
  return {
    formatVersion: index.formatVersion,
    kubernetesVersion: index.kubernetesVersion,
    cni: index.cni,
    executable: { arch: index.executable.arch, size: index.executable.length, digest: index.executable.digest },
    signers,
    platforms: index.platforms.map((platform) => {
      const own = carried.get(platform.arch) ?? new Set<Digest>();
      const others = new Set([...carried].flatMap(([other, digests]) => (other === platform.arch ? [] : [...digests])));
      return { ...platformSummary(platform, entries, stored), stored: stored(own), storedShared: stored([...own].filter((digest) => others.has(digest))) };
    }),
    documents: index.documents,
    sizes: {
      executable: index.executable.length + stored(programs),
      binaries: stored(ofBinaries),
      images: stored(ofImages),
      documents: stored(ofDocuments),
      other: sum(index.entries.map(({ length }) => length)) - known,
      tables: HEADER_SIZE + tables + FOOTER_SIZE,
      shared: sum(images.map((image) => stored(digestsOfImage(image)))) - stored(images.flatMap(digestsOfImage)),
    },
  };
}

function platformSummary({ arch, program, images, binaries }: PackagePlatform, entries: ReadonlyMap<Digest, PackageEntry>, stored: (digests: Iterable<Digest>) => number): Omit<PlatformSummary, "stored" | "storedShared"> {
  const layers = new Map(images.flatMap((image) => image.layers.map((layer) => [layer.digest, layer] as const)));
  // A layer that travels as its tar leaves only what it unpacks to.
  const kept = images.flatMap((image) => [image.target, image.manifest, image.config, ...image.layers.filter((layer) => layer.entry === layer.digest)]);
  const blobs = new Map(kept.map(({ digest, size }) => [digest, size] as const));
  return {
    arch,
    ...(program === undefined ? {} : { program }),
    images: images.map((image): ImageSummary => ({
      reference: image.reference,
      role: image.role,
      platform: `linux/${arch}`,
      digest: image.target.digest,
      manifest: image.manifest.digest,
      config: image.config.digest,
      layers: image.layers.map(({ digest, diffId, mediaType, size, unpackedSize, entry }) => ({
        digest, diffId, mediaType, size, unpacked: unpackedSize, encoding: entries.get(entry)?.encoding ?? "identity", stored: entries.get(entry)?.length ?? 0,
      })),
      stored: stored(digestsOfImage(image)),
      size: sum([...new Map([image.target, image.manifest, image.config, ...image.layers].map(({ digest, size }) => [digest, size])).values()]),
      unpacked: sum(image.layers.map(({ unpackedSize }) => unpackedSize)),
      ...(image.license === undefined ? {} : { license: image.license }),
    })),
    binaries: binaries.map(({ name, version, path, size, digest, source, license }) => ({ name, version, path, digest, size, stored: stored([digest]), source, ...(license === undefined ? {} : { license }) })),
    installedBytes: sum(binaries.map(({ size }) => size)) + sum([...blobs.values()]) + sum([...layers.values()].map(({ unpackedSize }) => unpackedSize)),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
