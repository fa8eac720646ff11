/** A bill of materials as SPDX 2.3 in JSON (https://spdx.github.io/spdx-spec/v2.3/). */
import { billUuid, hexOf, type BillOfMaterials, type Part, type PartKind } from "./bill-of-materials.ts";
import { isLicenseExpression } from "./license-expression.ts";

const purposes: Readonly<Record<PartKind, string>> = { program: "APPLICATION", runtime: "FRAMEWORK", library: "LIBRARY", binary: "APPLICATION", image: "CONTAINER", layer: "ARCHIVE", file: "FILE" };
const WHOLE = "SPDXRef-Package";

export function spdxDocument(bill: BillOfMaterials): string {
  const relation = (from: string, kind: string, to: string): object => ({ spdxElementId: from, relationshipType: kind, relatedSpdxElement: to });
  return `${JSON.stringify({
    spdxVersion: "SPDX-2.3",
    dataLicense: "CC0-1.0",
    SPDXID: "SPDXRef-DOCUMENT",
    name: bill.name,
    // Unique for its content and nothing behind it: the specification wants a URI, not a page.
    documentNamespace: `urn:uuid:${billUuid(bill)}`,
    creationInfo: { created: bill.created, creators: [`Tool: ${bill.tool.name}-${bill.tool.version}`] },
    documentDescribes: [WHOLE],
    packages: [
      { SPDXID: WHOLE, name: bill.name, versionInfo: bill.version, downloadLocation: "NOASSERTION", filesAnalyzed: false, licenseConcluded: "NOASSERTION", licenseDeclared: "NOASSERTION", copyrightText: "NOASSERTION", primaryPackagePurpose: "INSTALL" },
      ...bill.parts.map(packageOf),
    ],
    relationships: [
      relation("SPDXRef-DOCUMENT", "DESCRIBES", WHOLE),
      ...bill.top.map((id) => relation(WHOLE, "CONTAINS", reference(id))),
      ...[...bill.contains].flatMap(([from, parts]) => parts.map((id) => relation(reference(from), "CONTAINS", reference(id)))),
    ],
  }, null, 1)}\n`;
}

function reference(id: string): string {
  return `SPDXRef-${id}`;
}

function packageOf({ id, kind, name, version, digest, license, purl, source, properties }: Part): object {
  const usable = license !== undefined && isLicenseExpression(license);
  const comment = Object.entries(properties).map(([key, value]) => `${key}: ${value}`).join("; ");
  return {
    SPDXID: reference(id),
    name,
    ...(version === undefined ? {} : { versionInfo: version }),
    downloadLocation: source ?? "NOASSERTION",
    filesAnalyzed: false,
    ...(digest === undefined ? {} : { checksums: [{ algorithm: "SHA256", checksumValue: hexOf(digest) }] }),
    // What a publisher declares of a whole; nobody here has read every file in it.
    licenseConcluded: "NOASSERTION",
    licenseDeclared: usable ? license : "NOASSERTION",
    ...(license === undefined || usable ? {} : { licenseComments: `Declared by its publisher: ${license}` }),
    copyrightText: "NOASSERTION",
    ...(purl === undefined ? {} : { externalRefs: [{ referenceCategory: "PACKAGE-MANAGER", referenceType: "purl", referenceLocator: purl }] }),
    ...(comment === "" ? {} : { comment }),
    primaryPackagePurpose: purposes[kind],
  };
}
