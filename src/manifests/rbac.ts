/** RBAC objects in the form kubeadm sends them: subjects without apiGroup, which the server fills in. */
import type { KubeObject } from "../cluster/types.ts";

const apiVersion = "rbac.authorization.k8s.io/v1";

export type Subject =
  | { readonly kind: "Group" | "User"; readonly name: string }
  | { readonly kind: "ServiceAccount"; readonly name: string; readonly namespace: string };

export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

export function group(name: string): Subject {
  return { kind: "Group", name };
}

export function user(name: string): Subject {
  return { kind: "User", name };
}

export function serviceAccountSubject(namespace: string, name: string): Subject {
  return { kind: "ServiceAccount", name, namespace };
}

/** Read access to one object: the only rule most of kubeadm's roles have. */
export function getOnly(resource: string, name: string): Rule {
  return { apiGroups: [""], resourceNames: [name], resources: [resource], verbs: ["get"] };
}

export function role(namespace: string, name: string, rules: readonly Rule[]): KubeObject {
  return { apiVersion, kind: "Role", metadata: { name, namespace }, rules };
}

/** Binds the Role of the same name. */
export function roleBinding(namespace: string, name: string, subjects: readonly Subject[]): KubeObject {
  return { apiVersion, kind: "RoleBinding", metadata: { name, namespace }, roleRef: roleRef("Role", name), subjects };
}

export function clusterRole(name: string, rules: readonly Rule[]): KubeObject {
  return { apiVersion, kind: "ClusterRole", metadata: { name }, rules };
}

export function clusterRoleBinding(name: string, clusterRoleName: string, subjects: readonly Subject[]): KubeObject {
  return { apiVersion, kind: "ClusterRoleBinding", metadata: { name }, roleRef: roleRef("ClusterRole", clusterRoleName), subjects };
}

function roleRef(kind: string, name: string): Readonly<Record<string, string>> {
  return { apiGroup: "rbac.authorization.k8s.io", kind, name };
}
