/**
 * Reading any container runtime through CRI, as the kubelet does.
 */
import { isRpcStatus, rpcStatus, type RpcChannel } from "./rpc.ts";
import { inWordsOfRuntime } from "./runtime-error.ts";
import type { Container, ContainerDetail, RuntimeImage, RuntimeInfo, RuntimeReader, RuntimeStatus, Sandbox } from "./types.ts";

/** The reader plus the few CRI calls that change something. */
export interface Cri extends RuntimeReader {
  stopContainer(id: string): Promise<void>;
  stopSandbox(id: string): Promise<void>;
  removeSandbox(id: string): Promise<void>;
  /** Mount point of the default snapshotter's file system: in containerd its last part names the snapshotter. */
  imageFileSystem(): Promise<string | undefined>;
  /** How many containers were made from an image, by its id. Sandboxes do not tell theirs. */
  imageUsers(): Promise<ReadonlyMap<string, number>>;
}

interface ImageMessage {
  readonly id: string;
  readonly repoTags: readonly string[];
  readonly repoDigests: readonly string[];
  readonly size: number;
  readonly pinned: boolean;
}

interface ContainerMessage {
  readonly id: string;
  readonly podSandboxId: string;
  readonly imageRef: string;
  readonly metadata: { readonly name: string; readonly attempt: number } | null;
  readonly state: string;
  readonly createdAt: number;
  readonly labels: Readonly<Record<string, string>>;
}

interface ContainerStatusMessage extends Omit<ContainerMessage, "podSandboxId" | "imageRef"> {
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly exitCode: number;
  readonly reason: string;
  readonly message: string;
  readonly logPath: string;
}

const runtimeService = "runtime.v1.RuntimeService/";
const imageService = "runtime.v1.ImageService/";
/** Between the signal to end and the one that cannot be refused. */
const stopGraceSeconds = 5;
/** StopPodSandbox waits for the network plugin and for containers to end. */
const stopTimeoutMs = 120_000;

export function criOver(channel: RpcChannel): Cri {
  const { socket } = channel;
  const call = <Res>(attempted: string, method: string, request: object = {}, timeoutMs?: number): Promise<Res> =>
    inWordsOfRuntime(socket, attempted, () => channel.call<Res>(method, request, timeoutMs === undefined ? {} : { timeoutMs }));

  async function listContainers(filter?: { readonly id: string }): Promise<readonly ContainerMessage[]> {
    const { containers } = await call<{ containers: readonly ContainerMessage[] }>("listing containers", `${runtimeService}ListContainers`, filter === undefined ? {} : { filter });
    return containers;
  }

  async function cgroupDriver(): Promise<RuntimeStatus["cgroupDriver"]> {
    try {
      const { linux } = await channel.call<{ linux: { cgroupDriver: string } | null }>(`${runtimeService}RuntimeConfig`, {});
      return linux === null ? undefined : linux.cgroupDriver === "SYSTEMD" ? "systemd" : "cgroupfs";
    } catch (error) {
      // containerd before 2.0 does not know the call.
      if (isRpcStatus(error, rpcStatus.unimplemented)) return undefined;
      throw error;
    }
  }

  return {
    socket,

    async info(): Promise<RuntimeInfo> {
      const { runtimeName, runtimeVersion } = await call<{ runtimeName: string; runtimeVersion: string }>("asking the container runtime for its version", `${runtimeService}Version`, { version: "v1" });
      return { name: runtimeName, version: runtimeVersion };
    },

    status(): Promise<RuntimeStatus> {
      return inWordsOfRuntime(socket, "asking the container runtime for its status", async () => {
        const [{ status, info }, driver] = await Promise.all([
          channel.call<{ status: { conditions: readonly Condition[] } | null; info: Readonly<Record<string, string>> }>(`${runtimeService}Status`, { verbose: true }),
          cgroupDriver(),
        ]);
        const conditions = status?.conditions ?? [];
        const config = parsedConfig(info["config"]);
        const told = driver ?? driverFromConfig(config);
        return {
          runtimeReady: conditions.some((condition) => condition.type === "RuntimeReady" && condition.status),
          networkReady: conditions.some((condition) => condition.type === "NetworkReady" && condition.status),
          problems: conditions.filter((condition) => !condition.status && !advisory.has(condition.type)).map(words),
          ...(typeof config?.sandboxImage === "string" && config.sandboxImage !== "" ? { sandboxImage: config.sandboxImage } : {}),
          ...(told === undefined ? {} : { cgroupDriver: told }),
        };
      });
    },

    async image(reference: string): Promise<RuntimeImage | undefined> {
      const { image } = await call<{ image: ImageMessage | null }>(`asking the container runtime for image ${reference}`, `${imageService}ImageStatus`, { image: { image: reference } });
      return image === null ? undefined : toImage(image);
    },

    async images(): Promise<readonly RuntimeImage[]> {
      const { images } = await call<{ images: readonly ImageMessage[] }>("listing images", `${imageService}ListImages`);
      return images.map(toImage);
    },

    async sandboxes(): Promise<readonly Sandbox[]> {
      const { items } = await call<{ items: readonly SandboxMessage[] }>("listing pod sandboxes", `${runtimeService}ListPodSandbox`);
      return items.map((item) => ({
        id: item.id,
        name: item.metadata?.name ?? "",
        namespace: item.metadata?.namespace ?? "",
        uid: item.metadata?.uid ?? "",
        ready: item.state === "SANDBOX_READY",
        createdAt: fromNanoseconds(item.createdAt),
      }));
    },

    async containers(): Promise<readonly Container[]> {
      return (await listContainers()).map(toContainer);
    },

    async container(id: string): Promise<ContainerDetail | undefined> {
      const [listed] = await listContainers({ id });
      if (listed === undefined) return undefined;
      let status: ContainerStatusMessage | null;
      try {
        ({ status } = await channel.call<{ status: ContainerStatusMessage | null }>(`${runtimeService}ContainerStatus`, { containerId: id }));
      } catch (error) {
        // Removed between the two calls.
        if (isRpcStatus(error, rpcStatus.notFound)) return undefined;
        return await inWordsOfRuntime(socket, `asking for the status of container ${id}`, () => Promise.reject(error));
      }
      if (status === null) return undefined;
      return {
        ...toContainer({ ...status, podSandboxId: listed.podSandboxId, imageRef: listed.imageRef }),
        exitCode: status.exitCode,
        reason: status.reason,
        message: status.message,
        ...(status.startedAt > 0 ? { startedAt: fromNanoseconds(status.startedAt) } : {}),
        ...(status.finishedAt > 0 ? { finishedAt: fromNanoseconds(status.finishedAt) } : {}),
        logPath: status.logPath,
      };
    },

    async imageUsers(): Promise<ReadonlyMap<string, number>> {
      const users = new Map<string, number>();
      for (const { imageRef } of await listContainers()) users.set(imageRef, (users.get(imageRef) ?? 0) + 1);
      return users;
    },

    async stopContainer(id: string): Promise<void> {
      await call(`stopping container ${id}`, `${runtimeService}StopContainer`, { containerId: id, timeout: stopGraceSeconds }, stopTimeoutMs);
    },

    async stopSandbox(id: string): Promise<void> {
      await call(`stopping pod sandbox ${id}`, `${runtimeService}StopPodSandbox`, { podSandboxId: id }, stopTimeoutMs);
    },

    async removeSandbox(id: string): Promise<void> {
      await call(`removing pod sandbox ${id}`, `${runtimeService}RemovePodSandbox`, { podSandboxId: id }, stopTimeoutMs);
    },

    async imageFileSystem(): Promise<string | undefined> {
      const { imageFilesystems } = await call<{ imageFilesystems: readonly { fsId: { mountpoint: string } | null }[] }>("asking where images are kept", `${imageService}ImageFsInfo`);
      // containerd puts the default snapshotter first because the kubelet reads only the first entry.
      return imageFilesystems[0]?.fsId?.mountpoint;
    },

    async close(): Promise<void> {
      channel.close();
    },
  };
}

interface Condition {
  readonly type: string;
  readonly status: boolean;
  readonly reason: string;
  readonly message: string;
}

interface SandboxMessage {
  readonly id: string;
  readonly metadata: { readonly name: string; readonly namespace: string; readonly uid: string } | null;
  readonly state: string;
  readonly createdAt: number;
}

/** Advice to an administrator; the kubelet does not look at it and nothing is wrong with the runtime. */
const advisory: ReadonlySet<string> = new Set(["ContainerdHasNoDeprecationWarnings"]);

function words({ type, reason, message }: Condition): string {
  return `${type} is false: ${[reason, message].filter((part) => part !== "").join(": ")}`;
}

/** containerd's verbose status carries the CRI plugin's configuration as JSON; other runtimes may carry anything or nothing. */
interface CriConfig {
  readonly sandboxImage?: unknown;
  readonly containerd?: {
    readonly defaultRuntimeName?: string;
    readonly runtimes?: Readonly<Record<string, { readonly options?: { readonly SystemdCgroup?: unknown } | null } | null>>;
  };
}

function parsedConfig(text: string | undefined): CriConfig | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as CriConfig) : undefined;
  } catch {
    return undefined; // Not JSON, so not containerd's: the field is free-form in CRI.
  }
}

/** For containerd 1.x, which does not implement RuntimeConfig: the same option it would answer from. */
function driverFromConfig(config: CriConfig | undefined): RuntimeStatus["cgroupDriver"] {
  const name = config?.containerd?.defaultRuntimeName;
  if (name === undefined) return undefined;
  const runtime = config?.containerd?.runtimes?.[name];
  if (runtime === undefined || runtime === null) return undefined;
  return runtime.options?.SystemdCgroup === true ? "systemd" : "cgroupfs";
}

function toImage(image: ImageMessage): RuntimeImage {
  return { id: image.id, tags: image.repoTags, digests: image.repoDigests, pinned: image.pinned, size: image.size };
}

const states: Readonly<Record<string, Container["state"]>> = { CONTAINER_CREATED: "created", CONTAINER_RUNNING: "running", CONTAINER_EXITED: "exited" };

function toContainer(message: ContainerMessage): Container {
  return {
    id: message.id,
    sandboxId: message.podSandboxId,
    name: message.metadata?.name ?? message.labels["io.kubernetes.container.name"] ?? "",
    pod: message.labels["io.kubernetes.pod.name"] ?? "",
    namespace: message.labels["io.kubernetes.pod.namespace"] ?? "",
    attempt: message.metadata?.attempt ?? 0,
    state: states[message.state] ?? "unknown",
    createdAt: fromNanoseconds(message.createdAt),
  };
}

function fromNanoseconds(value: number): Date {
  return new Date(Math.floor(value / 1e6));
}
