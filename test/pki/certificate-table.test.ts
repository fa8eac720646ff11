import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { certificatePath, certificateRows, keyPath, kubeconfigPath, kubeconfigRows, serviceAccountPaths, type LeafRow } from "../../src/pki/certificate-table.ts";
import { configFrom, goldenConfig } from "../support/golden.ts";

test("certificateRows are kubeadm's phases in kubeadm's order, an authority before what it signs", () => {
  const rows = certificateRows(goldenConfig("default"));
  deepStrictEqual(rows.map((row) => row.name), [
    "ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client", "etcd-ca", "etcd-server", "etcd-peer", "etcd-healthcheck-client", "apiserver-etcd-client",
  ]);
  for (const [index, row] of rows.entries()) {
    if (row.kind === "leaf") strictEqual(rows.slice(0, index).some((earlier) => earlier.name === row.authority), true, row.name);
  }
});

test("certificateRows leave etcd's certificates to an external etcd", () => {
  deepStrictEqual(certificateRows(goldenConfig("external-etcd")).map((row) => row.name), ["ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client"]);
});

test("files lie where kubeadm puts them, below certificatesDir", () => {
  const config = configFrom("apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\ncertificatesDir: /own/pki\n");
  const etcdServer = certificateRows(config).find((row) => row.name === "etcd-server");
  if (etcdServer === undefined) throw new Error("no etcd-server row");
  deepStrictEqual([certificatePath(config, etcdServer), keyPath(config, etcdServer)], ["/own/pki/etcd/server.crt", "/own/pki/etcd/server.key"]);
  deepStrictEqual(serviceAccountPaths(config), { privateKey: "/own/pki/sa.key", publicKey: "/own/pki/sa.pub" });
  deepStrictEqual(kubeconfigRows.map((row) => kubeconfigPath(row)), ["admin", "super-admin", "kubelet", "controller-manager", "scheduler"].map((name) => `/etc/kubernetes/${name}.conf`));
});

test("altNames sort names, keep addresses in order, and list each once", () => {
  const config = configFrom(`apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: "fd00::10"}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
controlPlaneEndpoint: "[fd00::99]:8443"
networking: {serviceSubnet: "fd00:1::/108"}
apiServer: {certSANs: [zebra.example, cp1, "fd00::10", "192.0.2.1", apple.example]}
`);
  const apiserver = certificateRows(config).find((row): row is LeafRow => row.name === "apiserver");
  deepStrictEqual(apiserver?.altNames(config), {
    dnsNames: ["apple.example", "cp1", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "zebra.example"],
    ipAddresses: ["fd00:1::1", "fd00::10", "fd00::99", "192.0.2.1"],
  });
});
