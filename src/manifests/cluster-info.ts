/** Phase bootstrap-token: what a node without any credentials may read to find the cluster. kube-controller-manager signs it per token. */
import type { KubeObject } from "../cluster/types.ts";
import { configMap } from "./component-config.ts";
import { namespaces } from "./names.ts";
import { getOnly, role, roleBinding, user } from "./rbac.ts";

const name = "cluster-info";
const roleName = "kubeadm:bootstrap-signer-clusterinfo";

/** `kubeconfig` is the text of pki's `clusterInfoKubeconfig`. */
export function clusterInfoObjects(kubeconfig: string): readonly KubeObject[] {
  return [
    configMap({ name, namespace: namespaces.public }, { kubeconfig }),
    role(namespaces.public, roleName, [getOnly("configmaps", name)]),
    roleBinding(namespaces.public, roleName, [user("system:anonymous")]),
  ];
}
