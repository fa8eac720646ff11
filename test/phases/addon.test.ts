import assert from "node:assert/strict";
import { test } from "node:test";
import type { InitOptions } from "../../src/config/options.ts";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import { addon } from "../../src/phases/addon.ts";
import { plainFacts } from "../support/facts.ts";

/** Deployment, DaemonSet and wait in the order in which they are done. */
async function order(options: InitOptions, changed: { readonly flannel?: false; readonly waitFor?: "node" | "none" } = {}): Promise<readonly string[]> {
  const facts = plainFacts();
  const { config } = resolveInitConfig({ options, facts });
  const given = { ...config, install: { ...config.install, waitFor: changed.waitFor ?? "system" } };
  const read = { readText: async () => undefined, list: async () => undefined, stat: async () => undefined };
  const cluster = { get: async ({ name }: { readonly name: string }) => (name === "kube-flannel-ds" && changed.flannel !== false ? {} : undefined), list: async () => [] };
  const { actions } = await addon.plan({ config: given, facts, read, cluster, from: { node: { machine: { dnsUpstream: true, conntrackReadOnly: false } } } } as never);
  return actions.filter(({ kind, id }) => kind === "wait" || id.startsWith("deployment/") || id.startsWith("daemonset/")).map(({ id, step }) => `${step}: ${id}`);
}

const kubeadms = ["coredns: deployment/kube-system/coredns", "kube-proxy: daemonset/kube-system/kube-proxy"];

test("addon with flannel starts CoreDNS when flannel knows the node's subnet, and flannel finds the API server through kube-proxy", async () => {
  assert.deepEqual(await order({}), ["kube-proxy: daemonset/kube-system/kube-proxy", "coredns: wait/network", "coredns: deployment/kube-system/coredns"]);
});

test("addon keeps kubeadm's order where nobody could be waited for", async () => {
  assert.deepEqual(await order({ cni: "none" }), kubeadms);
  assert.deepEqual(await order({ cni: "bridge" }), kubeadms);
  assert.deepEqual(await order({}, { waitFor: "none" }), kubeadms);
  assert.deepEqual(await order({ wait: "node" }, { waitFor: "node" }), kubeadms);
  assert.deepEqual(await order({}, { flannel: false }), kubeadms);
});
