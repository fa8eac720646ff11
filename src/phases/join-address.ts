/** The `host:port` that a new node is told to find the cluster by. */
import { parse } from "yaml";
import { splitHostPort } from "../config/address.ts";
import type { ClusterReader } from "../cluster/types.ts";
import { apiServersOf, apiServerSlice } from "../manifests/haproxy.ts";
import { installKey } from "../manifests/kubeadm-config.ts";

/**
 * The kubeconfig's server, unless that is a name which only nodes of the cluster know (`init --ha`): then this machine's API server, or any other.
 * `addresses`: of this machine.
 */
export async function joinAddress(cluster: ClusterReader, server: string, addresses: readonly string[]): Promise<string> {
  const usual = server.replace(/^https:\/\//, "").replace(/\/+$/, "");
  const stored = (await cluster.get({ apiVersion: "v1", kind: "ConfigMap", name: "kubeadm-config", namespace: "kube-system" }))?.["data"] as Readonly<Record<string, string>> | undefined;
  if ((parse(stored?.[installKey] ?? "") as { readonly ha?: boolean } | null)?.ha !== true) return usual;
  const endpoint = (parse(stored?.["ClusterConfiguration"] ?? "") as { readonly controlPlaneEndpoint?: string } | null)?.controlPlaneEndpoint;
  if (endpoint !== usual) return usual;
  const servers = apiServersOf(await cluster.get(apiServerSlice));
  return servers.find((each) => addresses.includes(splitHostPort(each)?.host ?? "")) ?? servers[0] ?? usual;
}
