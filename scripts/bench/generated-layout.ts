/** OCI layouts of any size, made up on the spot: the same name gives the same bytes, and none of them can be compressed. */
import { createCipheriv, createHash } from "node:crypto";
import { createWriteStream, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { pack } from "tar-stream";

export interface GeneratedLayer {
  readonly reference: string;
  /** Bytes of its one file. */
  readonly bytes: number;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const TYPE = "application/vnd.oci.image";

/** Writes images of one uncompressed layer each (`docker save` makes such) into a new layout. */
export async function writeGeneratedLayout(folder: string, images: readonly GeneratedLayer[], architecture: string): Promise<void> {
  const blobs = join(folder, "blobs/sha256");
  mkdirSync(blobs, { recursive: true });
  const put = (mediaType: string, value: object): Descriptor => {
    const bytes = Buffer.from(JSON.stringify(value));
    const hex = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(blobs, hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const manifests = [];
  for (const { reference, bytes } of images) {
    const layer = await writeLayer(blobs, reference, bytes);
    const config = put(`${TYPE}.config.v1+json`, { architecture, os: "linux", config: { Entrypoint: ["/none"] }, rootfs: { type: "layers", diff_ids: [layer.digest] } });
    const manifest = put(`${TYPE}.manifest.v1+json`, { schemaVersion: 2, mediaType: `${TYPE}.manifest.v1+json`, config, layers: [layer] });
    manifests.push({ ...manifest, platform: { architecture, os: "linux" }, annotations: { "org.opencontainers.image.ref.name": reference } });
  }
  writeFileSync(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(join(folder, "index.json"), JSON.stringify({ schemaVersion: 2, mediaType: `${TYPE}.index.v1+json`, manifests }));
}

async function writeLayer(blobs: string, seed: string, size: number): Promise<Descriptor> {
  const tar = pack();
  const hash = createHash("sha256");
  let length = 0;
  const counted = new Transform({
    transform(chunk: Uint8Array, _encoding, done): void {
      hash.update(chunk);
      length += chunk.length;
      done(null, chunk);
    },
  });
  const draft = join(blobs, "draft");
  const written = pipeline(Readable.from(tar as unknown as AsyncIterable<Uint8Array>, { objectMode: false }), counted, createWriteStream(draft));
  const entry = tar.entry({ name: "data", size });
  await Promise.all([pipeline(Readable.from(noise(seed, size), { objectMode: false, highWaterMark: 1 << 20 }), entry as unknown as NodeJS.WritableStream).then(() => { tar.finalize(); }), written]);
  const hex = hash.digest("hex");
  renameSync(draft, join(blobs, hex));
  return { mediaType: `${TYPE}.layer.v1.tar`, digest: `sha256:${hex}`, size: length };
}

/** AES-256 in counter mode over zeros: as fast as a disk, and no compressor finds anything in it. */
function* noise(seed: string, size: number): Generator<Uint8Array> {
  const cipher = createCipheriv("aes-256-ctr", createHash("sha256").update(seed).digest(), Buffer.alloc(16));
  const zeros = Buffer.alloc(1 << 18);
  for (let left = size; left > 0; left -= zeros.length) yield cipher.update(zeros.subarray(0, Math.min(left, zeros.length)));
}
