/**
 * Writes container images as an OCI image layout, straight from files: no daemon, no registry, no root.
 *
 * Deterministic (equal inputs, equal digests), streamed (a layer passes through once and is never held), and shaped like what registries serve:
 * gzip layers, layers shared between images, an index per tag with one manifest per platform.
 */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { lstat, mkdir, readlink, readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { pack as packTar } from "tar-stream";
import type { Header, Pack } from "tar-stream";

export type LayerEntry =
  | { readonly path: string; readonly directory: true; readonly mode?: number }
  | { readonly path: string; readonly link: string }
  | { readonly path: string; readonly text: string | Uint8Array; readonly mode?: number }
  /** `capability` is what `setcap cap_net_bind_service=+ep` would leave on the file. */
  | { readonly path: string; readonly file: string; readonly mode?: number; readonly capability?: "net_bind_service" };

/** The same array object in two images is one layer in both. */
export type Layer = readonly LayerEntry[];

export interface ImageRecipe {
  readonly reference: string;
  readonly layers: readonly Layer[];
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly user?: string;
  readonly arch: string;
}

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const INDEX = "application/vnd.oci.image.index.v1+json";
const CONFIG = "application/vnd.oci.image.config.v1+json";
const LAYER = "application/vnd.oci.image.layer.v1.tar+gzip";
const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** vfs_cap_data, revision 2 with the effective bit, permitted = CAP_NET_BIND_SERVICE (linux/include/uapi/linux/capability.h). */
const NET_BIND_SERVICE = "\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const EPOCH = new Date(0);

/** Writes the layout for these images into `folder`, which must be new. Several recipes of one reference are its platforms. */
export async function writeImageLayout(folder: string, recipes: readonly ImageRecipe[]): Promise<void> {
  const blobs = join(folder, "blobs/sha256");
  await mkdir(blobs, { recursive: true });
  const done = new Map<Layer, Promise<BuiltLayer>>();
  const layerOf = (layer: Layer): Promise<BuiltLayer> => {
    const known = done.get(layer);
    if (known !== undefined) return known;
    const building = writeLayer(blobs, layer, done.size);
    done.set(layer, building);
    return building;
  };

  const manifests = [];
  for (const reference of new Set(recipes.map((recipe) => recipe.reference))) {
    const platforms = [];
    for (const recipe of recipes.filter((one) => one.reference === reference)) {
      const layers = [];
      for (const layer of recipe.layers) layers.push(await layerOf(layer));
      const config = await writeJson(blobs, CONFIG, {
        created: EPOCH.toISOString(),
        architecture: recipe.arch,
        os: "linux",
        config: { Env: [PATH], Entrypoint: recipe.entrypoint, Cmd: recipe.command, User: recipe.user, WorkingDir: "/" },
        rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.diffId) },
        history: layers.map(() => ({ created: EPOCH.toISOString() })),
      });
      const manifest = await writeJson(blobs, MANIFEST, { schemaVersion: 2, mediaType: MANIFEST, config, layers: layers.map((layer) => layer.descriptor) });
      platforms.push({ ...manifest, platform: { architecture: recipe.arch, os: "linux" } });
    }
    const index = await writeJson(blobs, INDEX, { schemaVersion: 2, mediaType: INDEX, manifests: platforms });
    manifests.push({ ...index, annotations: { "org.opencontainers.image.ref.name": reference } });
  }
  await writeFile(join(folder, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  await writeFile(join(folder, "index.json"), JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests }));
}

/** Everything below a folder as layer entries, sorted, so that the order of the directory does not matter. */
export async function entriesOf(folder: string, below = ""): Promise<LayerEntry[]> {
  const entries: LayerEntry[] = [];
  for (const name of (await readdir(join(folder, below))).sort()) {
    const path = below === "" ? name : `${below}/${name}`;
    const full = join(folder, path);
    const stat = await lstat(full);
    if (stat.isSymbolicLink()) entries.push({ path, link: await readlink(full) });
    else if (stat.isDirectory()) entries.push({ path, directory: true, mode: stat.mode & 0o7777 }, ...(await entriesOf(folder, path)));
    else if (stat.isFile()) entries.push({ path, file: full, mode: stat.mode & 0o7777 });
  }
  return entries;
}

/** A tar stream of the entries with neither owner, time nor order of the machine in it. */
export function tarOf(entries: readonly LayerEntry[]): Readable {
  const tar = packTar();
  const write = async (): Promise<void> => {
    for (const entry of entries) await addEntry(tar, entry);
    tar.finalize();
  };
  write().catch((error: unknown) => tar.destroy(error instanceof Error ? error : new Error(String(error))));
  // tar-stream brings its own kind of stream; Node's pipeline wants Node's.
  return Readable.from(tar as unknown as AsyncIterable<Uint8Array>, { objectMode: false });
}

async function addEntry(tar: Pack, entry: LayerEntry): Promise<void> {
  const common = { name: entry.path, mtime: EPOCH, uid: 0, gid: 0 };
  if ("directory" in entry) return addWhole(tar, { ...common, name: `${entry.path}/`, type: "directory", mode: entry.mode ?? 0o755 });
  if ("link" in entry) return addWhole(tar, { ...common, type: "symlink", linkname: entry.link, mode: 0o777 });
  if ("text" in entry) return addWhole(tar, { ...common, mode: entry.mode ?? 0o644 }, entry.text);
  const { size } = await lstat(entry.file);
  const pax = entry.capability === undefined ? {} : { pax: { "SCHILY.xattr.security.capability": NET_BIND_SERVICE } };
  await new Promise<void>((resolve, reject) => {
    const sink = tar.entry({ ...common, mode: entry.mode ?? 0o755, size, ...pax }, (error) => (error ? reject(error) : resolve()));
    createReadStream(entry.file, { highWaterMark: 1 << 20 }).on("error", reject).pipe(sink);
  });
}

function addWhole(tar: Pack, header: Partial<Header> & Pick<Header, "name">, content?: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error?: Error | null): void => (error ? reject(error) : resolve());
    if (content === undefined) tar.entry(header, done);
    else tar.entry(header, content, done);
  });
}

interface BuiltLayer {
  readonly descriptor: Descriptor;
  readonly diffId: string;
}

async function writeLayer(blobs: string, layer: Layer, number: number): Promise<BuiltLayer> {
  const plain = new Hashing();
  const zipped = new Hashing();
  const unnamed = join(blobs, `.layer-${number}`);
  // Level 1: these bytes travel over loopback, time is what counts.
  await pipeline(tarOf(layer), plain, createGzip({ level: 1 }), zipped, createWriteStream(unnamed));
  const digest = zipped.digest();
  await rename(unnamed, join(blobs, digest.slice("sha256:".length)));
  return { descriptor: { mediaType: LAYER, digest, size: zipped.bytes }, diffId: plain.digest() };
}

async function writeJson(blobs: string, mediaType: string, value: unknown): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify(value));
  const hex = createHash("sha256").update(bytes).digest("hex");
  await writeFile(join(blobs, hex), bytes);
  return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
}

/** Counts and hashes what passes. */
export class Hashing extends Transform {
  bytes = 0;
  readonly #hash = createHash("sha256");

  override _transform(chunk: Buffer, _encoding: string, done: (error: null, chunk: Buffer) => void): void {
    this.bytes += chunk.length;
    this.#hash.update(chunk);
    done(null, chunk);
  }

  /** Once, after the end. */
  digest(): string {
    return `sha256:${this.#hash.digest("hex")}`;
  }
}
