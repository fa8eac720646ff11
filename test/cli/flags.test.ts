import assert from "node:assert/strict";
import { test } from "node:test";
import { parseArguments, type FlagTable } from "../../src/cli/flags.ts";
import { isKubestickError } from "../../src/errors.ts";

const table = {
  "dry-run": { type: "bool", description: "" },
  yes: { type: "bool", short: "y", description: "" },
  force: { type: "bool", short: "f", description: "" },
  "node-name": { type: "string", placeholder: "NAME", description: "" },
  port: { type: "int", short: "p", description: "" },
  "skip-phases": { type: "strings", description: "" },
  image: { type: "array", description: "" },
  ttl: { type: "duration", description: "" },
  output: { type: "string", short: "o", choices: ["text", "json", "jsonl"], description: "" },
} as const satisfies FlagTable;

const parse = (...words: readonly string[]) => parseArguments("kubestick test", table, words);

function refused(code: string, message: RegExp, ...words: readonly string[]): void {
  assert.throws(() => parse(...words), (error) => {
    assert.ok(isKubestickError(error));
    assert.equal(error.code, code);
    assert.match(`${error.happened} ${error.next}`, message);
    return true;
  });
}

test("parseArguments takes a value as the next word and behind an equals sign", () => {
  assert.deepEqual(parse("--node-name", "cp1", "--port=6443").flags, { "node-name": "cp1", port: 6443 });
  assert.deepEqual(parse("--node-name=a=b").flags, { "node-name": "a=b" });
  assert.deepEqual(parse("--node-name=").flags, { "node-name": "" });
});

test("parseArguments takes short flags in pflag's four spellings", () => {
  for (const words of [["-o", "json"], ["-o=json"], ["-ojson"]]) assert.deepEqual(parse(...words).flags, { output: "json" });
  assert.deepEqual(parse("-yf").flags, { yes: true, force: true });
  assert.deepEqual(parse("-y=false", "-p", "80").flags, { yes: false, port: 80 });
});

test("parseArguments reads switches as Go does", () => {
  for (const value of ["1", "t", "T", "TRUE", "true", "True"]) assert.equal(parse(`--dry-run=${value}`).flags["dry-run"], true);
  for (const value of ["0", "f", "F", "FALSE", "false", "False"]) assert.equal(parse(`--dry-run=${value}`).flags["dry-run"], false);
  assert.equal(parse("--dry-run").flags["dry-run"], true);
  refused("CLI_FLAG_VALUE", /--dry-run cannot be "yes": it must be true or false/, "--dry-run=yes");
});

test("parseArguments leaves the word behind a switch alone", () => {
  assert.deepEqual(parse("--dry-run", "false"), { flags: { "dry-run": true }, positionals: ["false"] });
});

test("parseArguments joins comma lists and repeated flags", () => {
  assert.deepEqual(parse("--skip-phases", "certs,etcd/local", "--skip-phases=addon").flags["skip-phases"], ["certs", "etcd/local", "addon"]);
  assert.deepEqual(parse("--skip-phases=\"a,b\",c").flags["skip-phases"], ["a,b", "c"]);
  assert.deepEqual(parse("--skip-phases=").flags["skip-phases"], []);
  refused("CLI_FLAG_VALUE", /double quote is not closed/, "--skip-phases=\"a,b");
});

test("parseArguments keeps commas in repeatable flags that are no lists", () => {
  assert.deepEqual(parse("--image", "a,b", "--image", "c").flags.image, ["a,b", "c"]);
});

test("parseArguments checks numbers, durations and choices", () => {
  refused("CLI_FLAG_VALUE", /whole number/, "--port=64x");
  refused("CLI_FLAG_VALUE", /whole number/, "--port=1.5");
  assert.equal(parse("--port", "-1").flags.port, -1);
  for (const value of ["0", "24h0m0s", "1.5h", "300ms"]) assert.equal(parse("--ttl", value).flags.ttl, value);
  refused("CLI_FLAG_VALUE", /duration such as/, "--ttl", "1day");
  refused("CLI_FLAG_VALUE", /one of text, json, jsonl; did you mean json\?/, "-o", "jsom");
});

test("parseArguments lets the last value of a flag win", () => {
  assert.equal(parse("--node-name", "a", "--node-name", "b").flags["node-name"], "b");
});

test("parseArguments takes words between flags, and everything behind two dashes, as arguments", () => {
  assert.deepEqual(parse("a", "--yes", "b", "--", "--node-name", "-x").positionals, ["a", "b", "--node-name", "-x"]);
  assert.deepEqual(parse("-").positionals, ["-"]);
});

test("parseArguments never swallows a flag as the value of another", () => {
  refused("CLI_FLAG_NEEDS_VALUE", /--node-name needs a value, but --dry-run follows it.*--node-name=NAME/, "--node-name", "--dry-run");
  refused("CLI_FLAG_NEEDS_VALUE", /--node-name needs a value\./, "--node-name");
  assert.equal(parse("--node-name=--dry-run").flags["node-name"], "--dry-run");
});

test("parseArguments names the nearest flag for an unknown one", () => {
  refused("CLI_UNKNOWN_FLAG", /There is no flag --dryrun\. Did you mean --dry-run\?/, "--dryrun");
  refused("CLI_UNKNOWN_FLAG", /There is no flag --nod-enmae\. Did you mean --node-name\?|no flag --nod-enmae/, "--nod-enmae=x");
  refused("CLI_UNKNOWN_FLAG", /There is no flag --quite-something-else\. Correct/, "--quite-something-else");
  refused("CLI_UNKNOWN_FLAG", /There is no flag -x\./, "-x");
  refused("CLI_UNKNOWN_FLAG", /There is no flag -output\. Did you mean --output\?/, "-output", "json");
});

test("parseArguments does not mistake names of Object.prototype for flags", () => {
  refused("CLI_UNKNOWN_FLAG", /--constructor/, "--constructor=x");
});
