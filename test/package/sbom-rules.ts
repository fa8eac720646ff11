/**
 * What the specifications ask of a bill of materials, as checks of our own: SPDX 2.3 (clauses 6, 7, 10 and 11, annex D) and CycloneDX 1.6 (ECMA-424).
 * Each returns what is wrong, in words; an empty list is a good document.
 */
import { isLicenseExpression } from "../../src/package/license-expression.ts";

type Json = Readonly<Record<string, unknown>>;

const instant = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/;
const purl = /^pkg:[a-z][a-z0-9.+-]*\/[^?#@]+@[^?#@]+(?:\?[a-z_]+=[^&#]+(?:&[a-z_]+=[^&#]+)*)?(?:#[^?#]+)?$/;

class Findings {
  readonly list: string[] = [];

  need(condition: boolean, what: string): void {
    if (!condition) this.list.push(what);
  }

  known(item: Json, keys: readonly string[], where: string): void {
    for (const key of Object.keys(item)) this.need(keys.includes(key), `${where} has a field ${key} that the specification does not know`);
  }
}

export function spdxProblems(text: string): readonly string[] {
  const found = new Findings();
  const document = JSON.parse(text) as Json;
  const { creationInfo, packages = [], relationships = [] } = document as { creationInfo?: { created?: string; creators?: string[] }; packages?: Json[]; relationships?: Json[] };
  found.known(document, ["spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace", "creationInfo", "documentDescribes", "packages", "relationships"], "the document");
  found.need(document["spdxVersion"] === "SPDX-2.3", "6.1: spdxVersion is SPDX-2.3");
  found.need(document["dataLicense"] === "CC0-1.0", "6.2: dataLicense is CC0-1.0");
  found.need(document["SPDXID"] === "SPDXRef-DOCUMENT", "6.3: the document's id is SPDXRef-DOCUMENT");
  found.need(typeof document["name"] === "string" && document["name"] !== "", "6.4: the document has a name");
  found.need(typeof document["documentNamespace"] === "string" && URL.canParse(document["documentNamespace"]) && !document["documentNamespace"].includes("#"), "6.5: the namespace is a URI without #");
  found.need((creationInfo?.creators ?? []).length > 0 && (creationInfo?.creators ?? []).every((who) => /^(?:Person|Organization|Tool): \S/.test(who)), "6.8: creators are a person, an organization or a tool");
  found.need(instant.test(creationInfo?.created ?? ""), "6.9: created is YYYY-MM-DDThh:mm:ssZ");
  const ids = new Set<unknown>();
  for (const item of packages) {
    const where = String(item["SPDXID"]);
    found.known(item, ["SPDXID", "name", "versionInfo", "downloadLocation", "filesAnalyzed", "checksums", "licenseConcluded", "licenseDeclared", "licenseComments", "copyrightText", "externalRefs", "comment", "primaryPackagePurpose"], where);
    found.need(/^SPDXRef-[A-Za-z0-9.-]+$/.test(where), `7.2: ${where} has letters, digits, . and - only`);
    found.need(!ids.has(where), `7.2: ${where} is there once`);
    ids.add(where);
    found.need(typeof item["name"] === "string" && item["name"] !== "", `7.1: ${where} has a name`);
    const location = String(item["downloadLocation"]);
    found.need(location === "NOASSERTION" || location === "NONE" || URL.canParse(location), `7.7: the download location of ${where}`);
    found.need(item["filesAnalyzed"] === false, `7.8, 7.9: without a verification code, ${where} says that files were not analysed`);
    for (const checksum of (item["checksums"] ?? []) as Json[]) found.need(checksum["algorithm"] === "SHA256" && /^[0-9a-f]{64}$/.test(String(checksum["checksumValue"])), `7.10: a checksum of ${where}`);
    for (const key of ["licenseConcluded", "licenseDeclared"]) found.need(["NOASSERTION", "NONE"].includes(String(item[key])) || isLicenseExpression(String(item[key])), `7.13, 7.15: ${key} of ${where}: ${String(item[key])}`);
    found.need(["APPLICATION", "FRAMEWORK", "LIBRARY", "CONTAINER", "OPERATING-SYSTEM", "DEVICE", "FIRMWARE", "SOURCE", "ARCHIVE", "FILE", "INSTALL", "OTHER"].includes(String(item["primaryPackagePurpose"])), `7.24: the purpose of ${where}`);
    for (const reference of (item["externalRefs"] ?? []) as Json[]) {
      found.need(reference["referenceCategory"] === "PACKAGE-MANAGER" && reference["referenceType"] === "purl" && purl.test(String(reference["referenceLocator"])), `7.21: the reference of ${where}: ${String(reference["referenceLocator"])}`);
    }
  }
  const described = new Set<unknown>();
  for (const { spdxElementId, relationshipType, relatedSpdxElement } of relationships) {
    found.need(spdxElementId === "SPDXRef-DOCUMENT" || ids.has(spdxElementId), `11: ${String(spdxElementId)} is an element`);
    found.need(ids.has(relatedSpdxElement), `11: ${String(relatedSpdxElement)} is an element`);
    found.need(relationshipType === "CONTAINS" || relationshipType === "DESCRIBES", `11: ${String(relationshipType)} is a relationship`);
    if (relationshipType === "DESCRIBES") found.need(spdxElementId === "SPDXRef-DOCUMENT", "11: only the document describes");
    described.add(relatedSpdxElement);
  }
  for (const id of ids) found.need(described.has(id), `11: somebody contains ${String(id)}`);
  return found.list;
}

export function cyclonedxProblems(text: string): readonly string[] {
  const found = new Findings();
  const document = JSON.parse(text) as Json;
  const { metadata, components = [], dependencies = [], compositions = [] } = document as {
    metadata?: { timestamp?: string; component?: Json; tools?: { components?: Json[] } }; components?: Json[]; dependencies?: { ref: string; dependsOn?: string[] }[]; compositions?: { aggregate: string; dependencies?: string[]; assemblies?: string[] }[];
  };
  found.known(document, ["$schema", "bomFormat", "specVersion", "serialNumber", "version", "metadata", "components", "dependencies", "compositions"], "the document");
  found.need(document["bomFormat"] === "CycloneDX" && document["specVersion"] === "1.6" && document["version"] === 1, "bomFormat, specVersion and version");
  found.need(document["$schema"] === "http://cyclonedx.org/schema/bom-1.6.schema.json", "$schema");
  found.need(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(String(document["serialNumber"])), "serialNumber is a UUID of RFC 9562");
  found.need(instant.test(metadata?.timestamp ?? ""), "metadata.timestamp");
  found.need((metadata?.tools?.components ?? []).length === 1, "metadata.tools");
  const refs = new Set<unknown>();
  for (const item of [...(metadata?.component === undefined ? [] : [metadata.component]), ...components]) {
    const where = String(item["bom-ref"]);
    found.known(item, ["type", "bom-ref", "name", "version", "hashes", "licenses", "purl", "externalReferences", "properties"], where);
    found.need(["application", "framework", "library", "container", "platform", "operating-system", "device", "device-driver", "firmware", "file", "machine-learning-model", "data", "cryptographic-asset"].includes(String(item["type"])), `the type of ${where}`);
    found.need(typeof item["name"] === "string" && item["name"] !== "", `${where} has a name`);
    found.need(where.length > 0 && !refs.has(where), `${where} is there once`);
    refs.add(where);
    for (const hash of (item["hashes"] ?? []) as Json[]) found.need(hash["alg"] === "SHA-256" && /^[0-9a-f]{64}$/.test(String(hash["content"])), `a hash of ${where}`);
    const licenses = (item["licenses"] ?? []) as { license?: { id?: string; name?: string }; expression?: string }[];
    for (const { license, expression } of licenses) {
      found.need((license === undefined) !== (expression === undefined), `a licence of ${where} is a licence or an expression`);
      if (license !== undefined) found.need((license.id === undefined) !== (license.name === undefined), `a licence of ${where} has an id or a name`);
      if (license?.id !== undefined) found.need(isLicenseExpression(license.id), `the licence id of ${where}`);
      if (expression !== undefined) found.need(isLicenseExpression(expression) && licenses.length === 1, `the licence expression of ${where}`);
    }
    if (item["purl"] !== undefined) found.need(purl.test(String(item["purl"])), `the purl of ${where}: ${String(item["purl"])}`);
    for (const reference of (item["externalReferences"] ?? []) as Json[]) found.need(reference["type"] === "distribution" && URL.canParse(String(reference["url"])), `a reference of ${where}`);
    for (const property of (item["properties"] ?? []) as Json[]) found.need(/^kubestick:[a-z-]+$/.test(String(property["name"])) && typeof property["value"] === "string", `a property of ${where}`);
  }
  const depended = new Set<string>();
  for (const { ref, dependsOn = [] } of dependencies) {
    found.need(refs.has(ref) && !depended.has(ref), `dependencies: ${ref} is a component, once`);
    depended.add(ref);
    found.need(new Set(dependsOn).size === dependsOn.length, `dependencies: what ${ref} depends on is there once`);
    for (const other of dependsOn) found.need(refs.has(other), `dependencies: ${other} is a component`);
  }
  for (const ref of refs) found.need(depended.has(String(ref)), `dependencies: ${String(ref)} is told of`);
  for (const { aggregate, assemblies = [], dependencies: of = [] } of compositions) {
    found.need(["complete", "incomplete"].includes(aggregate), "compositions: aggregate");
    for (const ref of [...assemblies, ...of]) found.need(refs.has(ref), `compositions: ${ref} is a component`);
  }
  return found.list;
}
