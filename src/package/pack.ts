/**
 * `pack`: from lists of names to one file, on the machine that has a network.
 *
 *   lists -> digests of everything -> lock -> space -> each blob once, verified -> entries -> written, read back, renamed
 *
 * Owns the order of these steps and what is told about them. Each step is in a file of its own; start at `pack`.
 */
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { KubestickError, isKubestickError } from "../errors.ts";
import { temporaryName } from "./abandoned.ts";
import { readAuthorities } from "./authorities.ts";
import { billTime } from "./bill-of-materials.ts";
import { BlobCache, cacheFailed } from "./blob-cache.ts";
import { collectBinaries, collectLayers, describeImage, layerJobs, type CollectedBinary, type FetchMeter, type LayerForm, type ResolvedImage, type ResolvedSource } from "./collect.ts";
import { inspectExecutables, type BareExecutable } from "./executables.ts";
import { HttpClient } from "./http.ts";
import { viewImage, type ImageSource } from "./image.ts";
import { summarize, type SizeSummary } from "./inspect.ts";
import { ImagesDirectory } from "./layout-source.ts";
import { loadLists, type Cni, type ListedImage, type ListTexts } from "./lists.ts";
import { enforceLock, formatLock, lockedImages, readLock, type Lock } from "./lock.ts";
import { parseMirrors } from "./mirrors.ts";
import { requireRoomForProgram, requireWritable, type OutputFile } from "./package-output.ts";
import { parallel } from "./parallel.ts";
import { parseReference } from "./reference.ts";
import { RegistryAuth, loadLogins } from "./registry-auth.ts";
import { RegistrySource } from "./registry-source.ts";
import { ReleaseServers } from "./releases.ts";
import type { CarriedDocument } from "./documents.ts";
import { provenanceDocuments } from "./provenance.ts";
import { readProgram } from "./program.ts";
import { readSigningKey } from "./signing-key.ts";
import { keyFingerprint } from "./signatures.ts";
import { freeSpace, noSpace } from "./space.ts";
import { trustedKeyDocuments } from "./trust.ts";
import type { Digest, PackageBinary, PackageImage, PackageSigner } from "./types.ts";
import { openPackage } from "./reader.ts";
import { writePackage } from "./writer.ts";
import { ZstdStore, type Compression } from "./zstd-store.ts";

export interface PackOptions {
  /** Kubestick executables, bare or packed, one for each architecture; a file for several stands for all of its own. */
  readonly executable: string | readonly string[];
  /** The same for an architecture that none of these is for. */
  readonly otherwise?: string | undefined;
  /** Default: a file in the working directory, with version and architectures in its name. */
  readonly output?: string | undefined;
  /** `v1.36.2`; default: what this kubestick was made for. */
  readonly kubernetesVersion?: string | undefined;
  /** Default: what the executables are for. */
  readonly arch?: string | readonly string[] | undefined;
  /** Default flannel. */
  readonly cni?: Cni | undefined;
  readonly extraImages?: readonly string[] | undefined;
  /** `HOST=URL` */
  readonly registryMirrors?: readonly string[] | undefined;
  /** `HOST=URL` or `HOST=DIR` */
  readonly downloadMirrors?: readonly string[] | undefined;
  readonly imagesDirectory?: string | undefined;
  readonly lockFile?: string | undefined;
  /** Largest file, in bytes; a longer package becomes several. */
  readonly split?: number | undefined;
  /** Default recompressed. */
  readonly layers?: LayerForm | undefined;
  /** Default best. */
  readonly compression?: Compression | undefined;
  /** Default `$XDG_CACHE_HOME/kubestick`, `~/.cache/kubestick`. */
  readonly cache?: string | undefined;
  /** Private key file with which the package is signed, and the name of who signs. */
  readonly signKey?: string | undefined;
  readonly signer?: string | undefined;
  /** Public key files baked into the package. */
  readonly trustKeys?: readonly string[] | undefined;
  /** Seconds since 1970 that the bills of materials name as their time (SOURCE_DATE_EPOCH); default: that of the newest image. */
  readonly sourceDateEpoch?: number | undefined;
  readonly assets: ListTexts;
  readonly signal?: AbortSignal | undefined;
  /** PEM files of authorities trusted for registries and release servers, besides the machine's own. */
  readonly ca?: readonly string[] | undefined;
  /** Tries and first pause of each request; the defaults suit people, tests are in more of a hurry. */
  readonly http?: { readonly attempts?: number; readonly pauseMs?: number } | undefined;
}

export type PackStep = "resolve" | "fetch" | "write" | "verify";

export type PackEvent =
  | { readonly type: "step"; readonly step: PackStep; readonly title: string }
  /** A reference or a download whose digest is known now. `source`: where it will come from. */
  | { readonly type: "resolved"; readonly name: string; readonly digest: Digest; readonly source: string }
  /** Bytes of the whole step; the total of `fetch` grows while servers tell sizes. `label`: what is being moved now. */
  | { readonly type: "progress"; readonly step: PackStep; readonly done: number; readonly total: number; readonly label: string }
  | { readonly type: "retry"; readonly url: string; readonly reason: string; readonly waitMs: number };

export interface PackResult {
  readonly path: string;
  readonly size: number;
  /** What `sha256sum` prints for the file. */
  readonly digest: Digest;
  /** One, or the parts in order. */
  readonly files: readonly OutputFile[];
  /** Files with names of its parts that an earlier package left. */
  readonly leftOver: readonly string[];
  readonly kubernetesVersion: string;
  /** `amd64`, `amd64,arm64` */
  readonly arch: string;
  readonly cni: Cni;
  /** Of several architectures those of one after those of the other. */
  readonly images: readonly PackageImage[];
  readonly binaries: readonly PackageBinary[];
  /** Bytes that came over the network in this run; the rest was in the cache or local. */
  readonly fetched: number;
  /** Where the bytes of the file are. */
  readonly sizes: SizeSummary;
  readonly cache: string;
  readonly lock: "written" | "enforced" | "none";
  readonly signers: readonly PackageSigner[];
  /** Keys baked in, by which the executable judges packages, its own too. */
  readonly trustedKeys: readonly Digest[];
}

export async function pack(options: PackOptions, report: (event: PackEvent) => void): Promise<PackResult> {
  const { signal } = options;
  let { output } = options;
  const cacheDirectory = resolve(options.cache ?? defaultCache());
  const http = new HttpClient({ ...options.http, ca: await readAuthorities(options.ca ?? []), onRetry: (notice) => report({ type: "retry", ...notice }) });
  /** By architecture. */
  const local = new Map<string, ImagesDirectory>();
  try {
    const programs = await chosenPrograms(options);
    const arches = programs.map(({ arch }) => arch);
    const several = arches.length > 1;
    const programBytes = programs.reduce((sum, { length }) => sum + length, 0);
    const cni = options.cni ?? "flannel";
    const listsOf = arches.map((arch) => ({ arch, ...loadLists(options.assets, { kubernetesVersion: options.kubernetesVersion, arch, cni }) }));
    const [lists] = listsOf as [(typeof listsOf)[0], ...typeof listsOf];
    output ??= resolve(defaultName(lists.kubernetesVersion, arches));
    if (options.split !== undefined) requireRoomForProgram(output, programBytes, options.split);
    const registryMirrors = parseMirrors("--registry-mirror", options.registryMirrors ?? []);
    const downloadMirrors = parseMirrors("--download-mirror", options.downloadMirrors ?? []);
    const wanted = wantedImages(lists.images, options.extraImages ?? []);
    const signingKey = options.signKey === undefined ? undefined : await readSigningKey(options.signKey, options.signer);
    const trusted = await trustedKeyDocuments(options.trustKeys ?? []);
    await requireWritable(output);
    await mkdir(cacheDirectory, { recursive: true }).catch((error: unknown) => {
      throw cacheFailed(cacheDirectory, error);
    });
    const lock = options.lockFile === undefined ? undefined : await readLock(options.lockFile);

    report({ type: "step", step: "resolve", title: `Resolve the content of Kubernetes ${lists.kubernetesVersion} for ${arches.join(" and ")}` });
    if (options.imagesDirectory !== undefined) for (const arch of arches) local.set(arch, await ImagesDirectory.open(options.imagesDirectory, arch, join(cacheDirectory, "spool")));
    const registry = new RegistrySource(http, new RegistryAuth(http, await loadLogins()), registryMirrors);
    const servers = new ReleaseServers(http, downloadMirrors);
    const view = async ({ role, license, reference }: ListedImage, arch: string, stop: AbortSignal): Promise<ResolvedImage> => {
      const sources: readonly ImageSource[] = [local.get(arch) ?? [], registry].flat();
      for (const source of sources) {
        const found = await viewImage(source, reference, arch, stop);
        if (found !== undefined) return { role, license, view: found, ...(several ? { arch } : {}) };
      }
      throw imageNotFound(reference.canonical, registryMirrors.get(reference.registry) ?? reference.registry, options.imagesDirectory, local.get(arch)?.references ?? []);
    };
    const viewed = await parallel(wanted, 4, signal, async (image, stop): Promise<readonly ResolvedImage[]> => {
      const found: ResolvedImage[] = [];
      for (const arch of arches) found.push(await view(image, arch, stop));
      for (const [number, { view: { reference, target, source } }] of found.entries()) {
        if (number > 0 && target.digest === found[0]?.view.target.digest) continue;
        if (number > 0 && !source.local) throw imageMoved(reference.canonical);
        report({ type: "resolved", name: reference.canonical, digest: target.digest, source: source.description });
      }
      return found;
    });
    const images = arches.flatMap((_, number) => viewed.flatMap((found) => found[number] ?? []));
    const listed = listsOf.flatMap(({ arch, sources }) => sources.map((source) => ({ source, ...(several ? { arch } : {}) })));
    const downloads = await parallel(listed, 4, signal, async ({ source, ...labelled }, stop): Promise<ResolvedSource> => {
      const digest = await servers.digestOf(source, stop);
      report({ type: "resolved", name: source.url, digest, source: downloadMirrors.get(new URL(source.url).host) ?? "its release server" });
      return { source, digest, ...labelled };
    });
    const found: Lock = {
      images: lockedImages(viewed.flatMap((of) => of.map(({ view: { reference, target } }, number) => ({ reference: reference.canonical, arch: arches[number] ?? "", digest: target.digest }))), lock),
      files: new Map(downloads.map(({ source, digest }) => [source.url, digest])),
    };
    if (lock !== undefined && options.lockFile !== undefined) enforceLock(options.lockFile, lock, found);

    const jobs = layerJobs(images);
    const cache = new BlobCache(cacheDirectory, http);
    await requireRoom(output, cache, programBytes, jobs);
    const meter = new Meter(report);
    for (const { descriptor } of jobs) meter.expect(descriptor.size);
    report({ type: "step", step: "fetch", title: `Fetch and compress ${wanted.length} images and ${downloads.length} downloads` });
    const stores = { cache, zstd: new ZstdStore(cacheDirectory, options.compression ?? "best") };
    const beforeFetch = async (bytes: number): Promise<void> => {
      const free = await freeSpace(cacheDirectory);
      if (free < bytes) throw noSpace(cacheDirectory, bytes, free, "--cache");
    };
    const binariesOf = new Map<string, readonly CollectedBinary[]>();
    for (const arch of arches) binariesOf.set(arch, await collectBinaries(several ? downloads.filter((one) => one.arch === arch) : downloads, servers, stores, meter, beforeFetch, signal));
    const layers = await collectLayers(jobs, options.layers ?? "recompressed", stores, meter, signal);
    const parts = arches.map((arch) => ({
      arch,
      described: images.filter((image) => !several || image.arch === arch).map((image) => describeImage(image, layers)),
      binaries: binariesOf.get(arch) ?? [],
    }));

    const content = { kubernetesVersion: lists.kubernetesVersion, cni, platforms: parts.map(({ arch, described, binaries }) => ({ arch, images: described.map(({ image }) => image), binaries: binaries.map(({ binary }) => binary) })) };
    const keys = trusted.map(({ carried }) => carried);
    const configs = images.flatMap(({ view }) => view.documents.get(view.config.digest) ?? []);
    const documents: readonly CarriedDocument[] = [...keys, ...provenanceDocuments({
      content, documents: keys.map(({ document }) => document), programs: await Promise.all(programs.map((program) => readProgram(program.path, program, signal))), created: billTime(options.sourceDateEpoch, configs),
    })];

    report({ type: "step", step: "write", title: `Write ${output}` });
    let verifying = false;
    const path = output;
    const written = await writePackage({
      executable: programs,
      output,
      split: options.split,
      content: { ...content, documents: documents.map(({ document }) => document) },
      // The order in which init reads them, so that a slow stick is read from front to back. Keys come first: the first part of a package in several has to know whom it trusts.
      entries: [...keys.map(({ entry }) => entry), ...parts.flatMap(({ described, binaries }) => [...binaries.map(({ entry }) => entry), ...described.flatMap(({ entries }) => entries)]), ...documents.filter((document) => !keys.includes(document)).map(({ entry }) => entry)],
      ...(signingKey === undefined ? {} : { signingKeys: [signingKey] }),
      progress: (step, event) => {
        if (step === "verify" && !verifying) {
          verifying = true;
          report({ type: "step", step: "verify", title: `Read back ${path} and verify it` });
        }
        report({ type: "progress", step, ...event });
      },
      ...(signal === undefined ? {} : { signal }),
    });
    if (options.lockFile !== undefined && lock === undefined) await writeLock(options.lockFile, formatLock(found));
    return {
      ...written,
      sizes: await sizesOf(written.path),
      kubernetesVersion: lists.kubernetesVersion,
      arch: arches.join(","),
      cni,
      images: content.platforms.flatMap((platform) => platform.images),
      binaries: content.platforms.flatMap((platform) => platform.binaries),
      fetched: meter.total.fetched,
      cache: cacheDirectory,
      lock: options.lockFile === undefined ? "none" : lock === undefined ? "written" : "enforced",
      signers: signingKey === undefined ? [] : [{ fingerprint: keyFingerprint(signingKey.key), name: signingKey.name }],
      trustedKeys: trusted.map(({ fingerprint }) => fingerprint),
    };
  } catch (error) {
    if (signal?.aborted === true && !isKubestickError(error)) throw interrupted(output ?? "a package", cacheDirectory, error);
    throw error;
  } finally {
    for (const source of local.values()) await source.close();
    await http.close();
  }
}

/** `kubestick-v1.36.2-linux-amd64-arm64` */
export function defaultName(kubernetesVersion: string, arches: readonly string[]): string {
  return `kubestick-${kubernetesVersion}-linux-${arches.join("-")}`;
}

/** From the tables of what was written, which are in the first file. */
async function sizesOf(path: string): Promise<SizeSummary> {
  const written = await openPackage(path, { incomplete: true });
  await written.close();
  const { indexLength, signaturesLength } = written.layout.footer;
  return summarize(written.index, written.signers, indexLength + signaturesLength).sizes;
}

function defaultCache(): string {
  const { XDG_CACHE_HOME, HOME } = process.env;
  // The XDG base directory specification: relative paths are invalid and to be ignored.
  if (XDG_CACHE_HOME?.startsWith("/") === true) return join(XDG_CACHE_HOME, "kubestick");
  return join(HOME ?? homedir(), ".cache", "kubestick");
}

/** The listed images in their order, then the extra ones by name; what is listed already is not taken twice. */
function wantedImages(listed: readonly ListedImage[], extra: readonly string[]): readonly ListedImage[] {
  const images = new Map(listed.map((image) => [image.reference.canonical, image]));
  const more = extra.map((text): ListedImage => ({ role: "extra", reference: parseReference(text) }));
  for (const image of more.sort((a, b) => (a.reference.canonical < b.reference.canonical ? -1 : 1))) {
    const known = images.get(image.reference.canonical);
    // `--image name:tag@digest` pins a listed image without changing its place or role.
    if (known === undefined) images.set(image.reference.canonical, image);
    else if (image.reference.digest !== undefined) images.set(image.reference.canonical, { ...image, role: known.role, license: known.license });
  }
  return [...images.values()];
}

/** Before the first large byte moves: will the downloads and the result fit? Binaries are checked one by one, their sizes come later. */
async function requireRoom(output: string, cache: BlobCache, executable: number, jobs: ReturnType<typeof layerJobs>): Promise<void> {
  const folder = dirname(resolve(output));
  let download = 0;
  for (const { view, descriptor, label } of jobs) {
    if (!view.source.local) download += await cache.missing({ ...descriptor, label, from: view.reference.canonical });
  }
  const result = jobs.reduce((sum, { descriptor }) => sum + descriptor.size, executable);
  const sameDisk = (await stat(folder)).dev === (await stat(cache.directory)).dev;
  const cacheFree = await freeSpace(cache.directory);
  const cacheNeeds = sameDisk ? download + result : download;
  if (cacheFree < cacheNeeds) throw noSpace(cache.directory, cacheNeeds, cacheFree, "--cache");
  const outputFree = await freeSpace(folder);
  if (outputFree < result) throw noSpace(folder, result, outputFree, "-o");
}

/** Adds up what single downloads report. */
class Meter implements FetchMeter {
  readonly total = { expected: 0, done: 0, fetched: 0 };
  readonly #report: (event: PackEvent) => void;
  readonly #byLabel = new Map<string, number>();

  constructor(report: (event: PackEvent) => void) {
    this.#report = report;
  }

  expect(bytes: number): void {
    this.total.expected += bytes;
  }

  progress(label: string, done: number): void {
    this.total.done += done - (this.#byLabel.get(label) ?? 0);
    this.#byLabel.set(label, done);
    this.#report({ type: "progress", step: "fetch", done: this.total.done, total: Math.max(this.total.expected, this.total.done), label });
  }

  fetched(bytes: number): void {
    this.total.fetched += bytes;
  }
}

async function writeLock(path: string, text: string): Promise<void> {
  const temporary = temporaryName(path);
  try {
    const file = await open(temporary, "wx", 0o644);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new KubestickError({ code: "PACK_LOCK_FILE", attempted: `writing the lock file ${path}`, happened: `It could not be written: ${String(error)}. The package itself is complete.`, next: "Name a path that can be written with --lock.", cause: error });
  }
}

/** One for each architecture, always in the same order. Throws PACK_EXECUTABLE_ARCH. */
async function chosenPrograms({ executable, otherwise, arch }: PackOptions): Promise<readonly BareExecutable[]> {
  const named = await Promise.all([executable].flat().map(async (path) => ({ path, programs: await inspectExecutables(path) })));
  const there = named.flatMap(({ programs }) => programs);
  const wanted = [...new Set(arch === undefined ? there.map((program) => program.arch) : [arch].flat())].sort();
  const further = otherwise !== undefined && wanted.some((name) => !there.some((program) => program.arch === name)) ? await inspectExecutables(otherwise) : [];
  const idle = named.length === 1 ? undefined : named.find(({ programs }) => !programs.some((program) => wanted.includes(program.arch)));
  if (idle !== undefined) throw executableRefused(`${idle.path} is for ${idle.programs.map((program) => program.arch).join(" and ")}, and the package for ${wanted.join(" and ")}.`, "Leave it out, or name its architecture with --arch, too.");
  return wanted.map((name) => {
    const [program = further.find((one) => one.arch === name), twin] = there.filter((one) => one.arch === name);
    if (program === undefined) throw wrongExecutable([...there, ...further], name, wanted);
    if (twin !== undefined) throw executableRefused(`${program.path} and ${twin.path} are both for ${name}.`, "Name one for each architecture with --executable.");
    return program;
  });
}

function wrongExecutable(there: readonly BareExecutable[], missing: string, wanted: readonly string[]): KubestickError {
  return new KubestickError({
    code: "PACK_EXECUTABLE_ARCH",
    attempted: `making a package for ${wanted.join(" and ")}`,
    happened: `The executable ${[...new Set(there.map(({ path, arch }) => `${path} is for ${arch}`))].join(", ")}; a package runs on the machines its executable runs on.`,
    next: `Name the kubestick executable for ${missing}: \`kubestick pack --arch ${wanted.join(",")} --executable ./kubestick-linux-${missing} ...\`.`,
  });
}

function executableRefused(happened: string, next: string): KubestickError {
  return new KubestickError({ code: "PACK_EXECUTABLE_ARCH", attempted: "choosing the executables of the new package", happened, next });
}

function imageMoved(reference: string): KubestickError {
  return new KubestickError({
    code: "IMAGE_MOVED",
    attempted: `resolving image ${reference}`,
    happened: "Its tag led to one image for one architecture and to another for the next: it was moved meanwhile.",
    next: `Run the same command again, or pin the image: \`--image ${reference}@sha256:...\`.`,
  });
}

function imageNotFound(reference: string, registry: string, directory: string | undefined, present: readonly string[]): KubestickError {
  const local = directory === undefined ? "" : ` The folder ${directory} has ${present.length} references, not this one.`;
  return new KubestickError({
    code: "IMAGE_NOT_FOUND",
    attempted: `resolving image ${reference}`,
    happened: `${registry} does not have it.${local}`,
    next: "Check the name and the tag; a private or copied image can be put into a folder named with --images, or its registry named with --registry-mirror.",
    details: present.map((name) => `${directory}: ${name}`),
  });
}

function interrupted(output: string, cache: string, cause: unknown): KubestickError {
  return new KubestickError({
    code: "PACK_INTERRUPTED",
    attempted: `making ${output}`,
    happened: `It was interrupted. Nothing was written to ${output}; what has been fetched is kept in ${cache}.`,
    next: "Run the same command again; downloads continue where they stopped.",
    cause,
    exitCode: 130,
  });
}
