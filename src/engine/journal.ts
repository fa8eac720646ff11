/**
 * The journal: what runs on this machine made, line by line, so that a reset undoes exactly that, whenever a run was killed.
 *
 * Before a thing is changed for the first time, an `intent` says what was found in its place; after the change, a second
 * line says it happened. A killed run leaves at most an intent without its second line (reset then undoes what may not have
 * been done, which is harmless) and at most one torn line (which was not followed by any change, because lines are flushed
 * before the change they announce).
 */
import { KubestickError, isKubestickError } from "../errors.ts";
import type { Host } from "../host/types.ts";
import type { JournalEntry } from "./types.ts";

export interface Journal {
  /** Oldest first. */
  readonly entries: readonly JournalEntry[];
  /** A run made this thing, or was about to. */
  has(actionId: string): boolean;
  /** The first intent whose `undo[key]` is `value`: what was found before any run touched it. Later intents would describe our own work. */
  found(key: string, value: string): JournalEntry | undefined;
  /** With which fingerprint the unit of this action was last (re)started. */
  fingerprint(actionId: string): string | undefined;
  append(entry: Omit<JournalEntry, "at">): Promise<void>;
}

export function journalPath(stateDirectory: string): string {
  return `${stateDirectory}/journal.jsonl`;
}

/** `orEmpty`: one that may not be read is like none. For dry runs without root, and until checks have said that root is needed. */
export async function openJournal(host: Host, stateDirectory: string, orEmpty: boolean): Promise<Journal> {
  const path = journalPath(stateDirectory);
  const text = await host.readText(path).catch((error: unknown) => {
    if (orEmpty && isKubestickError(error)) return undefined;
    throw error;
  }) ?? "";
  const entries = parseJournal(text, path);
  // After a torn line the next one needs a line of its own.
  let separator = text === "" || text.endsWith("\n") ? "" : "\n";
  let directoryMade = text !== "";
  let last: Promise<void> = Promise.resolve();
  const write = async (entry: Omit<JournalEntry, "at">): Promise<void> => {
    if (!directoryMade) {
      await host.makeDirectory(stateDirectory, 0o700);
      directoryMade = true;
    }
    const line: JournalEntry = { at: host.now().toISOString(), ...entry };
    await host.append(path, `${separator}${JSON.stringify(line)}\n`, 0o600);
    separator = "";
    entries.push(line);
  };
  return {
    entries,
    has: (actionId) => entries.some((entry) => entry.id === actionId),
    found: (key, value) => entries.find((entry) => entry.what === "intent" && entry.undo?.[key] === value),
    fingerprint: (actionId) => entries.findLast((entry) => entry.id === actionId && entry.what === "started")?.fingerprint,
    // Actions that are performed at once write one after the other.
    append: (entry) => (last = last.catch(() => undefined).then(() => write(entry))),
  };
}

/** Torn lines are passed over: the last one of the file, or one that a later run had to continue after. */
export function parseJournal(text: string, path: string): JournalEntry[] {
  const entries: JournalEntry[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line === "") continue;
    const value = parsed(line);
    if (value === undefined) continue;
    if (!isEntry(value)) {
      throw new KubestickError({
        code: "JOURNAL_CORRUPT",
        attempted: `reading the journal ${path}`,
        happened: `Line ${index + 1} is complete, but not an entry that this version writes.`,
        next: `Another version of kubestick may have written it; use that one. The line is shown by: sed -n ${index + 1}p ${path}`,
      });
    }
    entries.push(value);
  }
  return entries;
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

const outcomes: ReadonlySet<unknown> = new Set<JournalEntry["what"]>(["intent", "created", "changed", "started", "removed"]);

function isEntry(value: unknown): value is JournalEntry {
  if (typeof value !== "object" || value === null) return false;
  const entry = value as Partial<JournalEntry>;
  return typeof entry.id === "string" && typeof entry.kind === "string" && outcomes.has(entry.what);
}
