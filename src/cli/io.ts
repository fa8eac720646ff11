/**
 * What a command may use of the process around it: streams, terminal, environment, the abort signal. Commands receive it as a value, so
 * that tests run them with strings instead of a terminal.
 */

export interface TextOutput {
  write(text: string): void;
  readonly isTerminal: boolean;
  /** Columns and rows now; a terminal may change them. */
  columns(): number;
  rows(): number;
}

export type OutputFormat = "text" | "json" | "jsonl";

export interface Io {
  /** Results. */
  readonly stdout: TextOutput;
  /** Progress, findings, errors. */
  readonly stderr: TextOutput;
  /** Asks on the terminal; undefined when there is nobody to ask (input is not a terminal). */
  readonly ask: ((question: string) => Promise<string>) | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by the first Ctrl-C. */
  readonly signal: AbortSignal;
  readonly verbosity: number;
  /** Colour and animation are allowed where the stream is a terminal. */
  readonly color: boolean;
  /** The terminal shows more than ASCII. */
  readonly unicode: boolean;
  /** Milliseconds of a clock that only runs forward. */
  clock(): number;
  /** Registers something that must be put right before the process ends at once (a hidden cursor). Returns the way to take it back. */
  onExit(restore: () => void): () => void;
}

/** The Linux console's font has no check marks; a locale other than UTF-8 has not even those bytes. */
export function showsUnicode(env: Io["env"]): boolean {
  const locale = env["LC_ALL"] || env["LC_CTYPE"] || env["LANG"] || "";
  return /utf-?8/i.test(locale) && env["TERM"] !== "linux";
}

/** https://no-color.org: any value that is not empty. A dumb terminal cannot move its cursor. */
export function allowsColor(env: Io["env"], noColorFlag: boolean): boolean {
  return !noColorFlag && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
}

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export type Paint = (style: keyof typeof codes, text: string) => string;

export function painter(on: boolean): Paint {
  return (style, text) => (on && text !== "" ? `\x1b[${codes[style]}m${text}\x1b[0m` : text);
}
