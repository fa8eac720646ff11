/** Whom a run trusts to sign packages: flags, configuration, and the keys baked into the running executable, made into one demand. */
import { isKubestickError } from "../errors.ts";
import type { RunEvent } from "../engine/types.ts";
import { openPackage } from "../package/reader.ts";
import { readTrustedKeys } from "../package/signing-key.ts";
import { signerText } from "../package/signatures.ts";
import { bakedKeys, requireTrusted, type PackageTrust, type TrustedKeySet, type TrustedSigner } from "../package/trust.ts";
import type { Digest, PackageReader } from "../package/types.ts";
import { runningExecutable } from "./executable.ts";
import type { TrustFlags } from "./trust-flags.ts";

/** Of the InstallConfiguration. */
export interface TrustSettings {
  readonly signaturePolicy: "Auto" | "Require";
  readonly trustedKeys: readonly string[];
}

/** A package, or what a delta says of the one it makes, whose content cannot be read yet. */
export type AskedPackage = Pick<PackageReader, "path" | "index" | "signers"> & Partial<Pick<PackageReader, "read">>;

/**
 * Throws when the package is not signed as is asked for; returns the signers that count. The flag wins over the configuration, as everywhere;
 * what is baked into the executable that runs is asked for besides, for its own package too. `executable`: null for none.
 */
export async function requireTrustedPackage(pkg: AskedPackage, flags: TrustFlags | undefined = {}, settings?: TrustSettings, executable: string | null | undefined = runningExecutable()): Promise<readonly TrustedSigner[]> {
  const policy = flags.signaturePolicy ?? (settings?.signaturePolicy === "Require" ? "require" : "auto");
  const sets: TrustedKeySet[] = [];
  if (flags.trustKeys !== undefined && flags.trustKeys.length > 0) sets.push({ from: "--trust-key", fingerprints: await fingerprintsOf(flags.trustKeys) });
  else if (settings !== undefined && settings.trustedKeys.length > 0) sets.push({ from: "the configuration (trustedKeys)", fingerprints: await fingerprintsOf(settings.trustedKeys) });
  if (executable !== undefined && executable !== null) sets.push({ from: "this executable, by the key baked into it,", fingerprints: await keysOfExecutable(executable, pkg) });
  const trust: PackageTrust = { policy, sets };
  return requireTrusted(pkg, trust);
}

async function fingerprintsOf(keys: readonly string[]): Promise<readonly Digest[]> {
  return (await Promise.all(keys.map(readTrustedKeys))).flat().map(({ fingerprint }) => fingerprint);
}

/** An executable whose own package is damaged cannot say whom it trusts; then it takes nothing at all. */
async function keysOfExecutable(executable: string, pkg: AskedPackage): Promise<readonly Digest[]> {
  const { read } = pkg;
  if (pkg.path === executable && read !== undefined) return bakedKeys({ path: pkg.path, index: pkg.index, read: (digest) => read.call(pkg, digest) });
  let own: PackageReader;
  try {
    own = await openPackage(executable, { incomplete: true });
  } catch (error) {
    if (isKubestickError(error) && error.code === "PACKAGE_ABSENT") return [];
    throw error;
  }
  try {
    return await bakedKeys(own);
  } finally {
    await own.close();
  }
}

/** One line on who signed; undefined when nobody did and nobody asked. */
export function signedText(pkg: Pick<PackageReader, "signers">, trusted: readonly TrustedSigner[]): string | undefined {
  if (trusted.length > 0) return trusted.map(({ signer, trustedBy }) => `the package is signed by ${signerText(signer)}, as asked for by ${trustedBy.replace(/,$/, "")}`).join("; ");
  if (pkg.signers.length === 0) return undefined;
  return `the package is signed by ${pkg.signers.map(signerText).join(", ")}; nothing here says whether that key is the right one (--trust-key does)`;
}

/** The check as the beginning of a run: one line on who signed. */
export async function* trustEvents(pkg: PackageReader, flags: TrustFlags | undefined, settings: TrustSettings): AsyncGenerator<RunEvent, void> {
  const message = signedText(pkg, await requireTrustedPackage(pkg, flags, settings));
  if (message !== undefined) yield { type: "finding", phase: "package", finding: { check: "PackageSignature", severity: "info", message } };
}
