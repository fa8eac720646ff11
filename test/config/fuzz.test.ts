/**
 * Whatever stands in a configuration file, reading it ends soon, in a result or in an error a person understands.
 * A sample runs with the unit tests; KUBESTICK_FUZZ=10000 is the long run, KUBESTICK_FUZZ_SEED another path through it.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { parse, parseAllDocuments, stringify } from "yaml";
import { migratedText } from "../../src/cli/config-documents.ts";
import { checkFile } from "../../src/config/file.ts";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import { isKubestickError } from "../../src/errors.ts";
import { requiredImages } from "../../src/manifests/images.ts";
import { airgappedFacts, plainFacts } from "../support/facts.ts";

const golden = new URL("../golden/", import.meta.url);
const seeds: readonly string[] = [
  ...readdirSync(golden, { recursive: true, encoding: "utf8" }).filter((path) => /(?:^|\/)config\.yaml$/.test(path) && !path.includes("kubelet/")).concat(readdirSync(new URL("defaults/", golden)).map((name) => `defaults/${name}`))
    .map((path) => readFileSync(new URL(path, golden), "utf8")),
  "apiVersion: kubestick.io/v1alpha1\nkind: InstallConfiguration\ncni: flannel\nserviceRoute: Auto\nwaitForAddons: true\nsignaturePolicy: Require\ntrustedKeys: [release.pub]\n",
];

const oddTexts = [
  "", " ", "null", "~", "[]", "{}", "- ", ": ", "? ", "&a ", "*a", "&a [*a]", "<<: *a", "!!binary x", "!!set {a}", "---\n", "...\n", "%YAML 9.9\n", "\t", "\u0000", "\ufeff", "\u2028", "'", "\"", "\"\\x", "|", ">-\n", "#", "@", "`", "__proto__: {}", "constructor: x",
  "toString", "99999999999999999999999", "-1", "0x1F", ".nan", ".inf", "1e309", "2001-01-01", "true", "yes", "::1", "fe80::1%eth0", "10.0.0.0/33", "::/0", "0.0.0.0/0", "1.2.3.4:99999", "[::1", "https://", "https://[", "unix://", "v1.36.99999999999", "stable-1.999", "h1m", "9999999999999h",
  "-5m", "all", "{a: ".repeat(40), "[".repeat(300), "a".repeat(3000), "ſtable", "💥", "kubeadm.k8s.io/v1beta3", "kubeadm.k8s.io/v1alpha1", "kind: JoinConfiguration",
];
const oddValues: readonly unknown[] = [
  null, "", " ", 0, -1, 1.5, 2 ** 40, 1e308, Number.NaN, Number.POSITIVE_INFINITY, true, false, [], {}, [null], [[]], [{}], { "": "" }, { __proto__x: 1 }, "0s", "-1h", "1ns", "9999999h", "::", "fe80::1%lo", "::ffff:1.2.3.4", "10.0.0.0/8,10.0.0.0/8,fd00::/64", "[::1]:6443", ":6443", "a:0",
  "https://x:99999", "/", "file:///a", "sha256:00", "all", "UPPER", "*.x", "a..b", "x".repeat(300), "v1.36", "1.36.2+build.1", "latest", "ci/latest", ["all", "x"], [{ name: "" }], [{ name: "a", value: 1 }], { a: "b" },
];

/** mulberry32: small, seeded, good enough to choose mutations. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

type Choose = (below: number) => number;
const pick = <T>(choose: Choose, list: readonly T[]): T => list[choose(list.length)] as T;

/** Broken as text. */
function scramble(text: string, choose: Choose): string {
  const at = choose(text.length + 1);
  const end = Math.min(text.length, at + choose(40));
  const lines = text.split("\n");
  const line = choose(lines.length);
  switch (choose(8)) {
    case 0: return text.slice(0, at) + text.slice(end);
    case 1: return text.slice(0, at) + pick(choose, oddTexts) + text.slice(at);
    case 2: return text.slice(0, at) + pick(choose, oddTexts) + text.slice(end);
    case 3: return text.slice(0, at) + text.slice(at, end).repeat(1 + choose(4)) + text.slice(end);
    case 4: return text.slice(0, at) + String.fromCharCode(choose(choose(2) === 0 ? 128 : 65_536)) + text.slice(at + 1);
    case 5: return lines.with(line, `${" ".repeat(choose(6))}${(lines[line] ?? "").trimStart()}`).join("\n");
    case 6: return lines.with(line, (lines[line] ?? "").replace(/:.*$/, `: ${pick(choose, oddTexts)}`)).join("\n");
    default: return `${text}---\n${pick(choose, seeds)}`;
  }
}

/** Good YAML with a wrong value, a wrong name, or something missing. */
function distort(text: string, choose: Choose): string {
  const documents = parseAllDocuments(text);
  if (!Array.isArray(documents)) return text;
  const values = documents.map((document) => document.toJS() as unknown);
  const spots: { readonly holder: Record<string, unknown>; readonly key: string }[] = [];
  const walk = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    for (const [key, child] of Object.entries(value)) {
      spots.push({ holder: value as Record<string, unknown>, key });
      walk(child);
    }
  };
  values.forEach(walk);
  if (spots.length === 0) return text;
  const { holder, key } = pick(choose, spots);
  const kind = choose(6);
  if (kind === 0 && !Array.isArray(holder)) delete holder[key];
  else if (kind === 1 && !Array.isArray(holder)) holder[`${key}${pick(choose, ["s", "x", "", " "])}`] = holder[key];
  else if (kind === 2) holder[key] = pick(choose, spots).holder[pick(choose, spots).key];
  else holder[key] = structuredClone(pick(choose, oddValues));
  // A value can have come to stand within itself; that is for the other mutations.
  try { return values.map((value) => stringify(value, { aliasDuplicateObjects: choose(2) === 0 })).join("---\n"); } catch { return text; }
}

/** Everything that commands do with a file. */
function read(text: string, choose: Choose): void {
  const facts = pick(choose, [plainFacts(), airgappedFacts(), airgappedFacts({ addresses: [], hostname: "" })]);
  const file = { name: "fuzz.yaml", text };
  const checked = checkFile(file, facts);
  const migrated = migratedText(checked, () => "abcdef.0123456789abcdef");
  for (const document of migrated === "" ? [] : migrated.split(/^---\n/m)) assert.equal(typeof parse(document), "object");
  requiredImages(resolveInitConfig({ options: {}, facts, file }).config);
}

test("reading a mutated configuration ends in a result or in one clear error, in bounded time", () => {
  const runs = Number(process.env["KUBESTICK_FUZZ"] ?? 600);
  const seed = Number(process.env["KUBESTICK_FUZZ_SEED"] ?? 20260);
  let good = 0;
  let slowest = 0;
  for (let run = 0; run < runs; run++) {
    const choose = random(seed + run);
    let text = pick(choose, seeds);
    try { text = choose(2) === 0 ? distort(text, choose) : text; } catch { /* the text was broken before; that is one more case */ }
    for (let times = choose(4); times > 0; times--) text = scramble(text, choose);
    const begun = performance.now();
    try {
      read(text, choose);
      good++;
    } catch (error) {
      assert.ok(isKubestickError(error), `KUBESTICK_FUZZ_SEED=${seed + run} KUBESTICK_FUZZ=1: ${error instanceof Error ? error.stack : String(error)}\n${text.slice(0, 2000)}`);
      assert.match(error.code, /^CONFIG_/);
      assert.ok(error.happened !== "" && error.next !== "");
    }
    slowest = Math.max(slowest, performance.now() - begun);
  }
  assert.ok(slowest < 2000, `the slowest of ${runs} took ${Math.round(slowest)} ms`);
  // Otherwise the mutations are too coarse to reach what lies behind the parser.
  if (runs >= 600) assert.ok(good > runs / 20, `${good} of ${runs} were accepted`);
});
