import assert from "node:assert/strict";
import { copyFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { initOptionsFromFlags, type InitFlags } from "../../src/cli/init-options.ts";
import { initEvents } from "../../src/cli/init-run.ts";
import { joinOptionsFromFlags, type JoinFlags } from "../../src/cli/join-options.ts";
import { joinEvents } from "../../src/cli/join-run.ts";
import type { JoinPorts } from "../../src/cli/machine.ts";
import { packOptionsFromFlags } from "../../src/cli/pack.ts";
import { sourceDateEpoch } from "../../src/cli/source-date-epoch.ts";
import { inspectCommand } from "../../src/cli/package-inspect.ts";
import { keygenCommand, signCommand } from "../../src/cli/package-sign.ts";
import { requireTrustedPackage } from "../../src/cli/package-trust.ts";
import { repairCommand, verifyCommand } from "../../src/cli/package.ts";
import { isKubestickError } from "../../src/errors.ts";
import { pack } from "../../src/package/pack.ts";
import { openPackage } from "../../src/package/reader.ts";
import { readSigningKey, writeKeyPair } from "../../src/package/signing-key.ts";
import { trustedKeyDocuments } from "../../src/package/trust.ts";
import { writePackage } from "../../src/package/writer.ts";
import { scratch, smallContent, writeExecutable } from "../package/fixtures.ts";
import { cyclonedxProblems, spdxProblems } from "../package/sbom-rules.ts";
import { startWorld } from "../package/world.ts";
import { airgappedFacts } from "../support/facts.ts";
import { MemoryHost } from "../support/memory-host.ts";
import { testIo, TextSink } from "./screen.ts";

/** A package, signed with some keys and with others baked in. */
async function stick(output: string, signKeys: readonly string[] = [], trustFiles: readonly string[] = []): Promise<string> {
  const { content, entries } = smallContent();
  const carried = (await trustedKeyDocuments(trustFiles)).map((key) => key.carried);
  await writePackage({
    executable: await writeExecutable(`${output}.bare`), output, content: { ...content, documents: carried.map(({ document }) => document) }, entries: [...entries, ...carried.map(({ entry }) => entry)],
    signingKeys: await Promise.all(signKeys.map(async (path) => readSigningKey(path, "Release team"))),
  });
  return output;
}

interface Begun {
  readonly messages: readonly string[];
  /** `went on`: the check was passed. */
  readonly end: string;
}

/** How init or join begins, until its first phase, or until it looks for the cluster. Nothing may have changed by then. */
async function begun(events: (ports: JoinPorts) => AsyncGenerator<{ readonly type: string }, unknown>): Promise<Begun> {
  const host = new MemoryHost({ facts: airgappedFacts() });
  const further = (): never => { throw new Error("went on"); };
  const before = host.snapshot();
  const messages: string[] = [];
  let end = "finished";
  try {
    for await (const event of events({ host, runtime: further, connect: further, assets: { text: further, list: () => [] }, lock: further, toYaml: JSON.stringify, discover: further })) {
      if (event.type === "run-started") throw new Error("went on");
      const { finding } = event as { readonly finding?: { readonly check: string; readonly message: string } };
      if (finding?.check === "PackageSignature") messages.push(finding.message);
    }
  } catch (error) {
    end = isKubestickError(error) ? error.code : (error as Error).message;
  }
  assert.deepEqual(host.snapshot(), before);
  return { messages, end };
}

const never = new AbortController().signal;
const init = (flags: InitFlags): Promise<Begun> => begun((ports) => initEvents(initOptionsFromFlags(flags), never, ports));
const join = (flags: JoinFlags): Promise<Begun> => begun((ports) => joinEvents(joinOptionsFromFlags({ token: "abcdef.0123456789abcdef", "discovery-token-ca-cert-hash": [`sha256:${"ab".repeat(32)}`], ...flags }, ["192.0.2.10:6443"]), never, ports));

test("init and join check who signed before anything else, by flag", async () => {
  await using dir = await scratch();
  const release = await writeKeyPair(dir.at("release.key"));
  const other = await writeKeyPair(dir.at("other.key"));
  const signed = await stick(dir.at("signed"), [release.privateKey]);
  const plain = await stick(dir.at("plain"));
  for (const run of [init, join]) {
    assert.deepEqual(await run({ package: plain }), { messages: [], end: "went on" });
    assert.deepEqual(await run({ package: signed }), { messages: [`the package is signed by Release team (${release.fingerprint}); nothing here says whether that key is the right one (--trust-key does)`], end: "went on" });
    const trusted = { messages: [`the package is signed by Release team (${release.fingerprint}), as asked for by --trust-key`], end: "went on" };
    assert.deepEqual(await run({ package: signed, "trust-key": [release.publicKey] }), trusted);
    assert.deepEqual(await run({ package: signed, "trust-key": [other.publicKey, release.fingerprint], "signature-policy": "require" }), trusted);
    assert.equal((await run({ package: signed, "trust-key": [other.publicKey] })).end, "PACKAGE_SIGNER_UNTRUSTED");
    assert.equal((await run({ package: plain, "trust-key": [release.publicKey] })).end, "PACKAGE_UNSIGNED");
    assert.equal((await run({ package: plain, "signature-policy": "require" })).end, "SIGNATURE_POLICY");
    assert.equal((await run({ package: signed, "signature-policy": "require" })).end, "SIGNATURE_POLICY");
    assert.equal((await run({ package: signed, "trust-key": [dir.at("absent")] })).end, "TRUST_KEY");
  }
});

test("init and join check who signed as the configuration says, and the flag wins", async () => {
  await using dir = await scratch();
  const release = await writeKeyPair(dir.at("release.key"));
  const other = await writeKeyPair(dir.at("other.key"));
  const signed = await stick(dir.at("signed"), [release.privateKey]);
  const plain = await stick(dir.at("plain"));
  const configuration = async (name: string, lines: string): Promise<string> => {
    await writeFile(dir.at(name), `apiVersion: kubestick.io/v1alpha1\nkind: InstallConfiguration\n${lines}`);
    return dir.at(name);
  };
  const required = await configuration("required.yaml", "signaturePolicy: Require\n");
  const byRelease = await configuration("release.yaml", `signaturePolicy: Require\ntrustedKeys: ["${release.fingerprint}"]\n`);
  assert.equal((await init({ package: signed, config: required })).end, "SIGNATURE_POLICY");
  assert.equal((await init({ package: plain, config: byRelease })).end, "PACKAGE_UNSIGNED");
  assert.deepEqual(await init({ package: signed, config: byRelease }), { messages: [`the package is signed by Release team (${release.fingerprint}), as asked for by the configuration (trustedKeys)`], end: "went on" });
  assert.equal((await init({ package: signed, config: byRelease, "trust-key": [other.fingerprint] })).end, "PACKAGE_SIGNER_UNTRUSTED");
  assert.equal((await init({ package: signed, config: required, "signature-policy": "auto" })).end, "went on");

  const joining = "---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\ndiscovery:\n  bootstrapToken: { token: abcdef.0123456789abcdef, apiServerEndpoint: 192.0.2.10:6443, unsafeSkipCAVerification: true }\n";
  const joinFile = await configuration("join.yaml", `signaturePolicy: Require\ntrustedKeys: ["${release.fingerprint}"]\n${joining}`);
  const joined = (file: string): Promise<Begun> => begun((ports) => joinEvents(joinOptionsFromFlags({ config: joinFile, package: file }, []), never, ports));
  assert.equal((await joined(plain)).end, "PACKAGE_UNSIGNED");
  assert.equal((await joined(signed)).end, "went on");
});

test("an executable with a key baked in takes no package that is not signed with it, whatever the flags say", async () => {
  await using dir = await scratch();
  const release = await writeKeyPair(dir.at("release.key"));
  const other = await writeKeyPair(dir.at("other.key"));
  const own = await stick(dir.at("own"), [release.privateKey], [release.publicKey]);
  const bare = await writeExecutable(dir.at("bare"));
  const taken = async (path: string, executable: string, keys?: readonly string[]): Promise<string> => {
    const reader = await openPackage(path);
    try {
      return (await requireTrustedPackage(reader, keys === undefined ? undefined : { trustKeys: keys }, undefined, executable)).map(({ trustedBy }) => trustedBy).join("; ");
    } catch (error) {
      return isKubestickError(error) ? error.code : String(error);
    } finally {
      await reader.close();
    }
  };
  const baked = "this executable, by the key baked into it,";
  assert.equal(await taken(own, own), baked);
  assert.equal(await taken(await stick(dir.at("next"), [release.privateKey]), own), baked);
  assert.equal(await taken(await stick(dir.at("plain")), own), "PACKAGE_UNSIGNED");
  const foreign = await stick(dir.at("foreign"), [other.privateKey]);
  assert.equal(await taken(foreign, own), "PACKAGE_SIGNER_UNTRUSTED");
  assert.equal(await taken(foreign, own, [other.publicKey]), "PACKAGE_SIGNER_UNTRUSTED");
  assert.equal(await taken(foreign, bare, [other.publicKey]), "--trust-key");
  assert.equal(await taken(foreign, bare), "");
  // Packed with a key and not signed yet: it refuses itself.
  const unsigned = await stick(dir.at("unsigned"), [], [release.publicKey]);
  assert.equal(await taken(unsigned, unsigned), "PACKAGE_UNSIGNED");
  // An executable that cannot say whom it trusts takes nothing.
  await copyFile(own, dir.at("broken"));
  await writeFile(dir.at("broken"), "!", { flag: "a" });
  assert.equal(await taken(foreign, dir.at("broken")), "PACKAGE_CORRUPT");
});

test("keygen, sign, inspect, verify and repair from the command line", async () => {
  await using dir = await scratch();
  const shown = async (run: (io: ReturnType<typeof testIo>) => Promise<void>): Promise<string> => {
    const stdout = new TextSink();
    await run(testIo({ stdout }));
    return stdout.text;
  };
  const fingerprint = (await shown((io) => keygenCommand({ out: dir.at("k") }, io))).trim();
  const plain = await stick(dir.at("plain"));
  assert.match(await shown((io) => inspectCommand({}, [plain], io)), /^Kubernetes v1\.36\.2, CNI bridge, for linux\/amd64\n.*plain: .* a program for linux\/amd64\nthe package is not signed\n/);
  await assert.rejects(verifyCommand({ "trust-key": [fingerprint] }, [plain], testIo()), { code: "PACKAGE_UNSIGNED" });
  await assert.rejects(signCommand({}, [plain], testIo()), { code: "CLI_FLAG_VALUE" });
  assert.match(await shown((io) => signCommand({ "sign-key": dir.at("k"), signer: "Board", out: dir.at("signed") }, [plain], io)), new RegExp(`^[0-9a-f]{64}  .*/signed\nsigned by Board \\(${fingerprint}\\)\n$`));
  assert.match(await shown((io) => inspectCommand({}, [dir.at("signed")], io)), new RegExp(`\nsigned by Board \\(${fingerprint}\\)\n`));
  const document = JSON.parse(await shown((io) => inspectCommand({ output: "json", "trust-key": [fingerprint] }, [dir.at("signed")], io))) as { readonly signers: unknown };
  assert.deepEqual(document.signers, [{ fingerprint, name: "Board", trusted: true }]);
  assert.match(await shown((io) => verifyCommand({ "trust-key": [dir.at("k.pub")] }, [dir.at("signed")], io)), /every byte as packed\nthe package is signed by Board .*, as asked for by --trust-key\n$/);

  await copyFile(dir.at("signed"), dir.at("copy"));
  assert.match(await shown((io) => repairCommand({ from: dir.at("copy"), "trust-key": [fingerprint] }, [dir.at("signed")], io)), /nothing to repair/);
  await copyFile(plain, dir.at("plain copy"));
  await assert.rejects(repairCommand({ from: dir.at("plain copy"), "trust-key": [fingerprint] }, [plain], testIo()), { code: "PACKAGE_UNSIGNED" });
});

test("inspect prints the bill of materials and the licences, or says that there are none", async () => {
  await using world = await startWorld();
  const shown = async (run: (io: ReturnType<typeof testIo>) => Promise<void>): Promise<string> => {
    const stdout = new TextSink();
    await run(testIo({ stdout }));
    return stdout.text;
  };
  const { path } = await pack(world.options(), () => undefined);
  assert.deepEqual(spdxProblems(await shown((io) => inspectCommand({ sbom: "spdx" }, [path], io))), []);
  assert.deepEqual(cyclonedxProblems(await shown((io) => inspectCommand({ sbom: "cyclonedx" }, [path], io))), []);
  assert.match(await shown((io) => inspectCommand({ licenses: true }, [path], io)), /^ {2}WHAT +NAME +VERSION +LICENSE\n {2}binary +kubelet +v1\.36\.2 +not told\n/);
  const report = JSON.parse(await shown((io) => inspectCommand({ licenses: true, output: "json" }, [path], io))) as { readonly parts: readonly unknown[] };
  assert.equal(report.parts.length, 6);
  await assert.rejects(inspectCommand({ sbom: "spdx", licenses: true }, [path], testIo()), { code: "CLI_FLAG_VALUE" });
  const without = await stick(world.at("plain"));
  await assert.rejects(inspectCommand({ sbom: "spdx" }, [without], testIo()), { code: "PACKAGE_NO_SBOM" });
});

test("pack takes SOURCE_DATE_EPOCH in whole seconds and refuses anything else", () => {
  assert.equal(sourceDateEpoch("1700000000"), 1_700_000_000);
  assert.equal(sourceDateEpoch(undefined), undefined);
  for (const bad of ["-1", "1.5", "yesterday", "1e9"]) assert.throws(() => sourceDateEpoch(bad), { code: "CLI_FLAG_VALUE" }, bad);
  assert.throws(() => packOptionsFromFlags({ executable: ["k"], signer: "Board" }, never), { code: "CLI_FLAG_VALUE" });
});
