/** Where the members of a cluster's etcd are, as kubeadm finds them (util/etcd): by an annotation of the static pods, which tells the client URL. */
import type { ClusterReader } from "../cluster/types.ts";
import { annotations } from "../manifests/names.ts";

/** Client URLs, sorted. */
export async function etcdPodUrls(cluster: ClusterReader): Promise<readonly string[]> {
  const pods = await cluster.list("v1", "Pod", { namespace: "kube-system", labelSelector: "component=etcd,tier=control-plane" });
  const urls = pods.map(({ metadata }) => (metadata["annotations"] as Readonly<Record<string, string>> | undefined)?.[annotations.etcdClientUrls]).filter((url) => url !== undefined);
  return [...new Set(urls.flatMap((url) => url.split(",")))].sort();
}
