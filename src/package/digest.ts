/** SHA-256 digests in the spelling of the OCI image specification. */
import { createHash } from "node:crypto";
import type { Digest } from "./types.ts";

const sha256Form = /^sha256:[0-9a-f]{64}$/;

export function isDigest(value: unknown): value is Digest {
  return typeof value === "string" && sha256Form.test(value);
}

export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Counts and hashes what passes. */
export class Digester {
  #hash = createHash("sha256");
  #size = 0;

  update(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    this.#size += chunk.length;
  }

  get size(): number {
    return this.#size;
  }

  /** Ends the count. */
  digest(): Digest {
    return `sha256:${this.#hash.digest("hex")}`;
  }
}

/** `sha256:0123456789ab`, enough for a person to compare. */
export function shortDigest(digest: string): string {
  return digest.slice(0, "sha256:".length + 12);
}
