/**
 * containerd's content store: blobs by digest, written as they are read.
 */
import { KubestickError } from "../errors.ts";
import type { PackageDescriptor } from "../package/types.ts";
import { isRpcStatus, RpcError, rpcStatus, type RpcChannel, type RpcStream } from "./rpc.ts";

const service = "containerd.services.content.v1.Content/";

/** One message to containerd. Its server accepts 16 MiB; larger frames than this gain nothing and cost memory. */
const frameBytes = 512 * 1024;
/** Frames sent and not yet acknowledged as written: keeps both sides busy and bounds what is in memory to 2 MiB. */
const framesInFlight = 3;
/** containerd answers a frame after writing it, and the commit after fsync of the whole blob: on a slow card that takes minutes. */
const frameTimeoutMs = 120_000;
const commitTimeoutMs = 600_000;
/** How long another writer may hold the same ingest: a killed run's stream is closed by containerd within milliseconds. */
const lockedTimeoutMs = 10_000;

export type Labels = Readonly<Record<string, string>>;

export interface ContentInfo {
  readonly digest: string;
  readonly size: number;
  readonly labels: Labels;
}

export interface WriteOptions {
  readonly open: () => AsyncIterable<Uint8Array>;
  /** Labels the blob must carry so that the garbage collector sees what it refers to. Written together with the blob, in one transaction. */
  readonly labels: Labels;
  readonly metadata: Readonly<Record<string, string>>;
  readonly onBytes: (count: number) => void;
  readonly signal?: AbortSignal | undefined;
}

interface WriteRequest {
  readonly action: "STAT" | "WRITE" | "COMMIT";
  readonly ref?: string;
  readonly total?: number;
  readonly expected?: string;
  readonly offset?: number;
  readonly data?: Uint8Array;
  readonly labels?: Labels;
}

interface WriteResponse {
  readonly offset: number;
}

export class ContentStore {
  readonly #channel: RpcChannel;

  constructor(channel: RpcChannel) {
    this.#channel = channel;
  }

  async info(digest: string): Promise<ContentInfo | undefined> {
    try {
      const { info } = await this.#channel.call<{ info: ContentInfo | null }>(`${service}Info`, { digest });
      return info ?? undefined;
    } catch (error) {
      if (isRpcStatus(error, rpcStatus.notFound)) return undefined;
      throw error;
    }
  }

  /** Adds labels; those that are there with another key stay. */
  async label(digest: string, labels: Labels): Promise<void> {
    const paths = Object.keys(labels).map((key) => `labels.${key}`);
    if (paths.length > 0) await this.#channel.call(`${service}Update`, { info: { digest, labels }, updateMask: { paths } });
  }

  /**
   * Writes a blob that the store does not hold yet. Resolves when it is on disk (containerd syncs before it commits): `written` with the labels given and held
   * by the call's lease, or `present` because somebody else brought it meanwhile.
   */
  async write(blob: PackageDescriptor, options: WriteOptions): Promise<"written" | "present"> {
    const ref = `kubestick-${blob.digest}`;
    for (;;) {
      const stream = await this.#begin(ref, blob, options);
      if (stream === "present") return stream;
      const complete = stream.offset === blob.size && blob.size > 0;
      try {
        if (!complete) await send(stream.session, blob, options);
        stream.session.send({ action: "COMMIT", total: blob.size, expected: blob.digest, offset: blob.size, labels: options.labels });
        await stream.session.next(commitTimeoutMs);
        stream.session.end();
        return "written";
      } catch (error) {
        stream.session.cancel();
        await this.#abandon(ref);
        if (isRpcStatus(error, rpcStatus.alreadyExists)) return "present"; // Somebody else brought the same blob meanwhile.
        if (!isRpcStatus(error, rpcStatus.failedPrecondition)) throw error;
        // Bytes that an earlier run left and a power cut damaged: not this package's fault, so they are written again.
        if (!complete) throw corrupt(blob, (error as RpcError).details);
      }
    }
  }

  /** Opens an ingest at offset 0, or finds that containerd has the bytes already. */
  async #begin(ref: string, blob: PackageDescriptor, options: WriteOptions): Promise<"present" | { readonly session: RpcStream<WriteRequest, WriteResponse>; readonly offset: number }> {
    const until = Date.now() + lockedTimeoutMs;
    for (;;) {
      const session = await this.#channel.open<WriteRequest, WriteResponse>(`${service}Write`, { metadata: options.metadata, signal: options.signal });
      let offset: number;
      try {
        session.send({ action: "STAT", ref, total: blob.size, expected: blob.digest });
        offset = (await session.next(frameTimeoutMs))?.offset ?? 0;
      } catch (error) {
        session.cancel();
        if (isRpcStatus(error, rpcStatus.alreadyExists)) return "present";
        // A run that was killed a moment ago still holds the ingest until containerd notices that its connection is gone.
        if (!isRpcStatus(error, rpcStatus.unavailable) || !(error as RpcError).details.includes("locked") || Date.now() > until) throw error;
        await new Promise((resolve) => setTimeout(resolve, 200));
        continue;
      }
      // The whole blob at once: another containerd namespace has it and it will be shared (content_sharing_policy); only the commit is left.
      if (offset === 0 || offset === blob.size) return { session, offset };
      // Half of it: a run that was killed. What is there may have been lost in a power cut, so it is not trusted but written again.
      session.cancel();
      await this.#abandon(ref);
    }
  }

  /** Drops a half-written ingest. When even that fails the ingest expires with its lease, and the first failure is the one worth telling. */
  async #abandon(ref: string): Promise<void> {
    const until = Date.now() + lockedTimeoutMs;
    for (;;) {
      try {
        await this.#channel.call(`${service}Abort`, { ref });
        return;
      } catch (error) {
        if (!isRpcStatus(error, rpcStatus.unavailable) || Date.now() > until) return;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
  }
}

async function send(session: RpcStream<WriteRequest, WriteResponse>, blob: PackageDescriptor, { open, onBytes }: WriteOptions): Promise<void> {
  let offset = 0;
  let inFlight = 0;
  for await (const data of frames(open(), blob.size)) {
    if (offset + data.length > blob.size) throw corrupt(blob, "it is longer than its descriptor says");
    // The acknowledgement, not the socket's buffer, is what holds the reader back: containerd's disk sets the pace.
    while (inFlight >= framesInFlight) {
      if ((await session.next(frameTimeoutMs)) === undefined) throw interrupted(blob);
      inFlight -= 1;
    }
    session.send({ action: "WRITE", offset, data });
    inFlight += 1;
    offset += data.length;
    onBytes(data.length);
  }
  for (; inFlight > 0; inFlight -= 1) {
    if ((await session.next(frameTimeoutMs)) === undefined) throw interrupted(blob);
  }
  if (offset !== blob.size) throw corrupt(blob, `it ended after ${offset} of ${blob.size} bytes`);
}

/**
 * Small chunks are joined and large ones cut, so that every frame but the last is full whatever the source yields. The buffers go
 * round: one is filled while at most `framesInFlight` wait for their acknowledgement, so none is written to before its bytes have arrived.
 */
async function* frames(source: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  const ring: Uint8Array[] = [];
  let turn = 0;
  let filled = 0;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; ) {
      const frame = (ring[turn] ??= new Uint8Array(Math.min(frameBytes, Math.max(1, size))));
      const part = chunk.subarray(at, at + frame.length - filled);
      frame.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < frame.length) continue;
      yield frame;
      turn = (turn + 1) % (framesInFlight + 1);
      filled = 0;
    }
  }
  if (filled > 0) yield (ring[turn] as Uint8Array).subarray(0, filled);
}

function corrupt(blob: PackageDescriptor, why: string): KubestickError {
  return new KubestickError({
    code: "RUNTIME_IMAGE_CORRUPT",
    attempted: `writing ${blob.digest} to containerd`,
    happened: `The bytes are not the ones their digest promises: ${why}.`,
    next: "kubestick verify; copy the file again from its source when it is damaged.",
  });
}

function interrupted(blob: PackageDescriptor): RpcError {
  return new RpcError(`${service}Write`, rpcStatus.unavailable, `containerd closed the connection while ${blob.digest} was written`);
}
