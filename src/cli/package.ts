/** `kubestick package verify` and `kubestick package repair`. What a package holds: `package-inspect.ts`. */
import { KubestickError } from "../errors.ts";
import { placeText } from "../package/damage.ts";
import { openPackage, type OpenedPackage } from "../package/reader.ts";
import { repairPackage, type RepairResult } from "../package/repair.ts";
import type { PartOptions } from "../package/part-source.ts";
import { runningExecutable } from "./executable.ts";
import type { Io, OutputFormat } from "./io.ts";
import { partList } from "./part-text.ts";
import { requireTrustedPackage, signedText } from "./package-trust.ts";
import { renderRun } from "./render.ts";
import { formatBytes } from "./text-format.ts";
import { trustFlags, type TypedTrustFlags } from "./trust-flags.ts";
import { workEvents } from "./work-events.ts";

export interface PackageFlags extends TypedTrustFlags {
  readonly part?: readonly string[];
  readonly output?: string;
}

/** The file a person named, else the running executable. */
export async function openNamedPackage(file: string | undefined, attempted: string, options: PartOptions = {}): Promise<OpenedPackage> {
  return openPackage(namedFile(file, attempted), options);
}

export function namedFile(file: string | undefined, attempted: string): string {
  const path = file ?? runningExecutable();
  if (path !== undefined) return path;
  throw new KubestickError({
    code: "PACKAGE_ABSENT",
    attempted,
    happened: "This program runs from its source tree and carries no package.",
    next: "Name a kubestick file that \"kubestick pack\" has written.",
  });
}

export async function verifyCommand(flags: PackageFlags, positionals: readonly string[], io: Io): Promise<void> {
  const reader = await openNamedPackage(positionals[0], "verifying a package", { parts: flags.part });
  const phases = [{ id: "verify", title: "Compare every byte with its digest" }];
  const events = workEvents("verify", phases, async (report) => {
    report.phase("verify");
    const trusted = await requireTrustedPackage(reader, trustFlags(flags));
    let bytes = 0;
    await reader.verify(({ done, total, label }) => {
      bytes = total;
      report.progress({ id: "package", done, total, label });
    }, io.signal);
    const entries = reader.index.entries.length;
    const { parts } = reader.source;
    return { name: "package", value: { path: reader.path, entries, bytes, ...(parts === undefined ? {} : { parts: partList(parts) }), signers: reader.signers, trusted: trusted.map(({ signer }) => signer.fingerprint) }, text: (parts?.files ?? []).map((file) => `${file.path ?? ""}: part ${file.number} of ${parts?.count ?? 0}\n`).join("") + `${reader.path}: ${entries} entries, ${formatBytes(bytes)}, every byte as packed\n${signedText(reader, trusted) ?? "the package is not signed"}\n` };
  }, io.clock);
  try {
    await renderRun(events, io, { title: "kubestick package verify", format: (flags.output ?? "text") as OutputFormat, continueWith: "Run the same command again; it changes nothing." });
  } finally {
    await reader.close();
  }
}

export async function repairCommand(flags: PackageFlags & { readonly from?: string }, positionals: readonly string[], io: Io): Promise<void> {
  const [path = ""] = positionals;
  const from = namedFile(flags.from, `repairing ${path}`);
  const phases = [{ id: "compare", title: "Compare every byte with what the intact copy says" }, { id: "write", title: "Write what was wrong" }];
  const events = workEvents("repair", phases, async (report) => {
    report.phase("compare");
    const result = await repairPackage({
      path, from, parts: flags.part, signal: io.signal,
      accept: async (copy) => { await requireTrustedPackage(copy, trustFlags(flags)); },
      progress: (step, { done, total, label }) => {
        report.phase(step);
        report.progress({ id: "package", done, total, label });
      },
    });
    return { name: "repair", value: result, text: repairedText(result) };
  }, io.clock);
  await renderRun(events, io, { title: "kubestick package repair", format: (flags.output ?? "text") as OutputFormat, continueWith: "Run the same command again: it goes on where it stopped." });
}

function repairedText({ path, part, repaired, cutOff, size }: RepairResult): string {
  if (repaired.length === 0 && cutOff === 0) return `${path}: ${formatBytes(size)}, every byte as packed, nothing to repair\n`;
  return [
    ...repaired.map((place) => `${place.part}: ${placeText(place)} repaired`),
    ...(cutOff === 0 ? [] : [`${cutOff} bytes behind the end of the package cut off`]),
    `${path}: every byte as packed now`,
    // What was just written is still in memory; only reading the medium anew says whether it keeps it.
    `next: Take the medium out, put it in again and run \`kubestick package verify ${part === undefined ? path : "FIRST"}\`${part === undefined ? "" : ", with the first part,"}: a place that goes bad again means a worn medium.`,
    "",
  ].join("\n");
}
