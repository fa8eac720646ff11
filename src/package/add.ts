/**
 * `package add`: more into a package, where there is neither a network nor a toolchain. The result is a new package in a new file.
 *
 *   base -> what each argument is -> images viewed, manifests checked -> what the base had and what came, written and verified
 *
 * What the base carries is copied as it lies there; images are read like those of `pack --images`. Manifests and charts become documents of the index.
 */
import { createReadStream } from "node:fs";
import { open, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { KubestickError, errnoOf, isKubestickError, messageOf } from "../errors.ts";
import { billTime } from "./bill-of-materials.ts";
import { makeWorkFolder } from "./abandoned.ts";
import { BlobCache } from "./blob-cache.ts";
import { CHART_KIND, MANIFEST_KIND } from "./carried-kinds.ts";
import { readChart } from "./chart.ts";
import { collectLayers, describeImage, layerJobs, type ResolvedImage, type Stores } from "./collect.ts";
import { EXECUTABLE } from "./damage.ts";
import { Digester, digestOf } from "./digest.ts";
import { inspectExecutables } from "./executables.ts";
import { isFileName } from "./extract.ts";
import { packageCorrupt } from "./failures.ts";
import { CHUNK_SIZE } from "./file-bytes.ts";
import { HttpClient } from "./http.ts";
import { collect, viewImage } from "./image.ts";
import { MAX_MANIFEST, readManifest, type ReadManifest } from "./kubernetes-manifest.ts";
import { ImagesDirectory } from "./layout-source.ts";
import { digestsOfPlatform } from "./platform.ts";
import { billTimeOf, isProvenance, provenanceDocuments } from "./provenance.ts";
import { readProgram } from "./program.ts";
import { openPackage, type OpenedPackage } from "./reader.ts";
import { parseReference, type Reference } from "./reference.ts";
import type { Digest, PackageDocument, PackagePlatform, PackageReader, PackageSigner } from "./types.ts";
import { requireWritable } from "./package-output.ts";
import { keyFingerprint } from "./signatures.ts";
import { readSigningKey } from "./signing-key.ts";
import { isCutFront } from "./starter.ts";
import { bakedKeys } from "./trust.ts";
import { writePackage, type EntrySource, type WrittenPackage } from "./writer.ts";
import { ZstdStore } from "./zstd-store.ts";

const MANIFEST_TYPE = "application/yaml";
/** https://helm.sh/docs/topics/registries: the media type of a chart's layer. */
const CHART_TYPE = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

export interface AddOptions {
  /** Kubestick file whose content the new one begins with. */
  readonly base: string;
  readonly output: string;
  /** Image archives, OCI layouts, Kubernetes manifests, chart archives. */
  readonly items: readonly string[];
  /** For the one image that has none in its archive. */
  readonly imageName?: string | undefined;
  /** What the base has under the same name with other content gives way. */
  readonly replace?: boolean | undefined;
  /** Warnings are errors. */
  readonly strict?: boolean | undefined;
  /** Where more parts of a base in several files are. */
  readonly parts?: readonly string[] | undefined;
  /** Called with the base before anything of it is used; throws when it is not to be trusted. */
  readonly accept?: ((base: PackageReader) => Promise<unknown>) | undefined;
  /** Private key file with which the new package is signed, and the name of who signs. */
  readonly signKey?: string | undefined;
  readonly signer?: string | undefined;
  /** As with `pack`; default: the time of the base, or of a newer image. */
  readonly sourceDateEpoch?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type AddStep = "read" | "write" | "verify";

export type AddEvent =
  | { readonly type: "step"; readonly step: AddStep; readonly title: string }
  | ({ readonly type: "item" } & AddedItem)
  | { readonly type: "warning"; readonly warning: AddWarning }
  | { readonly type: "progress"; readonly step: AddStep; readonly done: number; readonly total: number; readonly label: string };

export interface AddedItem {
  readonly kind: "image" | typeof MANIFEST_KIND | typeof CHART_KIND;
  /** Canonical reference, or the name of the document. */
  readonly name: string;
  readonly digest: Digest;
  readonly what: "added" | "replaced" | "unchanged";
}

export interface AddWarning {
  readonly check: "ManifestImage" | "ImagePullPolicy" | "ImagePlatform";
  readonly message: string;
  readonly hint: string;
}

export interface AddResult extends WrittenPackage {
  readonly base: string;
  readonly kubernetesVersion: string;
  readonly items: readonly AddedItem[];
  readonly warnings: readonly AddWarning[];
  /** Who signed the base. The new package is another one, so their signatures do not hold for it and are not in it. */
  readonly droppedSigners: readonly PackageSigner[];
  /** Fingerprints of keys baked into the base, and so into the new file, with none of which it is signed: until then it refuses itself. */
  readonly awaitedKeys: readonly Digest[];
}

/** Throws before anything is written when an argument cannot be added; the output appears whole and verified or not at all. */
export async function addToPackage(options: AddOptions, report: (event: AddEvent) => void): Promise<AddResult> {
  const { output, signal } = options;
  await requireWritable(output);
  const signingKey = options.signKey === undefined ? undefined : await readSigningKey(options.signKey, options.signer);
  const base = await openPackage(options.base, { parts: options.parts });
  await options.accept?.(base).catch(async (error: unknown) => {
    await base.close();
    throw error;
  });
  // Beside the output, where the room for the result is, too; it holds unpacked archives and recompressed layers.
  const work = await makeWorkFolder(dirname(output), "kubestick-add").catch(async (error: unknown) => {
    await base.close();
    throw addFailed(output, `No working folder could be made beside it: ${messageOf(error)}.`, `Check that you may write there: \`ls -ld ${dirname(output)}\`.`);
  });
  const http = new HttpClient();
  const addition = new Addition(base, options, work, report);
  try {
    report({ type: "step", step: "read", title: `Read ${options.items.length === 1 ? "what is to be added" : `the ${options.items.length} things to be added`}` });
    for (const item of options.items) await addition.take(item);
    await addition.judge();
    const stores = { cache: new BlobCache(work, http), zstd: new ZstdStore(work, "fast") };
    const { platforms, documents, entries } = await addition.content(stores);
    const { kubernetesVersion, cni } = base.index;
    const baked = await bakedKeys(base);
    report({ type: "step", step: "write", title: `Write ${output}` });
    let verifying = false;
    const written = await writePackage({
      executable: options.base,
      output,
      content: { kubernetesVersion, cni, platforms, documents },
      entries,
      ...(signingKey === undefined ? {} : { signingKeys: [signingKey] }),
      progress: (step, event) => {
        if (step === "verify" && !verifying) {
          verifying = true;
          report({ type: "step", step: "verify", title: `Read back ${output} and verify it` });
        }
        report({ type: "progress", step, ...event });
      },
      ...(signal === undefined ? {} : { signal }),
    });
    return { ...written, base: base.path, kubernetesVersion, items: addition.items, warnings: addition.warnings, droppedSigners: base.signers, awaitedKeys: signingKey !== undefined && baked.includes(keyFingerprint(signingKey.key)) ? [] : baked };
  } catch (error) {
    if (signal?.aborted === true) {
      throw new KubestickError({ code: "ADD_INTERRUPTED", attempted: `making ${output}`, happened: `It was interrupted. Nothing was written to ${output}.`, next: "Run the same command again.", cause: error, exitCode: 130 });
    }
    // The working folder is kept like a cache, but nobody could name another one.
    if (isKubestickError(error) && error.code === "PACK_CACHE") throw addFailed(output, `Its working folder beside it cannot be written. ${error.happened}`, `Free some space (\`df -h ${dirname(output)}\`) or write to another place with -o.`);
    throw error;
  } finally {
    await addition.close();
    await base.close();
    await http.close();
    await rm(work, { recursive: true, force: true });
  }
}

interface NewDocument {
  readonly document: PackageDocument;
  readonly entry: EntrySource;
  /** Of a manifest. */
  readonly manifest?: ReadManifest;
}

class Addition {
  readonly items: AddedItem[] = [];
  readonly warnings: AddWarning[] = [];
  readonly #base: OpenedPackage;
  readonly #options: AddOptions;
  readonly #work: string;
  readonly #report: (event: AddEvent) => void;
  readonly #opened: ImagesDirectory[] = [];
  /** By architecture; what comes in the order of the arguments. */
  readonly #images = new Map<string, ResolvedImage[]>();
  readonly #documents: NewDocument[] = [];

  constructor(base: OpenedPackage, options: AddOptions, work: string, report: (event: AddEvent) => void) {
    this.#base = base;
    this.#options = options;
    this.#work = work;
    this.#report = report;
  }

  async take(item: string): Promise<void> {
    this.#options.signal?.throwIfAborted();
    const found = await stat(item).catch((error: unknown) => {
      throw addFailed(item, errnoOf(error) === "ENOENT" ? "There is no such file or folder." : `It cannot be read: ${messageOf(error)}.`, `Check the path: \`ls -l ${item}\`.`);
    });
    if (found.isDirectory()) return this.#takeImages(item);
    if (!found.isFile()) throw addFailed(item, "It is neither a file nor a folder.", "Name an image archive, an OCI layout, a Kubernetes manifest or a chart archive.");
    if (/\.(ya?ml|json)$/i.test(item)) return this.#takeManifest(item, found.size);
    const head = await headOf(item);
    if (head.length === 4 && isCutFront(head)) {
      throw addFailed(item, "It is a program, perhaps a kubestick file; such a file is what things are added to.", `Name it as the base: \`kubestick package add --from ${item} ...\`.`);
    }
    const chart = head[0] === 0x1f && head[1] === 0x8b ? await readChart(item) : undefined;
    if (chart === undefined) return this.#takeImages(item);
    const digester = new Digester();
    for await (const bytes of createReadStream(item)) digester.update(bytes as Uint8Array);
    const name = `${chart.name}-${chart.version}.tgz`;
    this.#document({ kind: CHART_KIND, name, mediaType: CHART_TYPE, digest: digester.digest(), size: digester.size }, () => createReadStream(item, { highWaterMark: CHUNK_SIZE }) as AsyncIterable<Uint8Array>);
  }

  /** Warnings about what the manifests need, now that all of it is known. Throws with `strict`. */
  async judge(): Promise<void> {
    await this.#refuseSameObjects();
    this.#warnOfPartialImages();
    const { platforms } = this.#base.index;
    const carried = new Map(platforms.map((platform) => [platform.arch, this.#carried(platform)]));
    const lacking = (image: string): readonly string[] => platforms.map(({ arch }) => arch).filter((arch) => !isCarried(image, carried.get(arch) ?? []));
    const fresh = this.#freshNames();
    for (const { document, manifest } of this.#documents) {
      const told = new Set<string>();
      for (const { image, reference, of, alwaysPulled } of manifest?.images ?? []) {
        if (told.has(image)) continue;
        told.add(image);
        const without = reference === undefined ? platforms.map(({ arch }) => arch) : lacking(image);
        if (without.length > 0 && without.length < platforms.length) {
          // Of an image that comes now it was said already.
          if (!fresh.has(parseReference(image).canonical)) this.#warn({ check: "ManifestImage", message: `${document.name}: ${of} starts ${image}, which the package does not carry for linux/${without.join(" and linux/")}`, hint: "Add its archive for these, too, or keep its pods on the other nodes with a nodeSelector for kubernetes.io/arch." });
        } else if (without.length > 0) {
          this.#warn({ check: "ManifestImage", message: `${document.name}: ${of} starts ${image}, which the package does not carry`, hint: reference === undefined ? "It is no image reference." : "Add its archive too; a node without network cannot fetch it." });
        } else if (alwaysPulled) {
          this.#warn({ check: "ImagePullPolicy", message: `${document.name}: ${of} asks the registry for ${image} at every start, also when it is on the node`, hint: "Set imagePullPolicy: IfNotPresent; with the tag latest, Always is the default." });
        }
      }
    }
    if (this.#options.strict !== true || this.warnings.length === 0) return;
    const [first] = this.warnings;
    throw new KubestickError({
      code: "ADD_INCOMPLETE",
      attempted: `adding to ${this.#base.path} with --strict`,
      happened: this.warnings.length === 1 ? `${first?.message}.` : `${this.warnings.length} things would not work without a network, the first: ${first?.message}.`,
      next: `${first?.hint} Nothing was written.`,
      details: this.warnings.length === 1 ? [] : this.warnings.map(({ message, hint }) => `${message}. ${hint}`),
    });
  }

  /** The whole of the new package: entries of the base that are still referred to, in their order, then what is new. */
  async content(stores: Stores): Promise<{ readonly platforms: readonly PackagePlatform[]; readonly documents: readonly PackageDocument[]; readonly entries: readonly EntrySource[] }> {
    const { index } = this.#base;
    const all = [...this.#images.values()].flat();
    const jobs = layerJobs(all);
    const total = jobs.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
    const byLabel = new Map<string, number>();
    const layers = await collectLayers(jobs, "recompressed", stores, {
      expect: () => undefined,
      fetched: () => undefined,
      progress: (label, done) => {
        byLabel.set(label, done);
        this.#report({ type: "progress", step: "read", done: [...byLabel.values()].reduce((sum, one) => sum + one, 0), total, label });
      },
    }, this.#options.signal);
    const fresh: EntrySource[] = [];
    const platforms = index.platforms.map((platform): PackagePlatform => {
      const described = (this.#images.get(platform.arch) ?? []).map((image) => describeImage(image, layers));
      fresh.push(...described.flatMap(({ entries }) => entries));
      const replacing = new Map(described.map(({ image }) => [image.reference, image]));
      const kept = platform.images.map((image) => {
        const instead = replacing.get(image.reference);
        replacing.delete(image.reference);
        return instead ?? image;
      });
      return { ...platform, images: [...kept, ...replacing.values()] };
    });
    const incoming = new Map(this.#documents.map(({ document }) => [keyOf(document), document]));
    const carried = [...index.documents.filter((document) => !incoming.has(keyOf(document)) && !isProvenance(document)), ...incoming.values()];
    fresh.push(...this.#documents.map(({ entry }) => entry));
    const executables = await inspectExecutables(this.#options.base);
    const programs = await Promise.all(executables.map((executable) => readProgram(executable.path, executable, this.#options.signal)));
    // A signature was checked over the index, and this is the one part of the base that is not read through it.
    if (programs.some(({ digest }, number) => digest !== executables[number]?.packed)) throw packageCorrupt(this.#base.path, EXECUTABLE, "its bytes are not the ones that were packed");
    // What the base says of itself is not true of the new package.
    const provenance = provenanceDocuments({
      content: { kubernetesVersion: index.kubernetesVersion, cni: index.cni, platforms }, documents: carried, programs,
      created: billTime(this.#options.sourceDateEpoch, all.flatMap(({ view }) => view.documents.get(view.config.digest) ?? []), await billTimeOf(this.#base)),
    });
    fresh.push(...provenance.map(({ entry }) => entry));
    const documents = [...carried, ...provenance.map(({ document }) => document)];

    const used = new Set<Digest>([
      ...platforms.flatMap((platform) => digestsOfPlatform({ ...platform, program: undefined })),
      ...carried.map(({ digest }) => digest),
    ]);
    const kept = index.entries.filter(({ digest }) => used.has(digest)).map(({ offset: _, chunks: __, ...entry }): EntrySource => ({ ...entry, open: () => this.#base.stored(entry.digest).open() }));
    return { platforms, documents, entries: [...kept, ...fresh] };
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.map((source) => source.close()));
  }

  /** For each architecture of the base that the images have; they have to have one of them. */
  async #takeImages(item: string): Promise<void> {
    const { platforms } = this.#base.index;
    const refused = new Map<string, unknown>();
    const taken = new Set<string>();
    for (const { arch, images: present } of platforms) {
      const source = await ImagesDirectory.open(item, arch, join(this.#work, "spool"));
      this.#opened.push(source);
      const references = source.references.map((text) => parseReference(text));
      references.push(...this.#named(item, source));
      if (references.length === 0) throw addFailed(item, "It holds no image.", "Name an image archive (docker save, OCI), an OCI layout, a Kubernetes manifest (.yaml, .json) or a chart archive (.tgz).");
      for (const reference of references) {
        const view = await viewImage(source, reference, arch, this.#options.signal).catch((error: unknown) => {
          if (platforms.length === 1 || !isKubestickError(error) || error.code !== "IMAGE_PLATFORM") throw error;
          refused.set(reference.canonical, refused.get(reference.canonical) ?? error);
          return null;
        });
        if (view === null) continue;
        taken.add(reference.canonical);
        if (view === undefined) throw new TypeError(`${item} listed ${reference.canonical} and has it not`);
        const known = present.find((image) => image.reference === reference.canonical);
        const again = (this.#images.get(arch) ?? []).find((image) => image.view.reference.canonical === reference.canonical);
        if (again !== undefined) {
          if (again.view.target.digest === view.target.digest) continue;
          throw addFailed(item, `${reference.canonical} is in it as ${view.target.digest}, and in an argument before it as ${again.view.target.digest}.`, "Leave one of them out.");
        }
        const what = known === undefined ? "added" : known.target.digest === view.target.digest ? "unchanged" : "replaced";
        if (what === "replaced") this.#requireReplace(item, reference.canonical, known?.target.digest, view.target.digest);
        if (what !== "unchanged") this.#images.set(arch, [...(this.#images.get(arch) ?? []), { role: known?.role ?? "extra", view }]);
        this.#tell({ kind: "image", name: reference.canonical, digest: view.target.digest, what });
      }
    }
    for (const [name, error] of refused) if (!taken.has(name)) throw error;
  }

  /** An image for one architecture in a package for several is what some applications come as; the others' nodes go without it. */
  #warnOfPartialImages(): void {
    const { platforms } = this.#base.index;
    const fresh = (arch: string, name: string): ResolvedImage | undefined => (this.#images.get(arch) ?? []).find(({ view }) => view.reference.canonical === name);
    for (const name of this.#freshNames()) {
      const having = platforms.filter(({ arch }) => fresh(arch, name) !== undefined).map(({ arch }) => arch);
      for (const { arch, images } of platforms) {
        if (having.includes(arch)) continue;
        const kept = images.find(({ reference }) => reference === name);
        // The one that was lacking comes to one that is there: so it was meant.
        const completes = kept !== undefined && !platforms.some((other) => having.includes(other.arch) && other.images.some(({ reference }) => reference === name));
        if (completes) continue;
        this.#warn({
          check: "ImagePlatform",
          message: `${name} comes for linux/${having.join(" and linux/")} only: nodes with linux/${arch} ${kept === undefined ? "go without it" : `keep what the package had, ${kept.target.digest}`}`,
          hint: `Add its archive for linux/${arch}, too, or keep its pods on the other nodes with nodeSelector kubernetes.io/arch: ${having.join(" or ")}.`,
        });
      }
    }
  }

  #freshNames(): ReadonlySet<string> {
    return new Set([...this.#images.values()].flat().map(({ view }) => view.reference.canonical));
  }

  #named(item: string, source: ImagesDirectory): readonly Reference[] {
    if (source.unnamed === 0) return [];
    const { imageName } = this.#options;
    if (source.unnamed > 1) throw addFailed(item, `${source.unnamed} images in it have no name.`, "Export them by name, e.g. `docker save NAME:TAG`, one archive for each.");
    if (imageName === undefined) throw addFailed(item, "An image in it has no name.", "Say what it is called: `--name registry.example/app:1.2`.");
    const reference = parseReference(imageName);
    source.nameUnnamed(reference);
    return [reference];
  }

  async #takeManifest(item: string, size: number): Promise<void> {
    if (!isFileName(basename(item))) throw addFailed(item, "Its name has other characters than letters, digits and . _ + -, so that it could not be taken out of the package again everywhere.", "Rename the file.");
    if (size > MAX_MANIFEST) throw addFailed(item, `It has ${size} bytes; a manifest of more than ${MAX_MANIFEST} is not read.`, "Split it into several files.");
    const bytes = await collect(createReadStream(item) as AsyncIterable<Uint8Array>, MAX_MANIFEST);
    const manifest = readManifest(Buffer.from(bytes).toString("utf8"), item);
    this.#document({ kind: MANIFEST_KIND, name: basename(item), mediaType: MANIFEST_TYPE, digest: digestOf(bytes), size: bytes.length }, () => once(bytes), manifest);
  }

  #document(document: PackageDocument, open: () => AsyncIterable<Uint8Array>, manifest?: ReadManifest): void {
    const { kind, name, digest, size } = document;
    const again = this.#documents.find((one) => keyOf(one.document) === keyOf(document));
    if (again !== undefined) throw addFailed(name, `Two arguments are a ${kind} of this name.`, "Rename one of the files.");
    const known = this.#base.index.documents.find((one) => keyOf(one) === keyOf(document));
    const what = known === undefined ? "added" : known.digest === digest ? "unchanged" : "replaced";
    if (what === "replaced") this.#requireReplace(name, `the ${kind} ${name}`, known?.digest, digest);
    const entry: EntrySource = { digest, size, encoding: "identity", length: size, stored: digest, label: `${kind} ${name}`, open };
    this.#documents.push({ document, entry, ...(manifest === undefined ? {} : { manifest }) });
    this.#tell({ kind: kind as AddedItem["kind"], name, digest, what });
  }

  #requireReplace(item: string, name: string, before: Digest | undefined, now: Digest): void {
    if (this.#options.replace === true) return;
    throw addFailed(item, `The package has ${name} already, as ${before}; this one is ${now}.`, "To put this one in its place: --replace.");
  }

  /** One object in two manifests would be changed to and fro by every init. */
  async #refuseSameObjects(): Promise<void> {
    const seen = new Map<string, string>();
    const incoming = new Set(this.#documents.map(({ document }) => keyOf(document)));
    for (const document of this.#base.index.documents) {
      if (document.kind !== MANIFEST_KIND || incoming.has(keyOf(document))) continue;
      const text = Buffer.from(await this.#base.read(document.digest)).toString("utf8");
      for (const { id } of readManifest(text, document.name).objects) seen.set(id, `${document.name}, which the package has already`);
    }
    for (const { document: { name }, manifest } of this.#documents) {
      for (const { id } of manifest?.objects ?? []) {
        const before = seen.get(id);
        if (before !== undefined) throw addFailed(name, `It describes ${id}, and so does ${before}.`, "Leave the object out of one of them.");
        seen.set(id, name);
      }
    }
  }

  #carried({ arch, images: present }: PackagePlatform): readonly { readonly reference: string; readonly digests: readonly Digest[] }[] {
    const images = present.map(({ reference, target, manifest }) => ({ reference, digests: [target.digest, manifest.digest] }));
    const fresh = (this.#images.get(arch) ?? []).map(({ view }) => ({ reference: view.reference.canonical, digests: [view.target.digest, view.manifest.digest] }));
    const names = new Set(fresh.map(({ reference }) => reference));
    return [...images.filter(({ reference }) => !names.has(reference)), ...fresh];
  }

  #warn(warning: AddWarning): void {
    this.warnings.push(warning);
    this.#report({ type: "warning", warning });
  }

  #tell(item: AddedItem): void {
    if (this.items.some((one) => one.kind === item.kind && one.name === item.name)) return; // the same image for another architecture
    this.items.push(item);
    this.#report({ type: "item", ...item });
  }
}

/** By tag as it is named on the node, or by a digest under the same name. */
function isCarried(image: string, carried: readonly { readonly reference: string; readonly digests: readonly Digest[] }[]): boolean {
  const wanted = parseReference(image);
  return carried.some(({ reference, digests }) => {
    if (wanted.digest !== undefined) return digests.includes(wanted.digest) && parseReference(reference).name === wanted.name;
    return reference === wanted.canonical;
  });
}

function keyOf({ kind, name }: PackageDocument): string {
  return `${kind} ${name}`;
}

async function headOf(path: string): Promise<Uint8Array> {
  const handle = await open(path, "r").catch((error: unknown) => {
    throw addFailed(path, `It cannot be read: ${messageOf(error)}.`, `Check that you may read it: \`ls -l ${path}\`.`);
  });
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4), 0, 4, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function addFailed(item: string, happened: string, next: string): KubestickError {
  return new KubestickError({ code: "ADD_REFUSED", attempted: `adding ${item} to a package`, happened: `${happened} Nothing was written.`, next });
}
