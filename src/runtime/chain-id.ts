import { createHash } from "node:crypto";
import type { Digest } from "../package/types.ts";

/**
 * Names of the snapshots that an image's layers unpack to (OCI image specification, `config.md`, "Layer ChainID"): the first is the
 * layer's diffID, each further one is the digest of `<chain id below> <diffID>`.
 */
export function chainIds(diffIds: readonly Digest[]): readonly Digest[] {
  const chain: Digest[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(below === undefined ? diffId : `sha256:${createHash("sha256").update(`${below} ${diffId}`).digest("hex")}`);
  }
  return chain;
}
