import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";
import { compareKeys, toYaml } from "../../src/manifests/yaml.ts";

const goldenFolder = new URL("../golden/", import.meta.url).pathname;
/** Written by people, or by a template instead of the YAML printer. */
const handWritten = /(^|\/)(config\.yaml|instance-config\.yaml|v1beta3-input\.yaml)$|patches\//;

test("toYaml prints every file the real kubeadm printed byte for byte", () => {
  const files = globSync("**/*.{yaml,conf}", { cwd: goldenFolder }).filter((file) => file.endsWith("kubelet/config.yaml") || !handWritten.test(file));
  strictEqual(files.length > 40, true, `only ${files.length} files`);
  for (const file of files) {
    for (const document of readFileSync(goldenFolder + file, "utf8").split(/^---\n/m)) {
      const text = document.replace(/^#.*\n/gm, "");
      if (text !== "") strictEqual(toYaml(parse(text, { version: "1.1" })), text, file);
    }
  }
});

/** A string and what go.yaml.in/yaml/v2 prints for it as the only item of a list under a key. */
const printedByGo: readonly (readonly [value: string, printed: string])[] = [
  ["", "- \"\"\n"],
  ["y", "- \"y\"\n"],
  ["no", "- \"no\"\n"],
  ["On", "- \"On\"\n"],
  ["tRUE", "- tRUE\n"],
  ["null", "- \"null\"\n"],
  ["~", "- \"~\"\n"],
  ["1", "- \"1\"\n"],
  ["08", "- \"08\"\n"],
  ["0x1F", "- \"0x1F\"\n"],
  ["0b101", "- \"0b101\"\n"],
  ["-5", "- \"-5\"\n"],
  ["1_000", "- \"1_000\"\n"],
  ["1.", "- \"1.\"\n"],
  ["1e3", "- \"1e3\"\n"],
  [".5", "- \".5\"\n"],
  [".", "- .\n"],
  ["e5", "- e5\n"],
  ["-.inf", "- \"-.inf\"\n"],
  ["12:30:45", "- \"12:30:45\"\n"],
  ["2026-11-21", "- \"2026-11-21\"\n"],
  ["2026-11-21T10:00:00Z", "- \"2026-11-21T10:00:00Z\"\n"],
  ["10.96.0.1", "- 10.96.0.1\n"],
  ["v1.36.2", "- v1.36.2\n"],
  ["24h0m0s", "- 24h0m0s\n"],
  ["a: b", "- 'a: b'\n"],
  ["a:b", "- a:b\n"],
  ["a:", "- 'a:'\n"],
  ["a #b", "- 'a #b'\n"],
  ["a#b", "- a#b\n"],
  ["*.x", "- '*.x'\n"],
  ["@x", "- '@x'\n"],
  ["- a", "- '- a'\n"],
  ["-a", "- -a\n"],
  ["---", "- '---'\n"],
  ["? a", "- '? a'\n"],
  ["?a", "- ?a\n"],
  ["[::1]:6443", "- '[::1]:6443'\n"],
  ["::1", "- ::1\n"],
  ["it's", "- it's\n"],
  [" lead", "- ' lead'\n"],
  ["trail ", "- 'trail '\n"],
  ["a\tb", "- \"a\\tb\"\n"],
  ["a\\b", "- a\\b\n"],
  ["\u00e9", "- \u00e9\n"],
  ["\ud83d\ude00", "- \"\\U0001F600\"\n"],
  ["\u0001", "- \"\\x01\"\n"],
  ["\ufeff", "- \"\\uFEFF\"\n"],
  ["a\nb", "- |-\n  a\n  b\n"],
  ["a\nb\n", "- |\n  a\n  b\n"],
  ["a\n\nb\n\n", "- |+\n  a\n\n  b\n\n"],
  ["\na", "- |2-\n\n  a\n"],
  ["  a\n b\n", "- |2\n    a\n   b\n"],
  ["a \nb", "- \"a \\nb\"\n"],
  ["\n", "- |2+\n\n"],
  ["word word word word word word word word word word word word word word word word word word word word end", "- word word word word word word word word word word word word word word word word\n  word word word word end\n"],
  ["k: v k: v k: v k: v k: v k: v k: v k: v k: v k: v k: v k: v k: v k: v k: v k: v k: v k: v end", "- 'k: v k: v k: v k: v k: v k: v k: v k: v k: v k: v k: v k: v k: v k: v k: v k: v\n  k: v k: v end'\n"],
  ["y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 y\u0001 end", "- \"y\\x01 y\\x01 y\\x01 y\\x01 y\\x01 y\\x01 y\\x01 y\\x01 y\\x01 y\\x01 y\\x01 y\\x01 y\\x01 y\\x01\n  y\\x01 y\\x01 y\\x01 y\\x01 y\\x01 y\\x01 y\\x01 y\\x01 y\\x01 y\\x01 y\\x01 y\\x01 y\\x01 y\\x01\n  y\\x01 y\\x01 end\"\n"],
];

for (const [value, printed] of printedByGo) {
  test(`toYaml quotes and folds as Go does: ${JSON.stringify(value).slice(0, 40)}`, () => {
    strictEqual(toYaml({ k: [value] }), `k:\n${printed}`);
    // The yaml package's YAML 1.1 schema takes these two for floats; Go does not.
    if (value !== "." && value !== "e5") strictEqual(parse(toYaml({ k: [value] }), { version: "1.1" }).k[0], value);
  });
}

test("toYaml nests collections as Go does", () => {
  strictEqual(
    toYaml({ a: [], b: {}, c: [[]], d: [[1, 2], [{}]], e: [{ a: 1, b: [1] }], f: null, g: [null], h: true, i: 1.5, j: 1e21, k: -3, m: 1e-7, o: { p: { q: [] } }, n: [[["x"]]] }),
    'a: []\nb: {}\nc:\n- []\nd:\n- - 1\n  - 2\n- - {}\ne:\n- a: 1\n  b:\n  - 1\nf: null\ng:\n- null\nh: true\ni: 1.5\nj: 1e+21\nk: -3\nm: 1e-07\n"n":\n- - - x\no:\n  p:\n    q: []\n',
  );
});

test("toYaml leaves out members that are undefined", () => {
  strictEqual(toYaml({ a: undefined, b: { c: undefined } }), "b: {}\n");
});

test("compareKeys sorts as Go does: others before letters, numbers by value", () => {
  const keys = ["a10", "a9", "ab", "a-b", "A", "b", "a.b", "100", "9", "a1", "", "_"];
  deepStrictEqual(keys.sort(compareKeys), ["", "_", "9", "100", "A", "a-b", "a.b", "a1", "a9", "a10", "ab", "b"]);
});
