/** What happens when, as a chart: one row for each stage, the ways one above the other on the same scale of seconds. */

export interface Bar {
  readonly title: string;
  /** Seconds. */
  readonly from: number;
  readonly to: number;
}

export interface Way {
  readonly name: string;
  readonly bars: readonly Bar[];
}

const [width, left, right, rowHeight, barHeight] = [960, 20, 40, 30, 20];
const colours = ["#2b7a78", "#b5651d"];

/** An SVG document, its text in the reader's own font. */
export function timeline(title: string, subtitle: string, ways: readonly Way[]): string {
  const end = Math.max(...ways.flatMap(({ bars }) => bars.map(({ to }) => to)));
  const step = [1, 2, 5, 10, 20, 30, 60].find((candidate) => end / candidate <= 12) ?? 120;
  const x = (seconds: number): number => left + (seconds / end) * (width - left - right);
  const parts: string[] = [];
  let y = 82;
  for (const [number, way] of ways.entries()) {
    const last = Math.max(...way.bars.map(({ to }) => to));
    parts.push(text(left, y, `${way.name}: ${last.toFixed(1)} seconds`, "bold"));
    y += 12;
    for (const bar of way.bars) {
      const [from, to] = [x(bar.from), x(bar.to)];
      const label = `${bar.title}, ${(bar.to - bar.from).toFixed(1)} s`;
      parts.push(`<rect x="${from.toFixed(1)}" y="${y}" width="${Math.max(1, to - from).toFixed(1)}" height="${barHeight}" rx="3" fill="${colours[number % colours.length]}"/>`);
      // Beside the bar, on the side where there is room for it.
      const fits = to + 8 + label.length * 7 < width;
      parts.push(fits ? text(to + 6, y + 15, label) : text(from - 6, y + 15, label, "normal", "end"));
      y += rowHeight;
    }
    y += 26;
  }
  const axis: string[] = [];
  for (let seconds = 0; seconds <= end; seconds += step) {
    axis.push(`<line x1="${x(seconds).toFixed(1)}" y1="62" x2="${x(seconds).toFixed(1)}" y2="${y - 20}" stroke="#ddd"/>`, text(x(seconds), y - 4, `${seconds} s`, "normal", "middle", "#555"));
  }
  const height = y + 12;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(title)}" font-family="system-ui, sans-serif" font-size="13">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${left}" y="26" font-size="17" font-weight="600" fill="#222">${escaped(title)}</text>`,
    `<text x="${left}" y="46" font-size="12" fill="#555">${escaped(subtitle)}</text>`,
    ...axis, ...parts, "</svg>", "",
  ].join("\n");
}

function text(x: number, y: number, words: string, weight = "normal", anchor = "start", colour = "#222"): string {
  return `<text x="${x.toFixed(1)}" y="${y}" font-weight="${weight}" text-anchor="${anchor}" fill="${colour}">${escaped(words)}</text>`;
}

function escaped(words: string): string {
  return words.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
