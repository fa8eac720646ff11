/** From argv to a running command: finds it in the table, parses its flags, applies the rules all commands share. */
import { nearest } from "../config/names.ts";
import { KubestickError } from "../errors.ts";
import { commandName, type Command, type CommandGroup } from "./command.ts";
import { commands, groups } from "./commands.ts";
import { globalFlags } from "./flag-tables.ts";
import { parseArguments, type ParsedArguments } from "./flags.ts";
import { childrenOf, commandHelp, groupHelp } from "./help.ts";
import type { Io, OutputFormat } from "./io.ts";

/** What argv asks for: text to show, or a command ready to run. */
export type Invocation =
  | { readonly kind: "help"; readonly text: (width: number) => string; /** Set when help was not asked for: a word that only holds commands. */ readonly error?: KubestickError }
  | { readonly kind: "command"; readonly command: Command; readonly arguments: ParsedArguments; readonly verbosity: number; readonly noColor: boolean };

/** Reads argv completely before anything runs: a mistake in the last word must not surface in the middle of an installation. */
export function readInvocation(argv: readonly string[]): Invocation {
  const { target, rest } = resolve(argv);
  if (target === undefined || !("run" in target)) {
    const parsed = parseArguments(commandName(target?.path ?? []), globalFlags, rest);
    const unknown = parsed.positionals[0];
    if (unknown !== undefined) throw unknownCommand(target?.path ?? [], unknown);
    return {
      kind: "help",
      text: (width) => groupHelp(target, width),
      ...(target === undefined || parsed.flags["help"] === true ? {} : { error: missingCommand(target) }),
    };
  }
  const name = commandName(target.path);
  const parsed = parseArguments(name, { ...target.flags, ...globalFlags }, rest);
  if (parsed.flags["help"] === true) return { kind: "help", text: (width) => commandHelp(target, width) };
  checkPositionals(target, parsed.positionals);
  checkMixing(target, parsed);
  return { kind: "command", command: target, arguments: parsed, verbosity: verbosityOf(parsed), noColor: parsed.flags["no-color"] === true };
}

/** Runs what was read. `io` already follows `verbosity` and `noColor`. */
export async function runInvocation(invocation: Invocation, io: Io): Promise<void> {
  if (invocation.kind === "help") {
    io.stdout.write(invocation.text(io.stdout.columns()));
    if (invocation.error !== undefined) throw invocation.error;
    return;
  }
  const { flags, positionals } = invocation.arguments;
  await invocation.command.run(flags as Parameters<Command["run"]>[0], positionals, io);
}

/** The form of output argv asks for, readable also from an argv that has mistakes, so that their report has that form. */
export function requestedFormat(argv: readonly string[]): OutputFormat {
  for (const [i, word] of argv.entries()) {
    if (word === "--") break;
    const match = /^(?:--output=|-o=?)(.*)$/.exec(word);
    const value = word === "--output" || word === "-o" ? argv[i + 1] : match?.[1];
    if (value === "json" || value === "jsonl") return value;
  }
  return "text";
}

export async function helpCommand(words: readonly string[], io: Io): Promise<void> {
  const { target, rest } = resolve(words);
  if (rest[0] !== undefined) throw unknownCommand(target?.path ?? [], rest[0]);
  io.stdout.write(target !== undefined && "run" in target ? commandHelp(target, io.stdout.columns()) : groupHelp(target, io.stdout.columns()));
}

/** The longest command or group at the start of the words; flags that stand before it (`-v 5 init`) are put behind it. */
function resolve(words: readonly string[]): { readonly target: Command | CommandGroup | undefined; readonly rest: readonly string[] } {
  if (words[0] === "--version") return resolve(["version", ...words.slice(1)]);
  const first = leadingFlags(words);
  let target: Command | CommandGroup | undefined;
  let taken = first;
  while (taken < words.length) {
    const path = words.slice(first, taken + 1);
    const next = [...commands, ...groups].find((entry) => entry.path.length === path.length && entry.path.every((word, i) => word === path[i]));
    if (next === undefined) break;
    target = next;
    taken++;
  }
  return { target, rest: [...words.slice(0, first), ...words.slice(taken)] };
}

/** Number of words before the command; only the flags of every command can stand there. */
function leadingFlags(words: readonly string[]): number {
  let i = 0;
  for (let word = words[i]; word !== undefined && word.startsWith("-") && word !== "-" && word !== "--"; word = words[i]) {
    i += (word === "-v" || word === "--v") && words[i + 1] !== undefined ? 2 : 1;
  }
  return i;
}

function verbosityOf(parsed: ParsedArguments): number {
  const level = parsed.flags["v"];
  return typeof level === "number" ? level : 0;
}

function checkPositionals(entry: Command, positionals: readonly string[]): void {
  const name = commandName(entry.path);
  // `help` takes any number of words.
  const extra = entry.path[0] === "help" || entry.positionals.at(-1)?.repeats === true ? undefined : positionals[entry.positionals.length];
  if (extra !== undefined) {
    const hint = ["true", "false"].includes(extra) ? ` A switch takes its value behind an equals sign: --flag=${extra}.` : "";
    throw argumentError(name, `${JSON.stringify(extra)} is one argument too many.${hint}`);
  }
  for (const [i, spec] of entry.positionals.entries()) {
    const value = positionals[i];
    if (value === undefined) {
      if (spec.optional !== true) throw argumentError(name, `${spec.name} is missing (${spec.description}).`);
      continue;
    }
    if (spec.choices !== undefined && !spec.choices.includes(value)) {
      throw argumentError(name, `${spec.name} cannot be ${JSON.stringify(value)}; it must be ${spec.choices.join(" or ")}.`);
    }
  }
}

/** kubeadm's rule: a configuration file and flags that say the same things do not go together. */
function checkMixing(entry: Command, parsed: ParsedArguments): void {
  if (parsed.flags["config"] === undefined || entry.path[0] === "config") return;
  const refused = Object.keys(parsed.flags).filter((name) => {
    const spec = { ...entry.flags, ...globalFlags }[name];
    return spec?.withConfig !== true;
  });
  if (refused.length === 0) return;
  throw new KubestickError({
    code: "CLI_MIXED_CONFIG",
    attempted: `reading the arguments of "${commandName(entry.path)}"`,
    happened: `can not mix '--config' with arguments [${refused.join(" ")}]`,
    next: `Put ${refused.map((name) => `--${name}`).join(", ")} into the configuration file, or leave out --config; nothing was changed.`,
  });
}

function argumentError(name: string, happened: string): KubestickError {
  return new KubestickError({ code: "CLI_ARGUMENTS", attempted: `reading the arguments of "${name}"`, happened, next: `"${name} --help" shows what it takes; nothing was changed.` });
}

function unknownCommand(path: readonly string[], word: string): KubestickError {
  const close = nearest(word, childrenOf(path).map((child) => child.path[path.length] as string));
  return new KubestickError({
    code: "CLI_UNKNOWN_COMMAND",
    attempted: `reading the arguments of "${commandName(path)}"`,
    happened: `There is no command "${[...path, word].join(" ")}".${close === undefined ? "" : ` Did you mean "${commandName([...path, close])}"?`}`,
    next: `"${commandName(path)} --help" lists the commands; nothing was changed.`,
  });
}

function missingCommand(group: CommandGroup): KubestickError {
  return new KubestickError({
    code: "CLI_MISSING_COMMAND",
    attempted: `reading the arguments of "${commandName(group.path)}"`,
    happened: `"${commandName(group.path)}" needs one more word: ${childrenOf(group.path).map((child) => child.path[group.path.length]).join(" or ")}.`,
    next: `Type "${commandName((childrenOf(group.path)[0] ?? group).path)} --help" for an example.`,
  });
}
