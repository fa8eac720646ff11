/**
 * Registries as a source of images (OCI distribution specification, pull part).
 *
 * A mirror replaces its host: nothing is asked of the original when one is named, so a site's rule of what may be contacted holds.
 */
import { KubestickError } from "../errors.ts";
import { digestOf, isDigest } from "./digest.ts";
import { bodyFrom, isLoopback, isRangeFrom, rangeHeaders, unexpectedStatus, type HttpClient, type HttpResponse } from "./http.ts";
import { ACCEPTED_TYPES, MAX_DOCUMENT, collect, type BlobRequest, type ImageSource } from "./image.ts";
import type { Reference } from "./reference.ts";
import type { RegistryAuth } from "./registry-auth.ts";
import type { PackageDescriptor } from "./types.ts";

/** Where the requests for a registry go. */
interface Endpoint {
  /** `https://registry-1.docker.io` */
  readonly origin: string;
  /** Put before every repository: the project of a proxy cache, with a slash at its end, or empty. */
  readonly prefix: string;
  /** Key of the login. */
  readonly host: string;
}

/** HOST to URL, as given with --registry-mirror. */
export type Mirrors = ReadonlyMap<string, string>;

export class RegistrySource implements ImageSource {
  readonly description = "its registry";
  readonly local = false;
  readonly #http: HttpClient;
  readonly #auth: RegistryAuth;
  readonly #mirrors: Mirrors;

  constructor(http: HttpClient, auth: RegistryAuth, mirrors: Mirrors) {
    this.#http = http;
    this.#auth = auth;
    this.#mirrors = mirrors;
  }

  async resolve(reference: Reference, signal?: AbortSignal): Promise<{ descriptor: PackageDescriptor; bytes: Uint8Array } | undefined> {
    const endpoint = endpointFor(reference.registry, this.#mirrors);
    const version = reference.digest ?? reference.tag ?? "latest";
    const answer = await this.#http.whole(endpoint.origin, async () => {
      const response = await this.#get(endpoint, reference, `manifests/${version}`, { accept: ACCEPTED_TYPES.join(", ") }, signal);
      if (response.status === 200) return { response, bytes: await collect(response.body, MAX_DOCUMENT) };
      await response.cancel();
      if (response.status === 404) return undefined;
      throw unexpectedStatus(response.url, response.status);
    }, signal);
    if (answer === undefined) return undefined;
    const { response, bytes } = answer;
    const digest = digestOf(bytes);
    const announced = response.header("docker-content-digest");
    if (isDigest(announced) && announced !== digest) {
      throw new KubestickError({
        code: "REGISTRY_DIGEST",
        attempted: `resolving ${reference.canonical}`,
        happened: `${response.url} announced ${announced} and sent ${bytes.length} bytes of digest ${digest}.`,
        next: "Something between here and the registry changes what it sends; ask another way, e.g. with --registry-mirror.",
      });
    }
    const mediaType = (response.header("content-type") ?? "").split(";")[0]?.trim() ?? "";
    return { descriptor: { mediaType: mediaType === "" ? "application/json" : mediaType, digest, size: bytes.length }, bytes };
  }

  read(request: BlobRequest, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#http.whole(request.reference.canonical, () => collect(this.open(request, 0, signal), request.descriptor.size), signal);
  }

  async *open({ reference, descriptor }: BlobRequest, start: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const endpoint = endpointFor(reference.registry, this.#mirrors);
    const isManifest = ACCEPTED_TYPES.includes(descriptor.mediaType);
    const path = `${isManifest ? "manifests" : "blobs"}/${descriptor.digest}`;
    const response = await this.#get(endpoint, reference, path, { ...(isManifest ? { accept: descriptor.mediaType } : {}), ...rangeHeaders(start) }, signal);
    if (response.status === 200 || isRangeFrom(response, start)) {
      yield* bodyFrom(response, start);
      return;
    }
    await response.cancel();
    // Nothing left to send: what we have is complete, or its digest will tell that it is not.
    if (response.status === 416) return;
    throw unexpectedStatus(response.url, response.status);
  }

  async #get(endpoint: Endpoint, reference: Reference, path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal | undefined): Promise<HttpResponse> {
    const repository = endpoint.prefix + reference.repository;
    const url = `${endpoint.origin}/v2/${repository}/${path}`;
    const send = (authorization: string | undefined): Promise<HttpResponse> =>
      this.#http.get(url, { headers: authorization === undefined ? headers : { ...headers, authorization }, signal });

    let response = await send(this.#auth.known(endpoint.host, repository));
    if (response.status === 401) {
      // A first visit, or a token that ran out during a long download.
      const challenges = response.headers("www-authenticate");
      await response.cancel();
      const answer = await this.#auth.answer(endpoint.host, repository, challenges, signal);
      if (answer !== undefined) response = await send(answer);
    }
    if (response.status !== 401 && response.status !== 403) return response;
    await response.cancel();
    throw new KubestickError({
      code: "REGISTRY_DENIED",
      attempted: `reading ${reference.canonical} from ${endpoint.origin}`,
      happened: `The registry answered ${response.status}: it does not let us read ${repository}. Some registries say this for names that do not exist.`,
      next: this.#auth.advice(endpoint.host),
    });
  }
}

/** https, except for registries on this machine's loopback, which have no certificate; docker's rule. */
function endpointFor(registry: string, mirrors: Mirrors): Endpoint {
  const mirror = mirrors.get(registry);
  if (mirror !== undefined) {
    const url = new URL(mirror);
    // Both spellings are in use: https://harbor/proxy and https://harbor/v2/proxy.
    const prefix = url.pathname.replace(/^\/v2(?=\/|$)/, "").replace(/^\/+|\/+$/g, "");
    return { origin: url.origin, prefix: prefix === "" ? "" : `${prefix}/`, host: url.host };
  }
  if (registry === "docker.io") return { origin: "https://registry-1.docker.io", prefix: "", host: "docker.io" };
  const scheme = isLoopback(registry.replace(/:\d+$/, "")) ? "http" : "https";
  return { origin: `${scheme}://${registry}`, prefix: "", host: registry };
}
