import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { instanceConfigText, kubeletConfiguration, kubeletFlagsText, nodeKubeletConfiguration } from "../../src/manifests/kubelet.ts";
import { toYaml } from "../../src/manifests/yaml.ts";
import { configFrom, goldenCases, goldenConfig, goldenFacts, goldenText } from "../support/golden.ts";

for (const golden of goldenCases) {
  test(`kubelet files equal kubeadm's byte for byte, case ${golden}`, () => {
    const config = goldenConfig(golden);
    const onDisk = goldenText(golden, "kubelet/config.yaml");
    // The custom case has a patch for this file.
    strictEqual(toYaml(nodeKubeletConfiguration(config)), golden === "custom" ? onDisk.replace("serializeImagePulls: false\n", "") : onDisk);
    strictEqual(instanceConfigText(config), goldenText(golden, "kubelet/instance-config.yaml"));
    strictEqual(kubeletFlagsText(config, { hostname: goldenFacts.hostname }), goldenText(golden, "kubelet/kubeadm-flags.env"));
  });
}

test("kubeletFlagsText passes nothing when the node is named as its host and nothing was asked for", () => {
  strictEqual(kubeletFlagsText(goldenConfig("default"), { hostname: "CP1\n" }), 'KUBELET_KUBEADM_ARGS=""\n');
});

test("kubeletFlagsText registers a worker's taints and prefers the user's hostname-override", () => {
  const config = configFrom(`apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
nodeRegistration:
  kubeletExtraArgs: [{name: v, value: "2"}, {name: hostname-override, value: other}]
`);
  strictEqual(
    kubeletFlagsText(config, { hostname: "host", taints: [{ key: "a", effect: "NoSchedule" }, { key: "b", value: "c", effect: "NoExecute" }] }),
    'KUBELET_KUBEADM_ARGS="--register-with-taints=a:NoSchedule,b=c:NoExecute --v=2 --hostname-override=other"\n',
  );
});

test("nodeKubeletConfiguration adds host facts on disk only, and the user's word wins over them", () => {
  const host = { resolvConf: "/etc/kubernetes/resolv.conf", failCgroupV1: false, failSwapOn: false } as const;
  const plain = goldenConfig("default");
  const written = nodeKubeletConfiguration(plain, host);
  deepStrictEqual([written["resolvConf"], written["failCgroupV1"], written["failSwapOn"]], ["/etc/kubernetes/resolv.conf", false, false]);
  strictEqual("resolvConf" in kubeletConfiguration(plain), false);

  const own = configFrom("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nresolvConf: /own\nfailSwapOn: true\n");
  const chosen = nodeKubeletConfiguration(own, host);
  deepStrictEqual([chosen["resolvConf"], chosen["failCgroupV1"], chosen["failSwapOn"]], ["/own", false, true]);
});

test("kubeletConfiguration keeps the user's values, fills what is empty, and forces certificate rotation", () => {
  const config = configFrom(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
rotateCertificates: false
cgroupDriver: ""
healthzPort: 0
clusterDNS: [198.51.100.53]
authentication: {anonymous: {enabled: true}, x509: {clientCAFile: null}}
evictionHard: {memory.available: 200Mi}
`);
  const value = kubeletConfiguration(config) as { authentication: { anonymous: unknown; x509: unknown } } & Record<string, unknown>;
  strictEqual(value["rotateCertificates"], true);
  strictEqual(value["cgroupDriver"], "systemd");
  strictEqual(value["healthzPort"], 0);
  deepStrictEqual(value["clusterDNS"], ["198.51.100.53"]);
  deepStrictEqual(value.authentication.anonymous, { enabled: true });
  deepStrictEqual(value.authentication.x509, { clientCAFile: "/etc/kubernetes/pki/ca.crt" });
  deepStrictEqual(value["evictionHard"], { "memory.available": "200Mi" });
});
