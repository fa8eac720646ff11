/** The first object of a cluster: gives admin.conf's group its rights. Only super-admin.conf, which bypasses RBAC, may create it. */
import type { KubeObject } from "../cluster/types.ts";
import { groups } from "./names.ts";
import { clusterRoleBinding, group } from "./rbac.ts";

export function clusterAdminsBinding(): KubeObject {
  return clusterRoleBinding(groups.clusterAdmins, "cluster-admin", [group(groups.clusterAdmins)]);
}
