/** Phase `etcd`: the local member's data directory and static pod. Nothing with an external etcd. */
import type { Phase } from "../engine/types.ts";
import { firstEtcdPod, staticPodPath } from "../manifests/static-pods.ts";
import { applyPatches } from "../manifests/patches.ts";
import { toYaml } from "../manifests/yaml.ts";
import { directory, file } from "./actions.ts";
import type { CertsOutput } from "./certs.ts";
import { configuredPatches } from "./patches.ts";

export const etcd: Phase<"etcd", { readonly certs: CertsOutput }, Record<never, never>> = {
  id: "etcd",
  title: "Write the static pod of etcd",
  // Not its values: a manifest that appears before its certificates makes a crash loop.
  needs: ["certs"],
  reads: { certs: ["etcd-ca", "etcd-server", "etcd-peer", "etcd-healthcheck-client"] },
  steps: [{ id: "local", title: "Write the static pod of the local etcd member" }],
  async plan({ config, read }) {
    const { local } = config.cluster.etcd;
    const pod = firstEtcdPod(config);
    if (local === undefined || pod === undefined) return { actions: [], output: {} };
    const step = "local";
    return {
      actions: [
        directory(local.dataDir, 0o700, { step }),
        file(staticPodPath("etcd"), 0o600, toYaml(applyPatches(await configuredPatches(config, read), "etcd", pod)), { step, parentMode: 0o700 }),
      ],
      output: {},
    };
  },
};
