import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { KubeObject } from "../../src/cluster/types.ts";
import { requiredImages } from "../../src/manifests/images.ts";
import { etcdPod } from "../../src/manifests/etcd.ts";
import { controlPlanePods, firstEtcdPod, staticPodPath } from "../../src/manifests/static-pods.ts";
import { toYaml } from "../../src/manifests/yaml.ts";
import { configFrom, goldenCases, goldenConfig, goldenContext, goldenText } from "../support/golden.ts";

interface Container {
  readonly command: readonly string[];
  readonly env?: readonly unknown[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly livenessProbe: { readonly httpGet: { readonly host?: string } };
  readonly readinessProbe?: unknown;
  readonly ports: readonly { readonly containerPort: number }[];
}

function container(pod: KubeObject | undefined): Container {
  return (pod as unknown as { spec: { containers: [Container] } }).spec.containers[0];
}

function podOf(pods: readonly KubeObject[], name: string): KubeObject {
  return pods.find((pod) => pod.metadata.name === name) as KubeObject;
}

/** The golden text with what the case's patches did to it undone. */
const withoutPatches: Readonly<Record<string, (text: string) => string>> = {
  etcd: (text) => text.replace('    env:\n    - name: PATCHED\n      value: "yes"\n', ""),
  "kube-apiserver": (text) => text.replace('    example.com/first: merge\n    example.com/order: "1"\n', "").replace("        memory: 512Mi\n", ""),
  "kube-controller-manager": (text) => text,
  "kube-scheduler": (text) => text.replace("    example.com/tier: x\n", "").replace("priority: 2000001001", "priority: 2000001000"),
};

for (const golden of goldenCases) {
  test(`static pods equal kubeadm's manifests byte for byte, case ${golden}`, () => {
    const config = goldenConfig(golden);
    const etcd = firstEtcdPod(config);
    strictEqual(etcd === undefined, golden === "external-etcd");
    for (const pod of [...controlPlanePods(config, goldenContext), ...(etcd === undefined ? [] : [etcd])]) {
      const { name } = pod.metadata;
      const text = goldenText(golden, `manifests/${name}.yaml`);
      strictEqual(toYaml(pod), golden === "custom" ? withoutPatches[name]?.(text) : text, name);
    }
  });

  test(`requiredImages lists what kubeadm lists, case ${golden}`, () => {
    strictEqual(requiredImages(goldenConfig(golden)).map((image) => `${image.reference}\n`).join(""), goldenText(golden, "images.txt"));
  });
}

test("staticPodPath names kubeadm's file", () => {
  strictEqual(staticPodPath("etcd"), "/etc/kubernetes/manifests/etcd.yaml");
});

const cluster = (fields: string): string => `apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.36.2\n${fields}`;

test("etcdPod and the API server use IPv6 loopback and brackets when the advertise address is IPv6", () => {
  const config = configFrom(`apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: "fd00::10"}
---
${cluster('networking: {serviceSubnet: "fd00:1::/108"}')}`);
  const etcd = container(firstEtcdPod(config));
  strictEqual(etcd.livenessProbe.httpGet.host, "::1");
  deepStrictEqual(etcd.command.filter((flag) => /listen|initial-cluster=/.test(flag)), [
    "--initial-cluster=cp1=https://[fd00::10]:2380",
    "--listen-client-urls=https://[::1]:2379,https://[fd00::10]:2379",
    "--listen-metrics-urls=http://[::1]:2381",
    "--listen-peer-urls=https://[fd00::10]:2380",
  ]);
  const pods = controlPlanePods(config, goldenContext);
  const api = podOf(pods, "kube-apiserver");
  strictEqual(container(api).command.includes("--etcd-servers=https://[::1]:2379"), true);
  deepStrictEqual(api.metadata["annotations"], { "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint": "[fd00::10]:6443" });
  strictEqual(container(podOf(pods, "kube-scheduler")).livenessProbe.httpGet.host, "127.0.0.1");
});

test("etcdPod names every member when it joins an existing cluster", () => {
  const config = goldenConfig("default");
  const local = config.cluster.etcd.local;
  if (local === undefined) throw new Error("the default case has a local etcd");
  const { command } = container(etcdPod(config, local, [{ name: "cp0", peerUrl: "https://192.0.2.9:2380" }, { name: "cp1", peerUrl: "https://192.0.2.10:2380" }]));
  strictEqual(command.includes("--initial-cluster=cp0=https://192.0.2.9:2380,cp1=https://192.0.2.10:2380"), true);
  strictEqual(command.includes("--initial-cluster-state=existing"), true);
});

test("components get the host's proxy variables under the user's extraEnvs, etcd only its own", () => {
  const config = configFrom(cluster(`apiServer:
  extraEnvs: [{name: NO_PROXY, value: mine}, {name: A, value: "1"}]
etcd: {local: {extraEnvs: [{name: B, value: "2"}]}}
`));
  const context = { ...goldenContext, proxyEnvironment: { https_proxy: "http://proxy:3128", NO_PROXY: "host" } };
  const pods = controlPlanePods(config, context);
  deepStrictEqual(container(podOf(pods, "kube-apiserver")).env, [
    { name: "A", value: "1" },
    { name: "NO_PROXY", value: "mine" },
    { name: "https_proxy", value: "http://proxy:3128" },
  ]);
  deepStrictEqual(container(podOf(pods, "kube-scheduler")).env, [{ name: "NO_PROXY", value: "host" }, { name: "https_proxy", value: "http://proxy:3128" }]);
  deepStrictEqual(container(firstEtcdPod(config)).env, [{ name: "B", value: "2" }]);
});

test("the API server drops its default authorization mode when a structured authorization file is given", () => {
  const config = configFrom(cluster("apiServer: {extraArgs: [{name: authorization-config, value: /etc/authz.yaml}]}"));
  const flags = container(podOf(controlPlanePods(config, goldenContext), "kube-apiserver")).command;
  deepStrictEqual(flags.filter((flag) => flag.startsWith("--authorization")), ["--authorization-config=/etc/authz.yaml"]);
});

test("the controller manager does not sign when the CA's key is elsewhere, and has no readiness probe", () => {
  const pod = podOf(controlPlanePods(goldenConfig("default"), { ...goldenContext, keylessCa: true }), "kube-controller-manager");
  deepStrictEqual(container(pod).command.filter((flag) => flag.startsWith("--cluster-signing")), ["--cluster-signing-cert-file=", "--cluster-signing-key-file="]);
  strictEqual(container(pod).readinessProbe, undefined);
});

test("the API server mounts each external etcd directory that no other mount covers, neighbours with a common prefix too", () => {
  const external = (ca: string, cert: string, key: string): readonly string[] => {
    const config = configFrom(cluster(`etcd: {external: {endpoints: ["https://192.0.2.21:2379"], caFile: ${ca}, certFile: ${cert}, keyFile: ${key}}}`));
    return container(podOf(controlPlanePods(config, { caDirectories: [], proxyEnvironment: {} }), "kube-apiserver")).volumeMounts
      .filter((mount) => mount.name.startsWith("etcd-certs"))
      .map((mount) => `${mount.name} ${mount.mountPath}`);
  };
  deepStrictEqual(external("/etc/etcd/ca.crt", "/etc/etcd-client/c.crt", "/etc/etcd/keys/c.key"), ["etcd-certs-0 /etc/etcd", "etcd-certs-1 /etc/etcd-client"]);
  deepStrictEqual(external("/etc/kubernetes/pki/etcd/ca.crt", "/etc/ssl/certs/c.crt", "/etc/kubernetes/pki-etcd/c.key"), ["etcd-certs-0 /etc/kubernetes/pki-etcd"]);
});

test("etcdPod probes the first of listen-metrics-urls, IPv6 included", () => {
  const config = configFrom(cluster('etcd: {local: {extraArgs: [{name: listen-metrics-urls, value: "http://[fd00::5]:9999,http://127.0.0.1:2381"}]}}'));
  const etcd = container(firstEtcdPod(config));
  strictEqual(etcd.livenessProbe.httpGet.host, "fd00::5");
  strictEqual(etcd.ports[0]?.containerPort, 9999);
});
