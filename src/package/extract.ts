/** Documents of a package as files: manifests to read, charts for `helm install`. */
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { KubestickError, errnoOf, isKubestickError, messageOf } from "../errors.ts";
import { temporaryName } from "./abandoned.ts";
import { CHART_KIND, MANIFEST_KIND } from "./carried-kinds.ts";
import { digestOf } from "./digest.ts";
import { syncDirectory } from "./package-output.ts";
import type { PackageDocument, PackageReader } from "./types.ts";

export interface ExtractedFile {
  readonly kind: string;
  readonly name: string;
  readonly path: string;
  readonly what: "written" | "unchanged";
}

/** `names`: these, or all when empty. A file that is there with other content is not touched: then nothing is written at all. */
export async function extractDocuments(reader: PackageReader, names: readonly string[], directory: string): Promise<readonly ExtractedFile[]> {
  // Keys and other documents are the program's own affair.
  const documents = reader.index.documents.filter(({ kind }) => kind === MANIFEST_KIND || kind === CHART_KIND);
  const absent = names.find((name) => !documents.some((document) => document.name === name));
  const failed = (happened: string, next: string, cause?: unknown): KubestickError => new KubestickError({ code: "EXTRACT_REFUSED", attempted: `taking documents out of ${reader.path}`, happened, next, cause });
  if (absent !== undefined) throw failed(`It carries no ${absent}${documents.length === 0 ? ", nor any other manifest or chart" : `, but ${documents.map(({ name }) => name).join(", ")}`}.`, `kubestick inspect ${reader.path}`);
  const wanted = documents.filter(({ name }) => names.length === 0 || names.includes(name));
  const planned = [];
  for (const document of wanted) planned.push({ document, ...(await place(document, wanted, directory, failed)) });
  await mkdir(directory, { recursive: true }).catch((error: unknown) => {
    throw failed(`The folder ${directory} could not be made: ${messageOf(error)}.`, "Name another one with -o.", error);
  });
  for (const { document, path, what } of planned) if (what === "written") await write(reader, document, path, failed);
  return planned.map(({ document: { kind, name }, path, what }) => ({ kind, name, path, what }));
}

/** What documents may be called: a name on any system, of this folder and no other. */
export function isFileName(name: string): boolean {
  return /^[A-Za-z0-9_][\w.+-]*$/.test(name);
}

type Failed = (happened: string, next: string, cause?: unknown) => KubestickError;

async function place(document: PackageDocument, all: readonly PackageDocument[], directory: string, failed: Failed): Promise<{ readonly path: string; readonly what: ExtractedFile["what"] }> {
  // Written as root, perhaps, from a name that a stranger chose.
  if (!isFileName(document.name)) throw failed(`The name ${JSON.stringify(document.name)} is none for a file.`, "Make the package again; this one was not written by kubestick.");
  const twins = all.filter(({ name }) => name === document.name).length > 1;
  const path = join(directory, twins ? `${document.kind}-${document.name}` : document.name);
  const present = await readFile(path).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
    throw failed(`${path} cannot be read: ${messageOf(error)}.`, "Name another folder with -o.", error);
  });
  if (present === undefined) return { path, what: "written" };
  if (digestOf(present) === document.digest) return { path, what: "unchanged" };
  throw failed(`${path} is there already, with other content. Nothing was written.`, "Name another folder with -o, or move that file away.");
}

/** Beside its place first, then renamed: a reader sees all of it or nothing. */
async function write(reader: PackageReader, { digest }: PackageDocument, path: string, failed: Failed): Promise<void> {
  const temporary = temporaryName(path);
  try {
    const file = await open(temporary, "wx", 0o644);
    try {
      // A disk that fills up takes a part of a chunk and says so at the next one only.
      for await (const chunk of reader.open(digest)) for (let written = 0; written < chunk.length; ) written += (await file.write(chunk, written)).bytesWritten;
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true });
    throw isKubestickError(error) ? error : failed(`${path} could not be written: ${messageOf(error)}.`, "Free some space or name another folder with -o.", error);
  }
}
