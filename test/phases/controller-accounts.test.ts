import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ClusterReader, KubeObject } from "../../src/cluster/types.ts";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import type { PlanInput } from "../../src/engine/types.ts";
import { controllerAccounts } from "../../src/phases/controller-accounts.ts";
import { airgappedFacts } from "../support/facts.ts";

const binding = (name: string, ...subjects: readonly object[]): KubeObject => ({ apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRoleBinding", metadata: { name }, subjects });
const account = (name: string, namespace = "kube-system"): object => ({ kind: "ServiceAccount", name, namespace });

/** A cluster with these bindings and service accounts. */
function cluster(bindings: readonly KubeObject[], accounts: readonly string[]): ClusterReader {
  return {
    get: async () => undefined,
    list: async (_apiVersion, kind, options) => {
      if (kind === "ClusterRoleBinding") return options?.labelSelector === "kubernetes.io/bootstrapping=rbac-defaults" ? bindings : [];
      return options?.namespace === "kube-system" ? accounts.map((name) => ({ apiVersion: "v1", kind, metadata: { name, namespace: "kube-system" } })) : [];
    },
  };
}

async function planned(reader: ClusterReader | undefined): Promise<readonly string[]> {
  const { config } = resolveInitConfig({ options: { cni: "none" }, facts: airgappedFacts() });
  const { actions } = await controllerAccounts.plan({ config, cluster: reader } as unknown as PlanInput<Record<never, never>>);
  return actions.map((action) => {
    assert.ok(action.kind === "object" && action.policy === "retain");
    assert.deepEqual(Object.keys(action.object.metadata).sort(), ["name", "namespace"]);
    return action.id;
  });
}

describe("phase controller-accounts", () => {
  const bindings = [
    binding("system:controller:node-controller", account("node-controller")),
    binding("system:controller:daemon-set-controller", account("daemon-set-controller")),
    binding("system:controller:service-controller", account("service-controller")),
    binding("system:controller:elsewhere", account("elsewhere", "default"), { kind: "User", name: "somebody" }),
    binding("system:kube-dns", account("kube-dns")),
    binding("system:controller:without"),
  ];

  test("makes the accounts that the API server has bound to controllers and that are not there", async () => {
    assert.deepEqual(await planned(cluster(bindings, [])), ["serviceaccount/kube-system/daemon-set-controller", "serviceaccount/kube-system/node-controller"]);
    assert.deepEqual(await planned(cluster(bindings, ["node-controller", "default"])), ["serviceaccount/kube-system/daemon-set-controller"]);
  });

  test("has nothing to do where all are there, or where no cluster answers", async () => {
    assert.deepEqual(await planned(cluster(bindings, ["node-controller", "daemon-set-controller"])), []);
    assert.deepEqual(await planned(undefined), []);
  });
});
