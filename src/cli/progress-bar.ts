/** One line for bytes on their way: name, bar, share, amount, rate, time left. What does not fit is left out, least important first. */
import { displayWidth, formatBytes, formatElapsed, padEnd, truncateStart } from "./text-format.ts";

export interface Transfer {
  readonly label: string;
  readonly done: number;
  /** undefined: nobody knows, so no bar and no share. */
  readonly total: number | undefined;
  /** Bytes in a second; undefined while there is too little to tell. */
  readonly rate: number | undefined;
}

export interface BarGlyphs {
  readonly full: string;
  readonly empty: string;
  readonly ellipsis: string;
}

export function transferLine(transfer: Transfer, width: number, glyphs: BarGlyphs): string {
  const { done, total, rate } = transfer;
  const share = total === undefined || total === 0 ? undefined : Math.min(1, done / total);
  const percent = share === undefined ? undefined : `${String(Math.floor(share * 100)).padStart(3)}%`;
  const amount = total === undefined ? formatBytes(done) : `${formatBytes(done)} of ${formatBytes(total)}`;
  const speed = rate === undefined ? undefined : `${formatBytes(rate)}/s`;
  const left = rate === undefined || rate <= 0 || total === undefined || done >= total ? undefined : `${formatElapsed(Math.ceil((total - done) / rate) * 1000).replace(/\.\d/, "")} left`;
  // From everything to only the share: the first that leaves room for a name and a bar.
  const candidates = [[percent, amount, speed, left], [percent, amount, speed], [percent, speed], [percent ?? amount]];
  for (const candidate of candidates) {
    const numbers = candidate.filter((part) => part !== undefined).join("  ");
    const room = width - numbers.length - 2;
    const named = Math.min(40, displayWidth(transfer.label));
    const barWidth = share === undefined ? 0 : Math.min(30, Math.max(10, room - named - 2));
    const labelWidth = Math.min(40, room - (barWidth > 0 ? barWidth + 2 : 0));
    if (labelWidth < 16) continue;
    const bar = share === undefined ? "" : `  ${glyphs.full.repeat(Math.round(share * barWidth)).padEnd(barWidth, glyphs.empty)}`;
    return `${padEnd(truncateStart(transfer.label, labelWidth, glyphs.ellipsis), labelWidth)}${bar}  ${numbers}`;
  }
  return truncateStart(transfer.label, Math.max(0, width), glyphs.ellipsis);
}

/** Rate over the last seconds, so that a stall shows and a burst does not. */
export class RateMeter {
  readonly #samples: { readonly at: number; readonly done: number }[] = [];

  add(at: number, done: number): void {
    const last = this.#samples.at(-1);
    // Bytes that went back: another thing is counted under the same name.
    if (last !== undefined && done < last.done) this.#samples.length = 0;
    this.#samples.push({ at, done });
    while (this.#samples.length > 2 && at - (this.#samples[0] as { at: number }).at > 5000) this.#samples.shift();
  }

  /** Bytes in a second; undefined in the first moments. */
  rate(now: number): number | undefined {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined) return undefined;
    const ms = Math.max(now, last.at) - first.at;
    return ms < 400 ? undefined : ((last.done - first.done) / ms) * 1000;
  }
}
