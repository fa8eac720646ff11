/** Every licence in a package in one list: of its program's parts, of the programs for the node, of the images. */
import { programDescriptionsOf } from "./provenance.ts";
import type { PackageReader } from "./types.ts";

export interface LicensedPart {
  readonly what: "program" | "runtime" | "library" | "file" | "binary" | "image";
  readonly name: string;
  readonly version: string;
  /** SPDX expression, or what its publisher wrote; undefined: nobody said. */
  readonly license: string | undefined;
  /** Keys of the texts. */
  readonly texts: readonly string[];
}

export interface LicenseReport {
  readonly parts: readonly LicensedPart[];
  readonly texts: Readonly<Record<string, string>>;
  /** The program in the package tells nothing of its parts: it was made before it could. */
  readonly programUnknown: boolean;
}

export async function licenseReport(pkg: Pick<PackageReader, "index" | "read">): Promise<LicenseReport> {
  const programs = await programDescriptionsOf(pkg);
  const [program] = programs;
  // Whole projects are under the licence their publisher names; its standard text is ours where the two are under the same one.
  const known = program?.standardTexts ?? {};
  const standard = (license: string | undefined): readonly string[] => (license ?? "").split(/[\s()]+/).flatMap((id) => {
    if (id === program?.license) return program.licenseTexts;
    const key = known[id.replace(/-(?:only|or-later)$|\+$/, "")];
    return key === undefined ? [] : [key];
  });
  const parts = new Map<string, LicensedPart>();
  const add = (part: LicensedPart): void => { parts.set(`${part.what} ${part.name} ${part.version}`, part); };
  // Those of several processors are one build: what is equal stands once.
  for (const { name: own, version: ownVersion, license: ownLicense, licenseTexts: ownTexts, components } of programs) {
    add({ what: "program", name: own, version: ownVersion, license: ownLicense, texts: ownTexts });
    for (const { kind, name, version, license, licenseTexts } of components) add({ what: kind, name, version, license, texts: licenseTexts });
  }
  for (const { binaries, images } of pkg.index.platforms) {
    for (const { name, version, license } of binaries) add({ what: "binary", name, version, license, texts: standard(license) });
    for (const { reference, license } of images) {
      const at = reference.lastIndexOf("@") > 0 ? reference.lastIndexOf("@") : reference.lastIndexOf(":");
      add({ what: "image", name: reference.slice(0, at), version: reference.slice(at + 1), license, texts: standard(license) });
    }
  }
  return { parts: [...parts.values()], texts: Object.assign({}, ...programs.map(({ texts }) => texts)) as LicenseReport["texts"], programUnknown: program === undefined };
}
