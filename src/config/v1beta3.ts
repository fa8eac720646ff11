/**
 * kubeadm.k8s.io/v1beta3: read, never written. It is v1beta4 without what that added and with arguments as maps, so its fields and its
 * conversion are both derived from v1beta4's table (kubeadm apis/kubeadm/v1beta3/types.go and conversion.go of release 1.30).
 */
import { argumentList, documentSchemas, kubeadmApiVersion, type ObjectSchema, type Schema } from "./schema.ts";

export const oldApiVersion = "kubeadm.k8s.io/v1beta3";

type Value = Readonly<Record<string, unknown>>;

const added = new Set([
  "caCertificateValidityPeriod", "certificateValidityPeriod", "disabled", "dryRun", "encryptionAlgorithm", "extraEnvs", "httpEndpoints", "imagePullSerial", "proxy", "timeouts",
]);

/** Where v1beta3 has a field of its own: object path to field. */
const own: Readonly<Record<string, string>> = { "ClusterConfiguration.apiServer": "timeoutForControlPlane", "JoinConfiguration.discovery": "timeout" };

/** The schema of a v1beta3 kind; undefined for a kind it did not have. */
export function oldSchema(kind: string): Schema | undefined {
  if (!["InitConfiguration", "ClusterConfiguration", "JoinConfiguration"].includes(kind)) return undefined;
  return older(documentSchemas[`${kubeadmApiVersion} ${kind}`] as Schema, kind);
}

function older(schema: Schema, path: string): Schema {
  if (schema === argumentList) return { type: "stringMap" };
  if (schema.type === "list") return { type: "list", of: older(schema.of, path) };
  if (schema.type !== "object") return schema;
  const fields = Object.entries(schema.fields).filter(([name]) => !added.has(name)).map(([name, field]): [string, Schema] => [name, older(field, `${path}.${name}`)]);
  const extra = own[path];
  return { ...schema, fields: Object.fromEntries([...fields, ...(extra === undefined ? [] : [[extra, { type: "duration" }] as [string, Schema]])]) };
}

export interface Converted {
  readonly value: Value;
  /** What belongs into the `timeouts` of this file's Init- and JoinConfiguration, as Go durations. */
  readonly timeouts: Readonly<Record<string, string>>;
}

/** A checked and cleaned v1beta3 document as v1beta4. */
export function convertOld(kind: string, given: Value): Converted {
  const value = { ...(lists(given, documentSchemas[`${kubeadmApiVersion} ${kind}`] as ObjectSchema) as Value), apiVersion: kubeadmApiVersion };
  const holder = kind === "ClusterConfiguration" ? "apiServer" : kind === "JoinConfiguration" ? "discovery" : undefined;
  if (holder === undefined) return { value, timeouts: {} };
  const field = own[`${kind}.${holder}`] as string;
  const { [field]: timeout, ...rest } = ((value as Value)[holder] ?? {}) as Value;
  const converted = holder in value ? { ...value, [holder]: rest } : value;
  if (typeof timeout !== "string") return { value: converted, timeouts: {} };
  return kind === "ClusterConfiguration"
    ? { value: converted, timeouts: { controlPlaneComponentHealthCheck: timeout } }
    : { value: { ...converted, timeouts: { discovery: timeout } }, timeouts: {} };
}

/** Maps of arguments become lists, by name (kubeadm sorts them too: a map has no order of its own). */
function lists(value: unknown, schema: Schema): unknown {
  if (schema === argumentList) {
    return Object.entries(value as Readonly<Record<string, string>>).map(([name, text]) => ({ name, value: text })).sort((a, b) => (a.name < b.name ? -1 : 1));
  }
  if (schema.type === "list" && Array.isArray(value)) return value.map((item: unknown) => lists(item, schema.of));
  if (schema.type !== "object") return value;
  return Object.fromEntries(Object.entries(value as Value).map(([name, field]) => {
    const known = schema.fields[name];
    return [name, known === undefined ? field : lists(field, known)];
  }));
}
