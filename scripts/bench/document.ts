/** A section of a document that a bench writes: what is between two comments is the bench's, the rest is nobody's but the author's. */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

/** Replaces the section between `<!-- NAME:begin ... -->` and `<!-- NAME:end -->`, or puts one with `title` at the end. */
export function writeSection(path: string, name: string, title: string, text: string): void {
  const [begin, end] = [`<!-- ${name}:begin, written by npm run bench -->`, `<!-- ${name}:end -->`];
  const before = existsSync(path) ? readFileSync(path, "utf8") : "# Performance\n";
  const from = before.indexOf(begin);
  const to = before.indexOf(end);
  if ((from === -1) !== (to === -1) || to < from) throw new Error(`${path} has only one of ${begin} and ${end}, or has them in the wrong order`);
  const section = `${begin}\n${text.trimEnd()}\n${end}`;
  writeWhole(path, from === -1 ? `${before.trimEnd()}\n\n## ${title}\n\n${section}\n` : before.slice(0, from) + section + before.slice(to + end.length));
}

/** All of it or nothing. */
export function writeWhole(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}
