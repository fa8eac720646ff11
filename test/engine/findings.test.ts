import assert from "node:assert/strict";
import { test } from "node:test";
import { failureOf, judge } from "../../src/engine/findings.ts";
import type { Finding } from "../../src/engine/types.ts";

const nextOf = (hint: string | undefined): string => {
  const finding: Finding = { check: "KubeletVersion", severity: "error", message: "too new", code: "KUBELET_TOO_NEW", ...(hint === undefined ? {} : { hint }) };
  return failureOf(judge([finding], []), "joining")?.next ?? "";
};

test("failureOf leaves a command at the end of a hint as it is to be typed", () => {
  assert.equal(nextOf("Use another: kubestick pack --kubernetes-version v1.35.9"), "Use another: kubestick pack --kubernetes-version v1.35.9   # to go on in spite of it: --ignore-preflight-errors=KubeletVersion");
  assert.equal(nextOf("Use another."), "Use another. To go on in spite of it: --ignore-preflight-errors=KubeletVersion");
  assert.equal(nextOf(undefined), "To go on in spite of it: --ignore-preflight-errors=KubeletVersion");
});
