/** Phase `upload-config`: what joining nodes read: the cluster's configuration and the kubelet's. */
import type { Phase } from "../engine/types.ts";
import { kubeadmConfigObjects } from "../manifests/kubeadm-config.ts";
import { kubeletConfigObjects } from "../manifests/kubelet-config.ts";
import { object } from "./actions.ts";

export const uploadConfig: Phase<"upload-config", Record<never, never>, Record<never, never>> = {
  id: "upload-config",
  title: "Store the configuration in the cluster",
  needs: [],
  steps: [
    { id: "kubeadm", title: "Store the ClusterConfiguration" },
    { id: "kubelet", title: "Store the kubelet's configuration" },
  ],
  async plan({ config }) {
    const timeout = config.init.timeouts.kubernetesAPICall;
    return {
      actions: [
        ...kubeadmConfigObjects(config).map((value) => object(value, value.kind === "ConfigMap" ? "mutate" : "replace", timeout, { step: "kubeadm" })),
        ...kubeletConfigObjects(config).map((value) => object(value, "replace", timeout, { step: "kubelet" })),
      ],
      output: {},
    };
  },
};
