/**
 * The offline package as data: what a kubestick executable carries behind its own bytes.
 *
 *   executable | padding | header | entry bytes ... | CBOR index | signatures | footer (fixed size, at the very end)
 *
 * Types only; the layout's constants are in `format.ts`, its description for others in `docs/package-format.md`.
 */

/** `sha256:<64 hex>` */
export type Digest = `sha256:${string}`;

/** A run of bytes in the file. Layers shared by images are one entry. */
export interface PackageEntry {
  /** Digest of the content (after decoding); the key by which others refer to the entry. */
  readonly digest: Digest;
  /** Bytes of the content (after decoding). */
  readonly size: number;
  /** How the bytes travel: as they are, or zstd. */
  readonly encoding: "identity" | "zstd";
  /** Offset of the first stored byte from the start of the file. */
  readonly offset: number;
  /** Stored bytes. */
  readonly length: number;
  /** Digest of the stored bytes; equals `digest` for identity. */
  readonly stored: Digest;
  /** For people: `kubelet`, `registry.k8s.io/pause:3.10.2 layer 1`. Never used to find anything. */
  readonly label: string;
  /** SHA-256 of every chunk of the stored bytes, 32 bytes each, in order. */
  readonly chunks: Uint8Array;
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
  /** The entry with its bytes: `digest` when the blob travels as it was published, `diffId` when the tar travels by itself, recompressed. */
  readonly entry: Digest;
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
  /** SPDX expression of its project, or what its builder declares in a label. */
  readonly license?: string | undefined;
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
  /** SPDX expression of its project. */
  readonly license?: string | undefined;
}

/** Something carried besides programs and images. */
export interface PackageDocument {
  /** What it is for; readers pass over kinds they do not know. */
  readonly kind: string;
  readonly name: string;
  readonly mediaType: string;
  /** Entry digest. */
  readonly digest: Digest;
  readonly size: number;
}

/** What is carried for one architecture. */
export interface PackagePlatform {
  /** Go's name: amd64, arm64. */
  readonly arch: string;
  /** The kubestick for it, where the file begins with lines that choose one (`starter.ts`) and not with the program itself. */
  readonly program?: { readonly digest: Digest; readonly size: number } | undefined;
  readonly images: readonly PackageImage[];
  readonly binaries: readonly PackageBinary[];
}

/** The front of the file: a program, or the lines that start one. */
export interface PackageExecutable {
  /** `any` for these lines. */
  readonly arch: string;
  readonly length: number;
  readonly digest: Digest;
  /** As of an entry. */
  readonly chunks: Uint8Array;
}

/** What a package holds, without the places in a file. */
export interface PackageContent {
  /** `v1.36.2` */
  readonly kubernetesVersion: string;
  /** The CNI the package was made for. */
  readonly cni: "flannel" | "bridge" | "none";
  /** At least one. */
  readonly platforms: readonly PackagePlatform[];
  readonly documents: readonly PackageDocument[];
}

/** The index as it is in the file, seen for one architecture: `arch`, `images` and `binaries` are that platform's. */
export interface PackageIndex extends PackageContent, PackagePlatform {
  readonly formatVersion: 2;
  /** Bytes of a hash chunk; the last one of a run may be shorter. */
  readonly chunkSize: number;
  readonly executable: PackageExecutable;
  readonly entries: readonly PackageEntry[];
}

export interface ByteProgress {
  (event: { readonly done: number; readonly total: number; readonly label: string }): void;
}

/** A run of bytes that is not what was packed. */
export interface Damage {
  /** Label of the entry, `the executable`, `the package index`, ... */
  readonly part: string;
  /** Of a package in parts: the file it lies in. */
  readonly file?: string;
  /** From the start of the file. */
  readonly offset: number;
  readonly length: number;
}

/** Somebody whose signature lies over the index, found right. Whether they are to be trusted is another question. */
export interface PackageSigner {
  /** `sha256:` of the public key's SubjectPublicKeyInfo. */
  readonly fingerprint: Digest;
  /** Covered by the signature. */
  readonly name: string | undefined;
}

/** What a consumer does with a chunk: `kept` beyond asking for the next one, or `lent` until then. */
export type ChunkHold = "kept" | "lent";

/** An entry's bytes as they lie in the file, for whoever understands the encoding itself. */
export interface StoredBytes {
  readonly encoding: PackageEntry["encoding"];
  /** Of the stored bytes. */
  readonly digest: Digest;
  readonly size: number;
  open(hold?: ChunkHold): AsyncIterable<Uint8Array>;
}

/** Opens what a package carries. Every stream verifies while it is read and fails at the first chunk that is not as packed, naming entry and place. */
export interface PackageReader {
  /** Path or address, for messages. */
  readonly path: string;
  /** Its bytes come over a network. */
  readonly remote?: true;
  readonly index: PackageIndex;
  /** What the file's signatures lie over. */
  readonly indexDigest: Digest;
  /** None: nobody signed. */
  readonly signers: readonly PackageSigner[];
  /** Decoded content of an entry, in order; `hold`: what is done with its chunks, default `kept`. Back-pressure: the file is read as fast as the consumer takes it. */
  open(digest: Digest, hold?: ChunkHold): AsyncIterable<Uint8Array>;
  /** The same entry without decoding it; verified by its chunk hashes. */
  stored(digest: Digest): StoredBytes;
  /** A small entry whole (manifests, configs); refuses more than 16 MiB. */
  read(digest: Digest): Promise<Uint8Array>;
  /** Hashes every byte once, in file order, and returns what is not as packed. */
  damage(progress?: ByteProgress, signal?: AbortSignal): Promise<readonly Damage[]>;
  /**
   * As `damage`, but throws PACKAGE_CORRUPT naming the first damaged part and, in the details, all of them. `rest`: without what only other architectures
   * need, and without entries that were read to their end, which showed that they are intact. Neither is read then.
   */
  verify(progress?: ByteProgress, signal?: AbortSignal, scope?: "all" | "rest"): Promise<void>;
  close(): Promise<void>;
}
