/** What this machine is in its cluster, from what lies on it: no cluster is asked. */
import { parse } from "yaml";
import { splitHostPort } from "../config/address.ts";
import { KubestickError } from "../errors.ts";
import type { HostReader } from "../host/types.ts";
import { kubeletFiles } from "../manifests/kubelet.ts";
import { annotations } from "../manifests/names.ts";
import { staticPodPath } from "../manifests/static-pods.ts";
import { readCertificate } from "../pki/inspect.ts";
import { parseKubeconfig } from "../pki/kubeconfig.ts";
import { kubeletConfPath } from "./kubeconfig.ts";

export interface ThisNode {
  readonly name: string;
  readonly criSocket: string;
  /** `https://host:port` that the kubelet asks. */
  readonly server: string;
  readonly clusterName: string;
  readonly caPem: string;
  /** Where that is, when it is a file of its own. */
  readonly caPath?: string;
  /** Of a control plane. */
  readonly localAPIEndpoint?: { readonly advertiseAddress: string; readonly bindPort: number };
}

/** Throws NODE_NOT_JOINED where there is no kubelet of a cluster, NODE_UNREADABLE when its files do not say what they must. */
export async function readThisNode(read: HostReader): Promise<ThisNode> {
  const text = await read.readText(kubeletConfPath);
  if (text === undefined) {
    throw new KubestickError({ code: "NODE_NOT_JOINED", attempted: "finding out what this machine is in its cluster", happened: `There is no ${kubeletConfPath}: this machine belongs to no cluster.`, next: "Run this on a node; a new one is made by: kubestick init, or kubestick join" });
  }
  const { server, clusterName, caPem, caPath, credentials } = parseKubeconfig(text, kubeletConfPath);
  const certificate = "certificate" in credentials ? credentials.certificate : "certificatePath" in credentials ? await read.readText(credentials.certificatePath) : undefined;
  if (certificate === undefined) throw unreadable(`${kubeletConfPath} names no client certificate that could be read.`);
  const name = /^system:node:(.+)$/.exec(readCertificate(certificate, kubeletConfPath).subject.commonName ?? "")?.[1];
  if (name === undefined) throw unreadable(`The client certificate of ${kubeletConfPath} is not one of a node.`);
  const authority = caPem ?? (caPath === undefined ? undefined : await read.readText(caPath));
  if (authority === undefined) throw unreadable(`${kubeletConfPath} names no certificate authority that could be read.`);
  const localAPIEndpoint = await localEndpointOf(read);
  return {
    name, server, clusterName, caPem: authority, criSocket: await socketOf(read),
    ...(caPath === undefined ? {} : { caPath }), ...(localAPIEndpoint === undefined ? {} : { localAPIEndpoint }),
  };
}

async function socketOf(read: HostReader): Promise<string> {
  for (const path of [kubeletFiles.instance, kubeletFiles.configuration]) {
    const socket = (parse((await read.readText(path)) ?? "") as { readonly containerRuntimeEndpoint?: string } | null)?.containerRuntimeEndpoint;
    if (typeof socket === "string" && socket !== "") return socket;
  }
  throw unreadable(`Neither ${kubeletFiles.instance} nor ${kubeletFiles.configuration} names the container runtime's socket.`);
}

async function localEndpointOf(read: HostReader): Promise<ThisNode["localAPIEndpoint"]> {
  const path = staticPodPath("kube-apiserver");
  const text = await read.readText(path);
  if (text === undefined) return undefined;
  const told = (parse(text) as { readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> } } | null)?.metadata?.annotations?.[annotations.apiServerEndpoint];
  const { host, port } = splitHostPort(told ?? "") ?? {};
  if (host === undefined || port === undefined) throw unreadable(`${path} does not say in its annotation ${annotations.apiServerEndpoint} where the API server listens.`);
  return { advertiseAddress: host, bindPort: port };
}

function unreadable(happened: string): KubestickError {
  return new KubestickError({ code: "NODE_UNREADABLE", attempted: "finding out what this machine is in its cluster", happened, next: "Restore the file from a backup, or start afresh on this node: kubestick reset, then join" });
}
