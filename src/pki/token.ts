/** Bootstrap tokens, `id.secret`: the id is public and names the token, the secret proves it (KEP-130). */
import { randomInt } from "node:crypto";
import { KubestickError } from "../errors.ts";

export interface TokenParts {
  readonly id: string;
  readonly secret: string;
}

const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789";

/** 112 bits, each character uniform: `randomInt` rejects the values that would favour some letters. */
export function generateToken(): string {
  const letters = (count: number): string => Array.from({ length: count }, () => alphabet[randomInt(alphabet.length)]).join("");
  return `${letters(6)}.${letters(16)}`;
}

/** The error does not repeat the text: it may be almost the right secret. */
export function parseToken(text: string): TokenParts {
  const match = /^([a-z0-9]{6})\.([a-z0-9]{16})$/.exec(text);
  if (match === null) {
    throw new KubestickError({
      code: "TOKEN_MALFORMED",
      attempted: "reading a bootstrap token",
      happened: `The given text of ${text.length} characters is no token: those look like abcdef.0123456789abcdef, in lower case.`,
      next: "On a control-plane node: kubectl -n kube-system get secrets --field-selector type=bootstrap.kubernetes.io/token",
    });
  }
  return { id: match[1] as string, secret: match[2] as string };
}
