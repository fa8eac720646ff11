/**
 * What a package costs, as ratios to what everybody knows: `sha256sum`, `cp` and `ctr images import` of the same bytes, in turn, several rounds.
 *
 *   start    the executable, beside the bare Node executable inside it
 *   file     verify beside sha256sum; pack beside cp (with sync, since pack ends when the bytes are on the disk)
 *   import   `images load` beside ctr, into a containerd of its own that is empty every time (root)
 *
 * The file is in the page cache in all of it: medium and disk are not what is measured. Without a package at hand one is packed from the folder of
 * binaries that the end-to-end tests use; that is the pack with an empty cache.
 */
import { existsSync, mkdirSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { openPackage } from "../../src/package/reader.ts";
import { containerdDirectories } from "../../test/runtime/containerd-process.ts";
import { missingAssets } from "../../test/support/e2e-requirements.ts";
import { openPacking } from "../../test/support/e2e-stick.ts";
import { ctrImport, imagesLoad } from "./images-load.ts";
import { inWorkFolder, machine, machineText, markdownTable, measured, median, megabytes, settle, table, type Machine, type Measured } from "./measure.ts";
import { gzipArchives, withContainerd, zstdArchive } from "./side-load.ts";

export interface ThroughputOptions {
  readonly executable: string;
  /** Node's executable alone. */
  readonly node: string;
  /** Subject; default: one is packed. */
  readonly package?: string | undefined;
  readonly rounds: number;
  /** Of every start. */
  readonly starts: number;
  /** Where the work folder is made. */
  readonly work?: string | undefined;
}

export interface Start {
  readonly name: string;
  readonly minMs: number;
  readonly medianMs: number;
  readonly peakBytes: number;
}

export interface Row {
  readonly name: string;
  readonly bytes: number;
  /** Of every round. */
  readonly seconds: readonly number[];
  readonly medianSeconds: number;
  /** The installer's alone. */
  readonly peakBytes?: number;
}

export interface Throughput {
  readonly machine: Machine;
  readonly rounds: number;
  readonly starts: readonly Start[];
  /** First sha256sum, then cp, then ours. */
  readonly file: readonly Row[];
  /** First the loop of ctr, then ctr on one archive, then ours; empty where it cannot be measured. */
  readonly imports: readonly Row[];
  /** What was not measured, and what it takes. */
  readonly left: readonly string[];
}

const names = {
  sha256sum: "sha256sum", cp: "cp, sync", verify: "kubestick package verify", pack: "kubestick pack, all of it fetched before", packCold: "kubestick pack, empty cache (once)",
  loop: "ctr images import, gzip, one by one", archive: "ctr images import, one zstd archive", load: "kubestick images load",
} as const;

export function benchThroughput(options: ThroughputOptions): Promise<Throughput> {
  return inWorkFolder(options.work, async (folder) => {
    const left: string[] = [];
    const file = join(folder, "package");
    const absent = missingAssets();
    if (options.package === undefined && absent !== undefined) left.push(`pack, verify and import: no package was named with --package, and none can be packed here: ${absent}`);
    if (options.package !== undefined) left.push("pack: it is measured when no --package is named");
    const packing = options.package === undefined && absent === undefined ? await openPacking(join(folder, "cache"), { onProgress: say }) : undefined;
    try {
      let cold: Measured | undefined;
      if (packing !== undefined) {
        say("packing with an empty cache");
        cold = await measured(packing.argv(file), { env: packing.env });
      }
      const subject = options.package === undefined ? (cold === undefined ? undefined : file) : resolve(options.package);
      const starts = await measureStarts(options, subject);
      const rows = subject === undefined ? [] : await measureFile(options, { subject, folder, packing, cold });
      const imports = subject === undefined ? [] : await measureImports(options, { subject, folder, left });
      return { machine: machine(), rounds: options.rounds, starts, file: rows, imports, left };
    } finally {
      await packing?.close();
    }
  });
}

// ---------------------------------------------------------------- start

async function measureStarts({ executable, node, starts }: ThroughputOptions, subject: string | undefined): Promise<readonly Start[]> {
  const commands: readonly (readonly string[])[] = [["version"], ["--help"], ["config", "images", "list"], ...(subject === undefined ? [] : [["inspect", subject], ["inspect", subject, "--sbom", "spdx"], ["inspect", subject, "--licenses"]])];
  const subjects = [{ name: "node -e 0", argv: [node, "-e", "0"] }, ...commands.map((rest) => ({ name: `kubestick ${rest.map((word) => (word === subject ? "FILE" : word)).join(" ")}`, argv: [executable, ...rest] }))];
  const times = subjects.map((): number[] => []);
  // Once before it counts, and watched: looking at a process every few milliseconds would be part of times as short as these.
  const peaks: number[] = [];
  for (const { argv } of subjects) peaks.push((await measured(argv)).peakBytes);
  for (let run = 0; run < starts; run++) for (const [at, { argv }] of subjects.entries()) times[at]?.push((await measured(argv, { unwatched: true })).seconds * 1000);
  return subjects.map(({ name }, at) => ({ name, minMs: Math.min(...times[at] ?? []), medianMs: median(times[at] ?? []), peakBytes: peaks[at] ?? 0 }));
}

// ---------------------------------------------------------------- the file

interface FileParts {
  readonly subject: string;
  readonly folder: string;
  readonly packing: Awaited<ReturnType<typeof openPacking>> | undefined;
  readonly cold: Measured | undefined;
}

async function measureFile({ executable, rounds }: ThroughputOptions, { subject, folder, packing, cold }: FileParts): Promise<readonly Row[]> {
  const copy = join(folder, "copy");
  const bytes = statSync(subject).size;
  const ways: readonly { readonly name: string; readonly ours: boolean; run(): Promise<Measured> }[] = [
    { name: names.sha256sum, ours: false, run: () => measured(["sha256sum", subject]) },
    { name: names.cp, ours: false, run: () => measured(["sh", "-ec", "cp \"$1\" \"$2\"; sync \"$2\"", "sh", subject, copy]) },
    { name: names.verify, ours: true, run: () => measured([executable, "package", "verify", subject]) },
    ...(packing === undefined ? [] : [{ name: names.pack, ours: true, run: () => measured(packing.argv(copy), { env: packing.env }) }]),
  ];
  const runs = ways.map((): Measured[] => []);
  await measured(["cat", subject], { keep: 0, unwatched: true });
  for (let round = 1; round <= rounds; round++) {
    for (const [at, { run }] of ways.entries()) {
      await settle();
      runs[at]?.push(await run());
      rmSync(copy, { force: true });
    }
    say(`round ${round} of ${rounds}: ${ways.map(({ name }, at) => `${name} ${runs[at]?.at(-1)?.seconds.toFixed(1)} s`).join(", ")}`);
  }
  return [...ways.map(({ name, ours }, at) => row(name, bytes, runs[at] ?? [], ours)), ...(cold === undefined ? [] : [row(names.packCold, bytes, [cold], true)])];
}

// ---------------------------------------------------------------- import

async function measureImports({ executable, rounds }: ThroughputOptions, { subject, folder, left }: { readonly subject: string; readonly folder: string; readonly left: string[] }): Promise<readonly Row[]> {
  const [directory] = containerdDirectories();
  if (directory === undefined || process.getuid?.() !== 0) {
    left.push("import: it needs root, and containerd and ctr in KUBESTICK_CONTAINERD_DIRS, KUBESTICK_E2E_ASSETS/bin or PATH");
    return [];
  }
  const archives = join(folder, "archives");
  mkdirSync(archives, { recursive: true });
  const source = await openPackage(subject);
  say(`making archives of ${source.index.images.length} images`);
  const gzip = await gzipArchives(source, archives);
  const zstd = await zstdArchive(source, join(archives, "all.tar"));
  await source.close();
  const loop: Measured[] = [];
  const archive: Measured[] = [];
  const ours: Measured[] = [];
  for (let round = 1; round <= rounds; round++) {
    await settle();
    loop.push(await withContainerd(directory, async (daemon) => {
      const each = [];
      for (const path of gzip) each.push(await ctrImport(directory, path, daemon));
      return { seconds: each.reduce((sum, { seconds }) => sum + seconds, 0), peakBytes: 0, stdout: "" };
    }));
    await settle();
    archive.push(await withContainerd(directory, (daemon) => ctrImport(directory, zstd, daemon)));
    await settle();
    ours.push(await withContainerd(directory, (daemon) => imagesLoad(executable, subject, daemon)));
    say(`round ${round} of ${rounds}: one by one ${loop.at(-1)?.seconds.toFixed(1)} s, one archive ${archive.at(-1)?.seconds.toFixed(1)} s, images load ${ours.at(-1)?.seconds.toFixed(1)} s`);
  }
  // What all three carry is the same; so are the bytes of the second and the third. The first has its layers as gzip.
  const bytes = statSync(zstd).size;
  return [row(names.loop, gzip.reduce((sum, path) => sum + statSync(path).size, 0), loop, false), row(names.archive, bytes, archive, false), row(names.load, bytes, ours, true)];
}

function row(name: string, bytes: number, runs: readonly Measured[], ours: boolean): Row {
  const seconds = runs.map((run) => run.seconds);
  return { name, bytes, seconds, medianSeconds: median(seconds), ...(ours ? { peakBytes: Math.max(...runs.map((run) => run.peakBytes)) } : {}) };
}

function say(line: string): void {
  console.error(line);
}

// ---------------------------------------------------------------- text

interface Titled {
  readonly title: string;
  readonly rows: readonly (readonly string[])[];
}

function tablesOf({ starts, file, imports, rounds }: Throughput): readonly Titled[] {
  const [node] = starts;
  const [sha256sum, cp] = file;
  const [loop, archive] = imports;
  const memory = (peakBytes: number | undefined): string => (peakBytes === undefined ? "" : megabytes(peakBytes));
  const ratio = (value: number, base: number | undefined): string => (base === undefined ? "" : (value / base).toFixed(2));
  const rated = (rows: readonly Row[], bases: readonly (Row | undefined)[]): readonly (readonly string[])[] =>
    rows.map(({ name, bytes, medianSeconds, peakBytes }) => [name, medianSeconds.toFixed(2), Math.round(bytes / 1e6 / medianSeconds).toString(), ...bases.map((base) => ratio(medianSeconds, base?.medianSeconds)), memory(peakBytes)]);
  return [
    { title: "Start", rows: [["", "median ms", "min ms", "of node", "resident at most"], ...starts.map(({ name, medianMs, minMs, peakBytes }) => [name, medianMs.toFixed(1), minMs.toFixed(1), ratio(medianMs, node?.medianMs), memory(peakBytes)])] },
    ...(sha256sum === undefined ? [] : [{ title: `The file, ${megabytes(sha256sum.bytes)}, in the page cache; medians of ${rounds}`, rows: [["", "seconds", "MB/s", "of sha256sum", "of cp", "resident at most"], ...rated(file, [sha256sum, cp])] }]),
    ...(loop === undefined ? [] : [{ title: `Import into an empty containerd, medians of ${rounds}`, rows: [["", "seconds", "MB/s", "of one by one", "of one archive", "resident at most"], ...rated(imports, [loop, archive])] }]),
  ];
}

export function throughputText(result: Throughput): string {
  return [machineText(result.machine), ...tablesOf(result).flatMap(({ title, rows }) => ["", title, table(rows)]), ...result.left.map((line) => `\nnot measured: ${line}`)].join("\n");
}

/** A section of docs/performance.md. */
export function throughputMarkdown(result: Throughput): string {
  return [
    "Measured by `npm run bench`. A ratio is time to time, in turn in one run: below 1 is faster.",
    `Machine: ${machineText(result.machine)}.`,
    ...tablesOf(result).flatMap(({ title, rows }) => ["", `**${title}**`, "", markdownTable(rows.map((cells, at) => (at === 0 ? cells : [`\`${cells[0]}\``, ...cells.slice(1)])))]),
    ...result.left.map((line) => `\nNot measured: ${line}.`),
  ].join("\n");
}

export function requireExecutable(path: string, arch: string): void {
  if (!existsSync(path)) throw new Error(`${path} does not exist. Build it first: npm run build -- --arch ${arch}`);
}
