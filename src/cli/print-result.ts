/** The answer of a command that only asks: text for people, the same as data for scripts. */
import type { Io } from "./io.ts";

export function printResult(io: Io, format: string | undefined, text: string, value: unknown): void {
  if (format === "json") io.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
  else if (format === "jsonl") io.stdout.write(`${JSON.stringify(value)}\n`);
  else io.stdout.write(text);
}
