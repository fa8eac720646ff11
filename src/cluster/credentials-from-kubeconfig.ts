/**
 * What a connection needs, out of a kubeconfig of the form that kubeadm and kubestick write: everything embedded, or files on this machine.
 */
import { KubestickError, messageOf } from "../errors.ts";
import type { ClusterCredentials } from "./kube-client.ts";

type Named<Key extends string, Value> = readonly ({ readonly name: string } & { readonly [key in Key]: Value })[];

interface ClusterEntry {
  readonly server?: string;
  readonly "certificate-authority-data"?: string;
  readonly "certificate-authority"?: string;
}

interface UserEntry {
  readonly "client-certificate-data"?: string;
  readonly "client-certificate"?: string;
  readonly "client-key-data"?: string;
  readonly "client-key"?: string;
  readonly token?: string;
  readonly tokenFile?: string;
}

interface Kubeconfig {
  readonly "current-context"?: string;
  readonly clusters?: Named<"cluster", ClusterEntry>;
  readonly users?: Named<"user", UserEntry>;
  readonly contexts?: Named<"context", { readonly cluster: string; readonly user: string }>;
}

/**
 * `origin` names the file in errors. `readFile` gives the text of a file that the kubeconfig only points to (kubelet.conf after
 * bootstrap does); its paths must be absolute.
 */
export async function credentialsFromKubeconfig(text: string, origin: string, readFile?: (path: string) => Promise<string | undefined>): Promise<ClusterCredentials> {
  const broken = (happened: string, cause?: unknown): KubestickError =>
    new KubestickError({ code: "KUBECONFIG_INVALID", attempted: `reading the kubeconfig ${origin}`, happened, next: "Give another kubeconfig, or have it written again: kubestick init phase kubeconfig all", cause });

  const { parse } = await import("yaml");
  let config: Kubeconfig;
  try {
    config = (parse(text) ?? {}) as Kubeconfig;
  } catch (error) {
    throw broken(`It is not YAML: ${messageOf(error)}`, error);
  }
  const named = <T extends { readonly name: string }>(list: readonly T[] | undefined, name: string | undefined, what: string): T => {
    const found = Array.isArray(list) ? (list as readonly T[]).find((entry) => entry.name === name) : undefined;
    if (found === undefined) throw broken(`It has no ${what} named ${name ?? "(none)"}.`);
    return found;
  };
  const { context } = named(config.contexts, config["current-context"], "context");
  const { cluster } = named(config.clusters, context.cluster, "cluster");
  const { user } = named(config.users, context.user, "user");
  if (cluster.server === undefined) throw broken(`Its cluster ${context.cluster} has no server.`);

  const content = async (data: string | undefined, path: string | undefined): Promise<string | undefined> => {
    if (data !== undefined) return Buffer.from(data, "base64").toString("utf8");
    if (path === undefined) return undefined;
    const read = await readFile?.(path);
    if (read === undefined) throw broken(`It points to ${path}, which cannot be read.`);
    return read;
  };
  const caPem = await content(cluster["certificate-authority-data"], cluster["certificate-authority"]);
  const certificatePem = await content(user["client-certificate-data"], user["client-certificate"]);
  const keyPem = await content(user["client-key-data"], user["client-key"]);
  const token = user.token ?? (await content(undefined, user.tokenFile))?.trim();
  return {
    server: cluster.server,
    ...(caPem === undefined ? {} : { caPem }),
    ...(certificatePem === undefined ? {} : { certificatePem }),
    ...(keyPem === undefined ? {} : { keyPem }),
    ...(token === undefined ? {} : { token }),
  };
}
