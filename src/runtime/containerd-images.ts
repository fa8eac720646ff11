/**
 * containerd's image records, leases and snapshots: thin calls, each idempotent.
 */
import { randomBytes } from "node:crypto";
import type { PackageDescriptor, PackageLayer } from "../package/types.ts";
import { isRpcStatus, rpcStatus, type RpcChannel } from "./rpc.ts";
import type { Labels } from "./containerd-content.ts";
import { KubestickError } from "../errors.ts";

const imagesService = "containerd.services.images.v1.Images/";
const leasesService = "containerd.services.leases.v1.Leases/";
const snapshotsService = "containerd.services.snapshots.v1.Snapshots/";
const diffService = "containerd.services.diff.v1.Diff/";

/** A large layer on a slow disk: unpacked, then synced. */
const unpackTimeoutMs = 20 * 60_000;

export interface ImageRecord {
  readonly name: string;
  readonly labels: Labels;
  readonly target: PackageDescriptor | null;
}

export class ImageRecords {
  readonly #channel: RpcChannel;

  constructor(channel: RpcChannel) {
    this.#channel = channel;
  }

  async get(name: string): Promise<ImageRecord | undefined> {
    try {
      const { image } = await this.#channel.call<{ image: ImageRecord | null }>(`${imagesService}Get`, { name });
      return image ?? undefined;
    } catch (error) {
      if (isRpcStatus(error, rpcStatus.notFound)) return undefined;
      throw error;
    }
  }

  async all(): Promise<readonly ImageRecord[]> {
    return (await this.#channel.call<{ images: readonly ImageRecord[] }>(`${imagesService}List`, {})).images;
  }

  async withTarget(digest: string): Promise<readonly ImageRecord[]> {
    const { images } = await this.#channel.call<{ images: readonly ImageRecord[] }>(`${imagesService}List`, { filters: [`target.digest==${digest}`] });
    return images;
  }

  /** False when the name is taken. */
  async create(name: string, target: PackageDescriptor, labels: Labels): Promise<boolean> {
    try {
      await this.#channel.call(`${imagesService}Create`, { image: { name, target: plain(target), labels } });
      return true;
    } catch (error) {
      if (isRpcStatus(error, rpcStatus.alreadyExists)) return false;
      throw error;
    }
  }

  /** Sets the target and the given labels; an empty value removes a label. (Without a target containerd 2.1 crashes, whatever the mask says.) */
  async update(name: string, target: PackageDescriptor, labels: Labels): Promise<void> {
    const paths = ["target", ...Object.keys(labels).map((key) => `labels.${key}`)];
    await this.#channel.call(`${imagesService}Update`, { image: { name, target: plain(target), labels }, updateMask: { paths } });
  }

  /** `collect`: waits for a garbage collection, so that the disk space is free when this resolves. */
  async delete(name: string, collect: boolean): Promise<void> {
    try {
      await this.#channel.call(`${imagesService}Delete`, { name, sync: collect }, { timeoutMs: 120_000 });
    } catch (error) {
      if (!isRpcStatus(error, rpcStatus.notFound)) throw error;
    }
  }
}

/** Keeps what an import has brought so far from the garbage collector, which otherwise takes whatever no image refers to yet. */
export class Leases {
  readonly #channel: RpcChannel;

  constructor(channel: RpcChannel) {
    this.#channel = channel;
  }

  async create(id: string, labels: Labels): Promise<void> {
    await this.#channel.call(`${leasesService}Create`, { id, labels });
  }

  /** Covers a resource that exists already; one that does not exist yet is covered by the lease header of the call that makes it. */
  async add(id: string, type: string, resource: string): Promise<void> {
    await this.#channel.call(`${leasesService}AddResource`, { id, resource: { id: resource, type } });
  }

  /** `collect`: waits for a garbage collection, so that what only this lease held is gone when this resolves. */
  async delete(id: string, collect: boolean): Promise<void> {
    try {
      await this.#channel.call(`${leasesService}Delete`, { id, sync: collect }, { timeoutMs: 120_000 });
    } catch (error) {
      if (!isRpcStatus(error, rpcStatus.notFound)) throw error;
    }
  }

  async deleteLabelled(key: string, value: string): Promise<void> {
    const { leases } = await this.#channel.call<{ leases: readonly { id: string }[] }>(`${leasesService}List`, { filters: [`labels."${key}"==${value}`] });
    for (const { id } of leases) await this.delete(id, false);
  }
}

export class Snapshots {
  readonly #channel: RpcChannel;
  readonly snapshotter: string;

  constructor(channel: RpcChannel, snapshotter: string) {
    this.#channel = channel;
    this.snapshotter = snapshotter;
  }

  async isCommitted(key: string): Promise<boolean> {
    try {
      const { info } = await this.#channel.call<{ info: { kind: string } | null }>(`${snapshotsService}Stat`, { snapshotter: this.snapshotter, key });
      return info?.kind === "COMMITTED";
    } catch (error) {
      if (isRpcStatus(error, rpcStatus.notFound)) return false;
      throw error;
    }
  }

  /** Unpacks one layer, from the blob that `from` describes, onto its parent and commits it under its chain ID: the steps of containerd's `core/unpack/unpacker.go`. */
  async unpack(layer: PackageLayer, from: PackageDescriptor, chainId: string, parent: string | undefined, options: { readonly metadata: Readonly<Record<string, string>>; readonly signal?: AbortSignal | undefined }): Promise<void> {
    const { snapshotter } = this;
    // The key's form is containerd's `UnpackKeyFormat`: its CRI plugin and `ctr` know by the prefix that this is an extraction.
    const key = `extract-${Date.now() % 1_000_000_000}-${randomBytes(3).toString("base64url")} ${chainId}`;
    const labels = { "containerd.io/snapshot.ref": chainId };
    const { metadata, signal } = options;
    let mounts: readonly object[];
    try {
      ({ mounts } = await this.#channel.call<{ mounts: readonly object[] }>(`${snapshotsService}Prepare`, { snapshotter, key, parent: parent ?? "", labels }, { metadata, signal, timeoutMs: 60_000 }));
    } catch (error) {
      // Remote snapshotters answer so when they can provide the layer by themselves.
      if (isRpcStatus(error, rpcStatus.alreadyExists) && (await this.isCommitted(chainId))) return;
      throw error;
    }
    try {
      // sync_fs: without it the files of the layer may be lost in a power cut although the snapshot is already recorded as complete.
      const { applied } = await this.#channel.call<{ applied: { digest: string } | null }>(`${diffService}Apply`, { diff: plain(from), mounts, syncFs: true }, { metadata, signal, timeoutMs: unpackTimeoutMs });
      if (applied?.digest !== layer.diffId) throw wrongDiffId(layer, applied?.digest);
      await this.#channel.call(`${snapshotsService}Commit`, { snapshotter, name: chainId, key, labels }, { metadata, timeoutMs: 60_000 });
    } catch (error) {
      await this.#removeExtraction(key);
      if (isRpcStatus(error, rpcStatus.alreadyExists)) return; // Unpacked by somebody else meanwhile.
      throw error;
    }
  }

  /** A failure here loses nothing: the extraction is under the lease and goes with it. The first failure is the one worth telling. */
  async #removeExtraction(key: string): Promise<void> {
    await this.#channel.call(`${snapshotsService}Remove`, { snapshotter: this.snapshotter, key }, { timeoutMs: 60_000 }).catch(() => undefined);
  }
}

function plain({ mediaType, digest, size }: PackageDescriptor): PackageDescriptor {
  return { mediaType, digest, size };
}

function wrongDiffId(layer: PackageLayer, got: string | undefined): KubestickError {
  return new KubestickError({
    code: "RUNTIME_IMAGE_CORRUPT",
    attempted: `unpacking layer ${layer.digest}`,
    happened: `Its content has the digest ${got ?? "(none)"}, the image's configuration says ${layer.diffId}.`,
    next: "The image was broken when it was packed: build or pull it again and pack it anew.",
  });
}
