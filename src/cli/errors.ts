/** A failure as text for a person and as data for a script. */
import { isKubestickError, KubestickError, messageOf } from "../errors.ts";
import { painter } from "./io.ts";
import { printable, wrap } from "./text-format.ts";

export interface ErrorDocument {
  readonly code: string;
  readonly attempted: string;
  readonly happened: string;
  readonly next: string;
  readonly details: readonly string[];
}

/** Anything thrown as a `KubestickError`: what nobody foresaw becomes INTERNAL. */
export function asKubestickError(thrown: unknown, attempted: string): KubestickError {
  if (isKubestickError(thrown)) return thrown;
  return new KubestickError({
    code: "INTERNAL",
    attempted,
    happened: `Something happened that this program did not foresee: ${messageOf(thrown)}`,
    next: "Run the same command again with --v=5 to see where, and report it together with the output of \"kubestick version\".",
    cause: thrown,
  });
}

export function errorDocument(error: KubestickError): ErrorDocument {
  const { code, attempted, happened, next, details } = error;
  return { code, attempted, happened, next, details };
}

export interface ErrorTextOptions {
  readonly color: boolean;
  /** Columns to wrap at; undefined leaves long lines alone, for logs. */
  readonly columns: number | undefined;
  readonly verbosity: number;
}

/** The first line starts with `error: ` as kubeadm's does. */
export function errorText(error: KubestickError, options: ErrorTextOptions): string {
  const paint = painter(options.color);
  const width = options.columns === undefined ? Number.POSITIVE_INFINITY : Math.max(40, options.columns - 1);
  const lay = (text: string, indent: string): string => wrap(printable(text), width, indent);
  const [head = "", ...rest] = lay(`error: ${error.code} while ${error.attempted}`, "").split("\n");
  const lines = [
    head.replace("error:", paint("red", "error:")).replace(error.code, paint("bold", error.code)),
    ...rest.map((line) => `  ${line}`),
    lay(error.happened, "  "),
    // What the sentence says already is not said again in lines of its own; scripts get both.
    ...error.details.filter((detail) => !error.happened.includes(detail)).map((detail) => lay(detail, "    ")),
    `${paint("cyan", "next:")} ${lay(error.next, "      ").trimStart()}`,
  ];
  if (options.verbosity >= 5) lines.push(...stackLines(error));
  return `${lines.join("\n")}\n`;
}

function stackLines(error: Error): readonly string[] {
  const lines = [error.stack ?? String(error)];
  let depth = 0;
  for (let cause = error.cause; cause !== undefined && cause !== null && depth < 8; depth++) {
    lines.push(`caused by: ${cause instanceof Error ? (cause.stack ?? cause.message) : messageOf(cause)}`);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return lines.map(printable);
}
