import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";
import { applyCommand, diffCommand, type ApplyFlags } from "../../src/cli/package-delta.ts";
import { splitCommand } from "../../src/cli/package-parts.ts";
import { isKubestickError } from "../../src/errors.ts";
import { readSigningKey, writeKeyPair } from "../../src/package/signing-key.ts";
import { writePackage } from "../../src/package/writer.ts";
import { scratch, smallContent, writeExecutable } from "../package/fixtures.ts";
import { testIo, TextSink } from "./screen.ts";

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(() => "done", (error: unknown) => (isKubestickError(error) ? error.code : String(error)));
}

test("package apply takes a new package only when it is signed as is asked for, and carries the signatures along", async () => {
  await using dir = await scratch();
  const release = await writeKeyPair(dir.at("release.key"));
  const other = await writeKeyPair(dir.at("other.key"));
  const executable = await writeExecutable(dir.at("bare"));
  const { content, entries } = smallContent();
  await writePackage({ executable, output: dir.at("old"), content: { ...content, kubernetesVersion: "v1.36.1" }, entries });
  const signingKeys = [await readSigningKey(release.privateKey, "Board")];
  await writePackage({ executable, output: dir.at("new"), content, entries, signingKeys });
  await writePackage({ executable, output: dir.at("plain"), content, entries });
  await diffCommand({ out: dir.at("signed.delta") }, [dir.at("old"), dir.at("new")], testIo());
  await diffCommand({ out: dir.at("plain.delta") }, [dir.at("old"), dir.at("plain")], testIo());
  const before = (await readdir(dir.path)).sort();
  const apply = (delta: string, flags: ApplyFlags): Promise<string> => codeOf(applyCommand({ base: dir.at("old"), out: dir.at("made"), ...flags }, [dir.at(delta)], testIo()));
  assert.equal(await apply("plain.delta", { "trust-key": [release.publicKey] }), "PACKAGE_UNSIGNED");
  assert.equal(await apply("signed.delta", { "trust-key": [other.publicKey] }), "PACKAGE_SIGNER_UNTRUSTED");
  assert.equal(await apply("signed.delta", { "signature-policy": "require" }), "SIGNATURE_POLICY");
  assert.deepEqual((await readdir(dir.path)).sort(), before);
  assert.equal(await apply("signed.delta", { "trust-key": [release.fingerprint], "signature-policy": "require" }), "done");
  assert.ok((await readFile(dir.at("made"))).equals(await readFile(dir.at("new"))));
});

test("package diff and package split ask for a place to write, and take -o for nothing else", async () => {
  await using dir = await scratch();
  const { content, entries } = smallContent();
  const { path } = await writePackage({ executable: await writeExecutable(dir.at("bare")), output: dir.at("stick"), content, entries });
  for (const out of [undefined, "json", "jsonl", "text"]) {
    assert.equal(await codeOf(diffCommand({ ...(out === undefined ? {} : { out }) }, [path, path], testIo())), "CLI_FLAG_VALUE");
    assert.equal(await codeOf(splitCommand({ ...(out === undefined ? {} : { out }) }, [path], testIo())), "CLI_FLAG_VALUE");
  }
  const stdout = new TextSink();
  await diffCommand({ out: dir.at("delta"), output: "json" }, [path, path], testIo({ stdout }));
  const { result } = JSON.parse(stdout.text) as { result: { delta: { carried: number; base: object; target: object } } };
  assert.equal(result.delta.carried, 0);
  assert.deepEqual(result.delta.base, result.delta.target);
});
