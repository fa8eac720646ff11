/** Secret of a bootstrap token. Facts: KEP-130, kubeadm apis/bootstraptoken/v1/utils.go. */
import type { KubeObject } from "../cluster/types.ts";
import { namespaces } from "./names.ts";

export interface TokenSecret {
  readonly id: string;
  readonly secret: string;
  readonly description?: string;
  /** undefined: never. */
  readonly expires?: Date;
  readonly usages: readonly string[];
  readonly groups: readonly string[];
}

export function bootstrapTokenName(id: string): string {
  return `bootstrap-token-${id}`;
}

export function bootstrapTokenSecret(token: TokenSecret): KubeObject {
  const values: Record<string, string> = { "token-id": token.id, "token-secret": token.secret };
  if (token.description !== undefined && token.description !== "") values["description"] = token.description;
  if (token.expires !== undefined) values["expiration"] = rfc3339Seconds(token.expires);
  for (const usage of token.usages) values[`usage-bootstrap-${usage}`] = "true";
  if (token.groups.length > 0) values["auth-extra-groups"] = token.groups.join(",");
  return {
    apiVersion: "v1",
    data: Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString("base64")])),
    kind: "Secret",
    metadata: { name: bootstrapTokenName(token.id), namespace: namespaces.system },
    type: "bootstrap.kubernetes.io/token",
  };
}

/** Go's time.RFC3339 in UTC has no fraction of a second. */
function rfc3339Seconds(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}

/** What a Secret of that type says, or why it is no usable token (kubeadm apis/bootstraptoken/v1/utils.go, BootstrapTokenFromSecret). */
export function readBootstrapToken(object: KubeObject): TokenSecret | { readonly problem: string } {
  const data = (object["data"] ?? {}) as Readonly<Record<string, string | null>>;
  const value = (key: string): string => Buffer.from(data[key] ?? "", "base64").toString("utf8");
  const { name } = object.metadata;
  const [id, secret, description, expiration] = [value("token-id"), value("token-secret"), value("description"), value("expiration")];
  if (!/^[a-z0-9]{6}$/.test(id) || !/^[a-z0-9]{16}$/.test(secret)) return { problem: `secret ${name} has no well-formed token-id and token-secret` };
  if (name !== bootstrapTokenName(id)) return { problem: `secret ${name} should be called ${bootstrapTokenName(id)}, after the token-id in it` };
  const expires = expiration === "" ? undefined : new Date(expiration);
  if (expires !== undefined && Number.isNaN(expires.getTime())) return { problem: `secret ${name} has an expiration that is no time` };
  const usages = Object.keys(data).filter((key) => key.startsWith("usage-bootstrap-") && value(key) === "true").map((key) => key.slice("usage-bootstrap-".length)).sort();
  const groups = value("auth-extra-groups");
  return { id, secret, usages, groups: groups === "" ? [] : groups.split(","), ...(description === "" ? {} : { description }), ...(expires === undefined ? {} : { expires }) };
}
