import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { KubeObject } from "../../src/cluster/types.ts";
import { bootstrapRbacObjects } from "../../src/manifests/bootstrap-rbac.ts";
import { bootstrapTokenSecret } from "../../src/manifests/bootstrap-token-secret.ts";
import { clusterAdminsBinding } from "../../src/manifests/cluster-admins.ts";
import { clusterInfoObjects } from "../../src/manifests/cluster-info.ts";
import { configMapHash } from "../../src/manifests/component-config.ts";
import { coreDnsObjects, corefile } from "../../src/manifests/coredns.ts";
import { clusterEndpoint, localEndpoint } from "../../src/manifests/endpoints.ts";
import { kubeProxyConfiguration } from "../../src/manifests/kube-proxy-config.ts";
import { kubeProxyObjects } from "../../src/manifests/kube-proxy.ts";
import { kubeadmConfigObjects } from "../../src/manifests/kubeadm-config.ts";
import { kubeletConfigObjects } from "../../src/manifests/kubelet-config.ts";
import { controlPlaneTaints, markControlPlanePatch } from "../../src/manifests/mark-control-plane.ts";
import { certificatesTokenDescription, uploadedCertificatesObjects } from "../../src/manifests/uploaded-certs.ts";
import { configFrom, goldenCases, goldenConfig, goldenCreated, type GoldenCase } from "../support/golden.ts";

const start = new Date("2026-11-21T10:00:00.750Z");
const hour = 3_600_000;

/** All objects of `init` after the control plane answers, in kubeadm's order. */
function created(golden: GoldenCase): readonly KubeObject[] {
  const config = goldenConfig(golden);
  const token = config.init.bootstrapTokens[0];
  if (token === undefined) throw new Error("every golden case has a token");
  const [id = "", secret = ""] = (token.token ?? "").split(".");
  const upload = golden !== "ha-vip" ? [] : [
    bootstrapTokenSecret({ id: "REDACTED", secret: "REDACTED", description: certificatesTokenDescription, expires: new Date(start.getTime() + 2 * hour), usages: [], groups: [] }),
    ...uploadedCertificatesObjects({ values: {}, owner: { tokenId: "<random-id>", uid: "" } }),
  ];
  const cluster = `apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: REDACTED\n    server: ${clusterEndpoint(config)}\n  name: ""\ncontexts: null\ncurrent-context: ""\nkind: Config\nusers: null\n`;
  return [
    ...kubeadmConfigObjects(config),
    ...kubeletConfigObjects(config),
    ...upload,
    bootstrapTokenSecret({
      id, secret, ...(token.description === undefined ? {} : { description: token.description }),
      expires: new Date(start.getTime() + (golden === "custom" ? 2 : 24) * hour), usages: token.usages, groups: token.groups,
    }),
    ...bootstrapRbacObjects(),
    ...clusterInfoObjects(cluster),
    // The custom case patches the replica count, which is how an existing Deployment's count would arrive.
    ...coreDnsObjects(config, golden === "custom" ? { replicas: 3 } : {}),
    ...kubeProxyObjects(config, { proxyEnvironment: {} }),
  ];
}

/** Golden objects with the redacted values replaced by ours. */
function comparable(object: KubeObject, ours: KubeObject | undefined): unknown {
  const { metadata, ...others } = object;
  const rest: KubeObject = { ...others, metadata, apiVersion: object.apiVersion, kind: object.kind };
  const data = rest["data"] as Record<string, string | null> | undefined;
  if (object.kind !== "Secret" || data === undefined) return rest;
  const ourData = (ours?.["data"] ?? {}) as Record<string, string>;
  const filled = Object.fromEntries(Object.entries(data).map(([key, value]) => [key, value === "REDACTED" || value?.startsWith("<") === true ? ourData[key] : value]));
  if (metadata.name === "bootstrap-token-<random-id>") return { ...rest, metadata: { ...metadata, name: "bootstrap-token-REDACTED" }, data: filled };
  return metadata.name === "kubeadm-certs" ? { ...rest, metadata, data: {} } : { ...rest, metadata, data: filled };
}

for (const golden of goldenCases) {
  test(`the API objects of init equal kubeadm's in content and order, case ${golden}`, () => {
    const ours = created(golden);
    const theirs = goldenCreated(golden);
    deepStrictEqual(ours.map((object) => `${object.kind}/${object.metadata.name}`), theirs.map((object) => `${object.kind}/${object.metadata.name.replace("<random-id>", "REDACTED")}`));
    for (const [index, object] of ours.entries()) {
      // A JSON round trip drops members that are undefined, as sending them would.
      deepStrictEqual(JSON.parse(JSON.stringify(object)), comparable(theirs[index] as KubeObject, object), `${object.kind}/${object.metadata.name}`);
    }
  });
}

test("configMapHash covers the values in key order", () => {
  strictEqual(configMapHash({ b: "2", a: "1" }), configMapHash({ a: "1", b: "2" }));
  strictEqual(configMapHash({ a: "12" }), "sha256:6b51d431df5d7f141cbececcf79edf3dd861c3b4069f0b11661a3eefacbba918");
});

test("component ConfigMaps carry the hash only when nobody supplied the configuration", () => {
  const supplied = configFrom("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 50\n---\napiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: nftables\n");
  strictEqual(kubeletConfigObjects(supplied)[0]?.metadata["annotations"], undefined);
  strictEqual(kubeProxyObjects(supplied, { proxyEnvironment: {} })[0]?.metadata["annotations"], undefined);
});

test("bootstrapTokenSecret writes whole seconds in UTC and leaves out what is not set", () => {
  const data = (secret: KubeObject): Record<string, string> => Object.fromEntries(Object.entries(secret["data"] as Record<string, string>).map(([key, value]) => [key, Buffer.from(value, "base64").toString()]));
  const bare = { id: "abcdef", secret: "0123456789abcdef", usages: [], groups: [] };
  deepStrictEqual(data(bootstrapTokenSecret({ ...bare, expires: start })), { "token-id": "abcdef", "token-secret": "0123456789abcdef", expiration: "2026-11-21T10:00:00Z" });
  deepStrictEqual(data(bootstrapTokenSecret({ ...bare, groups: ["g:a", "g:b"], usages: ["signing"] })), {
    "token-id": "abcdef", "token-secret": "0123456789abcdef", "auth-extra-groups": "g:a,g:b", "usage-bootstrap-signing": "true",
  });
});

test("corefile neither forwards nor looks for loops when the host has no name server", () => {
  const text = corefile("cluster.local", false);
  strictEqual(/forward|loop|fallthrough/.test(text), false);
  match(text, /kubernetes cluster\.local in-addr\.arpa ip6\.arpa \{\n {7}pods insecure\n {7}ttl 30\n/);
});

test("coreDnsObjects takes replicas and image from its caller", () => {
  const deployment = coreDnsObjects(goldenConfig("default"), { replicas: 1, image: "example.com/coredns:1" }).find((object) => object.kind === "Deployment");
  const spec = deployment?.["spec"] as { replicas: number; template: { spec: { containers: [{ image: string }] } } };
  deepStrictEqual([spec.replicas, spec.template.spec.containers[0].image], [1, "example.com/coredns:1"]);
});

test("kubeProxyConfiguration leaves conntrack alone where the host forbids changing it, unless the user says otherwise", () => {
  const locked = kubeProxyConfiguration(goldenConfig("default"), { conntrackWritable: false });
  deepStrictEqual(locked["conntrack"], {
    maxPerCore: 0, min: 0, tcpBeLiberal: false, tcpCloseWaitTimeout: "0s", tcpEstablishedTimeout: "0s", udpStreamTimeout: "0s", udpTimeout: "0s",
  });
  const own = configFrom("apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nconntrack: {maxPerCore: 7}\n");
  strictEqual((kubeProxyConfiguration(own, { conntrackWritable: false })["conntrack"] as { maxPerCore: number }).maxPerCore, 7);
});

test("kube-proxy binds to all addresses of the node's family and gets the host's proxy variables", () => {
  const config = configFrom('apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nlocalAPIEndpoint: {advertiseAddress: "fd00::10"}\n---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking: {serviceSubnet: "fd00:1::/108"}\n');
  strictEqual(kubeProxyConfiguration(config)["bindAddress"], "::");
  const daemonSet = kubeProxyObjects(config, { proxyEnvironment: { HTTPS_PROXY: "http://p" } })[1];
  const { env } = (daemonSet?.["spec"] as { template: { spec: { containers: [{ env: unknown[] }] } } }).template.spec.containers[0];
  deepStrictEqual(env[1], { name: "HTTPS_PROXY", value: "http://p" });
});

test("markControlPlanePatch sends the node's other taints along, since the list is replaced as a whole", () => {
  const config = goldenConfig("default");
  const other = { key: "node.kubernetes.io/not-ready", effect: "NoSchedule", timeAdded: "2026-11-21T10:00:00Z" };
  deepStrictEqual(markControlPlanePatch(config, [{ key: "node-role.kubernetes.io/control-plane", effect: "NoSchedule" }, other]), {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: "cp1", labels: { "node-role.kubernetes.io/control-plane": "", "node.kubernetes.io/exclude-from-external-load-balancers": "" } },
    spec: { taints: [{ key: "node-role.kubernetes.io/control-plane", effect: "NoSchedule" }, other] },
  });
  deepStrictEqual(controlPlaneTaints(goldenConfig("custom")), [{ key: "dedicated", value: "infra", effect: "NoExecute" }]);
  const untainted = configFrom("apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nnodeRegistration: {taints: []}\n");
  strictEqual(markControlPlanePatch(untainted)["spec"], undefined);
});

test("clusterAdminsBinding gives the admin group cluster-admin", () => {
  deepStrictEqual(clusterAdminsBinding(), {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name: "kubeadm:cluster-admins" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "Group", name: "kubeadm:cluster-admins" }],
  });
});

test("clusterEndpoint is the control-plane endpoint, localEndpoint always this node", () => {
  deepStrictEqual([clusterEndpoint(goldenConfig("ha-vip")), localEndpoint(goldenConfig("ha-vip"))], ["https://lb.example.internal:6443", "https://192.0.2.11:6443"]);
  strictEqual(clusterEndpoint(goldenConfig("external-etcd")), "https://192.0.2.200:6443");
});
