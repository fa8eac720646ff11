import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { signDetached, verifyDetached } from "../../src/pki/jws.ts";

const token = { id: "abcdef", secret: "0123456789abcdef" };
const content = "apiVersion: v1\nkind: Config\n";
/** Made by kube-controller-manager's signer. */
const signature = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9..vH_kT4yiol-nrAWgjfCYqvum5wsKETXe0S7OOp1VgnE";

test("signDetached signs as kube-controller-manager does", () => {
  strictEqual(signDetached(content, token), signature);
});

test("verifyDetached accepts only this content, this token and this very text", () => {
  strictEqual(verifyDetached(signature, content, token), true);
  strictEqual(verifyDetached(signature, `${content} `, token), false);
  strictEqual(verifyDetached(signature, content, { ...token, secret: "0123456789abcdeg" }), false);
  strictEqual(verifyDetached(signature, content, { ...token, id: "abcdeg" }), false);
  strictEqual(verifyDetached(`${signature}=`, content, token), false);
  strictEqual(verifyDetached("", content, token), false);
});
