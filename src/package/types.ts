/**
 * The offline package as data: what a kubestick executable carries behind its own bytes.
 *
 *   ELF executable | padding | entry bytes ... | CBOR index | footer (fixed size, at the very end)
 *
 * Types only; the layout's constants are in `format.ts`.
 */

/** `sha256:<64 hex>` */
export type Digest = `sha256:${string}`;

/** A run of bytes in the file. Layers shared by images are one entry. */
export interface PackageEntry {
  /** Digest of the content (after decoding); the key by which others refer to the entry. */
  readonly digest: Digest;
  /** Bytes of the content (after decoding). */
  readonly size: number;
  /** How the bytes travel: as they are, or zstd. Blobs of images always travel as they are: their digest is their name. */
  readonly encoding: "identity" | "zstd";
  /** Offset of the first stored byte from the start of the file. */
  readonly offset: number;
  /** Stored bytes. */
  readonly length: number;
  /** Digest of the stored bytes; equals `digest` for identity. */
  readonly stored: Digest;
  /** For people: `kubelet`, `registry.k8s.io/pause:3.10.2 layer 1`. Never used to find anything. */
  readonly label: string;
}

export interface PackageDescriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

export interface PackageLayer extends PackageDescriptor {
  /** Digest of the uncompressed tar, from the image's config, checked while packing. */
  readonly diffId: Digest;
  /** Bytes of the uncompressed tar: what unpacking costs on disk, about. */
  readonly unpackedSize: number;
}

export interface PackageImage {
  /** Canonical reference with tag, e.g. `registry.k8s.io/pause:3.10.2`. */
  readonly reference: string;
  /** What the reference resolved to upstream: an index or a manifest. `name@digest` must resolve on the node. */
  readonly target: PackageDescriptor;
  /** The manifest of this platform; equals `target` when upstream has no index. */
  readonly manifest: PackageDescriptor;
  readonly config: PackageDescriptor;
  /** Oldest first. */
  readonly layers: readonly PackageLayer[];
  /** Why it is here: a component's name (`kube-apiserver`, `etcd`, `pause`, `flannel`, ...) or `extra`. */
  readonly role: string;
}

export interface PackageBinary {
  /** `kubelet`, `containerd`, `cni/bridge`. */
  readonly name: string;
  readonly version: string;
  /** Absolute path on the node. */
  readonly path: string;
  readonly mode: number;
  /** Entry digest. */
  readonly digest: Digest;
  readonly size: number;
  /** Address it was fetched from, for the record. */
  readonly source: string;
}

export interface PackageIndex {
  readonly formatVersion: 1;
  /** `v1.36.2` */
  readonly kubernetesVersion: string;
  /** Go's name: amd64, arm64. */
  readonly arch: string;
  /** The CNI the package was made for. */
  readonly cni: "flannel" | "bridge" | "none";
  readonly images: readonly PackageImage[];
  readonly binaries: readonly PackageBinary[];
  readonly entries: readonly PackageEntry[];
}

export interface ByteProgress {
  (event: { readonly done: number; readonly total: number; readonly label: string }): void;
}

/** Opens what a package carries. Every stream verifies while it is read and fails at its end on a digest mismatch, naming the entry. */
export interface PackageReader {
  readonly path: string;
  readonly index: PackageIndex;
  /** Decoded content of an entry, in order. Back-pressure: the file is read as fast as the consumer takes it. */
  open(digest: Digest): AsyncIterable<Uint8Array>;
  /** A small entry whole (manifests, configs); refuses more than 16 MiB. */
  read(digest: Digest): Promise<Uint8Array>;
  /** Hashes every stored byte once, in file order. Throws PACKAGE_CORRUPT naming the first bad entry. */
  verify(progress?: ByteProgress, signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
