/**
 * All that containerd says of its images, asked once in lists: where a thousand images are there already, ten questions for each take longer than loading a cluster.
 *
 * It only ever confirms. What it does not know may have come since, and is asked for by itself; what it knows stays while it is in use, because images that are
 * named and pinned are taken away by nobody but people.
 */
import type { ContentInfo } from "./containerd-content.ts";
import type { ImageRecord } from "./containerd-images.ts";
import type { RuntimeImage } from "./types.ts";
import type { Cri } from "./cri.ts";
import type { RpcChannel } from "./rpc.ts";

/** What has to be known of an image to say that it is there, whole and pinned. */
export interface Look {
  record(name: string): Promise<ImageRecord | undefined>;
  content(digest: string): Promise<ContentInfo | undefined>;
  isCommitted(chainId: string): Promise<boolean>;
  /** By tag, digest or id, as the kubelet asks CRI. */
  image(name: string): Promise<RuntimeImage | undefined>;
}

const listTimeoutMs = 60_000;

export async function glance(channel: RpcChannel, cri: Cri, snapshotter: string): Promise<Look> {
  const [records, contents, snapshots, images] = await Promise.all([
    channel.call<{ images: readonly ImageRecord[] }>("containerd.services.images.v1.Images/List", {}, { timeoutMs: listTimeoutMs }),
    streamed<{ info: readonly ContentInfo[] }>(channel, "containerd.services.content.v1.Content/List", {}),
    streamed<{ info: readonly { readonly name: string; readonly kind: string }[] }>(channel, "containerd.services.snapshots.v1.Snapshots/List", { snapshotter }),
    cri.images(),
  ]);
  const recordOf = new Map(records.images.map((record) => [record.name, record]));
  const contentOf = new Map(contents.flatMap(({ info }) => info).map((info) => [info.digest, info]));
  const committed = new Set(snapshots.flatMap(({ info }) => info).filter(({ kind }) => kind === "COMMITTED").map(({ name }) => name));
  const imageOf = new Map(images.flatMap((image) => [image.id, ...image.tags, ...image.digests].map((name) => [name, image] as const)));
  return {
    record: async (name) => recordOf.get(name),
    content: async (digest) => contentOf.get(digest),
    isCommitted: async (chainId) => committed.has(chainId),
    image: async (name) => imageOf.get(name),
  };
}

async function streamed<Res>(channel: RpcChannel, method: string, request: object): Promise<readonly Res[]> {
  const stream = await channel.open<object, Res>(method);
  stream.send(request);
  stream.end();
  const all: Res[] = [];
  for (let next = await stream.next(listTimeoutMs); next !== undefined; next = await stream.next(listTimeoutMs)) all.push(next);
  return all;
}
