/** Phase upload-certs: the encrypted shared certificates, bound to the life of a token. Facts: kubeadm phases/copycerts. */
import type { KubeObject } from "../cluster/types.ts";
import { bootstrapTokenName } from "./bootstrap-token-secret.ts";
import { groups, namespaces } from "./names.ts";
import { getOnly, group, role, roleBinding } from "./rbac.ts";

const name = "kubeadm-certs";
const roleName = "kubeadm:kubeadm-certs";

/** The token carries no rights; when it expires the token cleaner removes it and garbage collection the certificates with it. */
export const certificatesTokenDescription = "Proxy for managing TTL for the kubeadm-certs secret";

export interface UploadedCertificates {
  /** Secret key (`etcd-ca.key`) to encrypted value; empty when the file does not exist. */
  readonly values: Readonly<Record<string, Uint8Array>>;
  readonly owner: { readonly tokenId: string; readonly uid: string };
}

export function uploadedCertificatesObjects({ values, owner }: UploadedCertificates): readonly KubeObject[] {
  return [
    {
      apiVersion: "v1",
      data: Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString("base64")])),
      kind: "Secret",
      metadata: {
        name,
        namespace: namespaces.system,
        ownerReferences: [{ apiVersion: "v1", blockOwnerDeletion: true, controller: true, kind: "Secret", name: bootstrapTokenName(owner.tokenId), uid: owner.uid }],
      },
    },
    role(namespaces.system, roleName, [getOnly("secrets", name)]),
    roleBinding(namespaces.system, roleName, [group(groups.bootstrapTokens)]),
  ];
}
