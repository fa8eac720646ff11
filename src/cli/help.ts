/** Help, generated from the table of commands. */
import { commandName, type Command, type CommandGroup } from "./command.ts";
import { commands, groups } from "./commands.ts";
import { globalFlags } from "./flag-tables.ts";
import type { FlagSpec, FlagTable } from "./flags.ts";
import { wrap } from "./text-format.ts";

const widest = 100;

/** `width`: columns of the terminal; long lines of help are hard to read, so at most 100 are used. */
export function commandHelp(entry: Command, width = widest): string {
  const room = Math.min(width, widest);
  const parts = [
    `${wrap(`${entry.summary}.`, room)}\n\n${wrap(entry.description, room)}`,
    `Usage:\n  ${usage(entry)}`,
    `Examples:\n${entry.examples.map(({ comment, line }) => `${wrap(`# ${comment}`, room, "  ")}\n  ${line}`).join("\n\n")}`,
  ];
  if (entry.positionals.length > 0) parts.push(`Arguments:\n${columns(entry.positionals.map(({ name, description }) => [name, description]), room)}`);
  if (Object.keys(entry.flags).length > 0) parts.push(`Flags:\n${flagLines(entry.flags, room)}`);
  parts.push(`Flags of every command:\n${flagLines(globalFlags, room)}`);
  return `${parts.join("\n\n")}\n`;
}

/** Help of a word that holds commands; of the program itself for an empty path. */
export function groupHelp(group: CommandGroup | undefined, width = widest): string {
  const room = Math.min(width, widest);
  const path = group?.path ?? [];
  const head = group === undefined
    ? wrap("kubestick installs a complete Kubernetes from one file, where there is no network.", room)
    : wrap(`${group.summary}.`, room);
  const parts = [
    head,
    `Usage:\n  ${commandName(path)} COMMAND [flags]`,
    `Commands:\n${columns(childrenOf(path).map((child) => [child.path.slice(path.length).join(" "), child.summary]), room)}`,
    `Flags of every command:\n${flagLines(globalFlags, room)}`,
    `"${commandName(path)} COMMAND --help" shows the flags of a command and examples.`,
  ];
  if (group === undefined) {
    parts.splice(1, 0, "Three steps:\n"
      + "  1. With network:     kubestick pack -o kubestick-offline\n"
      + "  2. Carry it over:    copy the one file to the machine, as root\n"
      + "  3. Without network:  ./kubestick-offline init");
  }
  return `${parts.join("\n\n")}\n`;
}

/** Commands and groups directly below a path, in the order of the table. */
export function childrenOf(path: readonly string[]): readonly (Command | CommandGroup)[] {
  const below = (entry: { readonly path: readonly string[] }): boolean => entry.path.length > path.length && path.every((word, i) => entry.path[i] === word);
  const seen = new Set<string>();
  return commands.filter(below).flatMap((entry) => {
    const word = entry.path[path.length] as string;
    if (seen.has(word)) return [];
    seen.add(word);
    if (entry.path.length === path.length + 1) return [entry];
    return groups.filter((group) => below(group) && group.path.length === path.length + 1 && group.path[path.length] === word);
  });
}

function usage(entry: Command): string {
  const positionals = entry.positionals.map(({ name, optional, repeats }) => `${optional === true ? `[${name}]` : name}${repeats === true ? " ..." : ""}`);
  return [commandName(entry.path), ...positionals, "[flags]"].join(" ");
}

function flagLines(table: FlagTable, room: number): string {
  return columns(Object.entries(table).map(([name, spec]) => [flagHead(name, spec), `${spec.description}${spec.default === undefined ? "" : ` (default: ${spec.default})`}`]), room);
}

function flagHead(name: string, spec: FlagSpec): string {
  const short = spec.short === undefined ? "    " : `-${spec.short}, `;
  return `${short}--${name}${spec.type === "bool" ? "" : ` ${spec.placeholder ?? "VALUE"}`}`;
}

/** Two columns; the right one is wrapped, and moves to its own line when the left one is long or the terminal narrow. */
function columns(rows: readonly (readonly [string, string])[], room: number): string {
  const left = Math.min(34, Math.max(...rows.map(([head]) => head.length)));
  const indent = " ".repeat(room < 70 ? 8 : left + 4);
  return rows.map(([head, text]) => {
    const body = wrap(text, room, indent);
    return room < 70 || head.length > left ? `  ${head}\n${body}` : `  ${head.padEnd(left)}  ${body.trimStart()}`;
  }).join("\n");
}
