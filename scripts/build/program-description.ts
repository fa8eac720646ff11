/** What others wrote that ends up in the executable: the runtime, the packages esbuild took in, texts as published; with versions, licences and licence texts. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { ProgramComponent, ProgramDescription } from "../../src/package/program.ts";
import { nativeArch, runtimePackage, type Arch } from "./node-runtime.ts";

/** `inputs`: files of the bundle, by path below the repository. Throws when a package says nothing of its licence: that has to be looked at by somebody. */
export function programDescription(root: string, arch: Arch, inputs: readonly string[]): ProgramDescription {
  const texts = new Map<string, string>();
  const keep = (text: string): string => {
    const key = createHash("sha256").update(text).digest("hex").slice(0, 16);
    texts.set(key, text);
    return key;
  };
  const own = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly name: string; readonly version: string; readonly license: string };
  const libraries = [...new Set(inputs.map(packageFolder))].filter((folder) => folder !== undefined).map((folder): ProgramComponent => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")) as { readonly name: string; readonly version: string; readonly license?: string };
    const licenseTexts = licenseFiles(join(root, folder)).map((path) => keep(readFileSync(path, "utf8")));
    if (license === undefined || licenseTexts.length === 0) throw new Error(`${name} ${version} is in the bundle and has no ${license === undefined ? "licence in its package.json" : "file with its licence"}`);
    return { kind: "library", name, version, license, purl: `pkg:npm/${name.replace("@", "%40")}@${version}`, licenseTexts };
  });
  const { name, version } = runtimePackage(root, arch);
  // npm installs the one of this machine; both are one release under one licence.
  const nodeLicense = keep(readFileSync(join(root, "node_modules", runtimePackage(root, nativeArch()).name, "LICENSE"), "utf8"));
  const runtime: ProgramComponent = { kind: "runtime", name: "node", version, license: "MIT", purl: `pkg:npm/${name}@${version}`, licenseTexts: [nodeLicense] };
  const ownLicense = keep(readFileSync(join(root, "LICENSE"), "utf8"));
  return {
    name: own.name, version: own.version, license: own.license, licenseTexts: [ownLicense],
    components: [runtime, ...libraries.toSorted((a, b) => (`${a.name} ${a.version}` < `${b.name} ${b.version}` ? -1 : 1)), ...publishedTexts(root, own.license, ownLicense)],
    standardTexts: standardTexts(root, { license: own.license, key: ownLicense }, keep),
    texts: Object.fromEntries([...texts].toSorted(([a], [b]) => (a < b ? -1 : 1))),
  };
}

/** `node_modules/a/node_modules/@b/c` of a file in it; undefined for our own. */
function packageFolder(input: string): string | undefined {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(input)?.[0];
}

function licenseFiles(folder: string): readonly string[] {
  return readdirSync(folder).filter((name) => /^(?:licen[cs]e|copying|notice)/i.test(name)).toSorted().map((name) => join(folder, name));
}

/** Licence without its version's range (`GPL-2.0`) to the key of its text: our own, and what the programs and images of a package are under besides. */
function standardTexts(root: string, own: { readonly license: string; readonly key: string }, keep: (text: string) => string): Readonly<Record<string, string>> {
  const folder = join(root, "bundle/licenses");
  const files = existsSync(folder) ? readdirSync(folder).toSorted() : [];
  return Object.fromEntries([[own.license, own.key], ...files.map((name) => [name.replace(/\.txt$/, ""), keep(readFileSync(join(folder, name), "utf8"))] as const)]);
}

/** Files below bundle whose first line says whose they are. */
function publishedTexts(root: string, license: string, licenseText: string): readonly ProgramComponent[] {
  const path = join(root, "bundle/cni/flannel.yaml");
  if (!existsSync(path)) return [];
  const [, name, owner, version, theirs] = /^# (\S+) as published by (\S+) at (\S+) \([^,]+, ([A-Za-z0-9.-]+)\)\.$/m.exec(readFileSync(path, "utf8")) ?? [];
  if (name === undefined || owner === undefined || version === undefined || theirs !== license) throw new Error(`${path} does not say in its first line what it is, whose, which version, and that it is under ${license}`);
  return [{ kind: "file", name, version, license, purl: `pkg:github/${owner}@${version}`, licenseTexts: [licenseText] }];
}
