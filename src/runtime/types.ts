/**
 * The container runtime port: what is asked of CRI (any runtime), and what is done through containerd's own API (image import).
 */
import type { ByteProgress, ChunkHold, Digest, PackageImage, StoredBytes } from "../package/types.ts";

export interface RuntimeInfo {
  /** CRI runtimeName: `containerd`, `cri-o`. */
  readonly name: string;
  readonly version: string;
}

export interface RuntimeStatus {
  readonly runtimeReady: boolean;
  readonly networkReady: boolean;
  /** Reason and message of conditions that are false. */
  readonly problems: readonly string[];
  /** Pause image the runtime is configured with, when it tells (containerd's verbose status). */
  readonly sandboxImage?: string;
  /** From CRI RuntimeConfig; undefined when the runtime does not implement it. */
  readonly cgroupDriver?: "systemd" | "cgroupfs";
}

export interface RuntimeImage {
  readonly id: string;
  readonly tags: readonly string[];
  readonly digests: readonly string[];
  readonly pinned: boolean;
  readonly size: number;
}

export interface Sandbox {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly ready: boolean;
  readonly createdAt: Date;
}

export interface Container {
  readonly id: string;
  readonly sandboxId: string;
  /** Container name in its pod, e.g. `etcd`. */
  readonly name: string;
  readonly pod: string;
  readonly namespace: string;
  readonly attempt: number;
  readonly state: "created" | "running" | "exited" | "unknown";
  readonly createdAt: Date;
}

export interface ContainerDetail extends Container {
  readonly exitCode: number;
  readonly reason: string;
  readonly message: string;
  readonly startedAt?: Date;
  readonly finishedAt?: Date;
  /** Host path of the CRI log file. */
  readonly logPath: string;
}

export interface RuntimeReader {
  readonly socket: string;
  info(): Promise<RuntimeInfo>;
  status(): Promise<RuntimeStatus>;
  /** CRI ImageStatus: what the kubelet would get. undefined when the runtime does not have it. */
  image(reference: string): Promise<RuntimeImage | undefined>;
  images(): Promise<readonly RuntimeImage[]>;
  sandboxes(): Promise<readonly Sandbox[]>;
  containers(): Promise<readonly Container[]>;
  container(id: string): Promise<ContainerDetail | undefined>;
  close(): Promise<void>;
}

export interface ImportOptions {
  /** Opens a blob by digest; called only for blobs the runtime does not hold yet. */
  readonly open: (digest: Digest, hold?: ChunkHold) => AsyncIterable<Uint8Array>;
  /** The bytes of a layer whose tar travels by itself, in the encoding in which they travel. Without it they are taken decoded, from `open`. */
  readonly stored?: (digest: Digest) => StoredBytes;
  /** Further names for the same image, e.g. the pause image under the name an existing runtime is configured with. */
  readonly alsoAs?: readonly string[];
  /** Digest of the index of the package that brings the image: it owns the image from then on, besides others. */
  readonly owner?: Digest;
  readonly progress?: ByteProgress;
  readonly signal?: AbortSignal;
}

/** An image with what it is here for. */
export interface InventoryImage extends RuntimeImage {
  /** Digests of the packages that own it (`ImportOptions.owner`), sorted. */
  readonly owners: readonly string[];
  /** `created`: this program brought it. `adopted`: it was there before and this program only pinned it. */
  readonly ours?: "created" | "adopted";
  /** Containers and pod sandboxes that were made from it, running or not. */
  readonly users: number;
}

/** `used`, `owned`: it stays as it is otherwise. `unpinned`: it was there before us, so only the pin went. */
export type ImageRelease = "removed" | "unpinned" | "used" | "owned";

export interface Runtime extends RuntimeReader {
  /** True when the image's every blob, name and pin is in place and it is unpacked; with `owner`, also that package's mark. */
  hasImage(image: PackageImage, alsoAs?: readonly string[], owner?: Digest): Promise<boolean>;
  /** Every image the runtime has. Of a runtime that is not containerd without owners. */
  inventory(): Promise<readonly InventoryImage[]>;
  /**
   * These packages do not own the image `id` any more. When none is left and nothing was made from the image, what this program made of it is
   * taken away: an image it brought is removed, one it found is unpinned. Idempotent.
   */
  releaseImage(id: string, packages: readonly string[]): Promise<ImageRelease>;
  /** Streams missing blobs into the content store, names the image by tag and by digest, pins and unpacks it. Idempotent; resumes after a crash. */
  importImage(image: PackageImage, options: ImportOptions): Promise<void>;
  /** Removes names this program gave (and the pin); content goes with the runtime's own garbage collection. */
  removeImage(reference: string): Promise<void>;
  /** Ends its process, with time to end by itself. Whether it is started again is the kubelet's matter. */
  stopContainer(id: string): Promise<void>;
  stopSandbox(id: string): Promise<void>;
  removeSandbox(id: string): Promise<void>;
}
