/** Phase bootstrap-token: what a joining node may do with its token, and how its certificate requests are approved. Facts: kubeadm phases/bootstraptoken. */
import type { KubeObject } from "../cluster/types.ts";
import { groups } from "./names.ts";
import { clusterRole, clusterRoleBinding, group, user } from "./rbac.ts";

export function bootstrapRbacObjects(): readonly KubeObject[] {
  const tokens = [group(groups.bootstrapTokens)];
  const approval = "system:certificates.k8s.io:certificatesigningrequests";
  return [
    clusterRole("kubeadm:get-nodes", [{ apiGroups: [""], resources: ["nodes"], verbs: ["get"] }]),
    clusterRoleBinding("kubeadm:get-nodes", "kubeadm:get-nodes", tokens),
    clusterRoleBinding("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", tokens),
    clusterRoleBinding("kubeadm:node-autoapprove-bootstrap", `${approval}:nodeclient`, tokens),
    clusterRoleBinding("kubeadm:node-autoapprove-certificate-rotation", `${approval}:selfnodeclient`, [group(groups.nodes)]),
    // The certificate carries no organization: its rights are only these.
    clusterRoleBinding("kubeadm:apiserver-kubelet-client", "system:kubelet-api-admin", [user("kube-apiserver-kubelet-client")]),
  ];
}
