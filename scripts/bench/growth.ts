/**
 * What happens to time and memory when things grow: many images, a large image, a large file, many nodes at once. Every point is measured alone; the
 * curves say whether time is proportional and memory flat.
 *
 *   images    N images of 1 MB, added to a package with `package add` and loaded with `images load`; loaded again, when all of it is known
 *   size      one image of so many GB, the same way
 *   file      packages of so many GB: verified, and copied by an addition of a few bytes; and packed with a Kubernetes in them whose parts are in the cache, where there are binaries to pack
 *   nodes     so many nodes that join one control plane at the same moment (discovery, certificate, Node), all of them in one process
 *
 * Root. Containerd and control plane are the bench's own, below its work folder, and end with it.
 */
import { mkdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writePackage } from "../../src/package/writer.ts";
import { caPin } from "../../src/pki/inspect.ts";
import { containerdDirectories } from "../../test/runtime/containerd-process.ts";
import { ControlPlaneProcess, controlPlanePrograms } from "../../test/support/control-plane-process.ts";
import { missingAssets } from "../../test/support/e2e-requirements.ts";
import { openPacking } from "../../test/support/e2e-stick.ts";
import { chart, type Panel } from "./chart.ts";
import { writeGeneratedLayout } from "./generated-layout.ts";
import { imagesLoad } from "./images-load.ts";
import { freeBytes, inWorkFolder, machine, machineText, markdownTable, measured, settle, table, type Machine, type Measured } from "./measure.ts";
import { withContainerd } from "./side-load.ts";

export interface GrowthOptions {
  readonly executable: string;
  readonly arch: string;
  /** A tenth of everything. */
  readonly quick: boolean;
  /** Names of series; all when empty. */
  readonly only: readonly string[];
  readonly work?: string | undefined;
}

export interface GrowthPoint {
  /** How many, or how many gigabytes (10^9 bytes). */
  readonly units: number;
  readonly seconds: number;
  /** Of the one process that does it. */
  readonly peakBytes: number;
}

export interface GrowthLine {
  readonly name: string;
  readonly points: readonly GrowthPoint[];
}

export interface GrowthSeries {
  readonly id: string;
  readonly title: string;
  /** One of what grows, and its plural as the axis has it. */
  readonly unit: string;
  readonly axis: string;
  readonly lines: readonly GrowthLine[];
}

export interface Growth {
  readonly machine: Machine;
  readonly quick: boolean;
  readonly series: readonly GrowthSeries[];
  readonly left: readonly string[];
}

interface Bench {
  readonly executable: string;
  readonly arch: string;
  readonly folder: string;
  /** The executable with a package that holds nothing. */
  readonly base: string;
  readonly containerd: string;
}

const GB = 1e9;
/** What the larger of the series has on the disk at the same moment, with room to spare. */
const ROOM = { full: 36 * GB, quick: 5 * GB } as const;

export function benchGrowth({ executable, arch, quick, only, work }: GrowthOptions): Promise<Growth> {
  const all = {
    images: { run: manyImages, steps: quick ? [12, 25, 50, 100] : [125, 250, 500, 1000] },
    size: { run: largeImage, steps: quick ? [0.06, 0.12, 0.25, 0.5] : [0.6, 1.2, 2.5, 5] },
    file: { run: largeFile, steps: quick ? [0.125, 0.25, 0.5, 1] : [1.25, 2.5, 5, 10] },
    nodes: { run: manyNodes, steps: quick ? [2, 4, 6, 12] : [12, 25, 50, 100] },
  } as const;
  const unknown = only.find((name) => !(name in all));
  if (unknown !== undefined) throw new Error(`--only ${unknown} is no series: ${Object.keys(all).join(", ")}`);
  const [containerd] = containerdDirectories();
  if (process.getuid?.() !== 0 || containerd === undefined) throw new Error("this needs root, and containerd and ctr in KUBESTICK_CONTAINERD_DIRS, KUBESTICK_E2E_ASSETS/bin or PATH");
  return inWorkFolder(work, async (folder) => {
    const [needed, free] = [quick ? ROOM.quick : ROOM.full, freeBytes(folder)];
    if (free < needed) throw new Error(`this needs ${needed / GB} GB in ${folder}, ${Math.floor(free / GB)} GB are free. Name another place with --work DIR, or try --quick`);
    const base = join(folder, "base");
    await writePackage({ executable, output: base, content: { kubernetesVersion: "v1.36.2", cni: "none", platforms: [{ arch, images: [], binaries: [] }], documents: [] }, entries: [] });
    const bench = { executable, arch, folder, base, containerd };
    const series: GrowthSeries[] = [];
    const left: string[] = [];
    for (const [name, { run, steps }] of Object.entries(all)) {
      if (only.length > 0 && !only.includes(name)) continue;
      const found = await run(bench, steps, left);
      if (found !== undefined) series.push(found);
    }
    return { machine: machine(), quick, series, left };
  });
}

// ---------------------------------------------------------------- images

async function manyImages(bench: Bench, steps: readonly number[]): Promise<GrowthSeries> {
  const lines = await addAndLoad(bench, steps, (count) => Array.from({ length: count }, (_, number) => ({ reference: `bench.example/many/image-${number}:1`, bytes: 1e6 })));
  return { id: "images", title: "Many images of 1 MB", unit: "image", axis: "images", lines };
}

async function largeImage(bench: Bench, steps: readonly number[]): Promise<GrowthSeries> {
  const lines = await addAndLoad(bench, steps, (gigabytes) => [{ reference: "bench.example/large:1", bytes: gigabytes * GB }]);
  return { id: "size", title: "One large image", unit: "GB", axis: "GB", lines };
}

async function addAndLoad(bench: Bench, steps: readonly number[], images: (units: number) => readonly { readonly reference: string; readonly bytes: number }[]): Promise<readonly GrowthLine[]> {
  const [add, load, again] = [new Line("package add"), new Line("images load"), new Line("images load, all known")];
  const [layout, file] = [join(bench.folder, "layout"), join(bench.folder, "package")];
  for (const units of steps) {
    await writeGeneratedLayout(layout, images(units), bench.arch);
    await settle();
    add.took(units, await measured([bench.executable, "package", "add", layout, "--from", bench.base, "-o", file]));
    rmSync(layout, { recursive: true });
    await settle();
    await withContainerd(bench.containerd, async (daemon) => {
      load.took(units, await imagesLoad(bench.executable, file, daemon));
      again.took(units, await imagesLoad(bench.executable, file, daemon));
    });
    rmSync(file);
  }
  return [add, load, again];
}

// ---------------------------------------------------------------- file

async function largeFile(bench: Bench, steps: readonly number[], left: string[]): Promise<GrowthSeries> {
  const [verify, add, pack] = [new Line("package verify"), new Line("package add, a manifest"), new Line("pack")];
  const [first = 1] = steps;
  const at = (name: string): string => join(bench.folder, name);
  const manifest = at("shop.yaml");
  writeFileSync(manifest, "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: shop, namespace: default }\n");
  const layouts: string[] = [];
  const name = (number: number): string => `bench.example/file/part-${number}:1`;
  let [file, size] = [bench.base, 0];
  for (const gigabytes of steps) {
    const fresh: string[] = [];
    while ((layouts.length + 0.5) * first < gigabytes) {
      const layout = at(`layout-${layouts.length}`);
      await writeGeneratedLayout(layout, [{ reference: name(layouts.length), bytes: first * GB }], bench.arch);
      layouts.push(layout);
      fresh.push(layout);
    }
    const next = at(`file-${gigabytes}`);
    await measured([bench.executable, "package", "add", ...fresh, "--from", file, "-o", next]);
    if (file !== bench.base) rmSync(file);
    [file, size] = [next, statSync(next).size / GB];
    await settle();
    verify.took(size, await measured([bench.executable, "package", "verify", file]));
    await settle();
    add.took(size, await measured([bench.executable, "package", "add", manifest, "--from", file, "-o", at("copy")]));
    rmSync(at("copy"));
  }
  rmSync(file);
  const absent = missingAssets();
  if (absent !== undefined) left.push(`pack of large files: ${absent}`);
  if (absent === undefined) {
    const [images, known, cache, packed] = [at("images"), at("known"), at("cache"), at("packed")];
    const packing = await openPacking(cache, { onProgress: say });
    try {
      // Kubernetes itself is the same in all of them and takes its minute once, before it counts.
      say("packing without ballast, to fill the cache");
      await measured(packing.argv(packed), { env: packing.env });
      renameSync(cache, known);
      for (const gigabytes of steps) {
        const taken = layouts.slice(0, Math.round(gigabytes / first));
        mkdirSync(images);
        // Links take no room.
        for (const link of [[known, cache], [...taken, images]]) await measured(["cp", "--recursive", "--link", ...link], { unwatched: true });
        await settle();
        const took = await measured([...packing.argv(packed), "--images", images, ...taken.flatMap((_, number) => ["--image", name(number)])], { env: packing.env });
        pack.took(statSync(packed).size / GB, took);
        for (const made of [images, cache, packed]) rmSync(made, { recursive: true });
      }
    } finally {
      await packing.close();
    }
    rmSync(known, { recursive: true });
  }
  for (const layout of layouts) rmSync(layout, { recursive: true });
  return { id: "file", title: "A large package file", unit: "GB", axis: "GB", lines: [verify, add, ...(pack.points.length === 0 ? [] : [pack])] };
}

// ---------------------------------------------------------------- nodes

async function manyNodes(bench: Bench, steps: readonly number[], left: string[]): Promise<GrowthSeries | undefined> {
  const programs = controlPlanePrograms();
  if (programs === undefined) {
    left.push("nodes: no etcd, kube-apiserver and kube-controller-manager in KUBESTICK_E2E_ASSETS/bin or PATH");
    return undefined;
  }
  const line = new Line("all registered");
  const plane = new ControlPlaneProcess(programs);
  try {
    await plane.start();
    const { stdout } = await measured([bench.executable, "token", "create", "--kubeconfig", plane.kubeconfigPath], { unwatched: true });
    const joins = (count: number, prefix: string): Promise<Measured> => measured([process.execPath, join(import.meta.dirname, "growth-joins-child.ts"), plane.address, stdout.trim(), caPin(plane.ca.caPem), String(count), prefix]);
    await joins(3, "first");
    for (const count of steps) {
      const run = await joins(count, `of-${count}`);
      // Without the start of Node, which is no part of it.
      line.took(count, { ...run, seconds: Number(run.stdout) });
    }
  } finally {
    await plane.remove();
  }
  return { id: "nodes", title: "Nodes that join at the same moment", unit: "node", axis: "nodes, simulated in one process", lines: [line] };
}

class Line implements GrowthLine {
  readonly points: GrowthPoint[] = [];
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  took(units: number, { seconds, peakBytes }: Measured): void {
    this.points.push({ units: Number(units.toPrecision(3)), seconds, peakBytes });
    say(`${this.name}, ${units.toPrecision(3)}: ${seconds.toFixed(2)} s, ${Math.round(peakBytes / 1e6)} MB`);
  }
}

function say(line: string): void {
  console.error(line);
}

// ---------------------------------------------------------------- judgement

/** Time for one unit at the largest point over that at the smallest. A fixed beginning makes it smaller than 1. */
export function timeRatio({ points }: GrowthLine): number {
  const [first, last] = [points[0], points.at(-1)];
  return first === undefined || last === undefined ? Number.NaN : last.seconds / last.units / (first.seconds / first.units);
}

/** Bytes that the largest point needs more than the smallest. */
export function memoryGrowth({ points }: GrowthLine): number {
  return (points.at(-1)?.peakBytes ?? 0) - (points[0]?.peakBytes ?? 0);
}

function judgement(line: GrowthLine): string {
  const ratio = timeRatio(line);
  const more = memoryGrowth(line);
  const time = ratio > 1.25 ? "time grows faster than the number" : ratio < 0.8 ? "time grows slower than the number" : "time is proportional";
  const memory = more > 0.2 * (line.points[0]?.peakBytes ?? 0) ? `memory grows by ${Math.round(more / 1e6)} MB` : "memory is flat";
  return `${line.name}: ${time} (${ratio.toFixed(2)} for one, largest to smallest), ${memory}`;
}

function rowsOf({ lines, unit }: GrowthSeries): readonly (readonly string[])[] {
  return [
    [unit === "GB" ? "GB" : `${unit}s`, "", "seconds", `ms for one ${unit}`, "resident at most"],
    ...lines.flatMap(({ name, points }) => points.map(({ units, seconds, peakBytes }) => [String(units), name, seconds.toFixed(2), ((seconds / units) * 1000).toFixed(seconds / units < 0.1 ? 1 : 0), `${Math.round(peakBytes / 1e6)} MB`])),
  ];
}

export function growthText({ machine: where, series, left, quick }: Growth): string {
  return [
    machineText(where), ...(quick ? ["a tenth of everything (--quick)"] : []),
    ...series.flatMap((one) => ["", one.title, table(rowsOf(one)), ...one.lines.map((line) => `  ${judgement(line)}`)]),
    ...left.map((line) => `\nnot measured: ${line}`),
  ].join("\n");
}

/** A section of docs/performance.md. `svg`: the chart's path from there. */
export function growthMarkdown({ machine: where, series, left, quick }: Growth, svg: string): string {
  return [
    `Measured by \`npm run bench -- --growth${quick ? " --quick" : ""}\`, every point once and alone. Machine: ${machineText(where)}.`, "",
    `![Time and memory of things that grow](${svg})`,
    ...series.flatMap((one) => ["", `**${one.title}**`, "", markdownTable(rowsOf(one).map((cells) => [cells[1] ?? "", cells[0] ?? "", ...cells.slice(2)])), "", ...one.lines.map((line) => `- ${judgement(line)}`)]),
    ...left.map((line) => `\nNot measured: ${line}.`),
  ].join("\n");
}

export function growthChart({ machine: where, series }: Growth): string {
  const rows = series.map(({ title, axis, lines }): readonly Panel[] => [
    { title: `${title}: time`, xTitle: axis, yTitle: "seconds", proportional: true, curves: lines.map(({ name, points }) => ({ name, points: points.map(({ units, seconds }) => [units, seconds] as const) })) },
    { title: `${title}: memory`, xTitle: axis, yTitle: "MB resident at most", limit: { y: 200, name: "200 MB" }, curves: lines.map(({ name, points }) => ({ name, points: points.map(({ units, peakBytes }) => [units, peakBytes / 1e6] as const) })) },
  ]);
  return chart("What grows, and what it costs", `Dots are measured. Dashed: where the time would be if it were exactly proportional. ${machineText(where)}.`, rows);
}
