/**
 * Lines at the bottom of a terminal that are drawn again and again, and lasting lines above them.
 *
 * A frame ends with a line break and leaves the cursor below it: what a person types meanwhile (`^C`) lands on an empty line and is wiped by
 * the next frame. Wrapping by the terminal is off while drawing, so that a width counted wrongly costs a cut line, not a torn screen.
 */
import type { TextOutput } from "./io.ts";
import { displayWidth } from "./text-format.ts";

const hideCursor = "\x1b[?25l";
const showCursor = "\x1b[?25h";
const wrapOff = "\x1b[?7l";
const wrapOn = "\x1b[?7h";
const eraseToEnd = "\x1b[K";
const eraseBelow = "\x1b[J";
const styles = /\x1b\[[0-9;]*m/g;

export class LiveRegion {
  readonly #out: TextOutput;
  #frame: readonly string[] = [];
  #drawnAt = 0;
  #open = false;

  constructor(out: TextOutput) {
    this.#out = out;
  }

  /** Lines fit the width already; styles are allowed in them. `lasting` goes above the frame for good. */
  draw(frame: readonly string[], lasting: readonly string[] = []): void {
    const columns = this.#out.columns();
    const room = Math.max(1, this.#out.rows() - 1);
    const shown = frame.length > room ? frame.slice(0, room) : frame;
    const start = this.#open ? "" : hideCursor;
    this.#open = true;
    const rows = this.#rowsNow(columns);
    const up = rows > 0 ? `\x1b[${rows}A\r` : "\r";
    const text = [...lasting, ...shown].map((line) => `${line}${eraseToEnd}\n`).join("");
    this.#out.write(`${start}${wrapOff}${up}${text}${eraseBelow}${wrapOn}`);
    this.#frame = shown;
    this.#drawnAt = columns;
  }

  /** Wipes the frame and gives the cursor back. Drawing again opens it again. */
  close(): void {
    if (!this.#open) return;
    const rows = this.#rowsNow(this.#out.columns());
    this.#out.write(`${rows > 0 ? `\x1b[${rows}A` : ""}\r${eraseBelow}${showCursor}`);
    this.#frame = [];
    this.#open = false;
  }

  /** A terminal that was made narrower has wrapped the lines of the last frame. */
  #rowsNow(columns: number): number {
    if (columns >= this.#drawnAt) return this.#frame.length;
    return this.#frame.reduce((rows, line) => rows + Math.max(1, Math.ceil(displayWidth(line.replace(styles, "")) / columns)), 0);
  }
}
