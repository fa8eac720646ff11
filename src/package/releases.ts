/**
 * Release servers as a source of files: the digest first, from where the project publishes it, then the bytes.
 *
 * A mirror stands in for a host: an address, or a folder laid out as `<host>/<path of the URL>`, which is read in place.
 */
import { readFile, stat } from "node:fs/promises";
import { createReadStream } from "node:fs";
import { basename, join } from "node:path";
import { KubestickError, errnoOf, messageOf } from "../errors.ts";
import type { BlobCache, BlobProgress } from "./blob-cache.ts";
import { Digester, isDigest } from "./digest.ts";
import { bodyFrom, isRangeFrom, rangeHeaders, unexpectedStatus, type HttpClient } from "./http.ts";
import type { ListedSource } from "./lists.ts";
import type { Digest } from "./types.ts";

/** HOST to URL or folder, as given with --download-mirror. */
export type DownloadMirrors = ReadonlyMap<string, string>;

type Location = { readonly url: string } | { readonly file: string; readonly folder: string };

export interface ReleaseFile {
  readonly path: string;
  readonly size: number;
  readonly fetched: number;
}

/** Checksum files are lists at most. */
const MAX_CHECKSUM_FILE = 1024 * 1024;

export class ReleaseServers {
  readonly #http: HttpClient;
  readonly #mirrors: DownloadMirrors;

  constructor(http: HttpClient, mirrors: DownloadMirrors) {
    this.#http = http;
    this.#mirrors = mirrors;
  }

  /** The digest the project publishes for this download. */
  async digestOf(source: ListedSource, signal?: AbortSignal): Promise<Digest> {
    if ("sha256" in source.check) return source.check.sha256;
    const text = await this.text(source.check.url, signal);
    const digest = digestFromChecksums(text, basename(new URL(source.url).pathname));
    if (digest !== undefined) return digest;
    throw new KubestickError({
      code: "PACK_CHECKSUM",
      attempted: `finding the digest of ${source.url}`,
      happened: `${source.check.url} does not name one for ${basename(source.url)}.`,
      next: "Check with a browser that this version is published; a mirror must carry the checksum files too.",
    });
  }

  /** The file itself, verified; from the cache when it is there. */
  async fetch(source: ListedSource, digest: Digest, cache: BlobCache, progress: BlobProgress, signal?: AbortSignal, onSize?: (total: number) => Promise<void>): Promise<ReleaseFile> {
    const location = this.#locate(source.url);
    const label = basename(source.url);
    if ("file" in location) return verifiedLocal(location.file, location.folder, digest, label, progress);
    const openAt = (start: number): AsyncIterable<Uint8Array> => this.#open(location.url, start, onSize, signal);
    return cache.ensure({ digest, label, from: location.url }, openAt, progress, signal);
  }

  async *#open(url: string, start: number, onSize: ((total: number) => Promise<void>) | undefined, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    const response = await this.#http.get(url, { headers: rangeHeaders(start), signal });
    if (response.status === 200 || isRangeFrom(response, start)) {
      const length = Number(response.header("content-length"));
      if (Number.isSafeInteger(length)) {
        try {
          await onSize?.(length + (response.status === 206 ? start : 0));
        } catch (error) {
          await response.cancel();
          throw error;
        }
      }
      yield* bodyFrom(response, start);
      return;
    }
    await response.cancel();
    // The partial file is already complete; its digest says whether it is the right one.
    if (response.status === 416 && start > 0) return;
    throw unexpectedStatus(url, response.status);
  }

  /** A small text file: checksums, a version. */
  async text(address: string, signal?: AbortSignal): Promise<string> {
    const location = this.#locate(address);
    if ("file" in location) {
      return readFile(location.file, "utf8").catch((error: unknown) => {
        throw notInFolder(location.file, location.folder, error);
      });
    }
    return this.#http.whole(location.url, async () => {
      const response = await this.#http.get(location.url, { signal });
      if (response.status === 200) return response.text(MAX_CHECKSUM_FILE);
      await response.cancel();
      throw unexpectedStatus(location.url, response.status);
    }, signal);
  }

  #locate(address: string): Location {
    const url = new URL(address);
    const mirror = this.#mirrors.get(url.host);
    if (mirror === undefined) return { url: address };
    if (/^https?:\/\//.test(mirror)) return { url: `${mirror.replace(/\/+$/, "")}${url.pathname}${url.search}` };
    return { file: join(mirror, url.host, decodeURIComponent(url.pathname)), folder: mirror };
  }
}

async function verifiedLocal(path: string, folder: string, digest: Digest, label: string, progress: BlobProgress): Promise<ReleaseFile> {
  const digester = new Digester();
  try {
    if (!(await stat(path)).isFile()) throw new Error("it is no regular file");
    for await (const chunk of createReadStream(path)) {
      digester.update(chunk as Uint8Array);
      progress(digester.size);
    }
  } catch (error) {
    throw notInFolder(path, folder, error);
  }
  const found = digester.digest();
  if (found === digest) return { path, size: digester.size, fetched: 0 };
  throw new KubestickError({
    code: "PACK_DIGEST",
    attempted: `reading ${label} from the folder ${folder}`,
    happened: `${path} has digest ${found}; expected is ${digest}.`,
    next: "Fetch the file and its checksum file again from the project's release page.",
  });
}

function notInFolder(path: string, folder: string, error: unknown): KubestickError {
  return new KubestickError({
    code: "PACK_MIRROR_FILE",
    attempted: `reading a download from the folder ${folder}`,
    happened: errnoOf(error) === "ENOENT" ? `${path} is not there.` : `${path} cannot be read: ${messageOf(error)}.`,
    next: "Put the file at exactly that path; the folder is laid out as <host>/<path of the URL>, checksum files included.",
    cause: error,
  });
}

/**
 * From what projects publish: the bare digest, `digest  name`, or a list of such lines in which the name may carry a path or sha256sum's
 * mark for binary mode. A lone line is taken whatever its name: containerd and others name the file as it was on the build machine.
 */
export function digestFromChecksums(text: string, name: string): Digest | undefined {
  const lines = text.split("\n").flatMap((line) => {
    const [, hex, file] = /^\s*([0-9a-fA-F]{64})(?:\s+\*?(\S.*?))?\s*$/.exec(line) ?? [];
    return hex === undefined ? [] : [{ digest: `sha256:${hex.toLowerCase()}`, file: file === undefined ? undefined : basename(file) }];
  });
  const chosen = lines.find(({ file }) => file === name) ?? (lines.length === 1 ? lines[0] : undefined);
  return isDigest(chosen?.digest) ? chosen.digest : undefined;
}
