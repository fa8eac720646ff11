/**
 * Writes a stick: the executable (or, for several processors, the lines that start one, and the programs), the entries, the index and the footer, as one file.
 *
 * Nothing about the file is decided while it is written: sizes and digests of all entries are known before, so the header at the front
 * can name the final length and no byte is ever written twice. Equal inputs give equal bytes: no times, no host names, the given order.
 */
import { open } from "node:fs/promises";
import { KubestickError } from "../errors.ts";
import { CHUNK_HASH_SIZE, ChunkList, chunkCount } from "./chunks.ts";
import { Digester, digestOf } from "./digest.ts";
import { EXECUTABLE } from "./damage.ts";
import { executableBytes, inspectExecutables, type BareExecutable } from "./executables.ts";
import { packageCorrupt } from "./failures.ts";
import { scanRange } from "./file-bytes.ts";
import { FOOTER_SIZE, HASH_CHUNK_SIZE, HEADER_SIZE, encodeFooter, encodeHeader, payloadStartFor } from "./format.ts";
import { encodeIndex } from "./package-index.ts";
import { leftOverParts, plannedParts, titleOf, writeOutput, type OutputFile, type PackageOutput } from "./package-output.ts";
import { frontEnd } from "./part-format.ts";
import { encodeSignatures, signIndex, signaturesLength, type PackageSigningKey } from "./signatures.ts";
import { ANY_ARCH, STARTER_SIZE, starterText } from "./starter.ts";
import type { ByteProgress, Digest, PackageContent, PackageEntry } from "./types.ts";

/** An entry before it has a place in a file. `open` gives its stored bytes; they are verified against `stored` and `length` while written. */
export interface EntrySource extends Omit<PackageEntry, "offset" | "chunks"> {
  readonly open: () => AsyncIterable<Uint8Array>;
}

export interface WriteOptions {
  /** A kubestick executable, with or without a package: only its programs are taken. Or the programs, one for each architecture of the content. */
  readonly executable: string | readonly BareExecutable[];
  readonly output: string;
  readonly content: PackageContent;
  /** In the order they are to be read. Of several with the same digest the first is written. */
  readonly entries: readonly EntrySource[];
  /** Largest file, in bytes: a package that is longer becomes several files. Default: one file. */
  readonly split?: number | undefined;
  /** Who signs the index; nobody when left out. */
  readonly signingKeys?: readonly PackageSigningKey[] | undefined;
  readonly progress?: (phase: "write" | "verify", event: Parameters<ByteProgress>[0]) => void;
  readonly signal?: AbortSignal;
}

export interface WrittenPackage {
  readonly path: string;
  readonly size: number;
  /** Of the whole file, what `sha256sum` prints. */
  readonly digest: Digest;
  /** One, or the parts in order. */
  readonly files: readonly OutputFile[];
  /** Files with names of its parts that an earlier package left. */
  readonly leftOver: readonly string[];
}

/**
 * Writes to a temporary file beside `output`, reads it back and verifies every byte, then renames. An existing output is replaced only
 * by a verified one; it may be the running executable itself.
 */
export async function writePackage(options: WriteOptions): Promise<WrittenPackage> {
  const { output, content, split, progress, signal, signingKeys = [] } = options;
  const executables = typeof options.executable === "string" ? await inspectExecutables(options.executable) : options.executable;
  const programs = await Promise.all(executables.map((executable) => scanned(executable, signal)));
  const [only, ...others] = programs;
  if (only === undefined) throw new TypeError("a package needs a program");
  const several = others.length > 0 ? programs : [];
  const sources = firstOfEachDigest([...several.map(programEntry), ...options.entries]);
  const frontLength = several.length > 0 ? STARTER_SIZE : only.length;
  const start = payloadStartFor(frontLength);
  const entriesOffset = start + HEADER_SIZE;
  const entries = placed(sources, entriesOffset);
  const front = several.length > 0 ? starterFront(several, entries) : { ...only, open: () => executableBytes(only) };
  const platforms = several.length === 0 ? content.platforms : withPrograms(content.platforms, several);
  const indexOffset = entries.reduce((_, entry) => entry.offset + entry.length, entriesOffset);
  // Chunk hashes are found while writing. Their place in the index has the same length before.
  const indexWith = (chunks: readonly Uint8Array[]): Uint8Array =>
    encodeIndex({
      ...content,
      platforms,
      chunkSize: HASH_CHUNK_SIZE,
      executable: { arch: front.arch, length: front.length, digest: front.digest, chunks: front.chunks },
      entries: entries.map((entry, number) => ({ ...entry, chunks: chunks[number] ?? entry.chunks })),
    });
  const indexLength = indexWith([]).length;
  const signed = signaturesLength(signingKeys);
  const fileLength = indexOffset + indexLength + signed + FOOTER_SIZE;
  const shape = { payloadStart: start, frontEnd: frontEnd(entries, several.map(({ digest }) => digest), entriesOffset), indexOffset, fileLength, chunkSize: HASH_CHUNK_SIZE, entries };
  const plan = split === undefined ? undefined : plannedParts(output, shape, split, digestOf(""), titleOf(content));
  const header = encodeHeader({ fileLength, executableLength: front.length, executable: front.digest });

  const { digest, files } = await writeOutput(output, { fileLength, plan }, async (out) => {
    for await (const chunk of front.open()) await out.write(chunk);
    await out.write(new Uint8Array(start - front.length));
    await out.write(header);
    const chunks: Uint8Array[] = [];
    for (const entry of sources) chunks.push(await writeEntry(out, entry, fileLength, progress, signal));
    const index = indexWith(chunks);
    const id = digestOf(index);
    await out.write(index);
    const signatures = encodeSignatures(signingKeys.map((key) => signIndex(index, key)));
    await out.write(signatures);
    await out.write(encodeFooter({ payloadStart: start, indexOffset, indexLength: index.length, index: id, signaturesLength: signed, signatures: digestOf(signatures) }));
    return { id, value: undefined };
  }, (event) => progress?.("verify", event), signal);
  return { path: output, size: fileLength, digest, files, leftOver: plan === undefined ? [] : await leftOverParts(output, files) };
}

interface ScannedProgram extends BareExecutable {
  readonly digest: Digest;
  readonly chunks: Uint8Array;
}

async function scanned(executable: BareExecutable, signal: AbortSignal | undefined): Promise<ScannedProgram> {
  const file = await open(executable.path, "r");
  try {
    const digester = new Digester();
    const chunks = new ChunkList(HASH_CHUNK_SIZE);
    await scanRange(file, executable.offset, executable.length, (bytes) => {
      digester.update(bytes);
      chunks.update(bytes);
    }, signal);
    const digest = digester.digest();
    // Else the new package would vouch for bytes that the one they come from does not know.
    if (executable.packed !== undefined && executable.packed !== digest) throw packageCorrupt(executable.path, EXECUTABLE, "its bytes are not the ones that were packed");
    return { ...executable, digest, chunks: chunks.end() };
  } finally {
    await file.close();
  }
}

function programEntry(program: ScannedProgram): EntrySource {
  const { arch, digest, length } = program;
  return { digest, size: length, encoding: "identity", length, stored: digest, label: `the executable for ${arch}`, open: () => executableBytes(program) };
}

/** The lines that choose a program; they know where each begins. */
function starterFront(programs: readonly ScannedProgram[], entries: readonly PackageEntry[]): Omit<ScannedProgram, "path" | "offset"> & Pick<EntrySource, "open"> {
  const text = starterText(programs.map(({ arch, digest, length }) => ({ arch, offset: entries.find((entry) => entry.digest === digest)?.offset ?? 0, size: length })));
  const chunks = new ChunkList(HASH_CHUNK_SIZE);
  chunks.update(text);
  return { arch: ANY_ARCH, length: text.length, digest: digestOf(text), chunks: chunks.end(), open: async function* () { yield text; } };
}

function withPrograms(platforms: PackageContent["platforms"], programs: readonly ScannedProgram[]): PackageContent["platforms"] {
  if (platforms.length !== programs.length) throw new TypeError(`${platforms.length} architectures and ${programs.length} programs`);
  return platforms.map((platform) => {
    const program = programs.find(({ arch }) => arch === platform.arch);
    if (program === undefined) throw new TypeError(`no program for ${platform.arch}`);
    return { ...platform, program: { digest: program.digest, size: program.length } };
  });
}

/** The chunk hashes of what was written. */
async function writeEntry(file: PackageOutput, entry: EntrySource, total: number, progress: WriteOptions["progress"], signal: AbortSignal | undefined): Promise<Uint8Array> {
  const digester = new Digester();
  const chunks = new ChunkList(HASH_CHUNK_SIZE);
  for await (const chunk of entry.open()) {
    signal?.throwIfAborted();
    digester.update(chunk);
    if (digester.size > entry.length) break;
    chunks.update(chunk);
    await file.write(chunk);
    progress?.("write", { done: file.length, total, label: entry.label });
  }
  const found = digester.digest();
  if (digester.size === entry.length && found === entry.stored) return chunks.end();
  throw new KubestickError({
    code: "PACK_SOURCE_CHANGED",
    attempted: `writing ${entry.label} into the package`,
    happened: `Its bytes are not the ones found when it was collected: ${found} (${digester.size} bytes) instead of ${entry.stored} (${entry.length} bytes).`,
    next: "Run the same command again; if it happens again, the disk that holds the cache or the --images folder is failing.",
  });
}

function firstOfEachDigest(sources: readonly EntrySource[]): readonly EntrySource[] {
  const kept = new Map<Digest, EntrySource>();
  for (const source of sources) if (!kept.has(source.digest)) kept.set(source.digest, source);
  return [...kept.values()];
}

function placed(sources: readonly EntrySource[], first: number): readonly PackageEntry[] {
  let offset = first;
  return sources.map(({ digest, size, encoding, length, stored, label }) => {
    const chunks = new Uint8Array(chunkCount(length, HASH_CHUNK_SIZE) * CHUNK_HASH_SIZE);
    const entry: PackageEntry = { digest, size, encoding, offset, length, stored, label, chunks };
    offset += length;
    return entry;
  });
}
