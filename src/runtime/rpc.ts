/**
 * gRPC over a unix socket, with messages described by protobuf text.
 *
 * Owns: one connection to one socket, encoding and decoding, deadlines, cancelling. Refuses: knowing what a call means.
 * The gRPC and protobuf libraries are loaded with the first call: they take longer to load than most commands take to run.
 */
import type { Client, ClientDuplexStream, Metadata, ServiceError } from "@grpc/grpc-js";
import type { Method, Root, Type } from "protobufjs";

/** Numbers of the gRPC status codes that callers tell apart (grpc `statuscodes.md`). */
export const rpcStatus = {
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const;

export class RpcError extends Error {
  readonly status: number;
  readonly details: string;
  readonly method: string;

  constructor(method: string, status: number, details: string, cause?: unknown) {
    super(`${method}: ${details}`, cause === undefined ? undefined : { cause });
    this.name = "RpcError";
    this.method = method;
    this.status = status;
    this.details = details;
  }
}

export function isRpcStatus(error: unknown, status: number): boolean {
  return error instanceof RpcError && error.status === status;
}

export interface RpcCallOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A call in which both sides send many messages. */
export interface RpcStream<Req extends object, Res> {
  send(message: Req): void;
  /** The next message of the other side, undefined after its last. */
  next(timeoutMs: number): Promise<Res | undefined>;
  /** Nothing more will be sent. */
  end(): void;
  cancel(): void;
}

export interface RpcChannel {
  readonly socket: string;
  /** `method` is `<package>.<Service>/<Method>`. */
  call<Res>(method: string, request: object, options?: RpcCallOptions): Promise<Res>;
  open<Req extends object, Res>(method: string, options?: Omit<RpcCallOptions, "timeoutMs">): Promise<RpcStream<Req, Res>>;
  close(): void;
}

/** CRI's own limit (kubelet `maxMsgSize`, 16 MiB): a busy node's list of containers must fit. */
const maxMessageBytes = 16 * 1024 * 1024;
const defaultTimeoutMs = 10_000;

interface Loaded {
  readonly client: Client;
  readonly Metadata: typeof Metadata;
  readonly root: Root;
}

interface Codec {
  readonly path: string;
  encode(message: object): Buffer;
  decode(bytes: Buffer): unknown;
}

/** Parsed once for all channels: a wait opens many of them. */
const roots = new Map<string, Root>();

function rootOf(protobuf: typeof import("protobufjs"), protos: readonly string[]): Root {
  const key = protos.join("");
  const known = roots.get(key);
  if (known !== undefined) return known;
  const root = new protobuf.Root();
  for (const text of protos) protobuf.parse(text, root);
  root.resolveAll();
  roots.set(key, root);
  return root;
}

export function openRpcChannel(socket: string, protos: readonly string[], metadata: Readonly<Record<string, string>> = {}): RpcChannel {
  let loading: Promise<Loaded> | undefined;
  let current: Loaded | undefined;
  let closed = false;
  const codecs = new Map<string, Codec>();

  async function load(): Promise<Loaded> {
    const [grpc, protobuf] = await Promise.all([import("@grpc/grpc-js"), import("protobufjs").then((module) => module.default)]);
    const root = rootOf(protobuf, protos);
    const client = new grpc.Client(socket, grpc.credentials.createInsecure(), {
      "grpc.max_receive_message_length": maxMessageBytes,
      "grpc.max_send_message_length": maxMessageBytes,
      // A socket on this machine: no proxy, no retry buffer, no sharing with another channel that would outlive close().
      "grpc.enable_http_proxy": 0,
      "grpc.enable_retries": 0,
      "grpc.use_local_subchannel_pool": 1,
      // A runtime that was just restarted should be found again at once.
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1000,
    });
    return (current = { client, Metadata: grpc.Metadata, root });
  }

  function loaded(method: string): Promise<Loaded> {
    if (closed) return Promise.reject(new RpcError(method, rpcStatus.cancelled, "the connection was closed"));
    return (loading ??= load());
  }

  /**
   * After a failed attempt to connect gRPC waits before it tries again, and fails every call until then with the old error. A runtime
   * that was just restarted would seem to be away: so the next call begins with a connection of its own.
   */
  function forgetIfLost(parts: Loaded): void {
    // ready = 2 in grpc `connectivity-state`; the server's own UNAVAILABLE comes over a connection that is.
    if (parts !== current || parts.client.getChannel().getConnectivityState(false) === 2) return;
    loading = undefined;
    current = undefined;
    parts.client.close();
  }

  function codec(root: Root, method: string): Codec {
    const known = codecs.get(method);
    if (known !== undefined) return known;
    const [service, name] = method.split("/") as [string, string];
    const definition = root.lookupService(service).methods[name] as Method;
    const request = definition.resolvedRequestType as Type;
    const response = definition.resolvedResponseType as Type;
    const made: Codec = {
      path: `/${method}`,
      encode: (message) => {
        const bytes = request.encode(request.fromObject(message)).finish();
        return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      },
      decode: (bytes) => response.toObject(response.decode(bytes), { longs: Number, enums: String, defaults: true, arrays: true, objects: true }),
    };
    codecs.set(method, made);
    return made;
  }

  function headers(loadedParts: Loaded, options: RpcCallOptions): Metadata {
    const made = new loadedParts.Metadata();
    for (const [key, value] of Object.entries({ ...metadata, ...options.metadata })) made.set(key, value);
    return made;
  }

  return {
    socket,

    async call<Res>(method: string, request: object, options: RpcCallOptions = {}): Promise<Res> {
      options.signal?.throwIfAborted();
      const parts = await loaded(method);
      const { path, encode, decode } = codec(parts.root, method);
      return await new Promise<Res>((resolve, reject) => {
        const deadline = new Date(Date.now() + (options.timeoutMs ?? defaultTimeoutMs));
        const cancel = (): void => call.cancel();
        const call = parts.client.makeUnaryRequest(path, encode, decode, request, headers(parts, options), { deadline }, (error, value) => {
          options.signal?.removeEventListener("abort", cancel);
          if (options.signal?.aborted === true) reject(options.signal.reason as Error);
          else if (error !== null) {
            if (error.code === rpcStatus.unavailable) forgetIfLost(parts);
            reject(fromServiceError(method, error));
          } else resolve(value as Res);
        });
        options.signal?.addEventListener("abort", cancel, { once: true });
      });
    },

    async open<Req extends object, Res>(method: string, options: RpcCallOptions = {}): Promise<RpcStream<Req, Res>> {
      options.signal?.throwIfAborted();
      const parts = await loaded(method);
      const { path, encode, decode } = codec(parts.root, method);
      const call = parts.client.makeBidiStreamRequest(path, encode, decode, headers(parts, options), {}) as ClientDuplexStream<Req, Res>;
      return duplex(method, call, options.signal);
    },

    close(): void {
      closed = true;
      loading?.then(({ client }) => client.close(), () => undefined);
    },
  };
}

/**
 * Answers are taken from events into a queue because gRPC reports a failed call by emitting `error` without destroying the stream, which
 * a stream iterator does not reliably see.
 */
function duplex<Req extends object, Res>(method: string, call: ClientDuplexStream<Req, Res>, signal: AbortSignal | undefined): RpcStream<Req, Res> {
  const queue: Res[] = [];
  let ended = false;
  let failure: unknown;
  let wake: (() => void) | undefined;
  const cancel = (): void => call.cancel();
  const settle = (): void => {
    ended = true;
    signal?.removeEventListener("abort", cancel);
    wake?.();
  };
  signal?.addEventListener("abort", cancel, { once: true });
  call.on("data", (message: Res) => {
    queue.push(message);
    wake?.();
  });
  call.on("error", (error: ServiceError) => {
    failure = signal?.aborted === true ? signal.reason : fromServiceError(method, error);
    settle();
  });
  call.on("end", settle);

  return {
    send: (message) => {
      if (!ended) call.write(message);
    },
    async next(timeoutMs: number): Promise<Res | undefined> {
      if (queue.length === 0 && !ended) {
        let timer: NodeJS.Timeout | undefined;
        await new Promise<void>((resolve) => {
          wake = resolve;
          timer = setTimeout(resolve, timeoutMs);
        });
        clearTimeout(timer);
        wake = undefined;
      }
      const message = queue.shift();
      if (message !== undefined) return message;
      // `end` comes before `error` in the same turn when a call fails: let the second one arrive.
      if (ended && failure === undefined) await new Promise(setImmediate);
      if (failure !== undefined) throw failure;
      if (ended) return undefined;
      call.cancel();
      throw new RpcError(method, rpcStatus.deadlineExceeded, `no answer for ${timeoutMs / 1000} seconds`);
    },
    end: () => {
      if (!ended) call.end();
    },
    cancel,
  };
}

function fromServiceError(method: string, error: ServiceError): RpcError {
  return new RpcError(method, error.code, error.details, error);
}
