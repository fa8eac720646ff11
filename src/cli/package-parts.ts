/** `kubestick package split` and `kubestick package join`: one package as several files, and as one again. */
import { basename, resolve } from "node:path";
import { KubestickError } from "../errors.ts";
import { joinPackage, splitPackage, type CopyResult } from "../package/split.ts";
import { parseByteSize } from "./byte-size.ts";
import type { Io, OutputFormat } from "./io.ts";
import { namedFile } from "./package.ts";
import { leftOverLines } from "./part-text.ts";
import { renderRun } from "./render.ts";
import { formatBytes } from "./text-format.ts";
import { workEvents, type WorkReport } from "./work-events.ts";

export interface SplitFlags {
  readonly size?: string;
  readonly out?: string;
  readonly part?: readonly string[];
  readonly output?: string;
}

const phases = [{ id: "write", title: "Write the files, comparing every byte with its digest" }, { id: "verify", title: "Read them back and verify them" }];

export async function splitCommand(flags: SplitFlags, positionals: readonly string[], io: Io): Promise<void> {
  const path = namedFile(positionals[0], "splitting a package");
  const size = parseByteSize("--size", flags.size ?? "4095M");
  const directory = outFlag(flags.out, "kubestick package split", "DIR, the folder for the parts");
  await copy("split", io, flags.output, async (report) => {
    const result = await splitPackage({ path, parts: flags.part, directory, size, progress: progressOf(report), signal: io.signal });
    return { name: "parts", value: result, text: splitText(result) };
  });
}

export async function joinPartsCommand(flags: Omit<SplitFlags, "size">, positionals: readonly string[], io: Io): Promise<void> {
  const path = namedFile(positionals[0], "putting a package together");
  const output = outFlag(flags.out, "kubestick package join", "FILE, the file to write");
  await copy("join", io, flags.output, async (report) => {
    const result = await joinPackage({ path, parts: flags.part, output, progress: progressOf(report), signal: io.signal });
    return { name: "package", value: result, text: `${result.digest.replace("sha256:", "")}  ${output}\n` };
  });
}

async function copy(name: string, io: Io, format: string | undefined, work: Parameters<typeof workEvents>[2]): Promise<void> {
  await renderRun(workEvents(name, phases, work, io.clock), io, {
    title: `kubestick package ${name}`, format: (format ?? "text") as OutputFormat, continueWith: "Run the same command again; nothing was written yet.",
  });
}

/** `-o` is the place to write here, as in pack. */
export function outFlag(out: string | undefined, command: string, what: string): string {
  const wrong = (happened: string, next: string): KubestickError => new KubestickError({ code: "CLI_FLAG_VALUE", attempted: `reading the arguments of "${command}"`, happened, next });
  if (out === undefined) throw wrong(`Nothing says where to write: -o ${what}, is missing.`, `Add it; "${command} --help" shows an example. Nothing was changed.`);
  if (out === "json" || out === "jsonl" || out === "text") throw wrong(`-o names the place to write in this command, and ${out} looks like a form of output.`, `For that form: --output ${out}. For a place of this name: -o ./${out}`);
  return resolve(out);
}

export function progressOf(report: WorkReport): (step: "write" | "verify", event: { readonly done: number; readonly total: number; readonly label: string }) => void {
  return (step, { done, total, label }) => {
    report.phase(step);
    report.progress({ id: "package", done, total, label });
  };
}

function splitText({ files, size, leftOver }: CopyResult): string {
  const first = basename(files[0]?.path ?? "");
  return [
    ...files.map((file) => `${file.path}: ${formatBytes(file.size)}`),
    files.length === 1
      ? `${formatBytes(size)} fit into one file; it is a copy`
      : `${files.length} parts, in any folders: ./${first} finds those beside it, and others with --part FOLDER`,
    ...leftOverLines(leftOver),
    "",
  ].join("\n");
}
