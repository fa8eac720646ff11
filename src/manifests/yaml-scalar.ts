/** One YAML scalar as Go-yaml prints it: which style, and where long lines fold. Facts: resolve.go, encode.go, emitterc.go of go.yaml.in/yaml/v2. */

/** Where a scalar starts, and the column its continuation lines are indented to. */
export interface ScalarPlace {
  readonly column: number;
  readonly indent: number;
}

/** emitterc.go best_width: a space beyond this column becomes a line break. */
const width = 80;

export function scalarText(value: unknown, place: ScalarPlace): string {
  if (value === null || value === undefined) return "null";
  if (typeof value === "number") return numberText(value);
  if (typeof value !== "string") return String(value);
  switch (style(value)) {
    case "literal":
      return literal(value, place.indent);
    case "plain":
      return fold(value, place, false);
    case "single":
      return `'${fold(value.replaceAll("'", "''"), { ...place, column: place.column + 1 }, true)}'`;
    case "double":
      return doubleQuoted(value, place);
  }
}

/** A mapping key: never folded, never a block. */
export function quotedKey(key: string): string {
  const place = { column: Number.NEGATIVE_INFINITY, indent: 0 };
  return style(key) === "literal" ? doubleQuoted(key, place) : scalarText(key, place);
}

/** strconv.FormatFloat(value, 'g', -1): exponents have two digits and start at 1e6 for fractions; integers come from another path and print whole. */
function numberText(value: number): string {
  if (Number.isSafeInteger(value)) return String(value);
  const [mantissa = "", exponent = "0"] = value.toExponential().split("e");
  const power = Number(exponent);
  if (power >= -4 && power < (Number.isInteger(value) ? 21 : 6)) return String(value);
  return `${mantissa}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

/**
 * What resolve.go turns into something other than a string: YAML 1.1 booleans and nulls, special floats. The merge key is ours: Go writes
 * `<<` plain and cannot read such a key back.
 */
const resolvedWords: ReadonlySet<string> = new Set([
  ...["y", "yes", "true", "on", "n", "no", "false", "off", "null"].flatMap((word) => [word, word.charAt(0).toUpperCase() + word.slice(1), word.toUpperCase()]),
  ...["", "~", "<<", ".nan", ".NaN", ".NAN"],
  ...["", "+", "-"].flatMap((sign) => [`${sign}.inf`, `${sign}.Inf`, `${sign}.INF`]),
]);

const base60 = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/;
const timestamp = /^\d{4}-\d{1,2}-\d{1,2}(?:[Tt]\d{1,2}:\d{1,2}:\d{1,2}(?:\.\d+)?(?:Z|[-+]\d\d:\d\d)| \d{1,2}:\d{1,2}:\d{1,2}(?:\.\d+)?)?$/;
/** strconv.ParseInt with base 0 once underscores are dropped, and the `0b` form Go-yaml adds. */
const integer = /^[-+]?(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|0|[1-9][0-9]*)$/;
const float = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;

/** Would Go-yaml read this plain text back as something that is not a string? */
function resolvesToOther(text: string): boolean {
  if (resolvedWords.has(text)) return true;
  if (text.startsWith(".")) return float.test(text);
  if (!/^[-+0-9]/.test(text)) return false;
  const plain = text.replaceAll("_", "");
  return integer.test(plain) || float.test(plain) || timestamp.test(text) || base60.test(text);
}

/**
 * analyze_scalar and select_scalar_style for block context. The line breaks of YAML 1.1 other than `\n` always go into double quotes here:
 * Go writes some of them raw and reads back a different text.
 */
function style(text: string): "plain" | "single" | "double" | "literal" {
  if (text === "") return "double";
  const special = /[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]|[\u2028\u2029]/u.test(text);
  const spaceBreak = / \n/.test(text);
  if (text.includes("\n")) return special || spaceBreak || text.endsWith(" ") ? "double" : "literal";
  if (resolvesToOther(text)) return "double";
  if (special) return "double";
  const indicator = /^(?:---|\.\.\.)|^[#,[\]{}&*!|>'"%@`]|^[?:-](?=[ \t]|$)|:(?=[ \t]|$)|[ \t]#/.test(text);
  return indicator || /^ | $/.test(text) ? "single" : "plain";
}

/** Plain or single-quoted text: a single space past the width becomes a line break, but not right beside a quote. */
function fold(text: string, place: ScalarPlace, quoted: boolean): string {
  const characters = [...text];
  let column = place.column;
  let result = "";
  let afterSpace = false;
  for (const [i, character] of characters.entries()) {
    const inside = !quoted || (i > 0 && i < characters.length - 1);
    if (character === " " && !afterSpace && column > width && inside && characters[i + 1] !== " ") {
      result += `\n${" ".repeat(place.indent)}`;
      column = place.indent;
    } else {
      result += character;
      column++;
    }
    afterSpace = character === " ";
  }
  return result;
}

const shortEscapes: Readonly<Record<string, string>> = {
  "\0": "0", "\x07": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r", "\x1b": "e", '"': '"', "\\": "\\", "\x85": "N", "\xa0": "_", "\u2028": "L", "\u2029": "P",
};

function doubleQuoted(text: string, place: ScalarPlace): string {
  const characters = [...text];
  let column = place.column + 1;
  let result = "";
  let afterSpace = false;
  for (const [i, character] of characters.entries()) {
    let piece = character;
    if (!/[\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]/u.test(character) || /["\\\u2028\u2029]/.test(character)) {
      piece = `\\${shortEscapes[character] ?? hexEscape(character.codePointAt(0) as number)}`;
    } else if (character === " " && !afterSpace && column > width && i > 0 && i < characters.length - 1) {
      result += `\n${" ".repeat(place.indent)}${characters[i + 1] === " " ? "\\" : ""}`;
      column = place.indent;
      afterSpace = true;
      continue;
    }
    result += piece;
    column += [...piece].length;
    afterSpace = character === " ";
  }
  return `"${result}"`;
}

function hexEscape(code: number): string {
  const hex = code.toString(16).toUpperCase();
  if (code <= 0xff) return `x${hex.padStart(2, "0")}`;
  return code <= 0xffff ? `u${hex.padStart(4, "0")}` : `U${hex.padStart(8, "0")}`;
}

/** `|` with the chomping and indentation hints libyaml gives. The caller ends the last line. */
function literal(text: string, indent: number): string {
  const hint = /^[ \n]/.test(text) ? "2" : "";
  const chomp = !text.endsWith("\n") ? "-" : text === "\n" || text.endsWith("\n\n") ? "+" : "";
  const pad = " ".repeat(indent);
  const body = (text.endsWith("\n") ? text.slice(0, -1) : text).split("\n").map((line) => (line === "" ? "" : pad + line));
  return `|${hint}${chomp}\n${body.join("\n")}`;
}
