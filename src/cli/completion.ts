/** Completion scripts for bash and zsh, generated from the table of commands; they call nothing when they run. */
import { commands } from "./commands.ts";
import type { Command } from "./command.ts";
import { globalFlags } from "./flag-tables.ts";
import type { FlagSpec } from "./flags.ts";
import { childrenOf } from "./help.ts";
import type { Io } from "./io.ts";

export function completionCommand(positionals: readonly string[], io: Io): void {
  io.stdout.write(positionals[0] === "zsh" ? zshScript() : bashScript());
}

/** What may follow the words of a path. */
interface Place {
  readonly path: string;
  readonly words: readonly string[];
  readonly flags: Readonly<Record<string, FlagSpec>>;
  /** The command takes a file as its argument. */
  readonly files: boolean;
}

function places(): readonly Place[] {
  const prefixes = new Set<string>([""]);
  for (const { path } of commands) path.forEach((_, i) => prefixes.add(path.slice(0, i + 1).join(" ")));
  return [...prefixes].map((path) => {
    const words = path === "" ? [] : path.split(" ");
    const entry: Command | undefined = commands.find((candidate) => candidate.path.join(" ") === path);
    const argumentWords = path === "help" ? childrenOf([]).map((child) => child.path[0] as string) : (entry?.positionals[0]?.choices ?? []);
    return {
      path,
      words: entry === undefined ? childrenOf(words).map((child) => child.path[words.length] as string) : argumentWords,
      flags: { ...entry?.flags, ...globalFlags },
      files: entry?.positionals[0]?.name === "FILE",
    };
  });
}

function spelled(flags: Place["flags"]): readonly string[] {
  return Object.entries(flags).flatMap(([name, spec]) => [`--${name}`, ...(spec.short === undefined ? [] : [`-${spec.short}`])]);
}

/** Shell words: the table holds only letters, digits and dashes, so single quotes around a list are enough. */
function bashScript(): string {
  const all = places();
  const lines = [
    "# bash completion for kubestick; load it with: source <(kubestick completion bash)",
    "_kubestick() {",
    "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} place='' next word i",
    // An equals sign is a word of its own for bash (COMP_WORDBREAKS).
    "  if [[ $cur == '=' ]]; then cur=''; elif [[ $prev == '=' ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi",
    "  COMPREPLY=()",
    "  for ((i = 1; i < COMP_CWORD; i++)); do",
    "    word=${COMP_WORDS[i]}",
    "    next=\"${place:+$place }$word\"",
    "    case \"$next\" in",
    `      ${all.filter(({ path }) => path !== "").map(({ path }) => `'${path}'`).join("|")}) place=$next ;;`,
    "    esac",
    "  done",
    "  case \"$place:$prev\" in",
    ...all.flatMap(({ path, flags }) => Object.entries(flags).filter(([, spec]) => spec.type !== "bool").map(([name, spec]) => {
      const keys = [`'${path}:--${name}'`, ...(spec.short === undefined ? [] : [`'${path}:-${spec.short}'`])].join("|");
      const answer = spec.completes === "file" ? "COMPREPLY=($(compgen -f -- \"$cur\")); compopt -o filenames 2>/dev/null"
        : spec.completes === "directory" ? "COMPREPLY=($(compgen -d -- \"$cur\")); compopt -o filenames 2>/dev/null"
          : spec.choices === undefined ? ":" : `COMPREPLY=($(compgen -W '${spec.choices.join(" ")}' -- "$cur"))`;
      return `    ${keys}) ${answer}; return ;;`;
    })),
    "  esac",
    "  case \"$place\" in",
    ...all.map(({ path, words, flags, files }) => `    '${path}') COMPREPLY=($(compgen ${files ? "-f " : ""}-W '${[...words].join(" ")}' -- "$cur")); [[ $cur == -* ]] && COMPREPLY=($(compgen -W '${spelled(flags).join(" ")}' -- "$cur")) ;;`),
    "  esac",
    "}",
    "complete -F _kubestick kubestick",
    "",
  ];
  return lines.join("\n");
}

function zshScript(): string {
  const all = places();
  const quote = (text: string): string => text.replaceAll("'", "'\\''").replace(/[[\]:]/g, "\\$&");
  const lines = [
    "#compdef kubestick",
    "# zsh completion for kubestick; load it with: source <(kubestick completion zsh)",
    "_kubestick() {",
    "  local place='' next word i depth=0",
    "  for ((i = 2; i < CURRENT; i++)); do",
    "    word=${words[i]}",
    "    next=\"${place:+$place }$word\"",
    "    case \"$next\" in",
    `      (${all.filter(({ path }) => path !== "").map(({ path }) => `'${path}'`).join("|")}) place=$next; depth=$((i - 1)) ;;`,
    "    esac",
    "  done",
    // _arguments is told only what follows the words of the command.
    "  words=(kubestick \"${(@)words[depth + 2, -1]}\")",
    "  ((CURRENT -= depth))",
    "  case \"$place\" in",
    ...all.map(({ path, words, flags, files }) => {
      const specs = Object.entries(flags).flatMap(([name, spec]) => [`--${name}`, ...(spec.short === undefined ? [] : [`-${spec.short}`])].map((written) => {
        const value = spec.type === "bool" ? "" : spec.completes === "file" ? ":file:_files" : spec.completes === "directory" ? ":directory:_files -/" : spec.choices === undefined ? ":value: " : `:value:(${spec.choices.join(" ")})`;
        const repeat = spec.type === "strings" || spec.type === "array" ? "*" : "";
        return `'${repeat}${written}${spec.type === "bool" ? "" : written.startsWith("--") ? "=" : "+"}[${quote(spec.description)}]${value}'`;
      }));
      const rest = files ? "'*:file:_files'" : words.length > 0 ? `'*:word:(${words.join(" ")})'` : "";
      return `    ('${path}') _arguments -S ${[...specs, rest].filter((part) => part !== "").join(" ")} ;;`;
    }),
    "  esac",
    "}",
    // Sourced: register; autoloaded from fpath: complete at once.
    "if [ \"$funcstack[1]\" = \"_kubestick\" ]; then _kubestick \"$@\"; else compdef _kubestick kubestick; fi",
    "",
  ];
  return lines.join("\n");
}
