/** The words all renderers share: a finding, and the last line of a good run. */
import type { Finding } from "../engine/types.ts";
import type { Paint } from "./io.ts";
import { formatCounts, formatElapsed, printable, wrap } from "./text-format.ts";

/** An error that stops the run is told once, in its last words, together with the others; what to do next comes when all is done. */
export function isNews({ finding, ignored }: { readonly finding: Finding; readonly ignored?: boolean }): boolean {
  return finding.severity === "error" ? ignored === true : !isNextStep(finding);
}

export function isNextStep(finding: Finding): boolean {
  return finding.severity === "info" && finding.check === "NextStep";
}

/** `! warning Swap: swap is on`, and below it what to do about it. News that need no cure (`info`) are only their sentence. */
export function findingLines(finding: Finding, ignored: boolean, width: number, paint: Paint, notice: string): readonly string[] {
  const word = ignored && finding.severity === "error" ? "error, ignored" : finding.severity;
  const head = finding.severity === "info" ? printable(finding.message) : `${notice} ${word} ${finding.check}: ${printable(finding.message)}`;
  const hint = finding.hint === undefined ? [] : wrap(printable(finding.hint), width, "    ").split("\n");
  const lines = wrap(head, width - 2).split("\n").map((line, i) => (i === 0 ? line : `  ${line}`));
  return [...lines.map((line) => (finding.severity === "info" ? line : paint("yellow", line))), ...hint.map((line) => paint("dim", line))];
}

export function closingLine(title: string, flow: string, changed: number, unchanged: number, ms: number): string {
  const counts = formatCounts(flow, changed, unchanged);
  return `${title}: done in ${formatElapsed(ms)}${counts === "" ? "" : `, ${counts}`}`;
}
