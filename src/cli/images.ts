/** `kubestick images load`, `list`, `status` and `prune`: the images of this node, and the packages they came from. */
import { stat } from "node:fs/promises";
import type { RunOutcome } from "../engine/outcome.ts";
import { runFlow } from "../engine/run.ts";
import type { RunEvent } from "../engine/types.ts";
import { KubestickError } from "../errors.ts";
import { isOrphaned, loadFlow, nameOf, packageRecordPath, parsePackageRecord, pruneFlow, type HeldImage, type RecordedPackage } from "../flows/images.ts";
import type { HostFacts } from "../host/types.ts";
import { openPackage } from "../package/reader.ts";
import type { Digest, PackageReader } from "../package/types.ts";
import { collectEarly, requireOwnArchitecture } from "./carried-package.ts";
import type { Io, OutputFormat } from "./io.ts";
import { machinePorts, type MachinePorts } from "./machine.ts";
import { configOfMachine } from "./machine-config.ts";
import { openNamedPackage } from "./package.ts";
import { trustEvents } from "./package-trust.ts";
import { printResult } from "./print-result.ts";
import { renderRun } from "./render.ts";
import { formatBytes } from "./text-format.ts";
import { trustFlags, type TypedTrustFlags } from "./trust-flags.ts";

interface ImagesFlags {
  readonly "cri-socket"?: string;
  readonly output?: string;
}

export interface ImagesLoadFlags extends ImagesFlags, TypedTrustFlags {
  readonly "dry-run"?: boolean;
  readonly from?: string;
  readonly part?: readonly string[];
}

export interface ImagesPruneFlags extends ImagesFlags {
  readonly "dry-run"?: boolean;
  readonly release?: readonly string[];
  readonly yes?: boolean;
}

// ---------------------------------------------------------------- load

export async function imagesLoadCommand(flags: ImagesLoadFlags, io: Io, ports: MachinePorts = machinePorts("kubestick images load")): Promise<void> {
  const dryRun = flags["dry-run"] === true;
  const facts = await ports.host.facts();
  if (!dryRun) requireRoot(facts.uid, "load");
  collectEarly();
  const pkg = await openNamedPackage(flags.from, "loading images from a package", { parts: flags.part });
  try {
    await renderRun(loadEvents(flags, pkg, facts, io, ports), io, { title: "kubestick images load", format: (flags.output ?? "text") as OutputFormat, continueWith: "Run the same command again: it continues where it stopped." });
  } finally {
    await pkg.close();
  }
}

/** No configuration is read here: what it says of trust counts for `init` and `join`, and a baked-in key everywhere. */
async function* loadEvents(flags: ImagesLoadFlags, pkg: PackageReader, facts: HostFacts, io: Io, ports: MachinePorts): AsyncGenerator<RunEvent, RunOutcome> {
  yield* trustEvents(pkg, trustFlags(flags), { signaturePolicy: "Auto", trustedKeys: [] });
  requireOwnArchitecture(pkg, facts.arch);
  const config = configOfMachine(facts, flags["cri-socket"]);
  return yield* runFlow(loadFlow, { ...ports, pkg, config, dryRun: flags["dry-run"] === true, skipPhases: [], ignorePreflightErrors: [], signal: io.signal });
}

// ---------------------------------------------------------------- list and status

interface Known {
  readonly socket: string;
  readonly runtime: string;
  readonly images: readonly HeldImage[];
  readonly packages: readonly RecordedPackage[];
}

export async function imagesListCommand(flags: ImagesFlags, io: Io, ports: MachinePorts = machinePorts("kubestick images list")): Promise<void> {
  const { images, packages } = await look(flags, ports);
  const rows = images.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  const value = rows.map((image) => ({
    image: nameOf(image), tags: image.tags, digests: image.digests, id: image.id, size: image.size, pinned: image.pinned, users: image.users, origin: image.ours ?? null,
    packages: image.owners.map((digest) => ({ digest, path: packages.find((known) => known.digest === digest)?.path ?? null })), orphaned: isOrphaned(image),
  }));
  const table = aligned([
    ["IMAGE", "DIGEST", "SIZE", "PACKAGE", "PINNED", "IN USE"],
    ...rows.map((image) => [nameOf(image), shortId(digestOf(image)), formatBytes(image.size), ownersText(image), image.pinned ? "yes" : "no", image.users === 0 ? "-" : String(image.users)]),
  ], [2]);
  printResult(io, flags.output, `${table.join("\n")}\n`, { images: value });
}

export async function imagesStatusCommand(flags: ImagesFlags, io: Io, ports: MachinePorts = machinePorts("kubestick images status")): Promise<void> {
  const { socket, runtime, images, packages } = await look(flags, ports);
  const count = (wanted: (image: HeldImage) => boolean): { readonly images: number; readonly bytes: number } => {
    const found = images.filter(wanted);
    return { images: found.length, bytes: found.reduce((sum, { size }) => sum + size, 0) };
  };
  const totals = { all: count(() => true), pinned: count(({ pinned }) => pinned), used: count(({ users }) => users > 0), orphaned: count((image) => isOrphaned(image)), prunable: count((image) => isOrphaned(image) && image.users === 0) };
  const known = packagesOf(images, packages);
  const lines = [
    `${runtime} on ${socket}`,
    "",
    ...aligned([["IMAGES", "", ""], ...(["all", "pinned", "used", "orphaned"] as const).map((name) => [name, String(totals[name].images), formatBytes(totals[name].bytes)])], [1, 2]),
    "",
    ...(known.length === 0 ? ["No package's images were loaded here."] : aligned([["PACKAGE", "KUBERNETES", "IMAGES", "FROM", "LOADED"], ...known.map((one) => [shortId(one.digest), one.kubernetesVersion ?? "unknown", String(one.images), one.path ?? "unknown", one.loaded ?? "unknown"])], [2])),
    "",
    // Sizes are the runtime's own: of the stored blobs, a layer that two images share in both.
    ...(totals.prunable.images === 0 ? [] : [`next: No package owns ${totals.prunable.images} of the images, and nothing uses them: kubestick images prune`, ""]),
  ];
  printResult(io, flags.output, lines.join("\n"), { socket, runtime, totals, packages: known });
}

/** Those the record names, and those that only marks on images tell of. */
function packagesOf(images: readonly HeldImage[], packages: readonly RecordedPackage[]): readonly { readonly digest: string; readonly images: number; readonly kubernetesVersion: string | null; readonly path: string | null; readonly loaded: string | null }[] {
  const digests = new Set([...packages.map(({ digest }) => digest as string), ...images.flatMap(({ owners }) => owners)]);
  return [...digests].map((digest) => {
    const known = packages.find((one) => one.digest === digest);
    return { digest, images: images.filter(({ owners }) => owners.includes(digest)).length, kubernetesVersion: known?.kubernetesVersion ?? null, path: known?.path ?? null, loaded: known?.loaded ?? null };
  });
}

// ---------------------------------------------------------------- prune

export async function imagesPruneCommand(flags: ImagesPruneFlags, io: Io, ports: MachinePorts = machinePorts("kubestick images prune")): Promise<void> {
  const format = (flags.output ?? "text") as OutputFormat;
  const facts = await ports.host.facts();
  const dryRun = flags["dry-run"] === true;
  if (!dryRun) {
    requireRoot(facts.uid, "prune");
    if (flags.yes !== true && (io.ask === undefined || format !== "text")) throw notConfirmed("There is no terminal to ask on.", "See what would go with --dry-run; in scripts, confirm with: kubestick images prune --yes");
  }
  const { socket, images, packages } = await look(flags, ports);
  const release = await releasedPackages(flags.release ?? [], [...new Set([...packages.map(({ digest }) => digest), ...images.flatMap(({ owners }) => owners)])] as readonly Digest[]);
  const config = configOfMachine(facts, flags["cri-socket"]);
  const run = (dry: boolean): AsyncGenerator<RunEvent, RunOutcome> =>
    runFlow(pruneFlow({ socket, images, release }), { ...ports, pkg: undefined, config, dryRun: dry, skipPhases: [], ignorePreflightErrors: [], signal: io.signal });
  const view = { title: "kubestick images prune", format, continueWith: "Run the same command again to remove the rest." };
  if (dryRun) return void (await renderRun(run(true), io, view));
  if (flags.yes !== true && io.ask !== undefined) {
    const plan = await renderRun(run(true), io, view);
    if (plan.actions.size === 0) return;
    const answer = await io.ask("Do this? Type yes to go on: ");
    if (answer.trim().toLowerCase() !== "yes") throw notConfirmed("It was not confirmed; nothing was changed.", "Run the command again and type yes.");
  }
  const state = await renderRun(run(false), io, view);
  if (state.actions.size === 0 && format === "text") io.stderr.write("Every image of ours has a package that owns it, or is needed here; there is nothing to remove.\n");
}

/** By the beginning of the digest as `images status` shows it, or by a kubestick file. */
async function releasedPackages(named: readonly string[], known: readonly Digest[]): Promise<readonly Digest[]> {
  const found: Digest[] = [];
  for (const name of named) {
    const hex = name.replace(/^sha256:/, "");
    const matching = /^[0-9a-f]{6,64}$/.test(hex) ? known.filter((digest) => digest.startsWith(`sha256:${hex}`)) : [];
    const digest = matching.length === 1 ? matching[0] : (await stat(name).catch(() => undefined))?.isFile() === true ? await digestOfFile(name) : undefined;
    if (digest === undefined || !known.includes(digest)) {
      const happened = matching.length > 1 ? `Several packages begin with ${hex}.` : digest === undefined ? `No package here is called ${name}, and there is no such file.` : `No images of the package in ${name} were loaded here.`;
      throw new KubestickError({ code: "IMAGES_PACKAGE_UNKNOWN", attempted: `releasing the package ${name}`, happened, next: "kubestick images status lists the packages; name one by the digest it shows, or by its file." });
    }
    found.push(digest);
  }
  return found;
}

async function digestOfFile(path: string): Promise<Digest> {
  const reader = await openPackage(path, { incomplete: true });
  await reader.close();
  return reader.indexDigest;
}

// ---------------------------------------------------------------- shared

async function look(flags: ImagesFlags, { host, runtime: connect }: MachinePorts): Promise<Known> {
  const { init: { nodeRegistration: { criSocket: socket } } } = configOfMachine(await host.facts(), flags["cri-socket"]);
  const runtime = connect(socket);
  try {
    const { name, version } = await runtime.info();
    const images = await runtime.inventory();
    // The directory is root's; who may ask the runtime and is not root sees the digests alone.
    const packages = parsePackageRecord(await host.readText(packageRecordPath).catch(() => undefined));
    return { socket, runtime: `${name} ${version}`, images, packages };
  } finally {
    await runtime.close();
  }
}

function digestOf({ digests, id }: HeldImage): string {
  return digests[0]?.split("@")[1] ?? id;
}

function ownersText(image: HeldImage): string {
  if (image.owners.length > 0) return image.owners.map(shortId).join(",");
  return isOrphaned(image) ? "none (orphaned)" : "-";
}

function shortId(digest: string): string {
  return digest.replace(/^sha256:/, "").slice(0, 12);
}

/** `right`: columns of numbers, which end in line. */
function aligned(rows: readonly (readonly string[])[], right: readonly number[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => (row[at] ?? "").length)));
  return rows.map((row) => row.map((cell, at) => (right.includes(at) ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0))).join("  ").trimEnd());
}

function requireRoot(uid: number, word: string): void {
  if (uid === 0) return;
  throw new KubestickError({ code: "NOT_ROOT", attempted: `running "kubestick images ${word}"`, happened: `This runs as user id ${uid}, and changing the images of a node needs root.`, next: `sudo kubestick images ${word}` });
}

function notConfirmed(happened: string, next: string): KubestickError {
  return new KubestickError({ code: "PRUNE_NOT_CONFIRMED", attempted: "asking whether images may be removed", happened, next });
}
