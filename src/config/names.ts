/** Name rules of Kubernetes (RFC 1123) and the nearest known word for a mistyped one. */

const label = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?";
const subdomainPattern = new RegExp(`^${label}(?:\\.${label})*$`);

/** RFC 1123 subdomain as apimachinery checks it: at most 253 characters. */
export function isDnsSubdomain(text: string): boolean {
  return text.length <= 253 && subdomainPattern.test(text);
}

/** `*.` followed by a subdomain. */
export function isWildcardSubdomain(text: string): boolean {
  return text.startsWith("*.") && isDnsSubdomain(text.slice(2));
}

/** Optimal string alignment distance: insert, delete, substitute, swap neighbours. */
export function editDistance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => [i, ...new Array<number>(b.length).fill(0)]);
  const at = (i: number, j: number): number => (rows[i] as number[])[j] as number;
  for (let j = 0; j <= b.length; j++) (rows[0] as number[])[j] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, at(i - 2, j - 2) + 1);
      (rows[i] as number[])[j] = best;
    }
  }
  return at(a.length, b.length);
}

/** The known word a person most likely meant; undefined when nothing is close (more than a third of the letters differ). */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  // The comparison takes time by the square of the length, and no word of ours is as long.
  if (word.length > 200) return undefined;
  let best: { readonly word: string; readonly distance: number } | undefined;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (best === undefined || distance < best.distance) best = { word: candidate, distance };
  }
  if (best === undefined) return undefined;
  return best.distance <= Math.max(1, Math.floor(Math.max(word.length, best.word.length) / 3)) ? best.word : undefined;
}
