/**
 * Flags as data, and the parser that turns argv into their values.
 *
 * Own code instead of `node:util` parseArgs: kubeadm's flags are those of Go's pflag, and parseArgs cannot take `--dry-run=false`, reads
 * `-o=json` as the value `=json`, knows neither numbers, durations nor comma lists, and its errors name no nearest flag.
 */
import { parseDuration } from "../config/duration.ts";
import { nearest } from "../config/names.ts";
import { KubestickError } from "../errors.ts";

export interface FlagSpec {
  /** `strings`: comma lists, repeatable (pflag's StringSlice). `array`: repeatable, commas kept. `duration`: a Go duration, kept as text. */
  readonly type: "string" | "bool" | "int" | "strings" | "array" | "duration";
  readonly short?: string;
  /** What stands for the value in help: `FILE`, `CIDR`. */
  readonly placeholder?: string;
  readonly description: string;
  /** Shown in help; the parser never fills it in, so that a handler can tell "typed" from "not typed". */
  readonly default?: string;
  readonly choices?: readonly string[];
  /** May stand next to `--config` (kubeadm cmd/kubeadm/app/apis/kubeadm/validation ValidateMixedArguments). */
  readonly withConfig?: true;
  readonly completes?: "file" | "directory";
}

/** By flag name without dashes. */
export type FlagTable = Readonly<Record<string, FlagSpec>>;

type ValueOf<S extends FlagSpec> =
  S["type"] extends "bool" ? boolean
    : S["type"] extends "int" ? number
      : S["type"] extends "strings" | "array" ? readonly string[]
        : string;

/** undefined = not typed. */
export type FlagValues<T extends FlagTable> = { readonly [Name in keyof T]?: ValueOf<T[Name]> };

export interface ParsedArguments {
  readonly flags: Readonly<Record<string, string | boolean | number | readonly string[]>>;
  readonly positionals: readonly string[];
}

/** What the words are parsed for, in errors: `kubestick init`. */
export function parseArguments(command: string, table: FlagTable, words: readonly string[]): ParsedArguments {
  const flags: Record<string, string | boolean | number | readonly string[]> = {};
  const positionals: string[] = [];
  const byShort = new Map(Object.entries(table).flatMap(([name, spec]) => (spec.short === undefined ? [] : [[spec.short, name] as const])));
  const queue = [...words];

  const set = (name: string, spec: FlagSpec, written: string, text: string | undefined): void => {
    if (spec.type === "bool") {
      flags[name] = text === undefined ? true : booleanOf(command, written, text);
      return;
    }
    const value = text ?? takeValue(command, written, spec, queue);
    const values = spec.type === "strings" ? splitList(command, written, value) : [value];
    const wrong = spec.choices === undefined ? undefined : values.find((one) => spec.choices?.includes(one) === false);
    if (spec.choices !== undefined && wrong !== undefined) {
      const close = nearest(wrong, spec.choices);
      throw badValue(command, written, wrong, `it must be one of ${spec.choices.join(", ")}${close === undefined ? "" : `; did you mean ${close}?`}`);
    }
    if (spec.type === "int") flags[name] = integerOf(command, written, value);
    else if (spec.type === "strings") flags[name] = [...((flags[name] as readonly string[] | undefined) ?? []), ...values];
    else if (spec.type === "array") flags[name] = [...((flags[name] as readonly string[] | undefined) ?? []), value];
    else {
      if (spec.type === "duration" && parseDuration(value) === undefined) throw badValue(command, written, value, "it must be a duration such as 30m, 24h0m0s or 0");
      flags[name] = value;
    }
  };

  for (let word = queue.shift(); word !== undefined; word = queue.shift()) {
    if (word === "--") {
      positionals.push(...queue.splice(0));
    } else if (word.startsWith("--")) {
      const equals = word.indexOf("=");
      const name = equals < 0 ? word.slice(2) : word.slice(2, equals);
      const spec = Object.hasOwn(table, name) ? table[name] : undefined;
      if (spec === undefined) throw unknownFlag(command, `--${name}`, table);
      set(name, spec, `--${name}`, equals < 0 ? undefined : word.slice(equals + 1));
    } else if (word.startsWith("-") && word !== "-") {
      parseShort(word, byShort, table, command, set);
    } else {
      positionals.push(word);
    }
  }
  return { flags, positionals };
}

/** `-o json`, `-o=json`, `-ojson`, `-yf` (two switches). */
function parseShort(
  word: string, byShort: ReadonlyMap<string, string>, table: FlagTable, command: string,
  set: (name: string, spec: FlagSpec, written: string, text: string | undefined) => void,
): void {
  const long = word.slice(1).split("=")[0] as string;
  if (long.length > 1 && Object.hasOwn(table, long)) throw unknownFlag(command, word, table, `--${long}`);
  let rest = word.slice(1);
  while (rest !== "") {
    const letter = rest.slice(0, 1);
    rest = rest.slice(1);
    const name = byShort.get(letter);
    const spec = name === undefined ? undefined : table[name];
    if (name === undefined || spec === undefined) throw unknownFlag(command, `-${letter}`, table);
    if (rest.startsWith("=")) return set(name, spec, `-${letter}`, rest.slice(1));
    if (spec.type !== "bool" && rest !== "") return set(name, spec, `-${letter}`, rest);
    set(name, spec, `-${letter}`, undefined);
  }
}

/**
 * The word after a flag. pflag would also take a word that is itself a flag: `--node-name --dry-run` then installs for real on a machine named
 * "--dry-run". Nobody means that, so a value that begins with a dash has to be written `--flag=-value`.
 */
function takeValue(command: string, written: string, spec: FlagSpec, queue: string[]): string {
  const next = queue[0];
  if (next === undefined || (next.startsWith("-") && next !== "-" && !(spec.type === "int" && /^-\d+$/.test(next)))) {
    throw new KubestickError({
      code: "CLI_FLAG_NEEDS_VALUE",
      attempted: `reading the arguments of "${command}"`,
      happened: `${written} needs a value${next === undefined ? "" : `, but ${next} follows it`}.`,
      next: `Write ${written}${written.startsWith("--") ? "=" : " "}${spec.placeholder ?? "VALUE"}. "${command} --help" explains the flag.`,
    });
  }
  queue.shift();
  return next;
}

/** Go's strconv.ParseBool. */
function booleanOf(command: string, written: string, text: string): boolean {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(text)) return true;
  if (["0", "f", "F", "FALSE", "false", "False"].includes(text)) return false;
  throw badValue(command, written, text, "it must be true or false");
}

function integerOf(command: string, written: string, text: string): number {
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw badValue(command, written, text, "it must be a whole number");
  return value;
}

/** pflag reads one CSV record (RFC 4180), so a value may carry commas in double quotes. */
function splitList(command: string, written: string, text: string): readonly string[] {
  if (text === "") return [];
  const fields: string[] = [];
  let field = "";
  for (let i = 0; i < text.length; i++) {
    const letter = text.charAt(i);
    if (letter === "," ) {
      fields.push(field);
      field = "";
    } else if (letter === "\"" && field === "") {
      const end = /"(?=,|$)/.exec(text.slice(i + 1));
      if (end === null) throw badValue(command, written, text, "a double quote is not closed");
      field = text.slice(i + 1, i + 1 + end.index).replaceAll("\"\"", "\"");
      i += end.index + 1;
    } else {
      field += letter;
    }
  }
  return [...fields, field];
}

function badValue(command: string, written: string, value: string, rule: string): KubestickError {
  return new KubestickError({
    code: "CLI_FLAG_VALUE",
    attempted: `reading the arguments of "${command}"`,
    happened: `${written} cannot be ${JSON.stringify(value)}: ${rule}.`,
    next: `Correct ${written} and run the command again; nothing was changed. "${command} --help" explains the flag.`,
  });
}

/** Flags of kubeadm that this program does not have, with the reason. */
const absent: Readonly<Record<string, string>> = {
  ...Object.fromEntries(["apiserver", "controller-manager", "scheduler"].map((name) => [`--${name}-extra-args`, `It is deprecated there. Write the arguments as extraArgs into the configuration file, where init, phases and upgrades find them, and name it with --config`])),
  "--rootfs": "Units, kernel settings, routes and the container runtime belong to the running system, and in another root only the files would change. Run kubestick inside that system: on the machine itself, or with a shell in its container",
};

function unknownFlag(command: string, written: string, table: FlagTable, meant?: string): KubestickError {
  const reason = absent[written];
  if (reason !== undefined) {
    return new KubestickError({
      code: "CLI_FLAG_ABSENT", attempted: `reading the arguments of "${command}"`, happened: `kubeadm's ${written} is not here.`,
      next: `${reason}; nothing was changed.`,
    });
  }
  const close = meant ?? (written.startsWith("--") ? prefixed(nearest(written.slice(2), Object.keys(table))) : undefined);
  return new KubestickError({
    code: "CLI_UNKNOWN_FLAG",
    attempted: `reading the arguments of "${command}"`,
    happened: `There is no flag ${written}.${close === undefined ? "" : ` Did you mean ${close}?`}`,
    next: `Correct the flag and run the command again; nothing was changed. "${command} --help" lists all flags.`,
  });
}

function prefixed(name: string | undefined): string | undefined {
  return name === undefined ? undefined : `--${name}`;
}
