/**
 * ConfigMap kube-public/cluster-info as a joining node meets it: signed by every token that may sign, and holding the CA that pins are
 * compared with. Facts: KEP-130, kubeadm app/discovery/token. The only file of this room that asks room `pki`.
 */
import { caPin } from "../pki/inspect.ts";
import { verifyDetached } from "../pki/jws.ts";
import { parseClusterInfo } from "../pki/kubeconfig.ts";
import { splitPemBundle } from "../pki/pem.ts";
import { parseToken, type TokenParts } from "../pki/token.ts";

export const clusterInfoPath = "/api/v1/namespaces/kube-public/configmaps/cluster-info";

export interface ClusterInfo {
  /** The signed bytes. */
  readonly kubeconfig: string;
  readonly caPem: string;
  /** `https://host:port`. */
  readonly server: string;
  /** By token id. */
  readonly signatures: Readonly<Record<string, string>>;
}

/** undefined: the text is no such ConfigMap at all. `"unusable"`: it is one, and its kubeconfig holds no CA and address. */
export function readClusterInfo(text: string): ClusterInfo | "unusable" | undefined {
  let object: { readonly kind?: unknown; readonly data?: Readonly<Record<string, unknown>> } | null;
  try {
    object = JSON.parse(text) as typeof object;
  } catch {
    return undefined; // Somebody else's page; the caller says what it was.
  }
  if (object?.kind !== "ConfigMap") return undefined;
  const kubeconfig = object.data?.["kubeconfig"];
  if (typeof kubeconfig !== "string") return "unusable";
  try {
    const { server, caPem } = parseClusterInfo(kubeconfig);
    if (caPem === undefined || splitPemBundle(caPem).length === 0 || new URL(server).protocol !== "https:") return "unusable";
    const signatures: Record<string, string> = {};
    for (const [key, value] of Object.entries(object.data ?? {})) {
      const id = /^jws-kubeconfig-([a-z0-9]{6})$/.exec(key)?.[1];
      if (id !== undefined && typeof value === "string" && value !== "") signatures[id] = value;
    }
    return { kubeconfig, caPem, server: server.replace(/\/+$/, ""), signatures };
  } catch {
    return "unusable"; // parseClusterInfo's error would advise about a file; there is none here.
  }
}

export function signatureOf(info: ClusterInfo, token: TokenParts): "absent" | "valid" | "invalid" {
  const signature = info.signatures[token.id];
  if (signature === undefined) return "absent";
  return verifyDetached(signature, info.kubeconfig, token) ? "valid" : "invalid";
}

/** Pins of all certificates in the bundle; what is no certificate has none. */
export function pinsOf(caPem: string): readonly string[] {
  return splitPemBundle(caPem).flatMap((certificate) => {
    try {
      return [caPin(certificate)];
    } catch {
      return []; // Certainly not the pinned one.
    }
  });
}

export { parseToken, type TokenParts };
