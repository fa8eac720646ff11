/**
 * The signature by which cluster-info proves itself to somebody who knows a token: detached JWS (RFC 7515 appendix F) with HMAC-SHA256.
 * kube-controller-manager signs (cluster-bootstrap token/jws); a joining node verifies.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { TokenParts } from "./token.ts";

/** `header..signature`; the content travels elsewhere. The key is the token's secret part alone. */
export function signDetached(content: string, token: TokenParts): string {
  const header = Buffer.from(JSON.stringify({ alg: "HS256", kid: token.id })).toString("base64url");
  const signature = createHmac("sha256", token.secret).update(`${header}.${Buffer.from(content).toString("base64url")}`).digest("base64url");
  return `${header}..${signature}`;
}

/** Compares the whole string, in a time that tells nothing about where it differs. */
export function verifyDetached(jws: string, content: string, token: TokenParts): boolean {
  const expected = Buffer.from(signDetached(content, token));
  const given = Buffer.from(jws);
  return expected.length === given.length && timingSafeEqual(expected, given);
}
