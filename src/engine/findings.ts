/** Findings of a plan: which stop the flow, which the person at the machine chose to ignore. */
import { KubestickError } from "../errors.ts";
import type { Finding } from "./types.ts";

export interface JudgedFinding {
  readonly finding: Finding;
  readonly ignored: boolean;
}

/** kubeadm compares names in lower case, and `all` ignores every error (preflight/checks.go). */
export function judge(findings: readonly Finding[], ignore: readonly string[]): readonly JudgedFinding[] {
  const names = new Set(ignore.map((name) => name.trim().toLowerCase()));
  return findings.map((finding) => ({ finding, ignored: finding.severity === "error" && (names.has("all") || names.has(finding.check.toLowerCase())) }));
}

/** All at once: nobody wants to cure one, run again, and meet the next. */
export function failureOf(judged: readonly JudgedFinding[], attempted: string): KubestickError | undefined {
  const fatal = judged.filter(({ finding, ignored }) => finding.severity === "error" && !ignored).map(({ finding }) => finding);
  if (fatal.length === 0) return undefined;
  const checks = [...new Set(fatal.map(({ check }) => check))];
  const [only] = fatal;
  if (fatal.length === 1 && only?.code !== undefined) {
    return new KubestickError({
      code: only.code, attempted, happened: `${only.message.charAt(0).toUpperCase()}${only.message.slice(1)}. Nothing was changed by this phase.`,
      next: `${leadIn(only.hint)} go on in spite of it: --ignore-preflight-errors=${only.check}`,
    });
  }
  return new KubestickError({
    code: "PREFLIGHT_FAILED",
    attempted,
    happened: fatal.length === 1 ? `A check found an error: ${checks[0]}. Nothing was changed by this phase.` : `${fatal.length} checks found errors: ${checks.join(", ")}. Nothing was changed by this phase.`,
    next: `Cure what is listed and run the same command again. To go on in spite of it: --ignore-preflight-errors=${checks.join(",")}`,
    details: fatal.map(({ check, message, hint }) => `[${check}] ${message}${hint === undefined ? "" : `. ${hint}`}`),
  });
}

/** A hint that ends with a command stays one that can be copied. */
function leadIn(hint: string | undefined): string {
  if (hint === undefined) return "To";
  return /[.)]$/.test(hint) ? `${hint} To` : `${hint}   # to`;
}
