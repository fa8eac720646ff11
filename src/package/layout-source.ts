/**
 * A folder of images as a source: OCI layouts (directories), OCI archives and `docker save` archives (.tar, .tar.gz, .tgz, .tar.zst).
 *
 * Searched once when opened. References are matched against what the exporters wrote: the annotations io.containerd.image.name and
 * org.opencontainers.image.ref.name, and RepoTags. A reference with a digest is matched by its digest alone.
 */
import { KubestickError, isKubestickError, messageOf } from "../errors.ts";
import { Digester, digestOf, isDigest } from "./digest.ts";
import { archiveInvalid, findTrees, type FileTree } from "./file-tree.ts";
import { MAX_DOCUMENT, collect, type BlobRequest, type ImageSource } from "./image.ts";
import { compressionOf } from "./layer.ts";
import { canonicalOrUndefined, type Reference } from "./reference.ts";
import type { Digest, PackageDescriptor } from "./types.ts";

/** One name in one place. Docker archives have no manifest, so theirs is made when it is first asked for. */
interface Candidate {
  readonly place: Place;
  readonly descriptor: () => Promise<PackageDescriptor>;
}

/** Blobs of one layout or archive by digest. */
interface Place {
  readonly tree: FileTree;
  open(digest: Digest, start: number): AsyncIterable<Uint8Array>;
}

export class ImagesDirectory implements ImageSource {
  readonly local = true;
  readonly description: string;
  readonly #arch: string;
  readonly #candidates: Map<string, readonly Candidate[]>;
  readonly #unnamed: readonly Candidate[];
  readonly #trees: readonly FileTree[];
  /** Where each resolved reference's blobs are. */
  readonly #chosen = new Map<string, Place>();

  private constructor(path: string, arch: string, candidates: Map<string, readonly Candidate[]>, unnamed: readonly Candidate[], trees: readonly FileTree[]) {
    this.description = path;
    this.#arch = arch;
    this.#candidates = candidates;
    this.#unnamed = unnamed;
    this.#trees = trees;
  }

  /** `path`: a folder, or one archive. `spool`: a folder for the unpacked form of compressed archives; removed again by `close`. */
  static async open(path: string, arch: string, spool: string): Promise<ImagesDirectory> {
    const trees: FileTree[] = [];
    const candidates = new Map<string, readonly Candidate[]>();
    const unnamed: Candidate[] = [];
    try {
      for await (const tree of findTrees(path, spool)) {
        trees.push(tree);
        const { found, nameless } = await listed(tree);
        for (const [reference, candidate] of found) candidates.set(reference, [...(candidates.get(reference) ?? []), candidate]);
        unnamed.push(...nameless);
      }
      return new ImagesDirectory(path, arch, candidates, unnamed, trees);
    } catch (error) {
      await Promise.all(trees.map((tree) => tree.close()));
      throw error;
    }
  }

  /** Canonical references found, sorted. */
  get references(): readonly string[] {
    return [...this.#candidates.keys()].filter((key) => !isDigest(key)).sort();
  }

  /** Images that came without a name, as `docker save ID` leaves them. */
  get unnamed(): number {
    return this.#unnamed.length;
  }

  /** Gives the one image without a name this name. */
  nameUnnamed(reference: Reference): void {
    const [candidate] = this.#unnamed;
    if (candidate === undefined || this.#unnamed.length > 1) throw new TypeError(`${this.description} has ${this.#unnamed.length} images without a name`);
    this.#candidates.set(reference.canonical, [candidate]);
  }

  async resolve(reference: Reference): Promise<{ descriptor: PackageDescriptor; bytes: Uint8Array } | undefined> {
    const found = this.#candidates.get(reference.digest ?? reference.canonical) ?? [];
    const different = new Map<Digest, { place: Place; descriptor: PackageDescriptor }>();
    for (const candidate of found) {
      const descriptor = await candidate.descriptor();
      if (!different.has(descriptor.digest)) different.set(descriptor.digest, { place: candidate.place, descriptor });
    }
    let choices = [...different.values()];
    // One archive per architecture under the same name is how single-platform exporters leave them.
    if (choices.length > 1) {
      const matching = await Promise.all(choices.map(async ({ place, descriptor }) => (await architectureOf(place, descriptor)) === this.#arch));
      const fitting = choices.filter((_, number) => matching[number]);
      if (fitting.length > 0) choices = fitting;
    }
    const [choice, other] = choices;
    if (choice === undefined) return undefined;
    if (other !== undefined) {
      throw new KubestickError({
        code: "IMAGE_AMBIGUOUS",
        attempted: `looking for ${reference.canonical} in ${this.description}`,
        happened: `It is there with different content: ${choices.map(({ place, descriptor }) => `${descriptor.digest} in ${place.tree.path}`).join(", ")}.`,
        next: "Remove the one that is not wanted, or name it by digest with --image NAME@sha256:DIGEST.",
      });
    }
    this.#chosen.set(reference.canonical, choice.place);
    const bytes = await collect(choice.place.open(choice.descriptor.digest, 0), MAX_DOCUMENT);
    return { descriptor: choice.descriptor, bytes };
  }

  open({ reference, descriptor }: BlobRequest, start: number): AsyncIterable<Uint8Array> {
    const place = this.#chosen.get(reference.canonical);
    if (place === undefined) throw new TypeError(`${reference.canonical} was not resolved before its blobs were read`);
    return place.open(descriptor.digest, start);
  }

  async close(): Promise<void> {
    await Promise.all(this.#trees.map((tree) => tree.close()));
  }
}

// ---------------------------------------------------------------- what a tree holds

const NAME_ANNOTATIONS = ["io.containerd.image.name", "org.opencontainers.image.ref.name"] as const;

interface IndexEntry {
  readonly mediaType?: string;
  readonly digest?: string;
  readonly size?: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

interface DockerEntry {
  readonly Config: string;
  readonly RepoTags?: readonly string[] | null;
  readonly Layers: readonly string[];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** One image of a `manifest.json`, whoever wrote it. */
function dockerEntry(item: unknown, { path }: FileTree): DockerEntry {
  const texts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every((each) => typeof each === "string");
  if (isRecord(item)) {
    const { Config, Layers, RepoTags } = item;
    if (typeof Config === "string" && texts(Layers) && (RepoTags === undefined || RepoTags === null || texts(RepoTags))) return { Config, Layers, RepoTags: RepoTags ?? null };
  }
  throw archiveInvalid(path, "its manifest.json lists something that is no image (Config, Layers and RepoTags)");
}

/** Canonical references, and digests, with what they lead to; and what nothing leads to. */
async function listed(tree: FileTree): Promise<{ readonly found: ReadonlyMap<string, Candidate>; readonly nameless: readonly Candidate[] }> {
  const found = new Map<string, Candidate>();
  const nameless: Candidate[] = [];
  if (await tree.has("index.json")) {
    const place: Place = { tree, open: (digest, start) => tree.read(`blobs/sha256/${digest.slice("sha256:".length)}`, start) };
    const index = await readJson(tree, "index.json");
    const manifests = isRecord(index) && Array.isArray(index["manifests"]) ? (index["manifests"] as readonly unknown[]) : [];
    for (const item of manifests) {
      const { mediaType, digest, size, annotations } = (isRecord(item) ? item : {}) as Partial<IndexEntry>;
      if (mediaType === undefined || size === undefined || !isDigest(digest)) throw archiveInvalid(tree.path, "its index.json lists something that is no descriptor");
      const candidate: Candidate = { place, descriptor: async () => ({ mediaType, digest, size }) };
      found.set(digest, candidate);
      const references = NAME_ANNOTATIONS.flatMap((key) => fullReference(annotations?.[key]) ?? []);
      for (const reference of references) found.set(reference, candidate);
      if (references.length === 0) nameless.push(candidate);
    }
  }
  const layout = found.size > 0;
  if (await tree.has("manifest.json")) {
    const entries = await readJson(tree, "manifest.json");
    for (const item of Array.isArray(entries) ? (entries as readonly unknown[]) : []) {
      const entry = dockerEntry(item, tree);
      const candidate = dockerCandidate(tree, entry);
      for (const tag of entry.RepoTags ?? []) {
        const reference = canonicalOrUndefined(tag);
        // `docker save` since 25 writes both lists; the OCI one keeps the upstream manifest.
        if (reference !== undefined && !found.has(reference)) found.set(reference, candidate);
      }
      if (!layout && (entry.RepoTags ?? []).length === 0) nameless.push(candidate);
    }
  }
  return { found, nameless };
}

/** Some exporters write only the tag (`3.10.2`), from which no name can be made. */
function fullReference(annotation: string | undefined): string | undefined {
  return annotation !== undefined && /[/:]/.test(annotation) ? canonicalOrUndefined(annotation) : undefined;
}

async function readJson(tree: FileTree, name: string): Promise<unknown> {
  try {
    return JSON.parse(Buffer.from(await collect(tree.read(name), MAX_DOCUMENT)).toString("utf8"));
  } catch (error) {
    throw isKubestickError(error) ? error : archiveInvalid(tree.path, `${name} cannot be read: ${messageOf(error)}`, error);
  }
}

async function architectureOf(place: Place, descriptor: PackageDescriptor): Promise<string | undefined> {
  const read = async (digest: Digest): Promise<Readonly<Record<string, unknown>>> => {
    const text = Buffer.from(await collect(place.open(digest, 0), MAX_DOCUMENT)).toString("utf8");
    try {
      const value: unknown = JSON.parse(text);
      if (isRecord(value)) return value;
    } catch {
      // Told below with what is no map, either.
    }
    throw archiveInvalid(place.tree.path, `${digest} in it is no JSON document of an image`);
  };
  const { config } = await read(descriptor.digest);
  const digest = isRecord(config) ? config["digest"] : undefined;
  if (!isDigest(digest)) return undefined;
  const { architecture } = await read(digest);
  return typeof architecture === "string" ? architecture : undefined;
}

/** An image that `docker save` wrote before docker 25, or skopeo's docker-archive: names, a config and layer tars, but no manifest. */
function dockerCandidate(tree: FileTree, entry: DockerEntry): Candidate {
  const names = new Map<Digest, string>();
  let manifest: { readonly bytes: Uint8Array; readonly descriptor: PackageDescriptor } | undefined;
  const place: Place = {
    tree,
    open: (digest, start) => {
      if (manifest !== undefined && digest === manifest.descriptor.digest) return once(manifest.bytes.subarray(start));
      const name = names.get(digest);
      if (name === undefined) throw archiveInvalid(tree.path, `it has no ${digest}`);
      return tree.read(name, start);
    },
  };
  const describe = async (name: string): Promise<{ digest: Digest; size: number; suffix: string }> => {
    const digester = new Digester();
    let suffix: string | undefined;
    for await (const chunk of tree.read(name)) {
      suffix ??= { none: "", gzip: "+gzip", zstd: "+zstd" }[compressionOf(chunk)];
      digester.update(chunk);
    }
    const digest = digester.digest();
    names.set(digest, name);
    return { digest, size: digester.size, suffix: suffix ?? "" };
  };
  return {
    place,
    descriptor: async () => {
      if (manifest === undefined) {
        const config = await describe(entry.Config);
        const layers = [];
        for (const name of entry.Layers) layers.push(await describe(name));
        const text = JSON.stringify({
          schemaVersion: 2,
          mediaType: "application/vnd.oci.image.manifest.v1+json",
          config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: config.digest, size: config.size },
          layers: layers.map(({ digest, size, suffix }) => ({ mediaType: `application/vnd.oci.image.layer.v1.tar${suffix}`, digest, size })),
        });
        const bytes = Buffer.from(text);
        manifest = { bytes, descriptor: { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: digestOf(bytes), size: bytes.length } };
      }
      return manifest.descriptor;
    },
  };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
