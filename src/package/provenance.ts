/** What a package tells of its own making: bills of materials in two formats, and the licences of what is in its program. Documents of the package, one entry each. */
import { billOfMaterials, type BillInput } from "./bill-of-materials.ts";
import { cyclonedxDocument } from "./cyclonedx.ts";
import { carriedDocument, type CarriedDocument } from "./documents.ts";
import type { ProgramDescription } from "./program.ts";
import { spdxDocument } from "./spdx.ts";
import type { PackageDocument, PackageReader } from "./types.ts";

/** Kinds of documents in the index. */
export const BILL_KIND = "sbom";
export const LICENSES_KIND = "licenses";

export const billFormats = ["spdx", "cyclonedx"] as const;
export type BillFormat = (typeof billFormats)[number];

const billMediaTypes: Readonly<Record<BillFormat, string>> = { spdx: "application/spdx+json", cyclonedx: "application/vnd.cyclonedx+json" };
const PROGRAM_LICENSES = "program";

export function isProvenance({ kind }: Pick<PackageDocument, "kind">): boolean {
  return kind === BILL_KIND || kind === LICENSES_KIND;
}

/** In the order in which they are written. `documents` of the input: what else is carried; older provenance in it is left out. */
export function provenanceDocuments(input: BillInput): readonly CarriedDocument[] {
  const licenses = input.programs.flatMap(({ description, arch }) => {
    if (description === undefined) return [];
    const name = input.programs.length === 1 ? PROGRAM_LICENSES : `${PROGRAM_LICENSES}-${arch}`;
    return [carriedDocument(LICENSES_KIND, name, "application/json", `${JSON.stringify(description)}\n`)];
  });
  const documents = [...input.documents.filter((document) => !isProvenance(document)), ...licenses.map(({ document }) => document)];
  const bill = billOfMaterials({ ...input, documents });
  return [...licenses, carriedDocument(BILL_KIND, "spdx", billMediaTypes.spdx, spdxDocument(bill)), carriedDocument(BILL_KIND, "cyclonedx", billMediaTypes.cyclonedx, cyclonedxDocument(bill))];
}

type Documents = Pick<PackageReader, "index" | "read">;

/** undefined: the package was made without. */
export async function billOf(pkg: Documents, format: BillFormat): Promise<string | undefined> {
  return textOf(pkg, BILL_KIND, format);
}

/** Of each program in the package that tells it: its parts and their licences. */
export async function programDescriptionsOf(pkg: Documents): Promise<readonly ProgramDescription[]> {
  const names = [PROGRAM_LICENSES, ...pkg.index.platforms.map(({ arch }) => `${PROGRAM_LICENSES}-${arch}`)];
  const texts = await Promise.all(names.map((name) => textOf(pkg, LICENSES_KIND, name)));
  return texts.flatMap((text) => (text === undefined ? [] : [JSON.parse(text) as ProgramDescription]));
}

async function textOf(pkg: Documents, kind: string, name: string): Promise<string | undefined> {
  const found = pkg.index.documents.find((document) => document.kind === kind && document.name === name);
  return found === undefined ? undefined : Buffer.from(await pkg.read(found.digest)).toString("utf8");
}

/** The time in a package's bill, for one that is made from it. */
export async function billTimeOf(pkg: Documents): Promise<string | undefined> {
  const text = await billOf(pkg, "spdx");
  if (text === undefined) return undefined;
  const { creationInfo } = JSON.parse(text) as { readonly creationInfo?: { readonly created?: string } };
  return creationInfo?.created;
}
