/**
 * A chart of curves as SVG, for people who see it for the first time: a row for each thing that grows, its time on the left and its memory on the right,
 * axes with units from zero on, a name at the end of every line. A dashed line is what the time would be if it were exactly proportional.
 */

export interface Curve {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Panel {
  readonly title: string;
  readonly xTitle: string;
  readonly yTitle: string;
  readonly curves: readonly Curve[];
  /** Dashed, from zero to the last point of each curve. */
  readonly proportional?: boolean;
  /** A horizontal line that should not be crossed. */
  readonly limit?: { readonly y: number; readonly name: string };
}

const COLORS = ["#0b6bcb", "#c2410c", "#15803d", "#7e22ce", "#a16207"] as const;
const [PANEL_WIDTH, PANEL_HEIGHT] = [560, 270];
/** Of the drawing in a panel; names of lines stand to the right of it. */
const PLOT = { left: 62, top: 40, right: 170, bottom: 48 } as const;
const FONT = "font-family=\"system-ui, sans-serif\"";

export function chart(title: string, subtitle: string, rows: readonly (readonly Panel[])[]): string {
  const width = PANEL_WIDTH * Math.max(...rows.map((row) => row.length));
  const height = 64 + rows.length * PANEL_HEIGHT;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escape(title)}">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(16, 28, title, "font-size=\"18\" font-weight=\"600\""),
    text(16, 48, subtitle, "font-size=\"12\" fill=\"#555555\""),
    ...rows.flatMap((row, y) => row.map((panel, x) => `<g transform="translate(${x * PANEL_WIDTH} ${64 + y * PANEL_HEIGHT})">\n${panelText(panel)}\n</g>`)),
    "</svg>",
    "",
  ].join("\n");
}

function panelText({ title, xTitle, yTitle, curves, proportional = false, limit }: Panel): string {
  const [plotWidth, plotHeight] = [PANEL_WIDTH - PLOT.left - PLOT.right, PANEL_HEIGHT - PLOT.top - PLOT.bottom];
  const xs = [...new Set(curves.flatMap(({ points }) => points.map(([x]) => x)))].toSorted((a, b) => a - b);
  const xMax = xs.at(-1) ?? 1;
  const yTicks = niceTicks(Math.max(limit?.y ?? 0, ...curves.flatMap(({ points }) => points.map(([, y]) => y))));
  const yMax = yTicks.at(-1) ?? 1;
  const atX = (x: number): number => round(PLOT.left + (x / xMax) * plotWidth);
  const atY = (y: number): number => round(PLOT.top + plotHeight - (y / yMax) * plotHeight);
  const [bottom, right] = [atY(0), PLOT.left + plotWidth];
  const lines = [text(PLOT.left, 20, title, "font-size=\"14\" font-weight=\"600\"")];
  for (const y of yTicks) {
    lines.push(`<line x1="${PLOT.left}" x2="${right}" y1="${atY(y)}" y2="${atY(y)}" stroke="#e2e2e2"/>`, text(PLOT.left - 6, atY(y) + 4, String(y), "font-size=\"11\" text-anchor=\"end\" fill=\"#333333\""));
  }
  lines.push(`<line x1="${PLOT.left}" x2="${right}" y1="${bottom}" y2="${bottom}" stroke="#333333"/>`);
  for (const x of apart([0, ...xs], atX)) lines.push(`<line x1="${atX(x)}" x2="${atX(x)}" y1="${bottom}" y2="${bottom + 4}" stroke="#333333"/>`, text(atX(x), bottom + 17, String(x), "font-size=\"11\" text-anchor=\"middle\" fill=\"#333333\""));
  lines.push(text(PLOT.left + plotWidth / 2, bottom + 36, xTitle, "font-size=\"12\" text-anchor=\"middle\""));
  lines.push(text(0, 0, yTitle, `font-size="12" text-anchor="middle" transform="translate(16 ${PLOT.top + plotHeight / 2}) rotate(-90)"`));
  if (limit !== undefined) lines.push(`<line x1="${PLOT.left}" x2="${right}" y1="${atY(limit.y)}" y2="${atY(limit.y)}" stroke="#b91c1c" stroke-dasharray="2 3"/>`, text(PLOT.left + 4, atY(limit.y) - 4, limit.name, "font-size=\"11\" fill=\"#b91c1c\""));
  const labels = spread(curves.map(({ points }) => atY(points.at(-1)?.[1] ?? 0)), PLOT.top, bottom);
  for (const [number, { name, points }] of curves.entries()) {
    const color = COLORS[number % COLORS.length] ?? "#000000";
    const last = points.at(-1);
    if (last === undefined) continue;
    if (proportional) lines.push(`<line x1="${atX(0)}" y1="${atY(0)}" x2="${atX(last[0])}" y2="${atY(last[1])}" stroke="${color}" stroke-dasharray="5 4" opacity="0.45"/>`);
    lines.push(`<polyline points="${points.map(([x, y]) => `${atX(x)},${atY(y)}`).join(" ")}" fill="none" stroke="${color}" stroke-width="2"/>`);
    for (const [x, y] of points) lines.push(`<circle cx="${atX(x)}" cy="${atY(y)}" r="3" fill="${color}"/>`);
    const label = labels[number] ?? 0;
    lines.push(text(right + 10, label + 4, name, `font-size="12" fill="${color}"`));
  }
  return lines.join("\n");
}

/** Zero, and even steps of 1, 2 or 5 times a power of ten up to `max` or just above. */
function niceTicks(max: number): readonly number[] {
  const rough = (max > 0 ? max : 1) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  return Array.from({ length: Math.ceil((max > 0 ? max : 1) / step - 1e-9) + 1 }, (_, number) => Number((number * step).toPrecision(6)));
}

/** Without those whose label would cover that of the one before; the last one stays. */
function apart(xs: readonly number[], atX: (x: number) => number): readonly number[] {
  const GAP = 34;
  const kept: number[] = [];
  for (const x of xs.toReversed()) if (kept.length === 0 || atX(kept.at(-1) ?? 0) - atX(x) >= GAP) kept.push(x);
  return kept;
}

/** Heights of labels that want to be at `wanted`, moved apart where they would cover each other. */
function spread(wanted: readonly number[], top: number, bottom: number): readonly number[] {
  const GAP = 15;
  const order = wanted.map((y, number) => ({ y, number })).toSorted((a, b) => a.y - b.y);
  for (const [place, label] of order.entries()) label.y = Math.max(label.y, (order[place - 1]?.y ?? top - GAP) + GAP);
  const over = Math.max(0, (order.at(-1)?.y ?? bottom) - bottom);
  for (const [place, label] of order.toReversed().entries()) label.y = Math.min(label.y, place === 0 ? label.y - over : (order[order.length - place]?.y ?? bottom) - GAP);
  return order.toSorted((a, b) => a.number - b.number).map(({ y }) => y);
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${round(x)}" y="${round(y)}" ${FONT} ${attributes}>${escape(content)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
