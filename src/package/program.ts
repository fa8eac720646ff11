/**
 * What a kubestick executable says of itself: its version, and what others wrote that is part of it, with licences.
 *
 * The build embeds that text. It is found by reading the executable's bytes and not by running it, because `pack` also writes files for other
 * processors. Before it stand its length and digest, so that a chance likeness is none.
 */
import { open } from "node:fs/promises";
import { Digester, digestOf, isDigest } from "./digest.ts";
import { readAt, scanRange } from "./file-bytes.ts";
import type { Digest } from "./types.ts";

/** Part of the executable: a library, the runtime, a text. */
export interface ProgramComponent {
  readonly name: string;
  readonly version: string;
  /** SPDX licence expression, as its package says; absent when it says none. */
  readonly license?: string;
  /** https://github.com/package-url/purl-spec */
  readonly purl?: string;
  readonly kind: "runtime" | "library" | "file";
  /** Keys of `texts`. */
  readonly licenseTexts: readonly string[];
}

export interface ProgramDescription {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly licenseTexts: readonly string[];
  readonly components: readonly ProgramComponent[];
  /** Licences of which the program has the standard text, for what is packed with it: identifier without `-only` and `-or-later` to a key of `texts`. */
  readonly standardTexts?: Readonly<Record<string, string>>;
  /** Licence texts as published, each once. */
  readonly texts: Readonly<Record<string, string>>;
}

export interface ProgramFacts {
  readonly digest: Digest;
  readonly size: number;
  readonly arch: string;
  /** undefined: it carries no description (made before there were any, or no kubestick at all). */
  readonly description: ProgramDescription | undefined;
}

/** In pieces, so that this program's own text is no match. */
const MARKER = ["kubestick", "program", "description"].join("-");
const HEADER_LENGTH = MARKER.length + 1 + 71 + 1 + 8 + 1;
const LONGEST = 8 * 1024 * 1024;

/** The text to embed: `MARKER sha256:... 00001234\n{...}`. */
export function embeddedDescription(description: ProgramDescription): string {
  const json = JSON.stringify(description);
  const bytes = Buffer.from(json);
  return `${MARKER} ${digestOf(bytes)} ${String(bytes.length).padStart(8, "0")}\n${json}`;
}

/** Reads the executable once. `offset`, `length`: of the program, without what stands around it. */
export async function readProgram(path: string, { arch, offset = 0, length }: { readonly arch: string; readonly offset?: number; readonly length: number }, signal?: AbortSignal): Promise<ProgramFacts> {
  const file = await open(path, "r");
  try {
    const digester = new Digester();
    const places: number[] = [];
    // What a chunk ends with may be the beginning of the marker.
    let tail = Buffer.alloc(0);
    let at = offset;
    await scanRange(file, offset, length, (bytes) => {
      digester.update(bytes);
      const find = (text: Buffer, begin: number): void => {
        for (let found = text.indexOf(MARKER); found >= 0; found = text.indexOf(MARKER, found + 1)) places.push(begin + found);
      };
      const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      find(Buffer.concat([tail, chunk.subarray(0, MARKER.length - 1)]), at - tail.length);
      find(chunk, at);
      tail = Buffer.concat([tail, chunk.subarray(-MARKER.length + 1)]).subarray(-MARKER.length + 1);
      at += bytes.length;
    }, signal);
    let description: ProgramDescription | undefined;
    for (const place of places) description ??= await descriptionAt((from, size) => readAt(file, place + from, size));
    return { digest: digester.digest(), size: length, arch, description };
  } finally {
    await file.close();
  }
}

async function descriptionAt(read: (offset: number, size: number) => Promise<Uint8Array>): Promise<ProgramDescription | undefined> {
  const [marker, digest, digits = "", more] = Buffer.from(await read(0, HEADER_LENGTH)).toString("latin1").trimEnd().split(" ");
  const size = Number(digits);
  if (marker !== MARKER || !isDigest(digest) || !/^\d{8}$/.test(digits) || size > LONGEST || more !== undefined) return undefined;
  const bytes = await read(HEADER_LENGTH, size);
  return digestOf(bytes) === digest ? (JSON.parse(Buffer.from(bytes).toString("utf8")) as ProgramDescription) : undefined;
}
