import { deepStrictEqual, doesNotMatch, match, ok, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { generateToken, parseToken } from "../../src/pki/token.ts";

test("generateToken uses all 36 characters about equally often", () => {
  const counts = new Map<string, number>();
  for (let i = 0; i < 2000; i++) {
    const token = generateToken();
    match(token, /^[a-z0-9]{6}\.[a-z0-9]{16}$/);
    for (const character of token.replace(".", "")) counts.set(character, (counts.get(character) ?? 0) + 1);
  }
  // 44,000 characters, 1222 of each expected; 300 is more than eight standard deviations.
  ok(counts.size === 36 && [...counts.values()].every((count) => Math.abs(count - 1222) < 300), JSON.stringify([...counts]));
});

test("parseToken splits a token and does not repeat a wrong one", () => {
  deepStrictEqual(parseToken("abcdef.0123456789abcdef"), { id: "abcdef", secret: "0123456789abcdef" });
  for (const wrong of ["", "abcdef", "ABCDEF.zyxwvutsrqponmlk", "abcdef.zyxwvutsrqponml", " abcdef.zyxwvutsrqponmlk", "abcdef.zyxwvutsrqponmlk\n"]) {
    throws(() => parseToken(wrong), (error: Error & { code?: string }) => {
      strictEqual(error.code, "TOKEN_MALFORMED");
      doesNotMatch(error.message, /zyxw/);
      return true;
    });
  }
});
