/**
 * Phase `controller-accounts`: the service accounts under which kube-controller-manager's controllers work, before it makes them itself.
 *
 * With `--use-service-account-credentials`, as kubeadm starts it, it asks for the account of each controller, makes it and asks again, one controller after the other, under
 * its own limit of 20 requests a second (controller-manager `KubeAPIQPS`; `pkg/controller/client_builder.go` in client-go): five seconds in which no controller
 * runs, no pod is made and no node gets its addresses. It takes accounts that are there, so that most of these seconds go. What is in the cluster
 * afterwards is the same.
 */
import type { KubeObject } from "../cluster/types.ts";
import type { Phase } from "../engine/types.ts";
import { object } from "./actions.ts";

const namespace = "kube-system";

/** Bound like the others and not started: the first two need a cloud, the third is off unless somebody asks for it. */
const notStarted: ReadonlySet<string> = new Set(["route-controller", "service-controller", "selinux-warning-controller"]);

export const controllerAccounts: Phase<"controller-accounts", Record<never, never>, Record<never, never>> = {
  id: "controller-accounts",
  title: "Create the controllers' service accounts",
  needs: [],
  async plan({ config, cluster }) {
    if (cluster === undefined) return { actions: [], output: {} };
    const bindings = await cluster.list("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", { labelSelector: "kubernetes.io/bootstrapping=rbac-defaults" });
    const there = new Set((await cluster.list("v1", "ServiceAccount", { namespace })).map(({ metadata }) => metadata.name));
    const wanted = [...new Set(bindings.flatMap(controllersOf))].filter((name) => !notStarted.has(name) && !there.has(name)).sort();
    return {
      actions: wanted.map((name) => object({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace } }, "retain", config.init.timeouts.kubernetesAPICall)),
      output: {},
    };
  },
};

/** The API server binds each controller's role to its account when it starts (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy/controller_policy.go`). */
function controllersOf(binding: KubeObject): readonly string[] {
  if (!binding.metadata.name.startsWith("system:controller:")) return [];
  const subjects = (binding["subjects"] ?? []) as readonly { readonly kind: string; readonly name: string; readonly namespace?: string }[];
  return subjects.filter((subject) => subject.kind === "ServiceAccount" && subject.namespace === namespace).map(({ name }) => name);
}
