/**
 * A registry and file server in this process, on loopback: the pull part of the OCI distribution specification, token and basic
 * authentication, ranges, redirects, and faults on demand. It records every request, so a test can say what was *not* asked for.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface RecordedRequest {
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  readonly accept: string | undefined;
  status: number;
}

/** What goes wrong, for the first `times` requests whose path matches. */
export type Fault = { readonly match: RegExp; times: number } & (
  | { readonly kind: "status"; readonly status: number; readonly retryAfter?: string }
  /** The connection breaks after this many bytes of the body. */
  | { readonly kind: "cut"; readonly after: number }
  | { readonly kind: "refuse" }
  /** One byte of the body is another one. */
  | { readonly kind: "corrupt" }
  | { readonly kind: "ignore-range" }
  | { readonly kind: "redirect"; readonly to: string }
  /** The body comes to a halt after this many bytes until the request is given up. */
  | { readonly kind: "stall"; readonly after: number }
);

export interface RegistryOptions {
  /** `bearer` gives tokens at /token: to anybody, or only to this user. `basic` wants the user on every request. */
  readonly auth?: "none" | "bearer" | "basic";
  readonly user?: { readonly name: string; readonly password: string };
  /** Requests a token is good for; default: no limit. */
  readonly tokenUses?: number;
}

export class TestRegistry implements AsyncDisposable {
  readonly requests: RecordedRequest[] = [];
  readonly faults: Fault[] = [];
  /** Plain files by path, for release downloads: `/release/v1.36.2/bin/linux/amd64/kubelet`. */
  readonly files = new Map<string, Uint8Array>();
  readonly #blobs = new Map<string, Uint8Array>();
  /** `repository:tag` and `repository@digest`. */
  readonly #manifests = new Map<string, { readonly mediaType: string; readonly bytes: Uint8Array }>();
  readonly #tokens = new Map<string, number>();
  readonly #options: RegistryOptions;
  readonly #server = createServer((request, response) => this.#answer(request, response));

  private constructor(options: RegistryOptions) {
    this.#options = options;
  }

  static async start(options: RegistryOptions = {}): Promise<TestRegistry> {
    const registry = new TestRegistry(options);
    await new Promise<void>((resolve) => registry.#server.listen(0, "127.0.0.1", resolve));
    return registry;
  }

  /** `127.0.0.1:PORT` */
  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `http://${this.host}`;
  }

  addBlob(bytes: Uint8Array): void {
    this.#blobs.set(sha256(bytes), bytes);
  }

  addManifest(repository: string, tag: string | undefined, mediaType: string, bytes: Uint8Array): void {
    this.#manifests.set(`${repository}@${sha256(bytes)}`, { mediaType, bytes });
    if (tag !== undefined) this.#manifests.set(`${repository}:${tag}`, { mediaType, bytes });
  }

  /** Requests for the same thing, told by the end of their path. */
  asked(ending: string): readonly RecordedRequest[] {
    return this.requests.filter(({ path }) => path.endsWith(ending));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", this.url);
    const { range, authorization, accept } = request.headers;
    const record: RecordedRequest = { path: url.pathname, range, authorization, accept, status: 0 };
    this.requests.push(record);
    response.on("close", () => (record.status = response.statusCode));

    const fault = this.faults.find(({ match, times }) => times > 0 && match.test(url.pathname));
    if (fault !== undefined) fault.times -= 1;
    if (fault?.kind === "refuse") {
      request.socket.destroy();
    } else if (fault?.kind === "status") {
      response.writeHead(fault.status, fault.retryAfter === undefined ? {} : { "retry-after": fault.retryAfter }).end("busy");
    } else if (fault?.kind === "redirect") {
      response.writeHead(307, { location: `${fault.to}${url.pathname}` }).end();
    } else if (url.pathname === "/token") {
      this.#giveToken(url, authorization, response);
    } else if (url.pathname.startsWith("/v2/")) {
      if (this.#authorized(authorization, response)) this.#serveRegistry(url.pathname, range, fault, response);
    } else {
      const file = this.files.get(url.pathname);
      if (file === undefined) response.writeHead(404).end();
      else serveBytes(file, "application/octet-stream", range, fault, response);
    }
  }

  #giveToken(url: URL, authorization: string | undefined, response: ServerResponse): void {
    const { user } = this.#options;
    if (url.searchParams.get("service") !== "test registry" || !/^repository:[a-z0-9/.-]+:pull$/.test(url.searchParams.get("scope") ?? "")) {
      response.writeHead(400).end();
    } else if (user !== undefined && authorization !== basicOf(user)) {
      response.writeHead(401).end();
    } else {
      const token = `token-${this.#tokens.size + 1}`;
      this.#tokens.set(token, this.#options.tokenUses ?? Number.POSITIVE_INFINITY);
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ token }));
    }
  }

  #authorized(authorization: string | undefined, response: ServerResponse): boolean {
    const { auth = "none", user } = this.#options;
    if (auth === "none") return true;
    if (auth === "basic") {
      if (user !== undefined && authorization === basicOf(user)) return true;
      response.writeHead(401, { "www-authenticate": 'Basic realm="test registry, private"' }).end();
      return false;
    }
    const token = authorization?.replace(/^Bearer /, "") ?? "";
    const uses = this.#tokens.get(token) ?? 0;
    if (uses > 0) {
      this.#tokens.set(token, uses - 1);
      return true;
    }
    response.writeHead(401, { "www-authenticate": `Bearer realm="${this.url}/token",service="test registry"` }).end();
    return false;
  }

  #serveRegistry(path: string, range: string | undefined, fault: Fault | undefined, response: ServerResponse): void {
    const [, repository = "", kind, version = ""] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(path) ?? [];
    if (kind === "manifests") {
      const found = this.#manifests.get(`${repository}${version.startsWith("sha256:") ? "@" : ":"}${version}`);
      if (found === undefined) response.writeHead(404).end(JSON.stringify({ errors: [{ code: "MANIFEST_UNKNOWN" }] }));
      else serveBytes(found.bytes, found.mediaType, range, fault, response, { "docker-content-digest": sha256(found.bytes) });
      return;
    }
    const blob = kind === "blobs" ? this.#blobs.get(version) : undefined;
    if (blob === undefined) response.writeHead(404).end();
    else serveBytes(blob, "application/octet-stream", range, fault, response);
  }
}

function serveBytes(whole: Uint8Array, mediaType: string, range: string | undefined, fault: Fault | undefined, response: ServerResponse, more: Record<string, string> = {}): void {
  const start = fault?.kind === "ignore-range" ? 0 : Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
  if (start > 0 && start >= whole.length) {
    response.writeHead(416, { "content-range": `bytes */${whole.length}` }).end();
    return;
  }
  let body = Buffer.from(whole.subarray(start));
  if (fault?.kind === "corrupt") {
    body = Buffer.from(body);
    body[body.length >> 1] = (body[body.length >> 1] ?? 0) ^ 0xff;
  }
  const headers = { "content-type": mediaType, "content-length": String(body.length), ...more };
  if (start > 0) response.writeHead(206, { ...headers, "content-range": `bytes ${start}-${whole.length - 1}/${whole.length}` });
  else response.writeHead(200, headers);
  if (fault?.kind === "cut") response.write(body.subarray(0, fault.after), () => response.destroy());
  else if (fault?.kind === "stall") response.write(body.subarray(0, fault.after));
  else response.end(body);
}

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function basicOf({ name, password }: { readonly name: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${name}:${password}`).toString("base64")}`;
}
