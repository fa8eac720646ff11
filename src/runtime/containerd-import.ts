/**
 * Bringing an image into containerd: bytes straight from the package into the content store, unpacked, named and pinned.
 *
 * Order is what makes a crash harmless. Every blob is stored together with the labels by which the garbage collector follows it; the
 * names are given last; a lease holds everything until then and, should this process die, for a day. Whatever a killed run finished
 * is found and skipped by the next.
 */
import { randomBytes } from "node:crypto";
import { KubestickError } from "../errors.ts";
import type { PackageDescriptor, PackageImage, PackageLayer } from "../package/types.ts";
import { chainIds } from "./chain-id.ts";
import { ContentStore, type Labels } from "./containerd-content.ts";
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

/** The CRI plugin learns of new names through containerd's event stream, within milliseconds on an idle machine. */
const visibleTimeoutMs = 15_000;

interface Blob extends PackageDescriptor {
  readonly what: string;
  readonly labels: Labels;
}

/** Every blob of the image once, with the references containerd itself writes on a pull (`core/images` `ChildGCLabels`). */
function blobsOf(image: PackageImage): readonly Blob[] {
  const blobs = new Map<string, Blob>();
  const add = (what: string, descriptor: PackageDescriptor, labels: Labels): void => {
    if (!blobs.has(descriptor.digest)) blobs.set(descriptor.digest, { mediaType: descriptor.mediaType, digest: descriptor.digest, size: descriptor.size, what, labels });
  };
  // Of an index only this platform's manifest exists here, and only what exists is labelled.
  if (image.target.digest !== image.manifest.digest) add("index", image.target, { "containerd.io/gc.ref.content.m.0": image.manifest.digest });
  const children: Record<string, string> = { "containerd.io/gc.ref.content.config": image.config.digest };
  image.layers.forEach((layer, position) => (children[`containerd.io/gc.ref.content.l.${position}`] = layer.digest));
  add("manifest", image.manifest, children);
  add("configuration", image.config, {});
  image.layers.forEach((layer, position) => add(`layer ${position + 1}`, layer, {}));
  return [...blobs.values()];
}

export class ContainerdImporter {
  readonly #channel: RpcChannel;
  readonly #cri: Cri;
  readonly #content: ContentStore;
  readonly #records: ImageRecords;
  readonly #leases: Leases;
  #showsPins: boolean | undefined;
  #snapshots: Snapshots | undefined;

  constructor(channel: RpcChannel, cri: Cri) {
    this.#channel = channel;
    this.#cri = cri;
    this.#content = new ContentStore(channel);
    this.#records = new ImageRecords(channel);
    this.#leases = new Leases(channel);
  }

  async has(image: PackageImage, alsoAs: readonly string[], owner?: string): Promise<boolean> {
    const names = namesOf(image, alsoAs);
    for (const name of allNames(names)) {
      const record = await this.#records.get(name);
      if (record?.target?.digest !== image.target.digest || record.labels[managedLabel] !== "managed" || record.labels[pinnedLabel] !== "pinned") return false;
      if (owner !== undefined && record.labels[ownerLabel(owner)] !== owner) return false;
    }
    const snapshots = await this.#unpacker();
    const chainId = chainIds(image.layers.map((layer) => layer.diffId)).at(-1);
    for (const blob of blobsOf(image)) {
      const info = await this.#content.info(blob.digest);
      if (info === undefined || Object.keys(missingLabels(info.labels, blob.labels)).length > 0) return false;
      if (blob.digest === image.config.digest && chainId !== undefined && info.labels[snapshotLabel(snapshots)] !== chainId) return false;
    }
    if (chainId !== undefined && !(await snapshots.isCommitted(chainId))) return false;
    return (await this.#unseen(image, names)).length === 0;
  }

  async import(image: PackageImage, options: ImportOptions): Promise<void> {
    const { signal } = options;
    const names = namesOf(image, options.alsoAs);
    const snapshots = await this.#unpacker();
    const lease = `kubestick-${Date.now()}-${randomBytes(4).toString("hex")}`;
    await this.#leases.create(lease, { [leaseLabel]: image.manifest.digest, "containerd.io/gc.expire": new Date(Date.now() + leaseHours * 3_600_000).toISOString() });
    const metadata = { "containerd-lease": lease };

    await this.#store(image, lease, metadata, snapshots, options);

    const chainId = chainIds(image.layers.map((layer) => layer.diffId)).at(-1);
    if (chainId !== undefined) await this.#content.label(image.config.digest, { [snapshotLabel(snapshots)]: chainId });
    signal?.throwIfAborted();
    for (const name of allNames(names)) await this.#name(name, image.target, options.owner);
    await this.#waitVisible(image, names, signal);
    // This run's lease and those that killed runs left for the same image.
    await this.#leases.deleteLabelled(leaseLabel, image.manifest.digest);
  }

  async remove(reference: string): Promise<void> {
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

  /** Layers are unpacked one after the other while the next ones are still being written. */
  async #store(image: PackageImage, lease: string, metadata: Readonly<Record<string, string>>, snapshots: Snapshots, options: ImportOptions): Promise<void> {
    const blobs = blobsOf(image);
    const total = blobs.reduce((sum, blob) => sum + blob.size, 0);
    let done = 0;
    const stored = new Set<string>();
    const chain = chainIds(image.layers.map((layer) => layer.diffId));
    const abort = new AbortController();
    const signal = options.signal === undefined ? abort.signal : AbortSignal.any([options.signal, abort.signal]);
    let unpacking: Promise<void> = Promise.resolve();
    let queued = 0;
    let unpackFailure: { readonly error: unknown } | undefined;

    const unpackWhatIsThere = (): void => {
      for (; queued < image.layers.length && stored.has((image.layers[queued] as PackageLayer).digest); queued += 1) {
        const layer = image.layers[queued] as PackageLayer;
        const [chainId, parent] = [chain[queued] as string, chain[queued - 1]];
        unpacking = unpacking.then(() => this.#unpackLayer(layer, chainId, parent, lease, metadata, snapshots, signal));
        unpacking.catch((error: unknown) => {
          // Stops the write that is under way: there is no use in storing layers on top of one that cannot be unpacked.
          unpackFailure ??= { error };
          abort.abort();
        });
      }
    };

    try {
      for (const blob of blobs) {
        const label = `${image.reference} ${blob.what}`;
        const before = done;
        options.progress?.({ done, total, label });
        await this.#leases.add(lease, "content", blob.digest);
        const present = await this.#content.info(blob.digest);
        if (present === undefined) {
          await this.#content.write(blob, {
            open: () => options.open(blob.digest),
            labels: blob.labels,
            metadata,
            signal,
            onBytes: (count) => options.progress?.({ done: (done += count), total, label }),
          });
        }
        done = before + blob.size;
        // Also after a write: when another client stored the blob in the meantime, it did so with its own labels.
        const labels = present?.labels ?? (await this.#content.info(blob.digest))?.labels ?? {};
        await this.#content.label(blob.digest, freeKeys(labels, missingLabels(labels, blob.labels)));
        options.progress?.({ done, total, label });
        stored.add(blob.digest);
        unpackWhatIsThere();
      }
      await unpacking;
    } catch (error) {
      // Of the two the one that came first is the cause; the other only says that it was stopped.
      const cause = options.signal?.aborted === true ? error : (unpackFailure?.error ?? error);
      abort.abort();
      await unpacking.catch(() => undefined);
      throw cause;
    }
  }

  async #unpackLayer(layer: PackageLayer, chainId: string, parent: string | undefined, lease: string, metadata: Readonly<Record<string, string>>, snapshots: Snapshots, signal: AbortSignal): Promise<void> {
    await this.#leases.add(lease, `snapshots/${snapshots.snapshotter}`, chainId);
    if (!(await snapshots.isCommitted(chainId))) await snapshots.unpack(layer, chainId, parent, { metadata, signal });
    await this.#content.label(layer.digest, { "containerd.io/uncompressed": layer.diffId });
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
  async #unseen(image: PackageImage, names: ImageNames): Promise<readonly string[]> {
    const pinned = (this.#showsPins ??= await showsPins(this.#cri));
    const unseen: string[] = [];
    for (const name of allNames(names)) {
      const seen = await this.#cri.image(name);
      if (seen?.id !== image.config.digest || (pinned && !seen.pinned)) unseen.push(name);
    }
    return unseen;
  }

  async #waitVisible(image: PackageImage, names: ImageNames, signal: AbortSignal | undefined): Promise<void> {
    const until = Date.now() + visibleTimeoutMs;
    for (let pause = 20; ; pause = Math.min(pause * 2, 500)) {
      const unseen = await this.#unseen(image, names);
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

/** References that no label expresses yet. The key does not matter to the garbage collector, only its prefix and the value do. */
function missingLabels(present: Labels, wanted: Labels): Labels {
  const referred = new Set(Object.entries(present).filter(([key]) => key.startsWith("containerd.io/gc.ref.content")).map(([, value]) => value));
  return Object.fromEntries(Object.entries(wanted).filter(([, value]) => !referred.has(value)));
}

/** Never overwrites a reference of somebody else: a numbered key that is taken moves on to the next free number. */
function freeKeys(present: Labels, wanted: Labels): Labels {
  const result: Record<string, string> = {};
  for (const [key, value] of Object.entries(wanted)) {
    let free = key;
    for (let number = 0; free in present || free in result; number += 1) free = `${key.replace(/\.\d+$/, "")}.${number}`;
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
