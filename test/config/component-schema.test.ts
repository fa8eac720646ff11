import assert from "node:assert/strict";
import { test } from "node:test";
import { checkFile } from "../../src/config/file.ts";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import { plainFacts } from "../support/facts.ts";

const cluster = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n---\n";
const kubelet = (fields: string): { readonly name: string; readonly text: string } => ({ name: "c.yaml", text: `${cluster}apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n${fields}\n` });
const kubeProxy = (fields: string): { readonly name: string; readonly text: string } => ({ name: "c.yaml", text: `${cluster}apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n${fields}\n` });

test("resolveInitConfig passes over an unknown field of a component with its place and the nearest name, and config validate refuses it", () => {
  const file = kubelet("maxPod: 50\nmaxPods: 60\nauthentication: {anonymus: {}, webhook: {enabled: false}}");
  const { config, warnings } = resolveInitConfig({ options: {}, facts: plainFacts(), file });
  assert.deepEqual(config.kubelet, { apiVersion: "kubelet.config.k8s.io/v1beta1", kind: "KubeletConfiguration", maxPods: 60, authentication: { webhook: { enabled: false } } });
  assert.match(warnings.find((warning) => warning.includes("maxPod\"")) ?? "", /^c\.yaml:6:1: KubeletConfiguration: unknown field "maxPod"; did you mean "maxPods"\?; it is left out$/);
  assert.match(warnings.join("\n"), /c\.yaml:8:18: KubeletConfiguration\.authentication: unknown field "anonymus"; did you mean "anonymous"\?/);
  assert.throws(() => checkFile(file, plainFacts()), (error: { code: string; details: readonly string[] }) => error.code === "CONFIG_INVALID" && error.details.length === 2);
});

test("resolveInitConfig refuses fields of a component that have the wrong type, all of them with their places", () => {
  assert.throws(() => resolveInitConfig({ options: {}, facts: plainFacts(), file: kubelet("maxPods: many\nsyncFrequency: 5\nclusterDNS: 10.96.0.10\nevictionHard: {memory.available: 100}") }), (error: { code: string; details: readonly string[] }) => {
    assert.deepEqual(error.details.map((line) => line.split(": ").slice(0, 2).join(" ")), ["c.yaml:6:10 KubeletConfiguration.maxPods", "c.yaml:7:16 KubeletConfiguration.syncFrequency", "c.yaml:8:13 KubeletConfiguration.clusterDNS", "c.yaml:9:34 KubeletConfiguration.evictionHard.memory.available"]);
    return error.code === "CONFIG_INVALID";
  });
  assert.throws(() => resolveInitConfig({ options: {}, facts: plainFacts(), file: kubeProxy("conntrack: {maxPerCore: lots}\nclientConnection: {qps: 1.5, burst: 1.5}") }), (error: { details: readonly string[] }) => error.details.length === 2);
});

test("resolveInitConfig keeps a component's values as Go's types write them", () => {
  const { config } = resolveInitConfig({ options: {}, facts: plainFacts(), file: kubelet("syncFrequency: 90s\nserverTLSBootstrap: false\nmaxPods: 0\nfailSwapOn: false\nimageGCHighThresholdPercent: 0\nmemorySwap: null") });
  const { apiVersion: _apiVersion, kind: _kind, ...fields } = config.kubelet ?? {};
  assert.deepEqual(fields, { syncFrequency: "1m30s", failSwapOn: false, imageGCHighThresholdPercent: 0 });
});
