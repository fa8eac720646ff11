/** `kubestick pack`. */
import { resolve } from "node:path";
import { KubestickError } from "../errors.ts";
import type { Cni } from "../package/lists.ts";
import { signerText } from "../package/signatures.ts";
import { pack, type PackEvent, type PackOptions, type PackResult } from "../package/pack.ts";
import { parseByteSize } from "./byte-size.ts";
import { collectEarly } from "./carried-package.ts";
import { embeddedAssets, runningExecutable } from "./executable.ts";
import type { packFlags } from "./flag-tables.ts";
import type { FlagValues } from "./flags.ts";
import type { Io, OutputFormat } from "./io.ts";
import { sizesLines } from "./package-inspect.ts";
import { leftOverLines } from "./part-text.ts";
import { renderRun } from "./render.ts";
import { sourceDateEpoch } from "./source-date-epoch.ts";
import { formatBytes } from "./text-format.ts";
import { workEvents, type WorkReport } from "./work-events.ts";

export type PackFlags = FlagValues<typeof packFlags>;

const phases = [
  { id: "resolve", title: "Resolve names to digests" },
  { id: "fetch", title: "Fetch images and programs" },
  { id: "write", title: "Write the file" },
  { id: "verify", title: "Read the file back and verify it" },
] as const;

export async function packCommand(flags: PackFlags, io: Io): Promise<void> {
  const options = packOptionsFromFlags(flags, io.signal, io.env);
  collectEarly();
  let packed: PackResult | undefined;
  const events = workEvents("pack", phases, async (report) => {
    const result = await pack(options, (event) => tell(report, event));
    packed = result;
    // The form of sha256sum: saved beside the file, it can be checked after copying.
    const [whole, ...parts] = result.files;
    const text = parts.length === 0 ? `${result.digest.replace("sha256:", "")}  ${result.path}\n` : [whole, ...parts].map((file) => `${file?.path ?? ""}\n`).join("");
    return { name: "package", value: result, text };
  }, io.clock);
  const format = (flags.output ?? "text") as OutputFormat;
  await renderRun(events, io, { title: "kubestick pack", format, continueWith: "Run the same command again; what was fetched is kept." });
  if (packed !== undefined && format !== "jsonl") io.stderr.write(packedText(packed));
}

export function packOptionsFromFlags(flags: PackFlags, signal: AbortSignal, env: Io["env"] = {}): PackOptions {
  const arches = flags.arch === undefined || flags.arch.length === 0 ? undefined : [...new Set(flags.arch)].sort();
  const running = runningExecutable();
  const executables = flags.executable ?? [running ?? []].flat();
  if (executables.length === 0) {
    throw flagError("This program runs from its source tree, so there is no executable of its own to extend.", "Build one with \"npm run build\" and name it with --executable FILE.");
  }
  // `-o` is the file here, as in curl and gcc; everywhere else it is the form of the output.
  if (flags.out === "json" || flags.out === "jsonl" || flags.out === "text") {
    throw flagError(`-o names the file to write in this command, and ${flags.out} looks like a form of output.`, `For that form: --output ${flags.out}. For a file of this name: -o ./${flags.out}`);
  }
  if (flags.signer !== undefined && flags["sign-key"] === undefined) throw flagError("--signer names who signs, and nobody does.", "Add --sign-key FILE, or leave out --signer.");
  const assets = embeddedAssets();
  const cni = flags.cni as Cni | undefined;
  return {
    executable: executables,
    // For one architecture a named executable is the one that is meant; for several the running one serves for its own.
    otherwise: flags.executable !== undefined && (arches?.length ?? 0) > 1 ? running : undefined,
    output: flags.out === undefined ? undefined : resolve(flags.out),
    kubernetesVersion: flags["kubernetes-version"],
    arch: arches,
    cni,
    extraImages: flags.image,
    registryMirrors: flags["registry-mirror"],
    downloadMirrors: flags["download-mirror"],
    imagesDirectory: flags.images,
    ca: flags.ca,
    lockFile: flags.lock,
    split: flags.split === undefined ? undefined : parseByteSize("--split", flags.split),
    compression: flags.compression as PackOptions["compression"],
    layers: flags.layers as PackOptions["layers"],
    cache: flags.cache,
    signKey: flags["sign-key"],
    signer: flags.signer,
    trustKeys: flags["trust-key"],
    sourceDateEpoch: sourceDateEpoch(env["SOURCE_DATE_EPOCH"]),
    assets,
    signal,
  };
}

function tell(report: WorkReport, event: PackEvent): void {
  switch (event.type) {
    case "step":
      return report.phase(event.step, event.title);
    case "resolved":
      return report.done(event.name, `resolved ${event.digest} (${event.source})`);
    case "progress":
      return report.progress({ id: event.step, done: event.done, total: event.total, label: event.label });
    case "retry":
      return report.finding({ check: "Retry", severity: "warning", message: `${event.url}: ${event.reason}; trying again in ${(event.waitMs / 1000).toFixed(1)} s` });
  }
}

function packedText(result: PackResult): string {
  const name = result.path.slice(result.path.lastIndexOf("/") + 1);
  const count = (names: readonly string[]): number => new Set(names).size;
  return `Kubernetes ${result.kubernetesVersion} for linux/${result.arch.replaceAll(",", " and linux/")}: ${count(result.images.map(({ reference }) => reference))} images, ${count(result.binaries.map(({ name: program }) => program))} programs, ${formatBytes(result.size)}, ${formatBytes(result.fetched)} of it fetched now`
    + `${result.lock === "none" ? "" : `; lock file ${result.lock}`}\n`
    + sizesLines(result.sizes).map((line) => `${line}\n`).join("")
    + result.signers.map((signer) => `signed by ${signerText(signer)}\n`).join("")
    + unsignedYet(result)
    + (result.files.length === 1 ? "" : `${result.files.length} parts, in any folders: ./${name} finds those beside it, and others with --part FOLDER; "package verify" checks them after copying\n`)
    + leftOverLines(result.leftOver).map((line) => `${line}\n`).join("")
    + `next: Copy ${result.files.length === 1 ? result.path : "all parts"} to the machine without network and run there, as root: ./${name} init\n`;
}

/** It would refuse itself: said here, where the key is near, and not where the file is used. */
function unsignedYet({ path, signers, trustedKeys }: PackResult): string {
  if (trustedKeys.length === 0 || signers.some(({ fingerprint }) => trustedKeys.includes(fingerprint))) return "";
  return `not signed yet with ${trustedKeys.join(" or ")}, which was baked in: it refuses itself until then\nnext: Sign it: kubestick package sign ${path} --sign-key FILE\n`;
}

function flagError(happened: string, next: string): KubestickError {
  return new KubestickError({ code: "CLI_FLAG_VALUE", attempted: "reading the arguments of \"kubestick pack\"", happened, next });
}
