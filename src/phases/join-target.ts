/**
 * What a joining node reads of its cluster with the rights of a bootstrap token, before anything is planned (kubeadm cmd/join.go, copycerts.go).
 * Reads only; what it finds becomes part of the configuration.
 */
import { parse } from "yaml";
import type { ClusterReader, KubeObject, ObjectRef } from "../cluster/types.ts";
import type { BootstrapIdentity, Joining } from "../config/types.ts";
import { isKubestickError, KubestickError } from "../errors.ts";
import { apiServersOf, apiServerSlice } from "../manifests/haproxy.ts";
import { installKey } from "../manifests/kubeadm-config.ts";
import { decryptCertificate } from "../pki/certs-secret.ts";

/** The API server as a node without credentials of its own sees it. */
export interface JoinReader extends ClusterReader {
  raw(path: string): Promise<{ readonly status: number; readonly body: string }>;
}

export interface JoinTarget {
  readonly joining: Joining;
  /** `ClusterConfiguration` as stored. */
  readonly clusterText: string;
}

export interface JoinQuestion {
  readonly role: Joining["role"];
  readonly server: string;
  readonly caPem: string;
  readonly caCertPath: string;
  readonly identity: BootstrapIdentity;
  readonly nodeName: string;
  /** Of a control plane: what decrypts the shared certificates; without it they are on this machine already. */
  readonly certificateKey?: string;
}

export async function readJoinTarget(reader: JoinReader, { role, server, caPem, caCertPath, identity, nodeName, certificateKey }: JoinQuestion): Promise<JoinTarget> {
  const stored = await configMapData(reader, "kubeadm-config");
  const clusterText = valueOf(stored, server, "kubeadm-config", "ClusterConfiguration");
  const ha = (parse(stored[installKey] ?? "") as { readonly ha?: boolean } | null)?.ha === true;
  const kubelet = parse(valueOf(await configMapData(reader, "kubelet-config"), server, "kubelet-config", "kubelet")) as Readonly<Record<string, unknown>>;
  const namesake = await reader.get({ apiVersion: "v1", kind: "Node", name: nodeName });
  const certificates = role === "control-plane" && certificateKey !== undefined ? await sharedCertificates(reader, certificateKey) : undefined;
  return {
    clusterText,
    joining: {
      role, server, caPem, caCertPath, identity, kubelet, apiServerVersion: await apiServerVersion(reader, server),
      clusterName: (parse(clusterText) as { readonly clusterName?: string } | null)?.clusterName ?? "kubernetes",
      ...(ha ? { controlPlanes: apiServersOf(await reader.get(apiServerSlice)) } : {}),
      ...(namesake === undefined ? {} : { namesake: namesakeOf(namesake) }),
      ...(certificates === undefined ? {} : { certificates }),
    },
  };
}

async function configMapData(reader: ClusterReader, name: string): Promise<Readonly<Record<string, string>>> {
  return ((await reader.get({ apiVersion: "v1", kind: "ConfigMap", name, namespace: "kube-system" }))?.["data"] ?? {}) as Readonly<Record<string, string>>;
}

function valueOf(data: Readonly<Record<string, string>>, server: string, name: string, key: string): string {
  const value = data[key];
  if (value !== undefined) return value;
  throw new KubestickError({
    code: "JOIN_CONFIG_ABSENT",
    attempted: `reading ConfigMap kube-system/${name}`,
    happened: `The cluster behind ${server} has no ${key} there, from which joining nodes learn their configuration.`,
    next: "On a control plane of this cluster: kubestick init phase upload-config all   # then run the same command again",
  });
}

/** The API server's own word: the stored configuration may be ahead of it during an upgrade. Anybody may ask. */
async function apiServerVersion(reader: JoinReader, server: string): Promise<string> {
  const { status, body } = await reader.raw("/version");
  const version = status === 200 ? /"gitVersion"\s*:\s*"(v[^"]+)"/.exec(body)?.[1] : undefined;
  if (version !== undefined) return version;
  throw new KubestickError({ code: "JOIN_VERSION_UNKNOWN", attempted: "asking the API server for its version", happened: `${server}/version answers ${status}.`, next: "Look at the API server on a control plane: crictl ps -a --name kube-apiserver" });
}

function namesakeOf(node: KubeObject): NonNullable<Joining["namesake"]> {
  const status = (node["status"] ?? {}) as {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly addresses?: readonly { readonly type: string; readonly address: string }[];
    readonly nodeInfo?: { readonly machineID?: string };
  };
  return {
    ready: status.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True") ?? false,
    machineId: status.nodeInfo?.machineID ?? "",
    addresses: (status.addresses ?? []).filter(({ type }) => type === "InternalIP").map(({ address }) => address),
  };
}

const certificatesSecret: ObjectRef = { apiVersion: "v1", kind: "Secret", name: "kubeadm-certs", namespace: "kube-system" };

/** Every value that is not empty, decrypted: an empty one is a file that the uploading node did not have. */
async function sharedCertificates(reader: ClusterReader, certificateKey: string): Promise<Readonly<Record<string, string>> | undefined> {
  const secret = await reader.get(certificatesSecret).catch((error: unknown) => {
    // The right to read it comes and goes with it.
    if (isKubestickError(error) && error.code === "API_FORBIDDEN") return undefined;
    throw error;
  });
  // Whether that matters, the checks know: the files may be on this machine.
  if (secret === undefined) return undefined;
  const data = (secret["data"] ?? {}) as Readonly<Record<string, string | null>>;
  return Object.fromEntries(Object.entries(data).filter(([, value]) => (value ?? "") !== "")
    .map(([name, value]) => [name, Buffer.from(decryptCertificate(Buffer.from(value as string, "base64"), certificateKey, name)).toString("utf8")]));
}
