/** Images made up on the spot: the same seed gives the same bytes, so a blob of any size is streamed twice instead of being kept. */
import { createCipheriv, createHash } from "node:crypto";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { pack } from "tar-stream";
import type { Digest, PackageDescriptor, PackageImage, PackageLayer, StoredBytes } from "../../src/package/types.ts";

export interface GeneratedImage {
  readonly image: PackageImage;
  /** What a package would stream for a digest. */
  open(digest: Digest): AsyncIterable<Uint8Array>;
  /** Of layers whose tar travels by itself. */
  stored(digest: Digest): StoredBytes;
}

interface Layer extends PackageLayer {
  readonly bytes: () => AsyncIterable<Uint8Array>;
  readonly tar: () => AsyncIterable<Uint8Array>;
}

export function sha256(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** A layer of a few files, gzipped as registries serve them. */
export async function smallLayer(files: Readonly<Record<string, string | Uint8Array>>): Promise<Layer> {
  const archive = pack();
  for (const [name, content] of Object.entries(files)) archive.entry({ name, mode: 0o755, mtime: new Date(0) }, Buffer.from(content));
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  const tar = Buffer.concat(chunks);
  const zipped = gzipSync(tar);
  return { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: sha256(zipped), size: zipped.length, diffId: sha256(tar), unpackedSize: tar.length, entry: sha256(zipped), bytes: () => chunksOf([zipped]), tar: () => chunksOf([tar]) };
}

/** One incompressible file of `megabytes`, uncompressed tar, never whole in memory. */
export async function bigLayer(seed: string, megabytes: number): Promise<Layer> {
  const bytes = (): AsyncIterable<Uint8Array> => bigTar(seed, megabytes);
  const hash = createHash("sha256");
  let size = 0;
  for await (const chunk of bytes()) {
    hash.update(chunk);
    size += chunk.length;
  }
  const digest: Digest = `sha256:${hash.digest("hex")}`;
  return { mediaType: "application/vnd.oci.image.layer.v1.tar", digest, size, diffId: digest, unpackedSize: size, entry: digest, bytes, tar: bytes };
}

async function* bigTar(seed: string, megabytes: number): AsyncGenerator<Uint8Array> {
  const key = createHash("sha256").update(seed).digest();
  yield tarHeader(`data-${key.toString("hex").slice(0, 8)}`, megabytes * 1024 * 1024);
  const cipher = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  const zeros = Buffer.alloc(64 * 1024);
  for (let count = 0; count < megabytes * 16; count += 1) yield cipher.update(zeros);
  yield Buffer.alloc(1024);
}

/** POSIX ustar (IEEE Std 1003.1, `pax`): written here because tar-stream wants to be handed the bytes of an entry, not to hand out its header. */
function tarHeader(name: string, size: number): Buffer {
  const header = Buffer.alloc(512);
  const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, "0")}\0`;
  header.write(name, 0);
  header.write(octal(0o644, 8) + octal(0, 8) + octal(0, 8) + octal(size, 12) + octal(0, 12) + " ".repeat(8) + "0", 100);
  header.write("ustar\u000000", 257);
  header.write(`${header.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}

async function* chunksOf(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield chunk;
}

/** The same layer, of which a package carries the tar as zstd instead of the published blob. */
export async function recompressed(layer: Layer): Promise<Layer & { readonly stored: StoredBytes }> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of layer.tar()) chunks.push(chunk);
  const bytes = zstdCompressSync(Buffer.concat(chunks));
  const stored: StoredBytes = { encoding: "zstd", digest: sha256(bytes), size: bytes.length, open: () => chunksOf([bytes]) };
  const unpublished = (): never => { throw new Error(`a package with the tar of ${layer.digest} does not have the blob`); };
  return { ...layer, entry: layer.diffId, bytes: unpublished, stored };
}

/** An image whose reference resolves to an index of two platforms, of which only this machine's is carried. */
export function generatedImage(reference: string, layers: readonly (Layer & { readonly stored?: StoredBytes })[], options: { readonly entrypoint?: readonly string[]; readonly withIndex?: boolean } = {}): GeneratedImage {
  const blobs = new Map<Digest, () => AsyncIterable<Uint8Array>>();
  const put = (mediaType: string, value: unknown): PackageDescriptor => {
    const bytes = Buffer.from(JSON.stringify(value));
    const digest = sha256(bytes);
    blobs.set(digest, () => chunksOf([bytes]));
    return { mediaType, digest, size: bytes.length };
  };
  for (const layer of layers) blobs.set(layer.digest, layer.bytes);
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const config = put("application/vnd.oci.image.config.v1+json", { architecture, os: "linux", config: { Entrypoint: options.entrypoint ?? ["/none"] }, rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.diffId) } });
  const plainLayers = layers.map(({ bytes: _, tar: __, stored: ___, ...layer }) => layer);
  const manifest = put("application/vnd.oci.image.manifest.v1+json", {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config,
    layers: plainLayers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
  });
  const elsewhere = { mediaType: manifest.mediaType, digest: sha256(`another platform of ${reference}`), size: 7, platform: { architecture: "s390x", os: "linux" } };
  const target =
    options.withIndex === false
      ? manifest
      : put("application/vnd.oci.image.index.v1+json", { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [elsewhere, { ...manifest, platform: { architecture, os: "linux" } }] });
  return {
    image: { reference, target, manifest, config, layers: plainLayers, role: "extra" },
    open: (digest) => {
      const bytes = blobs.get(digest);
      if (bytes === undefined) throw new Error(`nothing has the digest ${digest}`);
      return bytes();
    },
    stored: (digest) => {
      const found = layers.find((layer) => layer.entry === digest)?.stored;
      if (found === undefined) throw new Error(`no layer travels as ${digest}`);
      return found;
    },
  };
}
