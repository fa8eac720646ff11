/**
 * Puts a signature on a package that is there already: whoever checks packages is seldom the one who makes them.
 *
 * The signatures' length stands in the header and in the footer, so these two are written anew; everything between stays byte for byte as it
 * is, and with it the index that is signed. A copy is written and renamed: an interruption leaves the file as it was.
 */
import { realpath } from "node:fs/promises";
import { KubestickError } from "../errors.ts";
import { EXECUTABLE, chunksOf, regionsOf } from "./damage.ts";
import { digestOf } from "./digest.ts";
import { FOOTER_SIZE, HEADER_SIZE, MAX_SIGNATURES_SIZE, encodeFooter, encodeHeader } from "./format.ts";
import { writeOutput } from "./package-output.ts";
import { openPackage } from "./reader.ts";
import { countSignatures, decodeSignatures, encodeSignatures, signIndex, verifiedSigners, type PackageSigningKey } from "./signatures.ts";
import { intactBytes, type CopyProgress } from "./split.ts";
import type { Digest, PackageSigner } from "./types.ts";

export interface SignOptions {
  /** In one file. */
  readonly path: string;
  /** Where the signed file goes; may be `path` itself. */
  readonly output: string;
  readonly key: PackageSigningKey;
  readonly progress?: CopyProgress;
  readonly signal?: AbortSignal;
}

export interface SignedPackage {
  readonly path: string;
  readonly size: number;
  /** Of the whole file, what `sha256sum` prints. */
  readonly digest: Digest;
  /** All of them, in the order of the file. */
  readonly signers: readonly PackageSigner[];
}

/**
 * An earlier signature with the same key is replaced, others stay. Rejects with PACKAGE_CORRUPT for a damaged file (nobody should vouch for one),
 * PACKAGE_SIGN_PARTS for one in parts, PACK_WRITE, PACK_NO_SPACE.
 */
export async function signPackage({ path, output, key, progress, signal }: SignOptions): Promise<SignedPackage> {
  const pkg = await openPackage(path);
  try {
    if (pkg.source.parts !== undefined) throw inParts(path);
    const { header, footer, indexBytes, signatureBytes } = pkg.layout;
    const known = decodeSignatures(signatureBytes, path);
    if (known.length < countSignatures(signatureBytes)) throw unknownSignatures(path);
    const others = known.filter((signature) => Buffer.compare(signature.key, key.key) !== 0);
    const all = [...others, signIndex(indexBytes, key)];
    const signatures = encodeSignatures(all);
    if (signatures.length > MAX_SIGNATURES_SIZE) throw tooMany(path, others.length);
    const behindHeader = footer.payloadStart + HEADER_SIZE;
    const behindIndex = footer.indexOffset + footer.indexLength;
    const fileLength = behindIndex + signatures.length + FOOTER_SIZE;
    const regions = regionsOf(pkg.layout);
    const front = regions.filter(({ offset, length }) => offset + length <= footer.payloadStart);
    const content = regions.filter(({ offset, length }) => offset >= behindHeader && offset + length <= behindIndex);
    if (front[0]?.part !== EXECUTABLE) throw new TypeError("the package does not begin with its executable");
    // A link stays one, and leads to the signed file.
    const place = output === path ? await realpath(path) : output;
    const { digest, files } = await writeOutput(place, { fileLength, plan: undefined }, async (out) => {
      const buffer = Buffer.allocUnsafeSlow(pkg.index.chunkSize);
      const copy = async (some: typeof regions): Promise<void> => {
        for (const chunk of chunksOf(some, pkg.index.chunkSize)) {
          signal?.throwIfAborted();
          await out.write(await intactBytes(pkg, chunk, buffer));
          progress?.("write", { done: out.length, total: fileLength, label: chunk.part });
        }
      };
      await copy(front);
      await out.write(encodeHeader({ ...header, fileLength }));
      await copy(content);
      await out.write(signatures);
      await out.write(encodeFooter({ ...footer, signaturesLength: signatures.length, signatures: digestOf(signatures) }));
      return { id: pkg.indexDigest, value: undefined };
    }, (event) => progress?.("verify", event), signal);
    return { path: files[0]?.path ?? output, size: fileLength, digest, signers: verifiedSigners(all, indexBytes, path) };
  } finally {
    await pkg.close();
  }
}

function inParts(path: string): KubestickError {
  return new KubestickError({
    code: "PACKAGE_SIGN_PARTS",
    attempted: `signing the package in ${path}`,
    happened: "It lies in several files, and the signature belongs to the whole; nothing was changed.",
    next: "Sign the whole file and divide it afterwards: the parts carry the signature.",
  });
}

/** A newer kubestick made them. To leave them out would take somebody's word away without telling. */
function unknownSignatures(path: string): KubestickError {
  return new KubestickError({
    code: "PACKAGE_SIGNATURES",
    attempted: `signing the package in ${path}`,
    happened: "It carries signatures of an algorithm that is not known here, and they would be lost; nothing was changed.",
    next: "Sign it with the kubestick that made them, or a newer one.",
  });
}

function tooMany(path: string, others: number): KubestickError {
  return new KubestickError({
    code: "PACKAGE_SIGNATURES",
    attempted: `signing the package in ${path}`,
    happened: `It carries ${others} signatures already, and there is no room for one more.`,
    next: "Make the package again with `kubestick pack --sign-key`; a new file has no signatures but its own.",
  });
}
