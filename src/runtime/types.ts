/**
 * The container runtime port: what is asked of CRI (any runtime), and what is done through containerd's own API (image import).
 */
import type { ByteProgress, Digest, PackageImage } from "../package/types.ts";

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
  readonly open: (digest: Digest) => AsyncIterable<Uint8Array>;
  /** Further names for the same image, e.g. the pause image under the name an existing runtime is configured with. */
  readonly alsoAs?: readonly string[];
  readonly progress?: ByteProgress;
  readonly signal?: AbortSignal;
}

export interface Runtime extends RuntimeReader {
  /** True when the image's every blob, name and pin is in place and it is unpacked. */
  hasImage(image: PackageImage, alsoAs?: readonly string[]): Promise<boolean>;
  /** Streams missing blobs into the content store, names the image by tag and by digest, pins and unpacks it. Idempotent; resumes after a crash. */
  importImage(image: PackageImage, options: ImportOptions): Promise<void>;
  /** Removes names this program gave (and the pin); content goes with the runtime's own garbage collection. */
  removeImage(reference: string): Promise<void>;
  stopSandbox(id: string): Promise<void>;
  removeSandbox(id: string): Promise<void>;
}
