/** The shape of a command. The table of all of them is `commands.ts`. */
import type { FlagTable, FlagValues } from "./flags.ts";
import type { Io } from "./io.ts";

export interface Example {
  readonly comment: string;
  readonly line: string;
}

export interface Positional {
  readonly name: string;
  readonly description: string;
  readonly optional?: true;
  /** Of the last one: any number of them. */
  readonly repeats?: true;
  readonly choices?: readonly string[];
}

export interface Command {
  /** `["config", "images", "list"]`. */
  readonly path: readonly string[];
  /** One line without a full stop, imperative. */
  readonly summary: string;
  /** Paragraphs, wrapped when shown. */
  readonly description: string;
  /** At least two. */
  readonly examples: readonly Example[];
  readonly flags: FlagTable;
  readonly positionals: readonly Positional[];
  run(flags: FlagValues<FlagTable>, positionals: readonly string[], io: Io): Promise<void>;
}

/** A word that only holds commands: `config`. */
export interface CommandGroup {
  readonly path: readonly string[];
  readonly summary: string;
}

/** Keeps the handler typed by its own flags while the table holds commands of one type. */
export function command<const Flags extends FlagTable>(definition: {
  readonly path: readonly string[];
  readonly summary: string;
  readonly description: string;
  readonly examples: readonly Example[];
  readonly flags: Flags;
  readonly positionals?: readonly Positional[];
  run(flags: FlagValues<Flags>, positionals: readonly string[], io: Io): Promise<void>;
}): Command {
  return { positionals: [], ...definition } as Command;
}

export function commandName(path: readonly string[]): string {
  return ["kubestick", ...path].join(" ");
}
