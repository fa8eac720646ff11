/** A terminal as far as the renderers use one: what a person would see after all bytes were written. */
import type { Io, TextOutput } from "../../src/cli/io.ts";

export class Screen implements TextOutput {
  readonly isTerminal = true;
  readonly #columns: number;
  readonly #rows: number;
  #lines: string[][] = [[]];
  #row = 0;
  #column = 0;
  #wraps = true;
  cursorShown = true;
  /** Escape sequences this terminal does not know; tests want none. */
  readonly unknown: string[] = [];
  /** Characters that did not fit into their line. */
  overflow = 0;
  writes = 0;

  constructor(columns = 80, rows = 24) {
    this.#columns = columns;
    this.#rows = rows;
  }

  columns(): number { return this.#columns; }
  rows(): number { return this.#rows; }

  write(text: string): void {
    this.writes++;
    for (const [part, sequence] of text.matchAll(/\x1b\[([0-?]*[@-~])|[^]/gu)) {
      if (sequence !== undefined) this.#control(sequence);
      else if (part === "\n") this.#newline();
      else if (part === "\r") this.#column = 0;
      else this.#put(part);
    }
  }

  /** Lines without trailing blanks, without empty ones at the end. */
  get text(): string {
    return this.#lines.map((line) => Array.from(line, (cell) => cell ?? " ").join("").trimEnd()).join("\n").trimEnd();
  }

  #control(sequence: string): void {
    const count = Number.parseInt(sequence, 10) || 1;
    if (sequence.endsWith("m")) return;
    if (/^\d*A$/.test(sequence)) this.#row = Math.max(Math.max(0, this.#lines.length - this.#rows), this.#row - count);
    else if (sequence === "K") this.#line.length = Math.min(this.#line.length, this.#column);
    else if (sequence === "J") {
      this.#line.length = Math.min(this.#line.length, this.#column);
      this.#lines.length = this.#row + 1;
    } else if (sequence === "?25l") this.cursorShown = false;
    else if (sequence === "?25h") this.cursorShown = true;
    else if (sequence === "?7l") this.#wraps = false;
    else if (sequence === "?7h") this.#wraps = true;
    else this.unknown.push(sequence);
  }

  get #line(): string[] {
    return this.#lines[this.#row] ??= [];
  }

  #newline(): void {
    this.#row++;
    this.#column = 0;
    this.#lines[this.#row] ??= [];
  }

  #put(character: string): void {
    if (this.#column >= this.#columns) {
      this.overflow++;
      if (!this.#wraps) return;
      this.#newline();
    }
    this.#line[this.#column++] = character;
  }
}

export class TextSink implements TextOutput {
  readonly isTerminal = false;
  text = "";
  columns(): number { return 80; }
  rows(): number { return 24; }
  write(text: string): void { this.text += text; }
}

/** Time stands still until a test moves it; timers fire on `advance`. */
export class FakeClock {
  now = 0;
  readonly #timers = new Set<{ readonly ms: number; readonly call: () => void; next: number }>();

  every(ms: number, call: () => void): () => void {
    const timer = { ms, call, next: this.now + ms };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  get pending(): number {
    return this.#timers.size;
  }

  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.next <= end).toSorted((a, b) => a.next - b.next)[0];
      if (due === undefined) break;
      this.now = due.next;
      due.next += due.ms;
      due.call();
    }
    this.now = end;
  }
}

export interface TestIo extends Io {
  readonly clock: () => number;
  readonly restorers: Set<() => void>;
}

export function testIo(options: { readonly stdout?: TextOutput; readonly stderr?: TextOutput; readonly clock?: FakeClock; readonly signal?: AbortSignal; readonly verbosity?: number; readonly unicode?: boolean; readonly color?: boolean } = {}): TestIo {
  const restorers = new Set<() => void>();
  return {
    stdout: options.stdout ?? new TextSink(),
    stderr: options.stderr ?? new TextSink(),
    ask: undefined,
    env: {},
    signal: options.signal ?? new AbortController().signal,
    verbosity: options.verbosity ?? 0,
    color: options.color ?? true,
    unicode: options.unicode ?? true,
    clock: () => options.clock?.now ?? 0,
    onExit(restore) {
      restorers.add(restore);
      return () => restorers.delete(restore);
    },
    restorers,
  };
}
