/** Short unified diffs of texts, for people. The old text is somebody else's: what looks like a credential in it is withheld. */

const context = 3;
const longestDiff = 80;
/** Beyond this the table of the longest common subsequence would cost more memory than a diff is worth. */
const largestTable = 4_000_000;

type Line = readonly [mark: " " | "-" | "+", text: string];

export function unifiedDiff(before: string, after: string, name: string): string {
  const [old, now] = [linesOf(before), linesOf(after)];
  const lines = withholdCredentials(compareLines(old, now), new Set(now));
  const hunks = hunksOf(lines);
  const shown = hunks.slice(0, longestDiff);
  const more = hunks.length - shown.length;
  return [`--- ${name}`, `+++ ${name}`, ...shown, ...(more > 0 ? [`... ${more} more lines`] : [])].join("\n") + "\n";
}

function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** Longest common subsequence between the equal head and the equal tail. */
function compareLines(old: readonly string[], now: readonly string[]): Line[] {
  let head = 0;
  while (head < old.length && head < now.length && old[head] === now[head]) head += 1;
  let tail = 0;
  while (tail < old.length - head && tail < now.length - head && old[old.length - 1 - tail] === now[now.length - 1 - tail]) tail += 1;
  const [a, b] = [old.slice(head, old.length - tail), now.slice(head, now.length - tail)];
  return [
    ...old.slice(0, head).map((text): Line => [" ", text]),
    ...(a.length * b.length > largestTable ? [...a.map((text): Line => ["-", text]), ...b.map((text): Line => ["+", text])] : commonSubsequence(a, b)),
    ...old.slice(old.length - tail).map((text): Line => [" ", text]),
  ];
}

function commonSubsequence(a: readonly string[], b: readonly string[]): Line[] {
  const width = b.length + 1;
  const lengths = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push([" ", a[i] as string]);
      i += 1;
      j += 1;
    } else if (i < a.length && (j >= b.length || at(i + 1, j) >= at(i, j + 1))) {
      lines.push(["-", a[i] as string]);
      i += 1;
    } else {
      lines.push(["+", b[j] as string]);
      j += 1;
    }
  }
  return lines;
}

function hunksOf(lines: readonly Line[]): string[] {
  const near = lines.map((_, index) => lines.slice(Math.max(0, index - context), index + context + 1).some(([mark]) => mark !== " "));
  const out: string[] = [];
  let [oldLine, newLine] = [1, 1];
  for (const [index, [mark, text]] of lines.entries()) {
    if (near[index]) {
      if (!near[index - 1]) out.push(`@@ -${oldLine} +${newLine} @@`);
      out.push(`${mark}${text}`);
    }
    if (mark !== "+") oldLine += 1;
    if (mark !== "-") newLine += 1;
  }
  return out;
}

const credential = /^(\s*[-"']*[\w.-]*(?:passw(?:or)?d|secret|token|credential|auth|private[_-]?key|key-data)["']?\s*[:=]\s*)\S.*$/i;

/** Lines of our own content are ours to show; all others may hold a registry's password or a key. */
function withholdCredentials(lines: readonly Line[], own: ReadonlySet<string>): Line[] {
  let insideKey = false;
  return lines.map(([mark, text]): Line => {
    if (own.has(text)) return [mark, text];
    if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) insideKey = true;
    const hidden = insideKey ? "<withheld>" : text.replace(credential, "$1<withheld>");
    if (/-----END [A-Z ]*PRIVATE KEY-----/.test(text)) insideKey = false;
    return [mark, hidden];
  });
}
