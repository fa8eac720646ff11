/** `--trust-key` and `--signature-policy` as plain data. Apart from `package-trust.ts`, so that reading flags loads no cryptography. */
import type { SignaturePolicy } from "../package/trust.ts";

/** As typed; undefined: not given. */
export interface TrustFlags {
  /** Files or fingerprints. */
  readonly trustKeys?: readonly string[] | undefined;
  readonly signaturePolicy?: SignaturePolicy | undefined;
}

export interface TypedTrustFlags {
  readonly "trust-key"?: readonly string[] | undefined;
  readonly "signature-policy"?: string | undefined;
}

/** undefined: neither was typed. */
export function trustFlags(flags: TypedTrustFlags): TrustFlags | undefined {
  const { "trust-key": trustKeys, "signature-policy": signaturePolicy } = flags;
  if (trustKeys === undefined && signaturePolicy === undefined) return undefined;
  return { trustKeys, signaturePolicy: signaturePolicy as SignaturePolicy | undefined };
}
