/** `kubestick package add` and `kubestick package extract`: more into a package, and manifests and charts out of one. */
import { resolve } from "node:path";
import { KubestickError } from "../errors.ts";
import { addToPackage, type AddEvent, type AddResult } from "../package/add.ts";
import { extractDocuments } from "../package/extract.ts";
import { signerText } from "../package/signatures.ts";
import { collectEarly } from "./carried-package.ts";
import { runningExecutable } from "./executable.ts";
import { sourceDateEpoch } from "./source-date-epoch.ts";
import type { Io, OutputFormat } from "./io.ts";
import { openNamedPackage } from "./package.ts";
import { printResult } from "./print-result.ts";
import { requireTrustedPackage } from "./package-trust.ts";
import { renderRun } from "./render.ts";
import { formatBytes } from "./text-format.ts";
import { trustFlags, type TypedTrustFlags } from "./trust-flags.ts";
import { workEvents, type WorkReport } from "./work-events.ts";

export interface PackageAddFlags extends TypedTrustFlags {
  readonly from?: string;
  readonly name?: string;
  readonly out?: string;
  readonly output?: string;
  readonly part?: readonly string[];
  readonly "sign-key"?: string;
  readonly signer?: string;
  readonly replace?: boolean;
  readonly strict?: boolean;
}

const phases = [
  { id: "read", title: "Read what is to be added" },
  { id: "write", title: "Write the file" },
  { id: "verify", title: "Read the file back and verify it" },
] as const;

export async function packageAddCommand(flags: PackageAddFlags, items: readonly string[], io: Io): Promise<void> {
  const out = place(flags.out, "add", "the file", "kubestick package add shop.tar shop.yaml -o kubestick-shop");
  const base = flags.from ?? runningExecutable();
  if (base === undefined) throw refused("PACKAGE_ABSENT", "This program runs from its source tree and carries no package.", "Name a kubestick file that \"kubestick pack\" has written with --from FILE.");
  collectEarly();
  let added: AddResult | undefined;
  const events = workEvents("package add", phases, async (report) => {
    const result = await addToPackage({ base, output: resolve(out), items, imageName: flags.name, replace: flags.replace, strict: flags.strict, parts: flags.part, signKey: flags["sign-key"], signer: flags.signer, sourceDateEpoch: sourceDateEpoch(io.env["SOURCE_DATE_EPOCH"]), signal: io.signal, accept: (pkg) => requireTrustedPackage(pkg, trustFlags(flags)) }, (event) => tell(report, event));
    added = result;
    return { name: "package", value: result, text: `${result.digest.replace("sha256:", "")}  ${result.path}\n` };
  }, io.clock);
  const format = (flags.output ?? "text") as OutputFormat;
  await renderRun(events, io, { title: "kubestick package add", format, continueWith: "Run the same command again; nothing was written." });
  if (added !== undefined && format !== "jsonl") io.stderr.write(addedText(added));
}

function tell(report: WorkReport, event: AddEvent): void {
  switch (event.type) {
    case "step":
      return report.phase(event.step, event.title);
    case "item":
      return report.done(`${event.kind}/${event.name}`, `${event.what} ${event.digest}`);
    case "warning":
      return report.finding({ severity: "warning", ...event.warning });
    case "progress":
      return report.progress({ id: event.step, done: event.done, total: event.total, label: event.label });
  }
}

function addedText({ path, base, size, items, droppedSigners, awaitedKeys }: AddResult): string {
  const count = (what: string): number => items.filter((item) => item.what === what).length;
  const parts = [["added", count("added")], ["replaced", count("replaced")], ["there already", count("unchanged")]].filter(([, number]) => number !== 0).map(([what, number]) => `${number} ${what}`);
  return `${path}: ${formatBytes(size)}, ${base} and ${parts.join(", ")}\n`
    + droppedSigners.map((signer) => `the signature of ${signerText(signer)} is over ${base} and does not hold for the new package, so it was left out\n`).join("")
    + (awaitedKeys.length === 0 ? "" : `not signed yet with ${awaitedKeys.join(" or ")}, which is baked in: it refuses itself until then\nnext: Sign it: kubestick package sign ${path} --sign-key FILE\n`)
    + `next: Copy ${path} to the nodes; there, as root: init or join with it, or on a node that runs already: ./${path.slice(path.lastIndexOf("/") + 1)} images load\n`;
}

export async function packageExtractCommand(flags: Pick<PackageAddFlags, "from" | "out" | "output" | "part" | keyof TypedTrustFlags>, names: readonly string[], io: Io): Promise<void> {
  const out = place(flags.out, "extract", "the folder", "kubestick package extract -o ./carried");
  const reader = await openNamedPackage(flags.from, "taking documents out of a package", { parts: flags.part });
  try {
    await requireTrustedPackage(reader, trustFlags(flags));
    const files = await extractDocuments(reader, names, resolve(out));
    printResult(io, flags.output, files.map(({ path, what }) => `${path} ${what}\n`).join("") || "The package carries neither manifests nor charts.\n", { path: reader.path, files });
  } finally {
    await reader.close();
  }
}

/** `-o` is a place here, as with pack. */
function place(out: string | undefined, word: string, what: string, example: string): string {
  if (out === undefined) throw refused("CLI_FLAG_VALUE", `-o is missing: ${what} to write.`, example, word);
  if (out !== "json" && out !== "jsonl" && out !== "text") return out;
  throw refused("CLI_FLAG_VALUE", `-o names ${what} to write in this command, and ${out} looks like a form of output.`, `For that form: --output ${out}. For a place of this name: -o ./${out}`, word);
}

function refused(code: string, happened: string, next: string, word = "add"): KubestickError {
  return new KubestickError({ code, attempted: `reading the arguments of "kubestick package ${word}"`, happened, next });
}
