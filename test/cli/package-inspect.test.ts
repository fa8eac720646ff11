import assert from "node:assert/strict";
import { chmod, open } from "node:fs/promises";
import { test } from "node:test";
import { inspectCommand } from "../../src/cli/package-inspect.ts";
import { digestOf } from "../../src/package/digest.ts";
import { inspectExecutables } from "../../src/package/executables.ts";
import { openPackage } from "../../src/package/reader.ts";
import type { PackagePlatform } from "../../src/package/types.ts";
import { writePackage } from "../../src/package/writer.ts";
import { identityEntry, kubelet, layer, scratch, smallContent, smallPackage, writeExecutable } from "../package/fixtures.ts";
import { testIo, TextSink } from "./screen.ts";

async function shown(path: string, flags: Parameters<typeof inspectCommand>[0] = {}): Promise<string> {
  const stdout = new TextSink();
  await inspectCommand(flags, [path], testIo({ stdout }));
  return stdout.text;
}

interface Document {
  readonly size: number;
  readonly executable: { readonly arch: string };
  readonly platforms: readonly { readonly arch: string; readonly images: readonly { readonly reference: string; readonly platform: string; readonly digest: string; readonly layers: readonly { readonly stored: number }[] }[]; readonly binaries: readonly { readonly name: string; readonly size: number; readonly stored: number; readonly license?: string }[] }[];
  readonly sizes: Readonly<Record<"executable" | "binaries" | "images" | "documents" | "other" | "tables" | "shared", number>>;
}

test("inspect needs no right but to read, and nothing of the payload", async () => {
  await using dir = await scratch();
  const path = await smallPackage(dir.path);
  const reader = await openPackage(path);
  await reader.close();
  const file = await open(path, "r+");
  const { offset, length } = reader.index.entries[0] ?? assert.fail();
  await file.write(Buffer.alloc(length, 0xee), 0, length, offset);
  await file.close();
  await chmod(path, 0o444);
  const text = await shown(path);
  assert.match(text, /^Kubernetes v1\.36\.2, CNI bridge, for linux\/amd64\n/);
  assert.match(text, /\n {2}kubelet {2}v1\.36\.2 {2}488\.3 KiB {2}[\d.]+ KiB {2}- {8}\/usr\/local\/bin\/kubelet\n/);
  assert.match(text, /\n {2}registry\.k8s\.io\/pause:3\.10\.2 {2}linux\/amd64 {2}117\.2 KiB {2}117\.2 KiB {2}- {8}sha256:[0-9a-f]{64}\n/);
});

test("inspect -o json has every digest, and sizes that add up to the whole file", async () => {
  await using dir = await scratch();
  const path = await smallPackage(dir.path);
  const { size, platforms, sizes } = JSON.parse(await shown(path, { output: "json" })) as Document;
  const { executable, binaries, images, documents, other, tables } = sizes;
  // The padding behind the executable is nobody's.
  assert.equal(executable + binaries + images + documents + other + tables, size - (8192 - 5000));
  assert.deepEqual(platforms[0]?.binaries.map(({ name, size: bytes }) => [name, bytes]), [["kubelet", kubelet.length]]);
  assert.deepEqual(platforms[0]?.images[0]?.layers, [{ digest: digestOf(layer), diffId: digestOf(layer), mediaType: "application/vnd.oci.image.layer.v1.tar", size: layer.length, unpacked: layer.length, encoding: "identity", stored: layer.length }]);
});

test("inspect shows a package of another architecture, and each one of several", async () => {
  await using dir = await scratch();
  const { content, entries } = smallContent();
  const [amd64] = content.platforms;
  assert.ok(amd64 !== undefined);
  const program = Buffer.from("kubelet of arm64");
  const [binary] = amd64.binaries;
  assert.ok(binary !== undefined);
  const arm64: PackagePlatform = { arch: "arm64", images: amd64.images, binaries: [{ ...binary, digest: digestOf(program), size: program.length, license: "Apache-2.0" }] };
  const executable = await writeExecutable(dir.at("bare"), "arm64");
  const all = [...entries, identityEntry("kubelet", program)];
  const { path: foreign } = await writePackage({ executable, output: dir.at("foreign"), content: { ...content, platforms: [arm64] }, entries: all });
  assert.match(await shown(foreign), /, for linux\/arm64\n.*, a program for linux\/arm64\n[^]*\nPrograms\n[^]*Apache-2\.0/);
  const { path: both } = await writePackage({ executable, output: dir.at("both"), content: { ...content, platforms: [amd64, arm64] }, entries: all });
  const text = await shown(both);
  assert.match(text, /^Kubernetes v1\.36\.2, CNI bridge, for linux\/amd64, linux\/arm64\n/);
  for (const heading of ["Programs for linux/amd64", "Images for linux/amd64", "Programs for linux/arm64", "Images for linux/arm64"]) assert.ok(text.includes(`\n${heading}\n`), heading);
  const { platforms, sizes } = JSON.parse(await shown(both, { output: "json" })) as Document;
  assert.deepEqual(platforms.map(({ arch, images }) => [arch, images[0]?.platform]), [["amd64", "linux/amd64"], ["arm64", "linux/arm64"]]);
  // Two architectures share the image's bytes here.
  assert.equal(sizes.shared, sizes.images);

  // Started on both: a program for each, and what is for one of them alone on demand.
  const { path: started } = await writePackage({ executable: (await Promise.all([executable, await writeExecutable(dir.at("amd64"))].map(inspectExecutables))).flat(), output: dir.at("started"), content: { ...content, platforms: [amd64, arm64] }, entries: all });
  assert.match(await shown(started), /, a program for each processor\n[^]*\n {2}executable {3}13\.8 KiB\n[^]*\n\nArchitectures\n {2}ARCH {12}STORED {2}OF IT SHARED\n {2}linux\/amd64 {2}[\d.]+ KiB {5}117\.2 KiB\n {2}linux\/arm64 /);
  const alone = await shown(started, { arch: "arm64" });
  assert.ok(alone.includes("\nPrograms\n") && !alone.includes("linux/amd64  "), alone);
  const one = JSON.parse(await shown(started, { arch: "arm64", output: "json" })) as Document;
  assert.deepEqual([one.executable.arch, one.platforms.map(({ arch }) => arch)], ["any", ["arm64"]]);
  await assert.rejects(shown(started, { arch: "riscv64" }), { code: "PACKAGE_ARCH_ABSENT", happened: "It has nothing for riscv64, but for amd64 and arm64." });
});
