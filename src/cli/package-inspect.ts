/** `kubestick inspect`, `kubestick package inspect`: what a file carries, from its tables alone. */
import { KubestickError } from "../errors.ts";
import { licenseReport, type LicenseReport } from "../package/license-report.ts";
import { billOf, type BillFormat } from "../package/provenance.ts";
import type { PackageReader } from "../package/types.ts";
import { summarize, type PackageSummary, type PlatformSummary, type SizeSummary } from "../package/inspect.ts";
import { signerText } from "../package/signatures.ts";
import { openPackage } from "../package/reader.ts";
import type { Io } from "./io.ts";
import { requireTrustedPackage, signedText } from "./package-trust.ts";
import { namedFile } from "./package.ts";
import { partList, partsText } from "./part-text.ts";
import { printResult } from "./print-result.ts";
import { formatBytes, oneLine, printable } from "./text-format.ts";
import { trustFlags, type TypedTrustFlags } from "./trust-flags.ts";

export interface InspectFlags extends TypedTrustFlags {
  readonly part?: readonly string[];
  readonly output?: string;
  readonly sbom?: string;
  readonly licenses?: boolean;
  readonly arch?: string;
}

export async function inspectCommand(flags: InspectFlags, positionals: readonly string[], io: Io): Promise<void> {
  const reader = await openPackage(namedFile(positionals[0], "looking into a package"), { parts: flags.part, incomplete: true });
  try {
    // What is baked into the program that looks says what may be used, not what may be looked at.
    const trusted = await requireTrustedPackage(reader, trustFlags(flags), undefined, null);
    if (flags.sbom !== undefined && flags.licenses === true) throw new KubestickError({ code: "CLI_FLAG_VALUE", attempted: "reading the arguments of \"kubestick inspect\"", happened: "--sbom and --licenses each print a document of their own.", next: "Give one of them at a time." });
    if (flags.sbom !== undefined) return io.stdout.write(await billText(reader, flags.sbom as BillFormat));
    if (flags.licenses === true) {
      const report = await licenseReport(reader);
      return printResult(io, flags.output, licensesText(report), { path: reader.path, ...report });
    }
    const { header, footer } = reader.layout;
    const summary = ofArchitecture(summarize(reader.index, reader.signers, footer.indexLength + footer.signaturesLength), flags.arch, reader.path);
    const signed = signedText(reader, trusted) ?? "the package is not signed";
    const { parts } = reader.source;
    printResult(io, flags.output, summaryText(reader.path, header.fileLength, summary, signed) + partsText(parts), { path: reader.path, size: header.fileLength, indexDigest: reader.indexDigest, ...(parts === undefined ? {} : { parts: partList(parts) }), ...summary, signers: summary.signers.map(({ fingerprint, name }) => ({ fingerprint, ...(name === undefined ? {} : { name }), trusted: trusted.some(({ signer }) => signer.fingerprint === fingerprint) })) });
  } finally {
    await reader.close();
  }
}

function ofArchitecture(summary: PackageSummary, arch: string | undefined, path: string): PackageSummary {
  const platforms = arch === undefined ? summary.platforms : summary.platforms.filter((platform) => platform.arch === arch);
  if (platforms.length > 0) return { ...summary, platforms };
  throw new KubestickError({
    code: "PACKAGE_ARCH_ABSENT", attempted: `looking into the package in ${path}`, happened: `It has nothing for ${String(arch)}, but for ${summary.platforms.map((platform) => platform.arch).join(" and ")}.`, next: `kubestick inspect ${path}`,
  });
}

async function billText(reader: PackageReader, format: BillFormat): Promise<string> {
  const text = await billOf(reader, format);
  if (text !== undefined) return text;
  throw new KubestickError({
    code: "PACKAGE_NO_SBOM", attempted: `reading the bill of materials of the package in ${reader.path}`, happened: "It carries none: it was made by a kubestick that wrote none yet.",
    next: "Pack it again; `kubestick inspect -o json` lists what is in it with every digest meanwhile.",
  });
}

/** The table, then every text once, under the names of those it is for. */
function licensesText({ parts, texts, programUnknown }: LicenseReport): string {
  const users = (key: string): readonly string[] => parts.filter((part) => part.texts.includes(key)).map(({ name, version }) => `${name} ${version}`);
  return [
    ...aligned([["WHAT", "NAME", "VERSION", "LICENSE"], ...parts.map(({ what, name, version, license }) => [what, oneLine(name), oneLine(version), oneLine(license ?? "not told")])], []),
    "",
    "The licence of an image or program is its project's; other things in an image have their own.",
    ...withoutText(parts),
    ...(programUnknown ? ["The program at the front of this file does not tell what is in it: it was made before it could."] : []),
    ...Object.entries(texts).flatMap(([key, text]) => ["", "=".repeat(80), users(key).join(", "), "-".repeat(80), printable(text).trimEnd()]),
    "",
  ].join("\n");
}

/** Said, because a list of texts does not show what it lacks. */
function withoutText(parts: LicenseReport["parts"]): readonly string[] {
  const named = parts.filter(({ license, texts }) => license !== undefined && texts.length === 0).map(({ name, version }) => oneLine(`${name} ${version}`));
  return named.length === 0 ? [] : [`Not in this file is the licence text of: ${named.join(", ")}.`];
}

function summaryText(path: string, size: number, summary: PackageSummary, signed: string): string {
  const { sizes, executable, documents } = summary;
  return [
    `Kubernetes ${summary.kubernetesVersion}, CNI ${summary.cni}, for ${summary.platforms.map(({ arch }) => `linux/${arch}`).join(", ")}`,
    `${path}: ${formatBytes(size)}, ${executable.arch === "any" ? "a program for each processor" : `a program for linux/${executable.arch}`}`,
    ...(summary.signers.length === 0 ? [signed] : summary.signers.map((signer) => `signed by ${signerText(signer)}`)),
    "",
    "Sizes",
    ...sizesLines(sizes),
    ...(executable.arch === "any" ? ["", "Architectures", ...aligned([["ARCH", "STORED", "OF IT SHARED"], ...summary.platforms.map(({ arch, stored, storedShared }) => [`linux/${arch}`, formatBytes(stored), formatBytes(storedShared)])], [1, 2])] : []),
    ...summary.platforms.flatMap((platform) => platformText(platform, summary.platforms.length > 1)),
    ...(documents.length === 0 ? [] : ["", "Documents", ...aligned(documents.map(({ kind, name, mediaType, size: length }) => [kind, oneLine(name), formatBytes(length), mediaType]), [2])]),
    "",
  ].join("\n");
}

/** What the bytes of a file are for; `pack` ends with the same table. */
export function sizesLines(sizes: SizeSummary): readonly string[] {
  return aligned([
    ["executable", formatBytes(sizes.executable)], ["programs", formatBytes(sizes.binaries)], ["images", formatBytes(sizes.images)], ["documents", formatBytes(sizes.documents)],
    ...(sizes.other > 0 ? [["other", formatBytes(sizes.other)]] : []), ["tables", formatBytes(sizes.tables)],
  ], [1]);
}

function platformText({ arch, images, binaries, installedBytes }: PlatformSummary, several: boolean): readonly string[] {
  const of = several ? ` for linux/${arch}` : "";
  return [
    "",
    `Programs${of}`,
    ...aligned([["NAME", "VERSION", "SIZE", "STORED", "LICENSE", "PATH"], ...binaries.map(({ name, version, size, stored, license, path }) => [name, version, formatBytes(size), formatBytes(stored), oneLine(license ?? "-"), path])], [2, 3]),
    "",
    `Images${of}`,
    ...aligned([["REFERENCE", "PLATFORM", "SIZE", "STORED", "LICENSE", "DIGEST"], ...images.map(({ reference, platform, size, stored, license, digest }) => [reference, platform, formatBytes(size), formatBytes(stored), oneLine(license ?? "-"), digest])], [2, 3]),
    "",
    `About ${formatBytes(installedBytes)} on the disk of a node${of}`,
  ];
}

/** `right`: the columns of numbers, which end in line. */
export function aligned(rows: readonly (readonly string[])[], right: readonly number[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? "").length)));
  return rows.map((row) => `  ${row.map((cell, i) => (right.includes(i) ? cell.padStart(widths[i] as number) : cell.padEnd(widths[i] as number))).join("  ")}`.trimEnd());
}
