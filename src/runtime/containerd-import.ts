/**
 * Bringing an image into containerd: bytes straight from the package into the content store, unpacked, named and pinned.
 *
 * Order is what makes a crash harmless. Every blob is stored together with the labels by which the garbage collector follows it; the
 * names are given last; a lease holds everything until then and, should this process die, for a day. Whatever a killed run finished
 * is found and skipped by the next.
 */
import { randomBytes } from "node:crypto";
import { KubestickError } from "../errors.ts";
import type { ChunkHold, PackageDescriptor, PackageImage, PackageLayer } from "../package/types.ts";
import { chainIds } from "./chain-id.ts";
import { ContentStore, type ContentInfo, type Labels, type WriteOptions } from "./containerd-content.ts";
import { glance, type Look } from "./containerd-glance.ts";
import { ImageRecords, Leases, Snapshots } from "./containerd-images.ts";
import type { Cri } from "./cri.ts";
import { allNames, namesOf, normalizedName, parseReference, type ImageNames } from "./image-names.ts";
import type { RpcChannel } from "./rpc.ts";
import type { ImportOptions } from "./types.ts";

/** Which package an image is here for, one label each: the digest of its index in short, and in full as the value. */
export function ownerLabel(owner: string): string {
  return `${ownerPrefix}${owner.slice("sha256:".length, "sha256:".length + 12)}`;
}
export const ownerPrefix = "kubestick.io/package.";

/** The CRI plugin's own marks (containerd `internal/cri/labels`): without the first it would add its records again, the second is the pin. */
const managedLabel = "io.cri-containerd.image";
export const pinnedLabel = "io.cri-containerd.pinned";
/** Ours: `created`, or `adopted` for a record that was there and only got the pin. Removal touches nothing without it. */
export const ownLabel = "kubestick.io/image";
const leaseLabel = "kubestick.io/import";
const leaseHours = 24;

const contentReference = "containerd.io/gc.ref.content";

/** A smaller layer stays under its image's lease: to make and to give back one of its own costs the disk more. */
const worthALease = 1024 * 1024;
/** Released layers above this are taken off the disk at once. */
const worthCollecting = 16 * 1024 * 1024;

/** The CRI plugin learns of new names through containerd's event stream, within milliseconds on an idle machine. */
const visibleTimeoutMs = 15_000;

interface Blob extends PackageDescriptor {
  readonly what: string;
  readonly labels: Labels;
}

type Metadata = Readonly<Record<string, string>>;

/** A layer's tar on its way into a snapshot. */
interface Travelling extends PackageDescriptor {
  readonly position: number;
  readonly what: string;
  open(): AsyncIterable<Uint8Array>;
}

function travellingAs(layer: PackageLayer, position: number, { open, stored }: ImportOptions): Travelling {
  const bytes = stored?.(layer.entry) ?? { encoding: "identity", digest: layer.entry, size: layer.unpackedSize, open: (hold?: ChunkHold) => open(layer.entry, hold) };
  const mediaType = `application/vnd.oci.image.layer.v1.tar${bytes.encoding === "zstd" ? "+zstd" : ""}`;
  return { mediaType, digest: bytes.digest, size: bytes.size, position, what: `layer ${position + 1}`, open: () => bytes.open("lent") };
}

/**
 * Every blob of the image that stays, once, with the references containerd itself writes on a pull (`core/images` `ChildGCLabels`; without the layers
 * that are not kept, `ChildGCLabelsFilterLayers`).
 */
function blobsOf(image: PackageImage, kept: ReadonlySet<string>, ofConfig: Labels = {}): readonly Blob[] {
  const blobs = new Map<string, Blob>();
  const add = (what: string, descriptor: PackageDescriptor, labels: Labels): void => {
    if (!blobs.has(descriptor.digest)) blobs.set(descriptor.digest, { mediaType: descriptor.mediaType, digest: descriptor.digest, size: descriptor.size, what, labels });
  };
  // Of an index only this platform's manifest exists here, and only what exists is labelled.
  if (image.target.digest !== image.manifest.digest) add("index", image.target, { "containerd.io/gc.ref.content.m.0": image.manifest.digest });
  const children: Record<string, string> = { "containerd.io/gc.ref.content.config": image.config.digest };
  image.layers.forEach((layer, position) => {
    if (kept.has(layer.digest)) children[`containerd.io/gc.ref.content.l.${position}`] = layer.digest;
  });
  add("manifest", image.manifest, children);
  add("configuration", image.config, ofConfig);
  image.layers.forEach((layer, position) => {
    if (kept.has(layer.digest)) add(`layer ${position + 1}`, layer, {});
  });
  return [...blobs.values()];
}

export class ContainerdImporter {
  readonly #channel: RpcChannel;
  readonly #cri: Cri;
  readonly #content: ContentStore;
  readonly #records: ImageRecords;
  readonly #leases: Leases;
  readonly #turns = new Map<string, Promise<void>>();
  #released = 0;
  #showsPins: boolean | undefined;
  #snapshots: Snapshots | undefined;
  /** What was there when this run first asked. */
  #glance: Promise<Look> | undefined;

  constructor(channel: RpcChannel, cri: Cri) {
    this.#channel = channel;
    this.#cri = cri;
    this.#content = new ContentStore(channel);
    this.#records = new ImageRecords(channel);
    this.#leases = new Leases(channel);
  }

  async has(image: PackageImage, alsoAs: readonly string[], owner?: string): Promise<boolean> {
    const snapshots = await this.#unpacker();
    this.#glance ??= glance(this.#channel, this.#cri, snapshots.snapshotter).catch((error: unknown) => {
      // The next one may be answered.
      this.#glance = undefined;
      throw error;
    });
    if (await this.#isThere(image, alsoAs, owner, snapshots, await this.#glance)) return true;
    return await this.#isThere(image, alsoAs, owner, snapshots, {
      record: (name) => this.#records.get(name),
      content: (digest) => this.#content.info(digest),
      isCommitted: (chainId) => snapshots.isCommitted(chainId),
      image: (name) => this.#cri.image(name),
    });
  }

  async #isThere(image: PackageImage, alsoAs: readonly string[], owner: string | undefined, snapshots: Snapshots, look: Look): Promise<boolean> {
    const names = namesOf(image, alsoAs);
    for (const name of allNames(names)) {
      const record = await look.record(name);
      if (record?.target?.digest !== image.target.digest || record.labels[managedLabel] !== "managed" || record.labels[pinnedLabel] !== "pinned") return false;
      if (owner !== undefined && record.labels[ownerLabel(owner)] !== owner) return false;
    }
    const chainId = chainIds(image.layers.map((layer) => layer.diffId)).at(-1);
    const published = new Set(image.layers.filter(({ digest, entry }) => entry === digest).map(({ digest }) => digest as string));
    for (const blob of blobsOf(image, published)) {
      const info = await look.content(blob.digest);
      if (info === undefined || Object.keys(missingLabels(info.labels, blob.labels)).length > 0) return false;
      if (blob.digest === image.config.digest && chainId !== undefined && info.labels[snapshotLabel(snapshots)] !== chainId) return false;
    }
    if (chainId !== undefined && !(await look.isCommitted(chainId))) return false;
    return (await this.#unseen(image, names, look)).length === 0;
  }

  /** Images that are one under several names come one after the other: the last step takes away every lease of that image. */
  async import(image: PackageImage, options: ImportOptions): Promise<void> {
    await this.#inTurn(`image ${image.manifest.digest}`, () => this.#import(image, options));
  }

  async #import(image: PackageImage, options: ImportOptions): Promise<void> {
    const { signal } = options;
    const names = namesOf(image, options.alsoAs);
    const snapshots = await this.#unpacker();
    const lease = await this.#leaseFor(image);
    const metadata = { "containerd-lease": lease };

    await this.#store(image, lease, metadata, snapshots, options);

    signal?.throwIfAborted();
    for (const name of allNames(names)) await this.#name(name, image.target, options.owner);
    await this.#waitVisible(image, names, signal);
    // This run's lease and those that killed runs left for the same image.
    await this.#leases.deleteLabelled(leaseLabel, image.manifest.digest);
  }

  async remove(reference: string): Promise<void> {
    this.#glance = undefined;
    const name = normalizedName(reference);
    const target = (await this.#records.get(name))?.target ?? undefined;
    if (target === undefined) return;
    const { repository } = parseReference(reference);
    const same = await this.#records.withTarget(target.digest);
    const otherTags = same.filter((record) => record.name !== name && !record.name.includes("@") && !record.name.startsWith("sha256:"));
    // `repository@digest` and the image id serve every tag; they go with the last one.
    const going = same.filter((record) => {
      if (record.name === name) return true;
      if (record.name === `${repository}@${target.digest}`) return !otherTags.some((tag) => tag.name.startsWith(`${repository}:`));
      return record.name.startsWith("sha256:") && otherTags.length === 0;
    });
    for (const record of going.filter(({ labels }) => labels[ownLabel] === "adopted")) await this.#records.update(record.name, target, withoutOurMarks(record.labels));
    const created = going.filter(({ labels }) => labels[ownLabel] === "created");
    for (const [position, record] of created.entries()) await this.#records.delete(record.name, position === created.length - 1);
  }

  /**
   * Layers are unpacked one after the other while the next ones are still being written. One that travels as its tar alone is in the content
   * store only until its snapshot is committed; what is there already is neither read nor written.
   */
  async #store(image: PackageImage, lease: string, metadata: Metadata, snapshots: Snapshots, options: ImportOptions): Promise<void> {
    const kept = await this.#keptLayers(image, lease);
    const chain = chainIds(image.layers.map((layer) => layer.diffId));
    const top = chain.at(-1);
    const blobs = blobsOf(image, kept, top === undefined ? {} : { [snapshotLabel(snapshots)]: top });
    const unpacked = await this.#unpackedLayers(chain, lease, snapshots);
    const travelling = image.layers.flatMap((layer, position): Travelling[] => (kept.has(layer.digest) || position < unpacked ? [] : [travellingAs(layer, position, options)]));
    const total = [...blobs, ...travelling].reduce((sum, { size }) => sum + size, 0);
    let done = 0;
    const abort = new AbortController();
    const signal = options.signal === undefined ? abort.signal : AbortSignal.any([options.signal, abort.signal]);
    /** The unpacking of every layer so far, in order. */
    const unpacking: Promise<void>[] = [];
    let unpackFailure: { readonly error: unknown } | undefined;
    /** However many bytes were written of it, all of it is done afterwards. */
    const counted = async (blob: { readonly size: number; readonly what: string }, bring: (onBytes: (count: number) => void) => Promise<unknown>): Promise<void> => {
      let own = 0;
      const said = (count: number): void => {
        own += count;
        options.progress?.({ done: (done += count), total, label: `${image.reference} ${blob.what}` });
      };
      said(0);
      await bring(said);
      said(blob.size - own);
    };
    const unpackNext = (work: () => Promise<void>): void => {
      const previous = unpacking.at(-1) ?? Promise.resolve();
      const next = previous.then(work);
      next.catch((error: unknown) => {
        // Stops the write that is under way: there is no use in storing layers on top of one that cannot be unpacked.
        unpackFailure ??= { error };
        abort.abort();
      });
      unpacking.push(next);
    };

    /** Leases over layers that pass through. */
    const passing = new Set<string>();
    try {
      const stored = new Set<string>();
      const keep = async (blob: Blob): Promise<void> => {
        if (stored.has(blob.digest)) return;
        stored.add(blob.digest);
        await counted(blob, (onBytes) => this.#keep(blob, lease, { open: () => options.open(blob.digest, "lent"), labels: blob.labels, metadata, signal, onBytes }));
      };
      // Each waits for the disk, so the small ones wait together.
      await Promise.all(blobs.filter((blob) => !image.layers.some(({ digest }) => digest === blob.digest)).map(keep));
      for (const [position, layer] of image.layers.entries()) {
        const [chainId, parent] = [chain[position] as string, chain[position - 1]];
        const blob = blobs.find(({ digest }) => digest === layer.digest);
        if (blob !== undefined) {
          await keep(blob);
          unpackNext(async () => {
            if (position >= unpacked) await this.#unpackLayer(layer, layer, chainId, parent, lease, metadata, snapshots, signal);
            await this.#content.label(layer.digest, { "containerd.io/uncompressed": layer.diffId });
          });
          continue;
        }
        const bytes = travelling.find((candidate) => candidate.position === position);
        if (bytes === undefined) continue;
        // One is being unpacked while one is written: however many layers an image has, no more than these lie on the disk in both forms.
        await unpacking.at(-2);
        const large = bytes.size >= worthALease;
        const holder = large ? await this.#leaseFor(image) : lease;
        if (large) passing.add(holder);
        await counted(bytes, (onBytes) => this.#bring(bytes, holder, { open: bytes.open, labels: {}, metadata: { "containerd-lease": holder }, signal, onBytes }));
        unpackNext(async () => {
          await this.#unpackLayer(layer, bytes, chainId, parent, lease, metadata, snapshots, signal);
          if (large) await this.#release(holder, bytes.size);
          passing.delete(holder);
        });
      }
      await unpacking.at(-1);
    } catch (error) {
      // Of the two the one that came first is the cause; the other only says that it was stopped.
      const cause = options.signal?.aborted === true ? error : (unpackFailure?.error ?? error);
      abort.abort();
      await unpacking.at(-1)?.catch(() => undefined);
      // What would only have passed through; what is unpacked stays for the next try. One that cannot be given back now ends by itself.
      await Promise.allSettled([...passing].map((holder) => this.#leases.delete(holder, false)));
      throw cause;
    }
  }

  /** Layers whose published blob belongs into the content store: those the package carries as published, and those that somebody brought before us. */
  async #keptLayers(image: PackageImage, lease: string): Promise<ReadonlySet<string>> {
    const kept = new Set<string>();
    for (const { digest, entry } of image.layers) {
      if (entry === digest || (await this.#held(digest, lease)) !== undefined) kept.add(digest);
    }
    return kept;
  }

  /** How many layers from the bottom are unpacked already, and held by the lease from now on. */
  async #unpackedLayers(chain: readonly string[], lease: string, snapshots: Snapshots): Promise<number> {
    for (let count = chain.length; count > 0; count -= 1) {
      if (await this.#unpackedAndHeld(chain[count - 1] as string, lease, snapshots)) return count;
    }
    return 0;
  }

  /** What is there already is held by the lease afterwards. (What a call under the lease makes is so from the start: containerd `core/metadata`.) */
  async #held(digest: string, lease: string): Promise<ContentInfo | undefined> {
    if ((await this.#content.info(digest)) === undefined) return undefined;
    await this.#leases.add(lease, "content", digest);
    // It may have been collected before it was held.
    return await this.#content.info(digest);
  }

  async #unpackedAndHeld(chainId: string, lease: string, snapshots: Snapshots): Promise<boolean> {
    if (!(await snapshots.isCommitted(chainId))) return false;
    await this.#leases.add(lease, `snapshots/${snapshots.snapshotter}`, chainId);
    return await snapshots.isCommitted(chainId);
  }

  /** A blob that stays, with the labels the garbage collector follows. */
  async #keep(blob: Blob, lease: string, write: WriteOptions): Promise<void> {
    const labels = await this.#bring(blob, lease, write);
    if (labels !== undefined) await this.#content.label(blob.digest, freeKeys(labels, missingLabels(labels, blob.labels)));
  }

  /** The blob is in the content store afterwards, held by the lease. Resolves to its labels when it was there: another client may have stored it, with labels of its own. */
  async #bring(blob: PackageDescriptor, lease: string, write: WriteOptions): Promise<Labels | undefined> {
    return await this.#inTurn(blob.digest, async () => {
      for (;;) {
        const present = await this.#held(blob.digest, lease);
        if (present !== undefined) return present.labels;
        if ((await this.#content.write(blob, write)) === "written") return undefined;
      }
    });
  }

  async #unpackLayer(layer: PackageLayer, from: PackageDescriptor, chainId: string, parent: string | undefined, lease: string, metadata: Metadata, snapshots: Snapshots, signal: AbortSignal): Promise<void> {
    await this.#inTurn(chainId, async () => {
      if (!(await this.#unpackedAndHeld(chainId, lease, snapshots))) await snapshots.unpack(layer, from, chainId, parent, { metadata, signal });
    });
  }

  /** Of imports that run at the same time one does what several need; the others then find it done, or do it when the first failed. */
  async #inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(key) ?? Promise.resolve();
    const mine = before.then(work);
    const settled = mine.then(() => undefined, () => undefined);
    this.#turns.set(key, settled);
    try {
      return await mine;
    } finally {
      if (this.#turns.get(key) === settled) this.#turns.delete(key);
    }
  }

  async #leaseFor(image: PackageImage): Promise<string> {
    const id = `kubestick-${Date.now()}-${randomBytes(4).toString("hex")}`;
    await this.#leases.create(id, { [leaseLabel]: image.manifest.digest, "containerd.io/gc.expire": new Date(Date.now() + leaseHours * 3_600_000).toISOString() });
    return id;
  }

  /** The collector looks at everything containerd has, so it is called when it is worth it; containerd itself calls it after some hundred changes. */
  async #release(lease: string, bytes: number): Promise<void> {
    this.#released += bytes;
    const collect = this.#released > worthCollecting;
    if (collect) this.#released = 0;
    await this.#leases.delete(lease, collect);
  }

  /** As the CRI plugin's `createOrUpdateImageReference`, and always pinned. */
  async #name(name: string, target: PackageDescriptor, owner: string | undefined): Promise<void> {
    const owned = owner === undefined ? {} : { [ownerLabel(owner)]: owner };
    const marks = { [managedLabel]: "managed", [pinnedLabel]: "pinned", ...owned };
    if (await this.#records.create(name, target, { ...marks, [ownLabel]: "created" })) return;
    const record = await this.#records.get(name);
    const moved = record?.target?.digest !== target.digest;
    const unmarked = record?.labels[managedLabel] !== "managed" || record.labels[pinnedLabel] !== "pinned";
    // A record that somebody else pinned stays unmarked: its pin is not ours to take away.
    const unowned = owner !== undefined && record?.labels[ownerLabel(owner)] !== owner;
    // Whose image a name that moved was before does not matter any more.
    const former = moved ? Object.fromEntries(Object.keys(record?.labels ?? {}).filter((key) => key.startsWith(ownerPrefix)).map((key) => [key, ""])) : {};
    if (unowned && !moved && !unmarked) await this.#records.update(name, target, owned);
    if (moved || unmarked) await this.#records.update(name, target, { ...former, ...marks, [ownLabel]: record?.labels[ownLabel] ?? "adopted" });
  }

  /** Names under which CRI does not give this image, pinned, yet. */
  async #unseen(image: PackageImage, names: ImageNames, look: Pick<Look, "image">): Promise<readonly string[]> {
    const pinned = (this.#showsPins ??= await showsPins(this.#cri));
    const unseen: string[] = [];
    for (const name of allNames(names)) {
      const seen = await look.image(name);
      if (seen?.id !== image.config.digest || (pinned && !seen.pinned)) unseen.push(name);
    }
    return unseen;
  }

  async #waitVisible(image: PackageImage, names: ImageNames, signal: AbortSignal | undefined): Promise<void> {
    const until = Date.now() + visibleTimeoutMs;
    for (let pause = 20; ; pause = Math.min(pause * 2, 500)) {
      const unseen = await this.#unseen(image, names, this.#cri);
      if (unseen.length === 0) return;
      signal?.throwIfAborted();
      if (Date.now() > until) throw notVisible(image, unseen);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  async #unpacker(): Promise<Snapshots> {
    return (this.#snapshots ??= new Snapshots(this.#channel, await defaultSnapshotter(this.#cri)));
  }
}

/**
 * containerd 2.x no longer tells its image settings in CRI's verbose status, but every version gives the default snapshotter's directory
 * as the image file system: `/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs`.
 */
async function defaultSnapshotter(cri: Cri): Promise<string> {
  const mountpoint = await cri.imageFileSystem();
  return mountpoint?.match(/io\.containerd\.snapshotter\.v1\.([^/]+)/)?.[1] ?? "overlayfs";
}

/** The pin came to CRI with 1.7.3 (and late 1.6 releases); an older containerd keeps the label and obeys it after an upgrade. */
async function showsPins(cri: Cri): Promise<boolean> {
  return !/^v?1\.(6\.|7\.[0-2]\b)/.test((await cri.info()).version);
}

function snapshotLabel(snapshots: Snapshots): string {
  return `containerd.io/gc.ref.snapshot.${snapshots.snapshotter}`;
}

/** What an adopted record loses when it is ours no more; an empty value removes a label. */
export function withoutOurMarks(labels: Labels): Labels {
  const owners = Object.keys(labels).filter((key) => key.startsWith(ownerPrefix)).map((key) => [key, ""] as const);
  return { [pinnedLabel]: "", [ownLabel]: "", ...Object.fromEntries(owners) };
}

/** References that no label expresses yet. Of references to content the key does not matter to the garbage collector, only its prefix and the value do. */
function missingLabels(present: Labels, wanted: Labels): Labels {
  const referred = new Set(Object.entries(present).filter(([key]) => key.startsWith(contentReference)).map(([, value]) => value));
  return Object.fromEntries(Object.entries(wanted).filter(([key, value]) => (key.startsWith(contentReference) ? !referred.has(value) : present[key] !== value)));
}

/** Never overwrites a reference of somebody else: a numbered key that is taken moves on to the next free number. */
function freeKeys(present: Labels, wanted: Labels): Labels {
  const result: Record<string, string> = {};
  for (const [key, value] of Object.entries(wanted)) {
    let free = key;
    for (let number = 0; key.startsWith(contentReference) && (free in present || free in result); number += 1) free = `${key.replace(/\.\d+$/, "")}.${number}`;
    result[free] = value;
  }
  return result;
}

function notVisible(image: PackageImage, names: readonly string[]): KubestickError {
  return new KubestickError({
    code: "RUNTIME_IMAGE_NOT_VISIBLE",
    attempted: `importing the image ${image.reference}`,
    happened: `containerd stored it, but its CRI plugin does not list it as ${names.join(", ")} after ${visibleTimeoutMs / 1000} seconds.`,
    next: "systemctl restart containerd (it reads its image list anew when it starts), then run the same command again.",
  });
}
