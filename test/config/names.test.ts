import assert from "node:assert/strict";
import { test } from "node:test";
import { editDistance, isDnsSubdomain, isWildcardSubdomain, nearest } from "../../src/config/names.ts";

test("nearest finds the word a person meant and stays silent when nothing is close", () => {
  assert.equal(nearest("podSubent", ["podSubnet", "serviceSubnet", "dnsDomain"]), "podSubnet");
  assert.equal(nearest("dry-rnu", ["dry-run", "config"]), "dry-run");
  assert.equal(nearest("zzzzzz", ["dry-run", "config"]), undefined);
});

test("editDistance counts a swap of neighbours once", () => {
  assert.equal(editDistance("form", "from"), 1);
  assert.equal(editDistance("", "abc"), 3);
  assert.equal(editDistance("same", "same"), 0);
});

test("isDnsSubdomain follows RFC 1123", () => {
  for (const yes of ["cp1", "a.b-c.d", "0a"]) assert.equal(isDnsSubdomain(yes), true, yes);
  for (const no of ["", "CP1", "-a", "a-", "a..b", "a_b", `${"a".repeat(254)}`]) assert.equal(isDnsSubdomain(no), false, no);
  assert.equal(isWildcardSubdomain("*.example.org"), true);
  assert.equal(isWildcardSubdomain("a.*.org"), false);
});
