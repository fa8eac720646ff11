import assert from "node:assert/strict";
import { mkdir, readFile, readdir, stat, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { parseAllDocuments } from "yaml";
import { KubestickError } from "../../src/errors.ts";
import { addToPackage, type AddEvent, type AddOptions, type AddResult } from "../../src/package/add.ts";
import { digestOf } from "../../src/package/digest.ts";
import { extractDocuments } from "../../src/package/extract.ts";
import { pack } from "../../src/package/pack.ts";
import { kubernetesYaml, readManifest } from "../../src/package/kubernetes-manifest.ts";
import { isProvenance } from "../../src/package/provenance.ts";
import { openPackage, type OpenedPackage } from "../../src/package/reader.ts";
import { writeKeyPair } from "../../src/package/signing-key.ts";
import { failure, noise, scratch } from "./fixtures.ts";
import { dockerArchiveFiles, layoutFiles, makeImage, tarOf, writeFiles, type TestImage } from "./images.ts";
import { startWorld, type World } from "./world.ts";

const ignore = (): void => undefined;

interface Bench extends AsyncDisposable {
  readonly world: World;
  readonly base: string;
  at(name: string): string;
  write(name: string, content: string | Uint8Array): Promise<string>;
  add(items: readonly string[], more?: Partial<AddOptions>): Promise<{ readonly result: AddResult; readonly events: readonly AddEvent[] }>;
}

async function bench(): Promise<Bench> {
  const world = await startWorld();
  const { path: base } = await pack(world.options({ output: world.at("base") }), ignore);
  return {
    world, base, at: (name) => world.at(name),
    async write(name, content) {
      await writeFile(world.at(name), content);
      return world.at(name);
    },
    async add(items, more = {}) {
      const events: AddEvent[] = [];
      const result = await addToPackage({ base, output: world.at("new"), items, ...more }, (event) => events.push(event));
      return { result, events };
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
}

async function verified<T>(path: string, look: (reader: OpenedPackage) => Promise<T>): Promise<T> {
  const reader = await openPackage(path);
  try {
    await reader.verify();
    return await look(reader);
  } finally {
    await reader.close();
  }
}

async function webImage(seed = 11): Promise<TestImage> {
  return makeImage({ layers: [await tarOf({ web: noise(40_000, seed) })] });
}

const deployment = (image: string, more = ""): string => `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "${image}"${more}}]
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
`;

const chart = async (name = "shop", version = "1.2.0"): Promise<Buffer> => gzipSync(await tarOf({ [`${name}/Chart.yaml`]: Buffer.from(`apiVersion: v2\nname: ${name}\nversion: ${version}\n`), [`${name}/templates/web.yaml`]: Buffer.from("{{ .Values.x }}") }));

test("package add carries on what the base has, byte for byte, and adds images from every form of archive", async () => {
  await using the = await bench();
  const web = await webImage();
  const other = await webImage(12);
  const tar = await tarOf({ app: noise(30_000, 13) });
  await writeFiles(the.at("layout"), layoutFiles([{ image: web, annotations: { "org.opencontainers.image.ref.name": "registry.example/shop/web:1" } }]));
  const oci = await the.write("other.tar", await tarOf(layoutFiles([{ image: other, annotations: { "io.containerd.image.name": "registry.example/shop/other:2" } }])));
  const docker = await the.write("docker.tar.gz", gzipSync(await tarOf(dockerArchiveFiles("registry.example/shop/app:3", [tar]))));
  const { result, events } = await the.add([the.at("layout"), oci, docker]);

  assert.deepEqual(result.items.map(({ kind, name, what }) => [kind, name, what]), [
    ["image", "registry.example/shop/web:1", "added"], ["image", "registry.example/shop/other:2", "added"], ["image", "registry.example/shop/app:3", "added"],
  ]);
  assert.equal(result.digest, digestOf(await readFile(the.at("new"))));
  const before = await verified(the.base, async ({ index }) => index);
  await verified(result.path, async (reader) => {
    const { index } = reader;
    assert.deepEqual(index.images.map(({ reference, role }) => [reference, role]).slice(-3), [["registry.example/shop/web:1", "extra"], ["registry.example/shop/other:2", "extra"], ["registry.example/shop/app:3", "extra"]]);
    assert.deepEqual(index.images.slice(0, -3), before.images);
    assert.deepEqual(index.binaries, before.binaries);
    // The bills of materials tell of the new package; everything before them lies as it lay.
    const lying = before.entries.filter(({ label }) => !label.startsWith("sbom ")).map(({ digest, stored, length }) => [digest, stored, length]);
    assert.equal(lying.length, before.entries.length - 2);
    assert.deepEqual(index.entries.slice(0, lying.length).map(({ digest, stored, length }) => [digest, stored, length]), lying);
    // Published bytes stay as they are; a plain tar travels compressed.
    assert.deepEqual(Buffer.from(await reader.read(web.target.descriptor.digest)), web.target.bytes);
    assert.equal(index.images.at(-1)?.layers[0]?.diffId, digestOf(tar));
    assert.deepEqual(index.kubernetesVersion, before.kubernetesVersion);
  });
  assert.deepEqual(events.filter((event) => event.type === "step").map(({ step }) => step), ["read", "write", "verify"]);
  assert.deepEqual((await readdir(the.world.path)).filter((name) => name.startsWith(".")), [], "working folders stay behind");
});

test("package add gives equal bytes for equal arguments, also in place of the base itself", async () => {
  await using the = await bench();
  const archive = await the.write("web.tar", await tarOf(dockerArchiveFiles("registry.example/web:1", [await tarOf({ web: noise(30_000, 3) })])));
  const manifest = await the.write("web.yaml", deployment("registry.example/web:1"));
  const { result: first } = await the.add([archive, manifest]);
  const { result: second } = await the.add([archive, manifest], { output: the.base });
  assert.equal(second.digest, first.digest);
  // A second time everything is there already.
  const { result: third } = await the.add([archive, manifest], { output: the.at("third"), base: the.at("new") });
  assert.deepEqual(third.items.map(({ what }) => what), ["unchanged", "unchanged"]);
  assert.equal(third.digest, first.digest);
});

test("package add carries manifests and charts as documents, and extract gives them back", async () => {
  await using the = await bench();
  const archive = await the.write("web.tar", await tarOf(dockerArchiveFiles("registry.example/web:1", [await tarOf({ web: noise(3000, 3) })])));
  const text = deployment("registry.example/web:1");
  const manifest = await the.write("web.yaml", text);
  const tgz = await the.write("downloaded.tgz", await chart());
  const { result } = await the.add([manifest, tgz, archive], { strict: true });
  assert.deepEqual(result.warnings, []);
  await verified(result.path, async (reader) => {
    assert.deepEqual(reader.index.documents.filter((document) => !isProvenance(document)).map(({ kind, name, mediaType }) => [kind, name, mediaType]), [
      ["manifest", "web.yaml", "application/yaml"], ["chart", "shop-1.2.0.tgz", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"],
    ]);
    const files = await extractDocuments(reader, [], the.at("out"));
    assert.deepEqual(files.map(({ what }) => what), ["written", "written"]);
    assert.equal(await readFile(the.at("out/web.yaml"), "utf8"), text);
    assert.deepEqual(await readFile(the.at("out/shop-1.2.0.tgz")), await chart());
    assert.deepEqual((await extractDocuments(reader, ["web.yaml"], the.at("out"))).map(({ what }) => what), ["unchanged"]);
    await writeFile(the.at("out/web.yaml"), "mine");
    await writeFile(the.at("out/shop-1.2.0.tgz"), "mine too");
    assert.match((await failure(extractDocuments(reader, [], the.at("out")))).happened, /web\.yaml is there already, with other content/);
    assert.equal(await readFile(the.at("out/web.yaml"), "utf8"), "mine");
    assert.match((await failure(extractDocuments(reader, ["none.yaml"], the.at("out")))).happened, /no none\.yaml, but web\.yaml, shop-1\.2\.0\.tgz/);
  });
});

test("package add warns of images that the package lacks and of pods that would ask a registry, and refuses them with strict", async () => {
  await using the = await bench();
  const absent = await the.write("absent.yaml", deployment("registry.example/web:1"));
  const pulled = await the.write("pulled.yaml", deployment("registry.k8s.io/pause:3.10.2", ", imagePullPolicy: Always").replaceAll("shop", "other"));
  const cronjob = await the.write("cronjob.yaml", `apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: nightly}\nspec: {jobTemplate: {spec: {template: {spec: {initContainers: [{name: a, image: busybox}], volumes: [{name: v, image: {reference: "registry.example/data:1"}}]}}}}}\n`);
  const { result } = await the.add([absent, pulled, cronjob]);
  assert.deepEqual(result.warnings.map(({ check, message }) => [check, message]), [
    ["ManifestImage", "absent.yaml: apps/Deployment shop/web starts registry.example/web:1, which the package does not carry"],
    ["ImagePullPolicy", "pulled.yaml: apps/Deployment other/web asks the registry for registry.k8s.io/pause:3.10.2 at every start, also when it is on the node"],
    ["ManifestImage", "cronjob.yaml: batch/CronJob nightly starts busybox, which the package does not carry"],
    ["ManifestImage", "cronjob.yaml: batch/CronJob nightly starts registry.example/data:1, which the package does not carry"],
  ]);
  const strict = await failure(the.add([absent, pulled], { strict: true, output: the.at("strict") }));
  assert.equal(strict.code, "ADD_INCOMPLETE");
  assert.equal(strict.details.length, 2);
  await assert.rejects(stat(the.at("strict")), { code: "ENOENT" });
  // By digest, under the same name.
  const pause = the.world.images.pause.target.descriptor.digest;
  const byDigest = await the.write("digest.yaml", deployment(`registry.k8s.io/pause@${pause}`));
  assert.deepEqual((await the.add([byDigest], { strict: true })).result.warnings, []);
});

test("package add asks for --replace where the same name has other content, and then drops what nothing refers to", async () => {
  await using the = await bench();
  const archive = async (name: string, seed: number): Promise<string> => the.write(name, await tarOf(dockerArchiveFiles("registry.example/web:1", [await tarOf({ web: noise(30_000, seed) })])));
  const { result: first } = await the.add([await archive("one.tar", 1), await the.write("web.yaml", deployment("registry.example/web:1"))]);
  const again = [await archive("two.tar", 2), await the.write("web.yaml", deployment("registry.example/web:1").replace("name: web", "name: web2"))];
  const refused = await failure(the.add(again, { base: first.path, output: the.at("second") }));
  assert.equal(refused.code, "ADD_REFUSED");
  assert.match(refused.happened, /has registry\.example\/web:1 already, as sha256:[0-9a-f]{64}; this one is sha256:/);
  assert.match(refused.next, /--replace/);
  const { result: second } = await the.add(again, { base: first.path, output: the.at("second"), replace: true });
  assert.deepEqual(second.items.map(({ what }) => what), ["replaced", "replaced"]);
  const [before, after] = [await verified(first.path, async ({ index }) => index), await verified(second.path, async ({ index }) => index)];
  assert.equal(after.images.length, before.images.length);
  assert.equal(after.entries.length, before.entries.length);
  assert.equal(after.documents.filter((document) => !isProvenance(document)).length, 1);
});

test("package add names an image whose archive does not, and says so when it is not told", async () => {
  await using the = await bench();
  const files = dockerArchiveFiles("x:1", [await tarOf({ web: noise(3000, 3) })]);
  const manifest = JSON.parse(String(files["manifest.json"])) as { RepoTags: unknown }[];
  for (const entry of manifest) entry.RepoTags = null;
  const docker = await the.write("docker.tar", await tarOf({ ...files, "manifest.json": Buffer.from(JSON.stringify(manifest)) }));
  await writeFiles(the.at("layout"), layoutFiles([{ image: await webImage(), annotations: { "org.opencontainers.image.ref.name": "1.2" } }]));
  for (const item of [docker, the.at("layout")]) {
    const refused = await failure(the.add([item]));
    assert.match(`${refused.happened} ${refused.next}`, /no name.*--name registry\.example\/app:1\.2/);
    const { result } = await the.add([item], { imageName: "registry.example/named:7" });
    assert.deepEqual(result.items.map(({ name }) => name), ["registry.example/named:7"]);
    await verified(result.path, async ({ index }) => assert.equal(index.images.at(-1)?.reference, "registry.example/named:7"));
  }
});

test("package add refuses what it cannot use, by name, and writes nothing", async () => {
  await using the = await bench();
  const deploy = deployment("registry.k8s.io/pause:3.10.2");
  const cases: [string, string | Uint8Array, RegExp][] = [
    ["bad.yaml", "a: [", /line 1: Flow sequence/],
    ["template.yaml", "kind: {{ .Values.kind }}\n a: b: c\n", /a template has to be rendered first/],
    ["nokind.yaml", "apiVersion: v1\nmetadata: {name: x}\n", /line 1: the document has no kind/],
    ["noname.yaml", `${deploy}---\napiVersion: v1\nkind: Pod\nmetadata: {generateName: x-}\n`, /line 15: document 3 \(Pod\) has no metadata\.name; with generateName/],
    ["kustomize.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n", /kubectl kustomize DIR/],
    ["twice.yaml", `${deploy}---\n${deploy}`, /for 2 reasons, the first: line 15: apps\/Deployment shop\/web is described a second time, the first is in line 1/],
    ["my shop.yaml", deploy, /Its name has other characters/],
    ["empty.yaml", "# nothing\n", /it has no object/],
    ["list.yaml", "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: ConfigMap}]\n", /item 1 of the List \(ConfigMap\) has no metadata\.name/],
    ["text.tar", "this is no archive".repeat(100), /not a complete image archive/],
    ["files.tar", await tarOf({ "some/file": Buffer.from("x") }), /It holds no image/],
    ["notchart.tgz", gzipSync(await tarOf({ "x/values.yaml": Buffer.from("a: 1") })), /It holds no image/],
    ["null.tar", await tarOf({ "index.json": Buffer.from("null"), "manifest.json": Buffer.from("{}") }), /It holds no image/],
    ["hole.tar", await tarOf({ "index.json": Buffer.from('{"manifests":[null]}') }), /lists something that is no descriptor/],
    ["nobody.tar", await tarOf({ "manifest.json": Buffer.from("[null]") }), /lists something that is no image/],
    ["layerless.tar", await tarOf({ "manifest.json": Buffer.from('[{"Config":"c","RepoTags":[1]}]') }), /lists something that is no image/],
    ["program", await readFile(the.base), /It is a program.*what things are added to/],
    ["arm.tar", await tarOf(layoutFiles([{ image: makeImage({ layers: [await tarOf({ a: noise(10) })], arches: ["arm64"] }), annotations: { "org.opencontainers.image.ref.name": "registry.example/arm:1" } }])), /no variant for linux\/amd64; it has linux\/arm64/],
  ];
  for (const [name, content, happened] of cases) {
    const error = await failure(the.add([await the.write(name, content)]));
    assert.match(`${error.happened} ${error.details.join(" ")}`, happened, name);
    assert.ok(error.next.length > 10, name);
  }
  assert.match((await failure(the.add([the.at("missing.tar")]))).happened, /no such file/);
  const [one, two] = [await the.write("one.yaml", deploy), await the.write("two.yaml", deploy)];
  assert.match((await failure(the.add([one, two]))).happened, /two\.yaml|describes apps\/Deployment shop\/web, and so does one\.yaml/);
  const { result } = await the.add([one], { output: the.at("with-one") });
  assert.match((await failure(the.add([two], { base: result.path }))).happened, /and so does one\.yaml, which the package has already/);
  await assert.rejects(stat(the.at("new")), { code: "ENOENT" });
  assert.deepEqual((await readdir(the.world.path)).filter((name) => name.startsWith(".")), []);
});

test("package add stops at a damaged base, names the place and leaves no file", async () => {
  await using the = await bench();
  const bytes = await readFile(the.base);
  const entry = await verified(the.base, async ({ index }) => index.entries.find(({ label }) => label.includes("layer")) ?? assert.fail());
  bytes[entry.offset + 10] = (bytes[entry.offset + 10] ?? 0) ^ 1;
  const base = await the.write("damaged", bytes);
  const error = await failure(the.add([await the.write("web.yaml", deployment("registry.k8s.io/pause:3.10.2"))], { base }));
  assert.equal(error.code, "PACKAGE_CORRUPT");
  assert.match(error.happened, new RegExp(`bytes ${entry.offset} to `));
  await assert.rejects(stat(the.at("new")), { code: "ENOENT" });
});

test("package add does not vouch for a program whose bytes are not the packed ones", async () => {
  await using the = await bench();
  const bytes = await readFile(the.base);
  const { length } = await verified(the.base, async ({ index }) => index.executable);
  for (const place of [length - 1, Math.floor(length / 2)]) {
    const changed = Buffer.from(bytes);
    changed[place] = (changed[place] ?? 0) ^ 1;
    const base = await the.write("changed", changed);
    const error = await failure(the.add([await the.write("web.yaml", deployment("registry.k8s.io/pause:3.10.2"))], { base }));
    assert.equal(error.code, "PACKAGE_CORRUPT");
    assert.match(error.happened, /the executable is damaged/);
    // Nor does pack, which takes such a file as its executable.
    assert.equal((await failure(pack(the.world.options({ output: the.at("new"), executable: base }), ignore))).code, "PACKAGE_CORRUPT");
    await assert.rejects(stat(the.at("new")), { code: "ENOENT" });
  }
});

test("manifests are read as kubectl reads them: octal modes, merges, dates as texts", () => {
  const text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nbase: &b {a: 1}\nmodes: [0644, 0400, 0o440]\nmerged: {<<: *b, c: 2}\nday: 2026-11-26\nclock: 22:22\nyes: on\n";
  const { objects } = readManifest(text, "x.yaml");
  assert.equal(objects.length, 1);
  const value = parseAllDocuments(text, kubernetesYaml).map((document) => document.toJS() as Record<string, unknown>)[0];
  assert.deepEqual([value?.["modes"], value?.["merged"], value?.["day"], value?.["clock"]], [[420, 256, "0o440"], { a: 1, c: 2 }, "2026-11-26", "22:22"]);
});

test("package add of a bare executable says that it carries no package", async () => {
  await using the = await bench();
  await using dir = await scratch();
  await mkdir(dir.at("x"));
  const error = await failure(the.add([await the.write("web.yaml", deployment("a:1"))], { base: the.at("kubestick") }));
  assert.equal(error.code, "PACKAGE_ABSENT");
});

test("package add leaves the signature of the base out and says whose it was, and signs with a key of its own", async () => {
  await using the = await bench();
  const { privateKey, publicKey, fingerprint } = await writeKeyPair(the.at("release.key"));
  const signed = await pack(the.world.options({ output: the.at("signed"), signKey: privateKey, signer: "Release team", trustKeys: [publicKey] }), ignore);
  const manifest = await the.write("web.yaml", deployment("registry.k8s.io/pause:3.10.2"));
  const { result } = await the.add([manifest], { base: signed.path });
  assert.deepEqual(result.droppedSigners.map((signer) => [signer.fingerprint, signer.name]), [[fingerprint, "Release team"]]);
  assert.deepEqual(result.awaitedKeys, [fingerprint]);
  await verified(result.path, async ({ signers, index }) => {
    assert.deepEqual(signers, []);
    assert.deepEqual(index.documents.map(({ kind }) => kind).sort(), ["manifest", "sbom", "sbom", "trusted-key"]);
  });
  const { result: again } = await the.add([manifest], { base: signed.path, signKey: privateKey });
  assert.deepEqual(again.awaitedKeys, []);
  await verified(again.path, async (reader) => {
    assert.deepEqual(reader.signers.map((signer) => signer.fingerprint), [fingerprint]);
    // Keys are not among what people put in.
    assert.deepEqual((await extractDocuments(reader, [], the.at("out"))).map(({ name }) => name), ["web.yaml"]);
  });
  const untrusted = new KubestickError({ code: "PACKAGE_UNSIGNED", attempted: "checking", happened: "Nobody signed it.", next: "Sign it." });
  const refused = await failure(the.add([manifest], { base: signed.path, output: the.at("refused"), accept: () => Promise.reject(untrusted) }));
  assert.equal(refused, untrusted);
  await assert.rejects(stat(the.at("refused")), { code: "ENOENT" });
});

test("package add clears away what a killed one left, and not what a living one works with", async () => {
  await using the = await bench();
  // No process has the highest number that Linux gives (proc_sys_kernel(5), pid_max).
  const [dead, living] = [the.at(".kubestick-add.4194304-a1b2c3"), the.at(`.kubestick-add.${process.pid}-d4e5f6`)];
  for (const folder of [dead, living]) {
    await mkdir(`${folder}/spool`, { recursive: true });
    await writeFile(`${folder}/spool/1.tar`, "left");
  }
  await the.add([await the.write("web.yaml", deployment("registry.k8s.io/pause:3.10.2"))]);
  assert.deepEqual((await readdir(the.world.path)).filter((name) => name.startsWith(".kubestick-add")), [`.kubestick-add.${process.pid}-d4e5f6`]);
});
