/** A bill of materials as CycloneDX 1.6 in JSON (ECMA-424, https://cyclonedx.org/docs/1.6/json/). */
import { billUuid, hexOf, type BillOfMaterials, type Part, type PartKind } from "./bill-of-materials.ts";
import { isLicenseExpression, isLicenseId } from "./license-expression.ts";

const types: Readonly<Record<PartKind, string>> = { program: "application", runtime: "platform", library: "library", binary: "application", image: "container", layer: "file", file: "file" };
const WHOLE = "package";

export function cyclonedxDocument(bill: BillOfMaterials): string {
  return `${JSON.stringify({
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${billUuid(bill)}`,
    version: 1,
    metadata: {
      timestamp: bill.created,
      tools: { components: [{ type: "application", name: bill.tool.name, version: bill.tool.version }] },
      component: { type: "application", "bom-ref": WHOLE, name: bill.name, version: bill.version },
    },
    components: bill.parts.map(componentOf),
    dependencies: [
      { ref: WHOLE, dependsOn: bill.top },
      ...bill.parts.map(({ id }) => {
        const parts = bill.contains.get(id) ?? [];
        return { ref: id, ...(parts.length === 0 ? {} : { dependsOn: parts }) };
      }),
    ],
    // Of images it is known which layers they have, not every file in these.
    compositions: [{ aggregate: "complete", dependencies: [WHOLE] }, { aggregate: "incomplete", assemblies: bill.parts.filter(({ kind }) => kind === "image" || kind === "layer").map(({ id }) => id) }],
  }, null, 1)}\n`;
}

function componentOf({ id, kind, name, version, digest, license, purl, source, properties }: Part): object {
  const pairs = Object.entries(properties);
  return {
    type: types[kind],
    "bom-ref": id,
    name,
    ...(version === undefined ? {} : { version }),
    ...(digest === undefined ? {} : { hashes: [{ alg: "SHA-256", content: hexOf(digest) }] }),
    ...(license === undefined ? {} : { licenses: licensesOf(license) }),
    ...(purl === undefined ? {} : { purl }),
    ...(source === undefined ? {} : { externalReferences: [{ type: "distribution", url: source }] }),
    ...(pairs.length === 0 ? {} : { properties: pairs.map(([key, value]) => ({ name: `kubestick:${key}`, value })) }),
  };
}

/** Either one expression or licences by identifier or name; the schema takes no mixture. */
function licensesOf(license: string): readonly object[] {
  if (isLicenseId(license)) return [{ license: { id: license } }];
  return isLicenseExpression(license) ? [{ expression: license }] : [{ license: { name: license } }];
}
