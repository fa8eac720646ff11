/** Clusters that are not the default one: other keys, other networks, an etcd somewhere else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openAuthority } from "../cluster/openssl-certificates.ts";
import { assertServiceAnswersByName, kubectl, untilHealthy } from "../support/e2e-cluster.ts";
import { initOk } from "../support/e2e-init.ts";
import { joinOk, wordsOf } from "../support/e2e-join.ts";
import { etcdMembers, untilAllReady } from "../support/e2e-nodes.ts";
import { scenario } from "../support/e2e-scenario.ts";
import { assetProgram } from "../support/e2e-stick.ts";
import type { TestHost } from "../support/hosts/test-host.ts";

const documents = (init: string, cluster: string): string => ["InitConfiguration", "ClusterConfiguration"]
  .map((kind, index) => `apiVersion: kubeadm.k8s.io/v1beta4\nkind: ${kind}\n${[init, cluster][index]}\n`).join("---\n");

/** What openssl reads in a certificate or a kubeconfig's certificate: algorithm and curve or size. */
async function keysOf(host: TestHost): Promise<string> {
  // The host is bare and has no openssl; the files are read from outside.
  const { X509Certificate } = await import("node:crypto");
  const paths = (await host.check(["find", "/etc/kubernetes/pki", "-name", "*.crt"])).trim().split("\n");
  const kubeconfigs = ["admin", "super-admin", "controller-manager", "scheduler"].map((name) => Buffer.from(/client-certificate-data: (\S+)/.exec(host.read(`/etc/kubernetes/${name}.conf`))?.[1] ?? "", "base64").toString());
  const kinds = [...paths.map((path) => host.read(path)), ...kubeconfigs].map((pem) => new X509Certificate(pem).publicKey.asymmetricKeyDetails?.namedCurve ?? "not elliptic");
  return [...new Set(kinds)].join();
}

/** It brings its own API server to an etcd that is not the cluster's, and takes nothing with it when it goes. */
async function assertAnotherControlPlane(first: TestHost, second: TestHost, command: string, store: string): Promise<void> {
  const files = { ca: "/etc/rack-etcd/ca.crt", certificate: "/etc/rack-etcd/client.crt", key: "/etc/rack-etcd/client.key" };
  const members = (host: TestHost): Promise<readonly string[]> => etcdMembers(host, { server: `https://${store}:2379`, ...files });
  await joinOk(second, wordsOf(command));
  await untilAllReady(first, [first.name, second.name], 120_000);
  for (const path of Object.values(files)) assert.equal(second.read(path), first.read(path), path);
  assert.equal((await second.check(["stat", "-c", "%a", files.key])).trim(), "600");
  assert.equal((await second.run(["test", "-e", "/etc/kubernetes/manifests/etcd.yaml"])).code, 1, "there is a local etcd");
  for (const host of [first, second]) {
    const names = await kubectl(first, ["--server", `https://${host.address}:6443`, "get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"]);
    assert.equal(names.stdout, `${first.name} ${second.name}`, names.stderr);
    const own = await kubectl(first, ["get", "endpointslices", "kubernetes", "-o", "jsonpath={.endpoints[*].addresses[0]}"]);
    assert.ok(own.stdout.split(" ").includes(host.address), `${host.name} is no API server of the cluster: ${own.stdout}`);
  }
  assert.deepEqual(await members(second), ["etcd1"]);
  const again = await joinOk(second, wordsOf(command));
  assert.deepEqual(again.document.actions.filter((action) => action.status !== "unchanged"), []);

  const gone = await second.run(["./kubestick", "reset", "--yes"], { timeoutMs: 300_000 });
  assert.equal(gone.code, 0, gone.stderr.slice(-6000));
  assert.equal(await second.check(["sh", "-c", "ls -d /etc/kubernetes /etc/rack-etcd /var/lib/kubestick 2>/dev/null || true"]), "");
  assert.deepEqual(await members(first), ["etcd1"]);
  assert.equal((await kubectl(first, ["delete", "node", second.name])).code, 0);
  await untilAllReady(first, [first.name], 60_000);
}

scenario("init of clusters that are not the default", ({ boot, remove }) => {
  test("ECDSA P-256, an external etcd over TLS, own networks and an own DNS domain", async () => {
    const store = await boot({ name: "etcd1", bare: true });
    const authority = openAuthority("rack etcd");
    try {
      const server = authority.issue("etcd1", { names: `IP:${store.address},IP:127.0.0.1` });
      const client = authority.issue("kubernetes");
      store.put(assetProgram("etcd"), "/usr/local/bin/etcd");
      for (const [name, text] of [["ca.crt", authority.caPem], ["server.crt", server.certificatePem], ["server.key", server.keyPem]] as const) store.write(`/etc/etcd/${name}`, text, 0o600);
      await store.check(["systemd-run", "--unit=etcd", "/usr/local/bin/etcd", "--name=etcd1", "--data-dir=/var/lib/etcd", `--listen-client-urls=https://${store.address}:2379`, `--advertise-client-urls=https://${store.address}:2379`,
        "--cert-file=/etc/etcd/server.crt", "--key-file=/etc/etcd/server.key", "--trusted-ca-file=/etc/etcd/ca.crt", "--client-cert-auth=true"]);

      const host = await boot({ name: "cp1" });
      for (const [name, text] of [["ca.crt", authority.caPem], ["client.crt", client.certificatePem], ["client.key", client.keyPem]] as const) host.write(`/etc/rack-etcd/${name}`, text, 0o600);
      host.write("/root/cluster.yaml", documents("nodeRegistration: {taints: []}", `encryptionAlgorithm: ECDSA-P256
controlPlaneEndpoint: "${host.address}:6443"
etcd: {external: {endpoints: ["https://${store.address}:2379"], caFile: /etc/rack-etcd/ca.crt, certFile: /etc/rack-etcd/client.crt, keyFile: /etc/rack-etcd/client.key}}
networking: {podSubnet: 172.30.0.0/16, serviceSubnet: 172.31.128.0/20, dnsDomain: corp.example}`));
      const made = await initOk(host, ["--config", "cluster.yaml", "--upload-certs"]);
      await untilHealthy(host, 90_000, { cni: "flannel", etcd: "external" });
      assert.equal(await keysOf(host), "prime256v1");
      assert.equal((await host.run(["test", "-e", "/etc/kubernetes/manifests/etcd.yaml"])).code, 1, "there is a local etcd");
      assert.equal((await host.run(["test", "-e", "/etc/kubernetes/pki/etcd"])).code, 1, "there are certificates of a local etcd");
      await assertServiceAnswersByName(host, { domain: "corp.example" });
      const dns = await kubectl(host, ["-n", "kube-system", "get", "service", "kube-dns", "-o", "jsonpath={.spec.clusterIP}"]);
      assert.equal(dns.stdout, "172.31.128.10");
      const pods = await kubectl(host, ["-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns", "-o", "jsonpath={.items[*].status.podIP}"]);
      for (const address of pods.stdout.split(" ")) assert.match(address, /^172\.30\.\d+\.\d+$/);

      const again = await initOk(host, ["--config", "cluster.yaml"]);
      assert.deepEqual(again.document.actions.filter((action) => action.status !== "unchanged"), []);

      const [asControlPlane = ""] = made.document.result["joinCommands"] as string[];
      const second = await boot({ name: "cp2" });
      await assertAnotherControlPlane(host, second, asControlPlane, store.address);
      remove(second);
      remove(host);
    } finally {
      authority.remove();
    }
    remove(store);
  });

  test("ECDSA P-384 and both address families", async () => {
    const host = await boot({ name: "cp1", ipv6: true });
    host.write("/root/cluster.yaml", documents("nodeRegistration: {taints: []}", "encryptionAlgorithm: ECDSA-P384\nnetworking: {podSubnet: \"10.244.0.0/16,fd00:10:244::/56\", serviceSubnet: \"10.96.0.0/16,fd00:10:96::/112\"}"));
    await initOk(host, ["--config", "cluster.yaml"]);
    await untilHealthy(host, 90_000);
    assert.equal(await keysOf(host), "secp384r1");
    const node = await kubectl(host, ["get", "nodes", "-o", "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address} {.items[0].spec.podCIDRs}"]);
    assert.equal(node.stdout, `${host.address} ${host.address6} ["10.244.0.0/24","fd00:10:244::/64"]`);
    const pods = await kubectl(host, ["-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns", "-o", "jsonpath={.items[0].status.podIPs[*].ip}"]);
    assert.match(pods.stdout, /^10\.244\.0\.\d+ fd00:10:244::/);
    await assertServiceAnswersByName(host, { dualStack: true });
    const again = await initOk(host, ["--config", "cluster.yaml"]);
    assert.deepEqual(again.document.actions.filter((action) => action.status !== "unchanged"), []);
    remove(host);
  });
});
