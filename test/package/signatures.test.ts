import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { lstat, symlink, copyFile, open, readFile, readdir, stat, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { isKubestickError } from "../../src/errors.ts";
import { regionsOf } from "../../src/package/damage.ts";
import { digestOf } from "../../src/package/digest.ts";
import { FOOTER_SIZE, encodeFooter, encodeHeader } from "../../src/package/format.ts";
import { encodeIndex } from "../../src/package/package-index.ts";
import { openPackage, type OpenedPackage } from "../../src/package/reader.ts";
import { repairPackage } from "../../src/package/repair.ts";
import { signPackage } from "../../src/package/sign.ts";
import { decodeSignatures, encodeSignatures, signIndex, type PackageSigningKey } from "../../src/package/signatures.ts";
import { readSigningKey, readTrustedKeys, writeKeyPair } from "../../src/package/signing-key.ts";
import { bakedKeys, requireTrusted, trustedKeyDocuments } from "../../src/package/trust.ts";
import type { Digest } from "../../src/package/types.ts";
import { writePackage } from "../../src/package/writer.ts";
import { failure, scratch, smallContent, withPackage, writeExecutable } from "./fixtures.ts";

async function newKey(path: string, name?: string): Promise<{ readonly key: PackageSigningKey; readonly fingerprint: Digest; readonly publicKey: string }> {
  const { fingerprint, publicKey } = await writeKeyPair(path);
  return { key: await readSigningKey(path, name), fingerprint, publicKey };
}

async function packed(output: string, signingKeys: readonly PackageSigningKey[], trustFiles: readonly string[] = []): Promise<string> {
  const { content, entries } = smallContent();
  const trusted = (await trustedKeyDocuments(trustFiles)).map(({ carried }) => carried);
  const executable = await writeExecutable(`${output}.bare`);
  await writePackage({ executable, output, content: { ...content, documents: trusted.map(({ document }) => document) }, entries: [...entries, ...trusted.map(({ entry }) => entry)], signingKeys });
  return output;
}

/** What somebody without the key does: another index or other signatures, and every checksum made right for them. */
async function forged(path: string, from: string, change: (reader: OpenedPackage) => { readonly index?: Uint8Array; readonly signatures?: Uint8Array }): Promise<string> {
  const bytes = await readFile(from);
  const { layout, signatures, index } = await withPackage(from, (reader) => ({ layout: reader.layout, index: reader.layout.indexBytes, signatures: reader.layout.signatureBytes, ...change(reader) }));
  const { footer, header } = layout;
  const fileLength = footer.indexOffset + index.length + signatures.length + FOOTER_SIZE;
  const head = Buffer.from(bytes.subarray(0, footer.indexOffset));
  head.set(encodeHeader({ ...header, fileLength }), footer.payloadStart);
  const tail = encodeFooter({ ...footer, indexLength: index.length, index: digestOf(index), signaturesLength: signatures.length, signatures: digestOf(signatures) });
  await writeFile(path, Buffer.concat([head, index, signatures, tail]));
  return path;
}

test("a signed package names its signers, equal inputs give equal bytes, and the content of the index is that of the unsigned one", async () => {
  await using dir = await scratch();
  const release = await newKey(dir.at("release.key"), "Release team");
  const board = await newKey(dir.at("board.key"));
  const signed = await packed(dir.at("signed"), [release.key, board.key]);
  const again = await packed(dir.at("again"), [release.key, board.key]);
  const plain = await packed(dir.at("plain"), []);
  assert.deepEqual(await readFile(signed), await readFile(again));
  await withPackage(signed, async (reader) => {
    assert.deepEqual(reader.signers, [{ fingerprint: release.fingerprint, name: "Release team" }, { fingerprint: board.fingerprint, name: undefined }]);
    assert.equal(reader.indexDigest, await withPackage(plain, (other) => other.indexDigest));
    await reader.verify();
  });
  assert.deepEqual(await withPackage(plain, ({ signers }) => signers), []);
});

test("a byte flipped anywhere in a signed package is found, and the signature with the rest", async () => {
  await using dir = await scratch();
  const { key } = await newKey(dir.at("key"), "N");
  const good = await packed(dir.at("good"), [key]);
  const regions = await withPackage(good, (reader) => regionsOf(reader.layout));
  assert.ok(regions.some(({ part, length }) => part === "the signatures" && length > 100));
  for (const { part, offset, length } of regions) {
    for (const at of new Set([0, Math.floor(length / 2), length - 1])) {
      await copyFile(good, dir.at("bad"));
      const file = await open(dir.at("bad"), "r+");
      const byte = Buffer.alloc(1);
      await file.read(byte, 0, 1, offset + at);
      await file.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, offset + at);
      await file.close();
      const found = await failure(withPackage(dir.at("bad"), (reader) => reader.verify()));
      assert.equal(found.code, "PACKAGE_CORRUPT", `${part} ${at}: ${found.message}`);
    }
  }
});

test("a package changed after it was signed is refused, although every checksum was made right again", async () => {
  await using dir = await scratch();
  const { key } = await newKey(dir.at("key"), "Release team");
  const good = await packed(dir.at("good"), [key]);
  const changes: Record<string, (reader: OpenedPackage) => { readonly index?: Uint8Array; readonly signatures?: Uint8Array }> = {
    "another version in the index": ({ index }) => ({ index: encodeIndex({ ...index, kubernetesVersion: "v1.36.3" }) }),
    "the hash of one chunk": ({ index }) => ({ index: encodeIndex({ ...index, entries: index.entries.map((entry, number) => (number === 0 ? { ...entry, chunks: entry.chunks.map((byte, at) => (at === 0 ? byte ^ 1 : byte)) } : entry)) }) }),
    "another name of the signer": ({ layout }) => ({ signatures: encodeSignatures(decodeSignatures(layout.signatureBytes, "").map((one) => ({ ...one, name: "Somebody else" }))) }),
    "no name": ({ layout }) => ({ signatures: encodeSignatures(decodeSignatures(layout.signatureBytes, "").map((one) => ({ ...one, name: undefined }))) }),
    "a byte of the signature": ({ layout }) => ({ signatures: encodeSignatures(decodeSignatures(layout.signatureBytes, "").map((one) => ({ ...one, signature: one.signature.map((byte, at) => (at === 40 ? byte ^ 1 : byte)) }))) }),
    "another key on the same signature": ({ layout }) => ({ signatures: encodeSignatures(decodeSignatures(layout.signatureBytes, "").map((one) => ({ ...one, key: one.key.map((byte, at) => (at === 3 ? byte ^ 1 : byte)) }))) }),
    "a wrong signature beside the right one": ({ layout }) => ({ signatures: encodeSignatures([...decodeSignatures(layout.signatureBytes, ""), { name: undefined, key: Buffer.alloc(32, 9), signature: Buffer.alloc(64, 9) }]) }),
  };
  for (const [what, change] of Object.entries(changes)) {
    const found = await failure(openPackage(await forged(dir.at("bad"), good, change)));
    assert.equal(found.code, "PACKAGE_SIGNATURE_INVALID", what);
    assert.match(found.next, /Do not use this file/);
  }
  assert.deepEqual(await withPackage(await forged(dir.at("bad"), good, () => ({})), ({ signers }) => signers.length), 1);
});

test("bytes that are no list of signatures are refused, signatures of unknown algorithms are passed over", async () => {
  await using dir = await scratch();
  const { key } = await newKey(dir.at("key"));
  const good = await packed(dir.at("good"), [key]);
  const one = { name: undefined, key: Buffer.alloc(32), signature: Buffer.alloc(64) };
  const bad: Record<string, Uint8Array> = {
    "no CBOR": Buffer.from([0xff, 0x01]), "a number": Buffer.from([0x07]), "an empty list": Buffer.from([0x80]), "a list of numbers": Buffer.from([0x81, 0x07]),
    "a short key": encodeSignatures([{ ...one, key: Buffer.alloc(31) }]), "a short signature": encodeSignatures([{ ...one, signature: Buffer.alloc(63) }]),
    "a name with an escape sequence": encodeSignatures([{ ...one, name: "\u001b[31mred" }]), "an empty name": encodeSignatures([{ ...one, name: "" }]), "a long name": encodeSignatures([{ ...one, name: "n".repeat(129) }]),
    "one key twice": encodeSignatures([one, one]),
  };
  for (const [what, signatures] of Object.entries(bad)) {
    const found = await failure(openPackage(await forged(dir.at("bad"), good, () => ({ signatures }))));
    assert.equal(found.code, "PACKAGE_SIGNATURES", what);
  }
  // {"algorithm": "x"}
  const later = Buffer.concat([Buffer.from([0x81, 0xa1, 0x69]), Buffer.from("algorithm"), Buffer.from([0x61]), Buffer.from("x")]);
  assert.deepEqual(await withPackage(await forged(dir.at("bad"), good, () => ({ signatures: later })), ({ signers }) => signers), []);
  // And are not thrown away by who signs besides.
  const before = await readFile(dir.at("bad"));
  const lost = await failure(signPackage({ path: dir.at("bad"), output: dir.at("bad"), key: (await newKey(dir.at("late.key"))).key }));
  assert.equal(lost.code, "PACKAGE_SIGNATURES");
  assert.match(lost.happened, /would be lost/);
  assert.deepEqual(await readFile(dir.at("bad")), before);
});

test("requireTrusted: each way to be refused has its own code, and every set of keys has to be satisfied", async () => {
  await using dir = await scratch();
  const release = await newKey(dir.at("release.key"), "Release team");
  const other = await newKey(dir.at("other.key"));
  const path = "stick";
  const by = (...keys: readonly { readonly fingerprint: Digest }[]): { readonly path: string; readonly signers: readonly { readonly fingerprint: Digest; readonly name: undefined }[] } => ({ path, signers: keys.map(({ fingerprint }) => ({ fingerprint, name: undefined })) });
  const flag = (...keys: readonly { readonly fingerprint: Digest }[]) => ({ from: "--trust-key", fingerprints: keys.map(({ fingerprint }) => fingerprint) });
  const code = (work: () => unknown): string => { try { work(); } catch (error) { return isKubestickError(error) ? error.code : String(error); } return "accepted"; };

  assert.equal(code(() => requireTrusted(by(), { policy: "auto", sets: [] })), "accepted");
  assert.equal(code(() => requireTrusted(by(release), { policy: "auto", sets: [flag()] })), "accepted");
  assert.equal(code(() => requireTrusted(by(), { policy: "require", sets: [] })), "SIGNATURE_POLICY");
  // Anybody can sign: that there is a signature says nothing.
  assert.equal(code(() => requireTrusted(by(release), { policy: "require", sets: [flag()] })), "SIGNATURE_POLICY");
  assert.equal(code(() => requireTrusted(by(), { policy: "auto", sets: [flag(release)] })), "PACKAGE_UNSIGNED");
  assert.equal(code(() => requireTrusted(by(other), { policy: "auto", sets: [flag(release)] })), "PACKAGE_SIGNER_UNTRUSTED");
  assert.equal(code(() => requireTrusted(by(other), { policy: "auto", sets: [flag(release, other)] })), "accepted");
  assert.equal(code(() => requireTrusted(by(release), { policy: "auto", sets: [flag(release), { from: "the executable", fingerprints: [other.fingerprint] }] })), "PACKAGE_SIGNER_UNTRUSTED");
  assert.deepEqual(requireTrusted(by(other, release), { policy: "require", sets: [flag(release)] }), [{ signer: { fingerprint: release.fingerprint, name: undefined }, trustedBy: "--trust-key" }]);
});

test("keys baked in travel in the package and are read back", async () => {
  await using dir = await scratch();
  const one = await newKey(dir.at("one.key"));
  const two = await newKey(dir.at("two.key"));
  await writeFile(dir.at("both.pub"), `first\n${await readFile(one.publicKey, "utf8")}second\n${await readFile(two.publicKey, "utf8")}`);
  const path = await packed(dir.at("stick"), [one.key], [dir.at("both.pub"), one.publicKey]);
  assert.deepEqual(await withPackage(path, bakedKeys), [one.fingerprint, two.fingerprint]);
  assert.equal((await failure(trustedKeyDocuments([one.fingerprint]))).code, "TRUST_KEY");
});

test("package sign adds a signature to a file that is there, replaces that of the same key, and changes nothing else", async () => {
  await using dir = await scratch();
  const release = await newKey(dir.at("release.key"), "Release team");
  const board = await newKey(dir.at("board.key"), "Board");
  const plain = await packed(dir.at("stick"), []);
  const before = await readFile(plain);
  const indexDigest = await withPackage(plain, (reader) => reader.indexDigest);

  const first = await signPackage({ path: plain, output: dir.at("signed"), key: release.key });
  assert.deepEqual(await readFile(plain), before);
  assert.deepEqual(await readFile(dir.at("signed")), await readFile(await packed(dir.at("at once"), [release.key])));
  assert.equal(first.digest, digestOf(await readFile(dir.at("signed"))));
  assert.equal((await stat(dir.at("signed"))).mode & 0o777, 0o755);

  // By a link: it stays one, and the file it leads to is signed.
  await symlink(dir.at("signed"), dir.at("link"));
  await signPackage({ path: dir.at("link"), output: dir.at("link"), key: board.key });
  assert.ok((await lstat(dir.at("link"))).isSymbolicLink());
  const renamed = await signPackage({ path: dir.at("signed"), output: dir.at("signed"), key: { ...release.key, name: "Release" } });
  assert.deepEqual(renamed.signers, [{ fingerprint: board.fingerprint, name: "Board" }, { fingerprint: release.fingerprint, name: "Release" }]);
  await withPackage(dir.at("signed"), async (reader) => {
    assert.equal(reader.indexDigest, indexDigest);
    await reader.verify();
  });

  const file = await open(plain, "r+");
  await file.write(Buffer.from("!"), 0, 1, 4000);
  await file.close();
  assert.equal((await failure(signPackage({ path: plain, output: dir.at("never"), key: release.key }))).code, "PACKAGE_CORRUPT");
  const aborted = AbortSignal.abort();
  await assert.rejects(signPackage({ path: dir.at("signed"), output: dir.at("never"), key: release.key, signal: aborted }), { name: "AbortError" });
  assert.deepEqual((await readdir(dir.path)).filter((name) => name.includes("never") || name.includes("partial")), []);
});

test("a repair takes no signature away and puts none on", async () => {
  await using dir = await scratch();
  const { key } = await newKey(dir.at("key"));
  const plain = await packed(dir.at("plain"), []);
  const signed = await packed(dir.at("signed"), [key]);
  for (const [path, from] of [[plain, signed], [signed, plain]] as const) {
    const before = await readFile(path);
    assert.equal((await failure(repairPackage({ path, from }))).code, "PACKAGE_REPAIR_OTHER");
    assert.deepEqual(await readFile(path), before);
  }
  const refused = new Error("not this one");
  await assert.rejects(repairPackage({ path: plain, from: signed, accept: () => Promise.reject(refused) }), refused);
});

test("key files: what openssl writes is read, everything else is named", async () => {
  await using dir = await scratch();
  const pair = await newKey(dir.at("key"));
  assert.equal((await stat(dir.at("key"))).mode & 0o777, 0o600);
  assert.equal((await failure(writeKeyPair(dir.at("key")))).code, "SIGN_KEY_WRITE");
  assert.equal((await failure(writeKeyPair(dir.at("absent/key")))).code, "SIGN_KEY_WRITE");
  assert.deepEqual((await readdir(dir.path)).sort(), ["key", "key.pub"]);
  assert.deepEqual(await readTrustedKeys(pair.fingerprint), [{ fingerprint: pair.fingerprint, pem: undefined }]);
  assert.deepEqual((await readTrustedKeys(dir.at("key.pub"))).map(({ fingerprint }) => fingerprint), [pair.fingerprint]);

  const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 });
  await writeFile(dir.at("rsa"), rsa.privateKey.export({ format: "pem", type: "pkcs8" }));
  await writeFile(dir.at("rsa.pub"), rsa.publicKey.export({ format: "pem", type: "spki" }));
  const locked = generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "x" });
  await writeFile(dir.at("locked"), locked);
  await writeFile(dir.at("text"), "not a key");
  for (const [file, what] of [["absent", /cannot be read/], ["rsa", /type rsa/], ["locked", /pass phrase/], ["text", /no private key/], ["key.pub", /is a public key/]] as const) {
    const found = await failure(readSigningKey(dir.at(file)));
    assert.equal(found.code, "SIGN_KEY");
    assert.match(found.happened, what);
  }
  assert.equal((await failure(readSigningKey(dir.at("key"), "two\nlines"))).code, "SIGN_KEY");
  for (const [file, what] of [["absent", /cannot be read/], ["rsa.pub", /type rsa/], ["text", /no public key/], ["key", /is a private key/]] as const) {
    const found = await failure(readTrustedKeys(dir.at(file)));
    assert.equal(found.code, "TRUST_KEY");
    assert.match(found.happened, what);
    assert.ok(!found.happened.includes("PRIVATE KEY-----"));
  }
  assert.equal((await failure(readTrustedKeys("sha256:1234"))).code, "TRUST_KEY");
});

test("an index signed by one key is not signed by another", async () => {
  await using dir = await scratch();
  const one = await newKey(dir.at("one"));
  const two = await newKey(dir.at("two"));
  const index = Buffer.from("an index");
  assert.notDeepEqual(signIndex(index, one.key).signature, signIndex(index, two.key).signature);
  assert.deepEqual(signIndex(index, one.key).signature, signIndex(index, one.key).signature);
});
