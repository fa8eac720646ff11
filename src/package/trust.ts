/**
 * Whose packages are taken. A signature proves that the holder of a key made a package what it is; which keys count is known from elsewhere:
 * from the command line, from the configuration, or baked into the executable that is running.
 *
 * A package cannot vouch for itself. What is baked in protects against *other* packages: the executable that carries the key refuses files,
 * peers' packages and deltas that are not signed with it. Against a file that was exchanged as a whole only somebody outside helps: an executable
 * one has already, or openssl (docs/package-signing.md).
 */
import { KubestickError } from "../errors.ts";
import { signerText } from "./signatures.ts";
import { carriedDocument, type CarriedDocument } from "./documents.ts";
import { readTrustedKeys, trustedKeysOf } from "./signing-key.ts";
import type { Digest, PackageReader, PackageSigner } from "./types.ts";

/** `require`: a run in which nothing says whom to trust is refused as well. */
export type SignaturePolicy = "auto" | "require";

/** Keys from one place; one of them must have signed. */
export interface TrustedKeySet {
  /** `--trust-key`, `the configuration`, `the key baked into ./kubestick` */
  readonly from: string;
  readonly fingerprints: readonly Digest[];
}

export interface PackageTrust {
  readonly policy: SignaturePolicy;
  /** Every one of these has to be satisfied: a key on the command line does not lift what is baked in. */
  readonly sets: readonly TrustedKeySet[];
}

/** A signer, and who says that it counts. */
export interface TrustedSigner {
  readonly signer: PackageSigner;
  readonly trustedBy: string;
}

/** Public keys of `pack --trust-key`, one document each. */
export const TRUSTED_KEY_DOCUMENT = "trusted-key";

/** The keys in these files as documents to carry. Throws TRUST_KEY, also for a fingerprint: the key itself has to travel. */
export async function trustedKeyDocuments(files: readonly string[]): Promise<readonly { readonly fingerprint: Digest; readonly carried: CarriedDocument }[]> {
  const keys = new Map<Digest, CarriedDocument>();
  for (const file of files) {
    for (const { fingerprint, pem } of await readTrustedKeys(file)) {
      if (pem === undefined) {
        throw new KubestickError({ code: "TRUST_KEY", attempted: `baking in the trusted key ${file}`, happened: "It is a fingerprint; the new file has to carry the key itself.", next: "Name the file with the public key (PEM)." });
      }
      keys.set(fingerprint, carriedDocument(TRUSTED_KEY_DOCUMENT, fingerprint, "application/x-pem-file", pem));
    }
  }
  return [...keys].map(([fingerprint, carried]) => ({ fingerprint, carried }));
}

/** The keys a package was given with `pack --trust-key`: those its executable takes other packages from. */
export async function bakedKeys(pkg: Pick<PackageReader, "index" | "read" | "path">): Promise<readonly Digest[]> {
  const documents = pkg.index.documents.filter(({ kind }) => kind === TRUSTED_KEY_DOCUMENT);
  const found = await Promise.all(documents.map(async ({ digest, name }) => trustedKeysOf(Buffer.from(await pkg.read(digest)).toString("utf8"), `${name} in ${pkg.path}`)));
  return found.flat().map(({ fingerprint }) => fingerprint);
}

/**
 * Throws PACKAGE_UNSIGNED, PACKAGE_SIGNER_UNTRUSTED, or SIGNATURE_POLICY when a signature is required and nothing says whose.
 * Otherwise: the signers that count, none when nobody asked for one.
 */
export function requireTrusted(pkg: Pick<PackageReader, "path" | "signers">, { policy, sets }: PackageTrust): readonly TrustedSigner[] {
  const asked = sets.filter(({ fingerprints }) => fingerprints.length > 0);
  if (asked.length === 0 && policy === "require") throw nobodyTrusted(pkg);
  return asked.map(({ from, fingerprints }) => {
    const signer = pkg.signers.find(({ fingerprint }) => fingerprints.includes(fingerprint));
    if (signer === undefined) throw pkg.signers.length === 0 ? unsigned(pkg.path, from, fingerprints) : untrusted(pkg, from, fingerprints);
    return { signer, trustedBy: from };
  });
}

function unsigned(path: string, from: string, fingerprints: readonly Digest[]): KubestickError {
  return new KubestickError({
    code: "PACKAGE_UNSIGNED",
    attempted: `checking who signed the package in ${path}`,
    happened: `Nobody signed it, and ${from} asks for a signature with ${oneOf(fingerprints)}.`,
    next: "Get the signed package from whoever holds that key; they sign it with `kubestick package sign FILE --sign-key KEY`.",
  });
}

function untrusted(pkg: Pick<PackageReader, "path" | "signers">, from: string, fingerprints: readonly Digest[]): KubestickError {
  return new KubestickError({
    code: "PACKAGE_SIGNER_UNTRUSTED",
    attempted: `checking who signed the package in ${pkg.path}`,
    happened: `It is signed by ${pkg.signers.map(signerText).join(", ")}; ${from} asks for a signature with ${oneOf(fingerprints)}.`,
    next: "If that signer is to be trusted, name their public key with --trust-key (it must be known from another place than this file); otherwise get a package from whoever holds the right key.",
  });
}

function nobodyTrusted(pkg: Pick<PackageReader, "path" | "signers">): KubestickError {
  const signed = pkg.signers.length === 0 ? "nobody signed it" : `it is signed by ${pkg.signers.map(signerText).join(", ")}`;
  return new KubestickError({
    code: "SIGNATURE_POLICY",
    attempted: `checking who signed the package in ${pkg.path}`,
    happened: `A signature is required, but nothing says whose: no key is trusted here, and anybody can sign with a key of their own (${signed}).`,
    next: "Name the public key of whoever signs your packages: --trust-key FILE, or trustedKeys in the InstallConfiguration.",
  });
}

function oneOf(fingerprints: readonly Digest[]): string {
  return fingerprints.length === 1 ? `key ${fingerprints[0] ?? ""}` : `one of the keys ${fingerprints.join(", ")}`;
}
