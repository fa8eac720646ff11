/**
 * A registry on loopback that serves an OCI image layout, read-only: what a `--registry-mirror` points at in the end-to-end tests.
 *
 * Implements the pull half of the OCI distribution specification (manifests by tag and digest, blobs with ranges), streaming from disk.
 * Repositories are the references without their registry's name, so one server stands in for all registries.
 */
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Descriptor } from "./image-builder.ts";

export interface LayoutRegistry {
  readonly url: string;
  /** Every request so far, `GET /v2/...`. */
  readonly requests: readonly string[];
  close(): Promise<void>;
}

interface TaggedDescriptor extends Descriptor {
  readonly annotations: { readonly "org.opencontainers.image.ref.name": string };
}

export async function serveImageLayout(folder: string): Promise<LayoutRegistry> {
  const index = JSON.parse(await readFile(join(folder, "index.json"), "utf8")) as { readonly manifests: readonly TaggedDescriptor[] };
  const tags = new Map(index.manifests.map((one) => {
    const [, repository, tag] = /^[^/]+\/(.+):([^:/]+)$/.exec(one.annotations["org.opencontainers.image.ref.name"]) ?? [];
    return [`${repository}:${tag}`, one] as const;
  }));
  const requests: string[] = [];

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = new URL(request.url ?? "/", "http://registry").pathname;
    requests.push(`${request.method} ${path}`);
    response.setHeader("Docker-Distribution-Api-Version", "registry/2.0");
    if (path === "/v2/") return void response.end("{}");
    const [, repository, kind, wanted] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(path) ?? [];
    const digest = wanted?.startsWith("sha256:") === true ? wanted : tags.get(`${repository}:${wanted}`)?.digest;
    const file = digest === undefined || !/^sha256:[0-9a-f]{64}$/.test(digest) ? undefined : join(folder, "blobs/sha256", digest.slice(7));
    const size = file === undefined ? undefined : await stat(file).then((found) => found.size, () => undefined);
    if (file === undefined || size === undefined) {
      response.writeHead(404, { "content-type": "application/json" });
      return void response.end(JSON.stringify({ errors: [{ code: kind === "manifests" ? "MANIFEST_UNKNOWN" : "BLOB_UNKNOWN", message: `unknown: ${path}` }] }));
    }
    const type = kind === "manifests" ? (JSON.parse(await readFile(file, "utf8")) as Descriptor).mediaType : "application/octet-stream";
    const [, from] = /^bytes=(\d+)-$/.exec(request.headers.range ?? "") ?? [];
    const start = Number(from ?? 0);
    response.writeHead(from === undefined ? 200 : 206, {
      "content-type": type,
      "content-length": size - start,
      "docker-content-digest": digest,
      "accept-ranges": "bytes",
      ...(from === undefined ? {} : { "content-range": `bytes ${start}-${size - 1}/${size}` }),
    });
    if (request.method === "HEAD") return void response.end();
    await pipeline(createReadStream(file, { start }), response);
  };

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : new Error(String(error))));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    close: () => new Promise((resolve, reject) => {
      server.close((error) => (error ? reject(error) : resolve()));
      server.closeAllConnections();
    }),
  };
}
