/**
 * YAML text exactly as sigs.k8s.io/yaml writes it.
 *
 * Component-config hashes are taken over this text, and people diff these files against kubeadm's, so layout is not a matter of
 * taste. The `yaml` library reads YAML for us but follows YAML 1.2 when it quotes and folds; Go's printer follows YAML 1.1 and
 * libyaml. A printer for plain JSON values is short, so this room has its own. Scalars are in `yaml-scalar.ts`.
 * Facts: go.yaml.in/yaml/v2 encode.go, sorter.go, emitterc.go. Keys longer than 128 bytes, which Go writes as `? key`, stay simple keys.
 */
import { quotedKey, scalarText } from "./yaml-scalar.ts";

/** One document ending with a newline. Members that are `undefined` are left out; map keys are sorted as Go-yaml sorts them. */
export function toYaml(value: unknown): string {
  const lines: string[] = [];
  emit(value, 0, "", lines);
  return lines.join("");
}

/**
 * Appends `value` to `out`. `lead` is what already stands on the current line (`key:` or `- `), still unwritten; the value decides whether
 * it continues that line. `indent` is the column at which the value's own lines start.
 */
function emit(value: unknown, indent: number, lead: string, out: string[]): void {
  if (Array.isArray(value)) return emitSequence(value as readonly unknown[], indent, lead, out);
  if (typeof value === "object" && value !== null) return emitMapping(value as Readonly<Record<string, unknown>>, indent, lead, out);
  const prefix = lead === "" || lead.endsWith(" ") ? lead : `${lead} `;
  // A scalar's own continuation lines are indented one step deeper than the collection it stands in.
  out.push(prefix, scalarText(value, { column: prefix.length, indent: lead === "" ? 0 : indent }), "\n");
}

function emitMapping(map: Readonly<Record<string, unknown>>, indent: number, lead: string, out: string[]): void {
  const keys = Object.keys(map).filter((key) => map[key] !== undefined).sort(compareKeys);
  if (keys.length === 0) {
    out.push(lead === "" || lead.endsWith(" ") ? lead : `${lead} `, "{}\n");
    return;
  }
  // After `- ` the first key stays on the line; after `key:` the mapping starts below.
  if (lead.endsWith(":")) out.push(lead, "\n");
  for (const [index, key] of keys.entries()) {
    const start = index === 0 && lead.endsWith(" ") ? lead : " ".repeat(indent);
    const value = map[key];
    const below = Array.isArray(value) ? indent : indent + 2;
    emit(value, below, `${start}${quotedKey(key)}:`, out);
  }
}

function emitSequence(items: readonly unknown[], indent: number, lead: string, out: string[]): void {
  if (items.length === 0) {
    out.push(lead === "" || lead.endsWith(" ") ? lead : `${lead} `, "[]\n");
    return;
  }
  if (lead.endsWith(":")) out.push(lead, "\n");
  for (const [index, item] of items.entries()) {
    const start = index === 0 && lead.endsWith(" ") ? lead : " ".repeat(indent);
    emit(item ?? null, indent + 2, `${start}- `, out);
  }
}

const letter = /\p{L}/u;
const digit = /\p{Nd}/u;

/** sorter.go: letters after everything else, digit runs by their number, otherwise by code point. */
export function compareKeys(left: string, right: string): number {
  const a = [...left];
  const b = [...right];
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const ca = a[i] as string;
    const cb = b[i] as string;
    if (ca === cb) continue;
    const la = letter.test(ca);
    const lb = letter.test(cb);
    if (la && lb) return codePoint(ca) - codePoint(cb);
    if (la || lb) return lb ? -1 : 1;
    const zero = ca === "0" || cb === "0";
    const na = digitRun(a, i, zero);
    const nb = digitRun(b, i, zero);
    if (na.value !== nb.value) return na.value < nb.value ? -1 : 1;
    if (na.end !== nb.end) return na.end - nb.end;
    return codePoint(ca) - codePoint(cb);
  }
  return a.length - b.length;
}

function codePoint(character: string): number {
  return character.codePointAt(0) as number;
}

/** The number that starts at `start`; a zero inside a longer number counts as a digit of it, not as a leading zero. */
function digitRun(text: readonly string[], start: number, zero: boolean): { readonly value: bigint; readonly end: number } {
  let value = 0n;
  for (let i = start - 1; zero && i >= 0 && digit.test(text[i] as string); i--) {
    if (text[i] !== "0") {
      value = 1n;
      break;
    }
  }
  let end = start;
  while (end < text.length && /[0-9]/.test(text[end] as string)) value = value * 10n + BigInt(text[end++] as string);
  return { value, end };
}
