/**
 * Side-load alone: all images of a package into a containerd of its own, three ways in turn, several rounds.
 *
 *   loop     `ctr images import`, one gzip archive after the other: what people do by hand
 *   archive  `ctr images import` of one archive with all images and zstd layers: the best that tool can do
 *   ours     straight from the package, as `init` does it
 *
 * Every run begins with an empty store. The archives are made from the package first; their layers are gzip at the usual level.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, statSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { pack, type Pack } from "tar-stream";
import { heapGrowth } from "../../src/cli/steady-memory.ts";
import { openPackage, type OpenedPackage } from "../../src/package/reader.ts";
import type { PackageImage, PackageLayer } from "../../src/package/types.ts";
import { inWorkFolder, machine, machineText, markdownTable, median, settle, table, type Machine } from "./measure.ts";
import { ContainerdProcess, containerdDirectories, versionIn } from "../../test/runtime/containerd-process.ts";

export interface SideLoadOptions {
  readonly package: string;
  readonly rounds: number;
}

interface Ways {
  readonly loop: number[];
  readonly archive: number[];
  readonly ours: number[];
}

export interface SideLoadResult {
  readonly machine: Machine;
  readonly images: number;
  readonly rounds: number;
  readonly seconds: Ways;
  readonly medians: Readonly<Record<keyof Ways, number>>;
  /** Medians of the ratios within a round. */
  readonly ratios: { readonly toLoop: number; readonly toArchive: number };
  /** Of the importer, resident. */
  readonly peakBytes: number;
  /** Version of the runtime. */
  readonly containerd: string;
}

export async function benchSideLoad(options: SideLoadOptions): Promise<SideLoadResult> {
  const [directory] = containerdDirectories();
  if (directory === undefined || process.getuid?.() !== 0) throw new Error("this needs root, and containerd and ctr in KUBESTICK_CONTAINERD_DIRS, KUBESTICK_E2E_ASSETS/bin or PATH");
  return await inWorkFolder(undefined, (folder) => measureIn(folder, directory, options));
}

async function measureIn(folder: string, directory: string, options: SideLoadOptions): Promise<SideLoadResult> {
  const seconds: Ways = { loop: [], archive: [], ours: [] };
  const memory: number[] = [];
  const source = await openPackage(options.package);
  const { images } = source.index;
  console.error(`making archives of ${images.length} images`);
  const gzip = await gzipArchives(source, folder);
  const zstd = await zstdArchive(source, join(folder, "all.tar"));
  await source.close();
  for (let round = 1; round <= options.rounds; round++) {
    await settle();
    seconds.loop.push(await withContainerd(directory, async (daemon) => timed(() => { for (const archive of gzip) ctrImport(directory, daemon, archive); })));
    await settle();
    seconds.archive.push(await withContainerd(directory, async (daemon) => timed(() => ctrImport(directory, daemon, zstd))));
    await settle();
    const ours = await withContainerd(directory, (daemon) => importOurs(daemon, options.package));
    seconds.ours.push(ours.seconds);
    memory.push(ours.peakBytes);
    console.error(`round ${round} of ${options.rounds}: loop ${seconds.loop.at(-1)?.toFixed(1)} s, one zstd archive ${seconds.archive.at(-1)?.toFixed(1)} s, ours ${ours.seconds.toFixed(1)} s`);
  }
  const to = (way: readonly number[]): number => median(seconds.ours.map((own, round) => own / (way[round] ?? Number.NaN)));
  return {
    machine: machine(), containerd: versionIn(directory), images: images.length, rounds: options.rounds, seconds, medians: { loop: median(seconds.loop), archive: median(seconds.archive), ours: median(seconds.ours) },
    ratios: { toLoop: to(seconds.loop), toArchive: to(seconds.archive) }, peakBytes: Math.max(...memory),
  };
}

export function sideLoadText(result: SideLoadResult): string {
  return [headline(result), table(rowsOf(result)), resident(result)].join("\n");
}

export function sideLoadMarkdown(result: SideLoadResult): string {
  return [`${headline(result)}.`, "", markdownTable(rowsOf(result)), "", `${resident(result)}.`].join("\n");
}

function headline({ images, rounds, containerd, machine: on }: SideLoadResult): string {
  return `${images} images into an empty containerd ${containerd}, medians of ${rounds} rounds in turn, on ${machineText(on)}`;
}

function rowsOf({ medians, ratios }: SideLoadResult): string[][] {
  return [
    ["way", "seconds", "kubestick to it"],
    ["`ctr images import`, one gzip archive after the other", medians.loop.toFixed(2), ratios.toLoop.toFixed(2)],
    ["`ctr images import` of one archive with zstd layers", medians.archive.toFixed(2), ratios.toArchive.toFixed(2)],
    ["kubestick, from the package", medians.ours.toFixed(2), "1.00"],
  ];
}

function resident({ peakBytes }: SideLoadResult): string {
  return `The importer had ${Math.round(peakBytes / 2 ** 20)} MiB resident at most`;
}

export async function withContainerd<T>(directory: string, work: (daemon: ContainerdProcess) => Promise<T>): Promise<T> {
  const daemon = new ContainerdProcess(directory, "registry.k8s.io/pause:3.10");
  try {
    await daemon.start();
    return await work(daemon);
  } finally {
    await daemon.remove();
  }
}

function timed(work: () => void): number {
  const started = performance.now();
  work();
  return (performance.now() - started) / 1000;
}

function ctrImport(directory: string, daemon: ContainerdProcess, archive: string): void {
  const run = spawnSync(join(directory, "ctr"), ["--address", daemon.socket.slice("unix://".length), "--namespace", "k8s.io", "images", "import", archive], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(`ctr images import ${archive} ended with ${run.status ?? run.signal}\n${run.stderr}`);
}

/** In a process of its own, so that its memory is its own; the clock runs from the first call, because the installer is running already. */
async function importOurs(daemon: ContainerdProcess, file: string): Promise<{ readonly seconds: number; readonly peakBytes: number }> {
  const child = spawn(process.execPath, ["--max-semi-space-size=1", heapGrowth, join(import.meta.dirname, "side-load-child.ts"), daemon.socket, file], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => { text += part; });
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (code !== 0) throw new Error(`the import ended with ${String(code)}`);
  return JSON.parse(text) as { seconds: number; peakBytes: number };
}

// ---------------------------------------------------------------- archives

interface Blob {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  open(): AsyncIterable<Uint8Array>;
}

/** One OCI archive for each image, with gzip layers, as people carry them. */
export async function gzipArchives(source: OpenedPackage, folder: string): Promise<readonly string[]> {
  const made = new Map<string, Promise<Blob>>();
  const gzipped = (layer: PackageLayer): Promise<Blob> => {
    const known = made.get(layer.diffId);
    if (known !== undefined) return known;
    const making = gzipLayer(source, layer, join(folder, layer.diffId.slice(7)));
    made.set(layer.diffId, making);
    return making;
  };
  const archives: string[] = [];
  for (const [number, image] of source.index.images.entries()) {
    const layers: Blob[] = [];
    for (const layer of image.layers) layers.push(await gzipped(layer));
    const path = join(folder, `image${number}.tar`);
    await writeArchive(path, [await imageOf(source, image, layers)]);
    archives.push(path);
  }
  return archives;
}

async function gzipLayer(source: OpenedPackage, layer: PackageLayer, path: string): Promise<Blob> {
  const mediaType = "application/vnd.oci.image.layer.v1.tar+gzip";
  if (layer.entry === layer.digest) return { mediaType: layer.mediaType, digest: layer.digest, size: layer.size, open: () => source.open(layer.digest) };
  await pipeline(Readable.from(source.open(layer.entry), { objectMode: false }), createGzip(), createWriteStream(path));
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return { mediaType, digest: `sha256:${hash.digest("hex")}`, size: statSync(path).size, open: () => createReadStream(path) as AsyncIterable<Uint8Array> };
}

export async function zstdArchive(source: OpenedPackage, path: string): Promise<string> {
  const images = [];
  for (const image of source.index.images) {
    const layers = image.layers.map((layer): Blob => {
      const { encoding, digest, size, open } = source.stored(layer.entry);
      return { mediaType: layer.entry === layer.digest ? layer.mediaType : `application/vnd.oci.image.layer.v1.tar${encoding === "zstd" ? "+zstd" : ""}`, digest, size, open };
    });
    images.push(await imageOf(source, image, layers));
  }
  await writeArchive(path, images);
  return path;
}

interface ArchivedImage {
  readonly reference: string;
  readonly manifest: Blob;
  readonly blobs: readonly Blob[];
}

async function imageOf(source: OpenedPackage, image: PackageImage, layers: readonly Blob[]): Promise<ArchivedImage> {
  const plain = ({ mediaType, digest, size }: Omit<Blob, "open">): object => ({ mediaType, digest, size });
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config: plain({ ...image.config, mediaType: "application/vnd.oci.image.config.v1+json" }), layers: layers.map(plain) }));
  const config = await source.read(image.config.digest);
  const manifest: Blob = { mediaType, digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}`, size: bytes.length, open: () => once(bytes) };
  return { reference: image.reference, manifest, blobs: [{ ...image.config, open: () => once(config) }, ...layers, manifest] };
}

async function writeArchive(path: string, images: readonly ArchivedImage[]): Promise<void> {
  const tar = pack();
  const writing = pipeline(Readable.from(tar as unknown as AsyncIterable<Uint8Array>, { objectMode: false }), createWriteStream(path));
  await addFile(tar, "oci-layout", Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
  const manifests = images.map(({ reference, manifest: { mediaType, digest, size } }) => ({ mediaType, digest, size, annotations: { "io.containerd.image.name": reference } }));
  await addFile(tar, "index.json", Buffer.from(JSON.stringify({ schemaVersion: 2, manifests })));
  const done = new Set<string>();
  for (const blob of images.flatMap(({ blobs }) => blobs)) {
    if (done.has(blob.digest)) continue;
    done.add(blob.digest);
    await new Promise<void>((resolve, reject) => {
      const entry = tar.entry({ name: `blobs/sha256/${blob.digest.slice(7)}`, size: blob.size }, (error) => (error ? reject(error) : resolve()));
      Readable.from(blob.open(), { objectMode: false }).on("error", reject).pipe(entry);
    });
  }
  tar.finalize();
  await writing;
}

function addFile(tar: Pack, name: string, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => { tar.entry({ name }, bytes, (error) => (error ? reject(error) : resolve())); });
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
