/** How numbers and lines look: bytes, times, widths on a terminal. Pure. */

const byteUnits = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** `812 B`, `98.3 MiB`. Binary units, as `ls -lh` and `df -h` count. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1000 && unit < byteUnits.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${byteUnits[unit] as string}`;
}

/** `0.4s`, `12.3s`, `1m02s`, `2h05m`. */
export function formatElapsed(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 59.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, "0")}s`;
  return `${Math.floor(whole / 3600)}h${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")}m`;
}

/** `12 applied, 3 unchanged`, for a reset `12 undone, 3 kept`; empty when nothing was counted. */
export function formatCounts(flow: string, changed: number, unchanged: number): string {
  const [did, left] = flow === "reset" ? ["undone", "kept"] : ["applied", "unchanged"];
  return [changed > 0 ? `${changed} ${did}` : "", unchanged > 0 ? `${unchanged} ${left}` : ""].filter((part) => part !== "").join(", ");
}

// Escape sequences (ECMA-48 CSI, OSC, two-character) and other control characters; log tails of containers carry them.
const escapes = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])/g;
const controls = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]/g;

/** Text from elsewhere, safe to show: no escape sequences, no control characters; newlines stay, tabs become spaces. */
export function printable(text: string): string {
  return text.replace(escapes, "").replaceAll("\t", "    ").replace(controls, "");
}

/** One line of it. */
export function oneLine(text: string): string {
  return printable(text).replace(/\s*\n\s*/g, " ").trim();
}

/** Columns a text without escape sequences takes: wide East Asian and emoji count two, combining marks none (Unicode UAX #11, coarse). */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    const code = character.codePointAt(0) as number;
    if (code < 0x300) width += 1;
    else if (/\p{M}/u.test(character) || code === 0xfe0f) width += 0;
    else if ((code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf) || (code >= 0xac00 && code <= 0xd7a3)
      || (code >= 0xf900 && code <= 0xfaff) || (code >= 0xfe30 && code <= 0xfe6f) || (code >= 0xff00 && code <= 0xff60)
      || (code >= 0xffe0 && code <= 0xffe6) || (code >= 0x1f300 && code <= 0x1faff) || (code >= 0x20000 && code <= 0x3fffd)) width += 2;
    else width += 1;
  }
  return width;
}

/** At most `width` columns; a cut text ends in `ellipsis`. */
export function truncate(text: string, width: number, ellipsis = "…"): string {
  if (displayWidth(text) <= width) return text;
  const room = width - displayWidth(ellipsis);
  if (room < 0) return "";
  let used = 0;
  let kept = "";
  for (const character of text) {
    used += displayWidth(character);
    if (used > room) break;
    kept += character;
  }
  return `${kept.trimEnd()}${ellipsis}`;
}

/** Keeps the end, which tells paths and image references apart: `…/kube-apiserver:v1.36.2`. */
export function truncateStart(text: string, width: number, ellipsis = "…"): string {
  if (displayWidth(text) <= width) return text;
  const room = width - displayWidth(ellipsis);
  if (room < 0) return "";
  let used = 0;
  let kept = "";
  for (const character of [...text].reverse()) {
    used += displayWidth(character);
    if (used > room) break;
    kept = character + kept;
  }
  return `${ellipsis}${kept}`;
}

export function padEnd(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - displayWidth(text)));
}

/** Breaks at spaces; words longer than a line stay whole, so that a command or a path can be copied. Newlines in the text are kept. */
export function wrap(text: string, width: number, indent = ""): string {
  const lines: string[] = [];
  for (const paragraph of text.split("\n")) {
    let line = "";
    for (const word of paragraph.split(" ")) {
      if (line !== "" && displayWidth(indent) + displayWidth(line) + 1 + displayWidth(word) > width) {
        lines.push(indent + line);
        line = word;
      } else {
        line = line === "" ? word : `${line} ${word}`;
      }
    }
    lines.push((indent + line).trimEnd());
  }
  return lines.join("\n");
}
