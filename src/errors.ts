/**
 * The one error a person meets.
 *
 * Owns: the shape of a failure (stable code, what was attempted, what happened, what to type next).
 * Refuses: knowing any feature; each room brings its own codes and words.
 * Start at `KubestickError`. Importable by every room, imports nothing.
 */

export interface FailureText {
  /** Stable, upper-case, never reworded: scripts and searches rely on it, e.g. `PACKAGE_TRUNCATED`. */
  readonly code: string;
  /** What was attempted, as a phrase that follows "while": `reading the package in ./kubestick`. */
  readonly attempted: string;
  /** What happened, a whole sentence with the observed values. */
  readonly happened: string;
  /** What to do or type next. A command, where there is one. */
  readonly next: string;
  /** More lines that help somebody who reads closely: a log tail, every finding. Never a secret. */
  readonly details?: readonly string[];
  readonly cause?: unknown;
  /** Process exit code; 1 as in kubeadm unless a signal ended the run. */
  readonly exitCode?: number;
}

const brand = Symbol.for("kubestick.error");

export class KubestickError extends Error {
  readonly code: string;
  readonly attempted: string;
  readonly happened: string;
  readonly next: string;
  readonly details: readonly string[];
  readonly exitCode: number;
  readonly [brand] = true;

  constructor(text: FailureText) {
    super(`${text.code}: while ${text.attempted}: ${text.happened}`, text.cause === undefined ? undefined : { cause: text.cause });
    this.name = "KubestickError";
    this.code = text.code;
    this.attempted = text.attempted;
    this.happened = text.happened;
    this.next = text.next;
    this.details = text.details ?? [];
    this.exitCode = text.exitCode ?? 1;
  }
}

/** Brand check instead of `instanceof`, so that two bundled copies of this file still recognise each other. */
export function isKubestickError(value: unknown): value is KubestickError {
  return typeof value === "object" && value !== null && (value as Record<symbol, unknown>)[brand] === true;
}

/** The words of an unknown thrown value, for `happened`. */
export function messageOf(value: unknown): string {
  if (value instanceof Error) return value.message;
  return String(value);
}

/** `ENOENT` and friends from a thrown Node error, or undefined. */
export function errnoOf(value: unknown): string | undefined {
  const code = value instanceof Error ? (value as NodeJS.ErrnoException).code : undefined;
  return typeof code === "string" ? code : undefined;
}

/** With a full stop, so that another sentence can follow: what to type often ends in a command. */
export function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
