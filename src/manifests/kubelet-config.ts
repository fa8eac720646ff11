/** Phase upload-config/kubelet: the kubelet configuration joining nodes read, and their right to read it. */
import type { KubeObject } from "../cluster/types.ts";
import type { ResolvedConfig } from "../config/types.ts";
import { configMap, hashAnnotation } from "./component-config.ts";
import { kubeletConfiguration } from "./kubelet.ts";
import { groups, namespaces } from "./names.ts";
import { getOnly, group, role, roleBinding } from "./rbac.ts";
import { toYaml } from "./yaml.ts";

const name = "kubelet-config";
const roleName = "kubeadm:kubelet-config";

export function kubeletConfigObjects(config: ResolvedConfig): readonly KubeObject[] {
  const data = { kubelet: toYaml(kubeletConfiguration(config)) };
  return [
    configMap({ ...hashAnnotation(data, config.kubelet !== undefined), name, namespace: namespaces.system }, data),
    role(namespaces.system, roleName, [getOnly("configmaps", name)]),
    roleBinding(namespaces.system, roleName, [group(groups.nodes), group(groups.bootstrapTokens)]),
  ];
}
