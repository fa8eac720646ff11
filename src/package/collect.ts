/**
 * From what was resolved to entries: fetch each blob once, look into layers, take programs out of archives.
 *
 * Everything that comes back can be opened again and again, and knows its stored size and digest: that is what the writer needs.
 */
import { createReadStream } from "node:fs";
import { basename } from "node:path";
import { KubestickError } from "../errors.ts";
import { declaredLicense } from "./bill-of-materials.ts";
import type { BlobCache } from "./blob-cache.ts";
import { Digester } from "./digest.ts";
import { CHUNK_SIZE } from "./file-bytes.ts";
import type { ImageView } from "./image.ts";
import { decompressed, inspectLayer, type LayerFacts } from "./layer.ts";
import type { ListedSource } from "./lists.ts";
import { readMembers } from "./members.ts";
import { parallel } from "./parallel.ts";
import type { ReleaseServers } from "./releases.ts";
import type { Digest, PackageBinary, PackageDescriptor, PackageImage } from "./types.ts";
import type { EntrySource } from "./writer.ts";
import type { ZstdStore } from "./zstd-store.ts";

/** Registries and release servers allow many more; a slow line is filled by this many. */
const DOWNLOADS = 4;

export interface Stores {
  readonly cache: BlobCache;
  readonly zstd: ZstdStore;
}

/** Told about bytes as they become available. */
export interface FetchMeter {
  expect(bytes: number): void;
  /** `done`: bytes of this item so far; may go back when a download starts anew. */
  progress(label: string, done: number): void;
  fetched(bytes: number): void;
}

// ---------------------------------------------------------------- images

export interface ResolvedImage {
  readonly role: string;
  /** Of the list it is from. */
  readonly license?: string | undefined;
  /** For labels, where a package is for several. */
  readonly arch?: string | undefined;
  readonly view: ImageView;
}

export interface CollectedLayer {
  readonly entry: EntrySource;
  readonly facts: LayerFacts;
}

interface LayerJob {
  readonly view: ImageView;
  readonly descriptor: PackageDescriptor;
  readonly label: string;
}

/** Every layer of the images once, by digest. */
export function layerJobs(images: readonly ResolvedImage[]): readonly LayerJob[] {
  const jobs = new Map<Digest, LayerJob & { readonly arch: string | undefined }>();
  const shared = new Set<Digest>();
  for (const { view, arch } of images) {
    for (const [number, descriptor] of view.layers.entries()) {
      const known = jobs.get(descriptor.digest);
      if (known === undefined) jobs.set(descriptor.digest, { view, descriptor, label: `${view.reference.canonical} layer ${number + 1}`, arch });
      else if (known.arch !== arch) shared.add(descriptor.digest);
    }
  }
  return [...jobs.values()].map(({ arch, label, ...job }) => ({ ...job, label: shared.has(job.descriptor.digest) ? label : labelFor(label, arch) }));
}

/** `kubelet (arm64)` where a package has one for each processor. */
function labelFor(label: string, arch: string | undefined): string {
  return arch === undefined ? label : `${label} (${arch})`;
}

/** `recompressed`: the tar by itself as zstd where that is smaller; `published`: always the published blob. Docs: `docs/decisions/layers-as-zstd.md`. */
export type LayerForm = "recompressed" | "published";

/** Fetches (or, for local sources, only reads) each layer, finds out what it unpacks to and chooses the form in which it travels. */
export async function collectLayers(jobs: readonly LayerJob[], form: LayerForm, { cache, zstd }: Stores, meter: FetchMeter, signal?: AbortSignal): Promise<ReadonlyMap<Digest, CollectedLayer>> {
  const collected = await parallel(jobs, DOWNLOADS, signal, async ({ view, descriptor, label }, stop): Promise<[Digest, CollectedLayer]> => {
    const request = { reference: view.reference, descriptor };
    let open: () => AsyncIterable<Uint8Array>;
    if (view.source.local) {
      open = () => view.source.open(request, 0);
    } else {
      const blob = await cache.ensure({ ...descriptor, label, from: view.reference.canonical }, (start) => view.source.open(request, start, stop), (done) => meter.progress(label, done), stop);
      meter.fetched(blob.fetched);
      open = () => createReadStream(blob.path, { highWaterMark: CHUNK_SIZE }) as AsyncIterable<Uint8Array>;
    }
    const facts = await inspectLayer(descriptor, stoppable(open(), stop), label);
    meter.progress(label, descriptor.size);
    const published = asItIs(descriptor, label, open);
    // A plain tar (docker save) is its own content: as zstd it is still the published blob.
    if (descriptor.size === 0 || (form === "published" && facts.compression !== "none")) return [descriptor.digest, { entry: published, facts }];
    const packed = (await zstd.find(facts.diffId, label, stop)) ?? (await compress(zstd, decompressed(stoppable(open(), stop)), facts.unpackedSize, label, meter, stop));
    return [descriptor.digest, { entry: packed.length < descriptor.size ? packed : published, facts }];
  });
  return new Map(collected);
}

/** Told as work of its own: it takes longer than the download. */
async function compress(zstd: ZstdStore, content: AsyncIterable<Uint8Array>, size: number, label: string, meter: FetchMeter, signal: AbortSignal): Promise<EntrySource> {
  meter.expect(size);
  return await zstd.add(content, size, label, signal, (done) => meter.progress(`${label}, compressing`, done));
}

/** The index's record of an image, and its entries in reading order. Throws when a layer is not what the image's config promises. */
export function describeImage({ role, license, arch, view }: ResolvedImage, layers: ReadonlyMap<Digest, CollectedLayer>): { readonly image: PackageImage; readonly entries: readonly EntrySource[] } {
  const { reference, target, manifest, config, documents } = view;
  const name = reference.canonical;
  const entries: EntrySource[] = [];
  for (const [descriptor, what] of [[target, target.digest === manifest.digest ? "manifest" : "index"], [manifest, "manifest"], [config, "config"]] as const) {
    const bytes = documents.get(descriptor.digest);
    if (bytes !== undefined) entries.push(asItIs(descriptor, what === "index" ? `${name} ${what}` : labelFor(`${name} ${what}`, arch), () => once(bytes)));
  }
  const described = view.layers.map((layer, number) => {
    const found = layers.get(layer.digest);
    if (found === undefined) throw new TypeError(`layer ${layer.digest} of ${name} was not collected`);
    if (found.facts.diffId !== layer.diffId) {
      throw new KubestickError({
        code: "IMAGE_INVALID",
        attempted: `reading ${name}`,
        happened: `Layer ${number + 1} unpacks to ${found.facts.diffId}; the image's config says ${layer.diffId}.`,
        next: "Have the image built or pushed again; as it is no runtime could unpack it.",
      });
    }
    entries.push(found.entry);
    const { mediaType, digest, size, diffId } = layer;
    return { mediaType, digest, size, diffId, unpackedSize: found.facts.unpackedSize, entry: found.entry.digest };
  });
  const bytes = documents.get(config.digest);
  const declared = license ?? (bytes === undefined ? undefined : declaredLicense(bytes));
  return { image: { reference: name, role, target, manifest, config, layers: described, ...(declared === undefined ? {} : { license: declared }) }, entries };
}

function asItIs({ digest, size }: PackageDescriptor, label: string, open: () => AsyncIterable<Uint8Array>): EntrySource {
  return { digest, size, encoding: "identity", length: size, stored: digest, label, open };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function* stoppable(chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    signal.throwIfAborted();
    yield chunk;
  }
}

// ---------------------------------------------------------------- programs

export interface ResolvedSource {
  readonly source: ListedSource;
  /** For labels, where a package is for several. */
  readonly arch?: string | undefined;
  readonly digest: Digest;
}

export interface CollectedBinary {
  readonly binary: PackageBinary;
  readonly entry: EntrySource;
}

/** In the lists' order. `beforeFetch` hears the size of a download before its first byte is kept. */
export async function collectBinaries(
  sources: readonly ResolvedSource[],
  servers: ReleaseServers,
  { cache, zstd }: Stores,
  meter: FetchMeter,
  beforeFetch: (bytes: number) => Promise<void>,
  signal?: AbortSignal,
): Promise<readonly CollectedBinary[]> {
  const groups = await parallel(sources, DOWNLOADS, signal, async ({ source, digest, arch }, stop) => {
    const label = labelFor(basename(source.url), arch);
    let announced = 0;
    const onSize = async (total: number): Promise<void> => {
      if (announced > 0) return;
      announced = total;
      meter.expect(total);
      await beforeFetch(total);
    };
    const file = await servers.fetch(source, digest, cache, (done) => meter.progress(label, done), stop, onSize);
    if (announced === 0) meter.expect(file.size);
    meter.progress(label, file.size);
    meter.fetched(file.fetched);

    const entries = new Map<string, EntrySource>();
    const [single] = source.binaries;
    if (single !== undefined && single.from === undefined) {
      const open = (): AsyncIterable<Uint8Array> => createReadStream(file.path, { highWaterMark: CHUNK_SIZE }) as AsyncIterable<Uint8Array>;
      const name = labelFor(single.name, arch);
      entries.set(single.name, (await zstd.find(digest, name, stop)) ?? (await compress(zstd, open(), file.size, name, meter, stop)));
    } else {
      const wanted = new Map(source.binaries.map((binary) => [binary.from ?? binary.name, binary.name]));
      const nameOf = (member: string): string => wanted.get(member) ?? member;
      const sizes = new Map<string, number>();
      // What they are is found out first: reading the archive once more costs a fraction of compressing again what the store has.
      await readMembers(file.path, label, [...wanted.keys()], async (member, content) => {
        const digester = new Digester();
        for await (const chunk of content) digester.update(chunk);
        sizes.set(member, digester.size);
        const known = await zstd.find(digester.digest(), labelFor(nameOf(member), arch), stop);
        if (known !== undefined) entries.set(nameOf(member), known);
      }, stop);
      const absent = [...wanted.keys()].filter((member) => !entries.has(nameOf(member)));
      if (absent.length > 0) await readMembers(file.path, label, absent, async (member, content) => { entries.set(nameOf(member), await zstd.add(content, sizes.get(member) ?? 0, labelFor(nameOf(member), arch), stop)); }, stop);
    }
    return source.binaries.flatMap(({ name, path, mode }): CollectedBinary[] => {
      const entry = entries.get(name);
      if (entry === undefined) return [];
      return [{ entry, binary: { name, version: source.version, path, mode, digest: entry.digest, size: entry.size, source: source.url, ...(source.license === undefined ? {} : { license: source.license }) } }];
    });
  });
  return groups.flat();
}
