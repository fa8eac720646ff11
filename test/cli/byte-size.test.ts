import assert from "node:assert/strict";
import { test } from "node:test";
import { parseByteSize } from "../../src/cli/byte-size.ts";

test("parseByteSize counts as split(1) does", () => {
  const sizes = { "4095M": 4095 * 2 ** 20, "4095MiB": 4095 * 2 ** 20, "4GB": 4e9, "1G": 2 ** 30, "100": 100, "7k": 7168, "2 T": 2 * 2 ** 40 };
  for (const [text, bytes] of Object.entries(sizes)) assert.equal(parseByteSize("--size", text), bytes, text);
});

test("parseByteSize refuses what is no size, naming the flag", () => {
  for (const text of ["", "M", "-1", "0", "1.5G", "10X", "9999999999T", "1e9"]) {
    assert.throws(() => parseByteSize("--split", text), { code: "CLI_FLAG_VALUE", happened: /^--split must be a number of bytes/ }, text);
  }
});
