/** `kubestick package diff` and `kubestick package apply`: carry what is new instead of the whole. */
import { applyDelta, diffPackages, packageNameText, type ApplyResult, type DiffResult } from "../package/delta.ts";
import { parseByteSize } from "./byte-size.ts";
import type { Io, OutputFormat } from "./io.ts";
import { outFlag, progressOf } from "./package-parts.ts";
import { requireTrustedPackage } from "./package-trust.ts";
import { namedFile } from "./package.ts";
import { leftOverLines } from "./part-text.ts";
import { renderRun } from "./render.ts";
import { formatBytes } from "./text-format.ts";
import { trustFlags, type TypedTrustFlags } from "./trust-flags.ts";
import { workEvents } from "./work-events.ts";

export interface DiffFlags {
  readonly out?: string;
  readonly part?: readonly string[];
  readonly output?: string;
}

export async function diffCommand(flags: DiffFlags, [old = "", next = ""]: readonly string[], io: Io): Promise<void> {
  const output = outFlag(flags.out, "kubestick package diff", "FILE, the delta to write");
  const phases = [{ id: "write", title: "Write what the old package has not" }, { id: "verify", title: "Read it back and verify it" }];
  let made: DiffResult | undefined;
  const events = workEvents("diff", phases, async (report) => {
    made = await diffPackages({ old, new: next, parts: flags.part, output, progress: progressOf(report), signal: io.signal });
    return { name: "delta", value: made, text: `${made.digest.replace("sha256:", "")}  ${made.path}\n` };
  }, io.clock);
  await renderRun(events, io, { title: "kubestick package diff", format: (flags.output ?? "text") as OutputFormat, continueWith: "Run the same command again; nothing was written yet." });
  if (made !== undefined && flags.output !== "jsonl") io.stderr.write(diffText(made));
}

function diffText({ path, size, base, target, targetSize }: DiffResult): string {
  return `from ${packageNameText(base)} to ${packageNameText(target)}: ${formatBytes(size)} instead of ${formatBytes(targetSize)}\n`
    + `next: Carry ${path} to where the old package is, and there: kubestick package apply ${path.slice(path.lastIndexOf("/") + 1)} --base OLD -o NEW\n`;
}

export interface ApplyFlags extends DiffFlags, TypedTrustFlags {
  readonly base?: string;
  readonly split?: string;
}

export async function applyCommand(flags: ApplyFlags, [delta = ""]: readonly string[], io: Io): Promise<void> {
  const base = namedFile(flags.base, `applying the delta ${delta}`);
  const output = outFlag(flags.out, "kubestick package apply", "FILE, the new package to write");
  const split = flags.split === undefined ? undefined : parseByteSize("--split", flags.split);
  const phases = [{ id: "write", title: "Write the new package from the old one and the delta" }, { id: "verify", title: "Read it back and verify it" }];
  let made: ApplyResult | undefined;
  const events = workEvents("apply", phases, async (report) => {
    made = await applyDelta({
      delta, base, parts: flags.part, output, split, progress: progressOf(report), signal: io.signal,
      accept: async (target) => { await requireTrustedPackage(target, trustFlags(flags)); },
    });
    const { files, digest } = made;
    return { name: "package", value: made, text: files.length === 1 ? `${digest.replace("sha256:", "")}  ${output}\n` : files.map(({ path }) => `${path}\n`).join("") };
  }, io.clock);
  await renderRun(events, io, { title: "kubestick package apply", format: (flags.output ?? "text") as OutputFormat, continueWith: "Run the same command again; nothing was written yet." });
  if (made !== undefined && flags.output !== "jsonl") io.stderr.write(applyText(made));
}

function applyText({ target, size, reused, leftOver }: ApplyResult): string {
  return [`${packageNameText(target)}: ${formatBytes(size)}, ${formatBytes(reused)} of it from the old package, every byte as packed`, ...leftOverLines(leftOver), ""].join("\n");
}
