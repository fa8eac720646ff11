/** Signatures of packages, made and judged by the real openssl, and by the reader that was written from docs/package-format.md. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { test } from "node:test";
import { openPackage } from "../../src/package/reader.ts";
import { decodeSignatures } from "../../src/package/signatures.ts";
import { readSigningKey, readTrustedKeys, writeKeyPair } from "../../src/package/signing-key.ts";
import { writePackage } from "../../src/package/writer.ts";
import { scratch, smallContent, writeExecutable } from "../package/fixtures.ts";

const READER = resolve(import.meta.dirname, "../support/package-reader.py");
const runs = (program: string, word: string): boolean => spawnSync(program, [word]).status === 0;
const skip = !runs("openssl", "version") ? "openssl is not installed (Debian package: openssl)" : !runs("python3", "--version") ? "there is no python3 here" : false;

function openssl(...argv: readonly string[]): string {
  const run = spawnSync("openssl", argv, { encoding: "utf8" });
  assert.equal(run.status, 0, `openssl ${argv.join(" ")}: ${run.stderr}${run.stdout}`);
  return run.stdout;
}

async function signedPackage(directory: string, keyFile: string, name?: string): Promise<string> {
  const { path } = await writePackage({ executable: await writeExecutable(`${directory}/bare`), output: `${directory}/stick`, ...smallContent(), signingKeys: [await readSigningKey(keyFile, name)] });
  return path;
}

test("openssl makes a key, we sign with it, openssl finds the signature right and that of a changed index wrong", { skip }, async () => {
  await using dir = await scratch();
  openssl("genpkey", "-algorithm", "ed25519", "-out", dir.at("key"));
  openssl("pkey", "-in", dir.at("key"), "-pubout", "-out", dir.at("key.pub"));
  for (const name of [undefined, "Freigabe für den Süden"]) {
    const reader = await openPackage(await signedPackage(dir.path, dir.at("key"), name));
    await reader.close();
    const { indexBytes, signatureBytes } = reader.layout;
    const [signature] = decodeSignatures(signatureBytes, "");
    await writeFile(dir.at("message"), Buffer.concat([indexBytes, Buffer.from(name ?? "")]));
    await writeFile(dir.at("signature"), signature?.signature ?? "");
    const verify = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", dir.at("key.pub"), "-in", dir.at("message"), "-sigfile", dir.at("signature")];
    assert.match(openssl(...verify), /Signature Verified Successfully/);
    await writeFile(dir.at("message"), Buffer.concat([indexBytes.map((byte, at) => (at === 100 ? byte ^ 1 : byte)), Buffer.from(name ?? "")]));
    assert.notEqual(spawnSync("openssl", verify).status, 0);
  }
});

test("openssl reads the keys that keygen writes, and has the same fingerprint", { skip }, async () => {
  await using dir = await scratch();
  const { fingerprint } = await writeKeyPair(dir.at("key"));
  assert.match(openssl("pkey", "-in", dir.at("key"), "-noout", "-text"), /ED25519 Private-Key/);
  assert.equal(openssl("pkey", "-in", dir.at("key"), "-pubout"), await readFile(dir.at("key.pub"), "utf8"));
  const { stdout } = spawnSync("openssl", ["pkey", "-pubin", "-in", dir.at("key.pub"), "-outform", "DER"]);
  await writeFile(dir.at("der"), stdout);
  assert.equal(openssl("dgst", "-sha256", "-r", dir.at("der")).slice(0, 64), fingerprint.slice("sha256:".length));
  assert.deepEqual((await readTrustedKeys(dir.at("key.pub"))).map((key) => key.fingerprint), [fingerprint]);
});

test("the second reader names the signer, and refuses a signature that is not over the index", { skip }, async () => {
  await using dir = await scratch();
  const { privateKey, fingerprint } = await writeKeyPair(dir.at("key"));
  const path = await signedPackage(dir.path, privateKey, "Release team");
  const read = spawnSync("python3", [READER, path, "signers"], { encoding: "utf8" });
  assert.equal(read.status, 0, read.stderr);
  assert.deepEqual(JSON.parse(read.stdout), [{ fingerprint, name: "Release team" }]);

  const reader = await openPackage(path);
  await reader.close();
  const wrong = await writePackage({
    executable: dir.at("bare"), output: dir.at("wrong"), ...smallContent(), signingKeys: [{ ...(await readSigningKey(privateKey)), name: "Release team" }],
  });
  const bytes = await readFile(wrong.path);
  const at = bytes.lastIndexOf("Release team");
  bytes.write("Another team", at, "latin1");
  // The name is changed and every checksum made right again: only the signature tells.
  const { encodeFooter } = await import("../../src/package/format.ts");
  const { digestOf } = await import("../../src/package/digest.ts");
  const { footer, header } = reader.layout;
  const begin = footer.indexOffset + footer.indexLength;
  bytes.set(encodeFooter({ ...footer, signatures: digestOf(bytes.subarray(begin, begin + footer.signaturesLength)) }), header.fileLength - 192);
  await writeFile(wrong.path, bytes);
  const refused = spawnSync("python3", [READER, wrong.path], { encoding: "utf8" });
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /bad package: the signature of sha256:/);
  await assert.rejects(openPackage(wrong.path), { code: "PACKAGE_SIGNATURE_INVALID" });
});
