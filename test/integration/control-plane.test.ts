/**
 * The certificates, kubeconfigs and flags we make, judged by the processes that use them: a real etcd and a real kube-apiserver started with the
 * commands of our own manifests, for every algorithm. The kubelet needs a container runtime to start at all; it is judged on test hosts (test/e2e).
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, test } from "node:test";
import { credentialsFromKubeconfig } from "../../src/cluster/credentials-from-kubeconfig.ts";
import { connectCluster } from "../../src/cluster/kube-client.ts";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import type { EncryptionAlgorithm, ResolvedConfig } from "../../src/config/types.ts";
import type { Cluster, KubeObject } from "../../src/cluster/types.ts";
import { changeObjects } from "../../src/engine/change-objects.ts";
import type { ObjectAction } from "../../src/engine/types.ts";
import { controlPlanePods, firstEtcdPod } from "../../src/manifests/static-pods.ts";
import { generateKey, publicKeyPem } from "../../src/pki/keys.ts";
import { isProgram } from "../runtime/containerd-process.ts";
import { issueControlPlane } from "../support/control-plane-pki.ts";
import { assetsFolder } from "../support/e2e-stick.ts";
import { goldenFacts } from "../support/golden.ts";

const program = (name: string): string => join(assetsFolder(), "bin", name);
const absent = ["etcd", "kube-apiserver"].filter((name) => !isProgram(program(name)));
const skip = absent.length === 0 ? false : `no ${absent.join(" and no ")} in ${join(assetsFolder(), "bin")} (KUBESTICK_E2E_ASSETS names another folder)`;

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(Array.from({ length: count }, async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return server;
  }));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Everything in `folder` and on loopback; whatever is not said here is what a node would get. */
function configuration(algorithm: EncryptionAlgorithm, folder: string, [api, client, peer, metrics]: readonly number[]): ResolvedConfig {
  const args = (given: Readonly<Record<string, string>>): string => JSON.stringify(Object.entries(given).map(([name, value]) => ({ name, value })));
  const etcd = {
    "listen-client-urls": `https://127.0.0.1:${client}`, "advertise-client-urls": `https://127.0.0.1:${client}`, "listen-peer-urls": `https://127.0.0.1:${peer}`,
    "initial-advertise-peer-urls": `https://127.0.0.1:${peer}`, "initial-cluster": `cp1=https://127.0.0.1:${peer}`, "listen-metrics-urls": `http://127.0.0.1:${metrics}`, "unsafe-no-fsync": "true",
  };
  const text = `apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
nodeRegistration: {name: cp1}
localAPIEndpoint: {advertiseAddress: 192.0.2.10, bindPort: ${api}}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.36.2
encryptionAlgorithm: ${algorithm}
certificatesDir: ${folder}/pki
apiServer: {certSANs: [127.0.0.1], extraArgs: ${args({ "bind-address": "127.0.0.1", "endpoint-reconciler-type": "none" })}}
etcd: {local: {dataDir: ${folder}/data, extraArgs: ${args(etcd)}}}
`;
  return resolveInitConfig({ options: { cni: "none" }, file: { name: "config.yaml", text }, facts: goldenFacts }).config;
}

function start(pod: KubeObject, said: { text: string }): ChildProcess {
  const [container] = (pod as never as { spec: { containers: { command: string[] }[] } }).spec.containers;
  const [name = "", ...argv] = container?.command ?? [];
  const child = spawn(program(name), argv, { stdio: ["ignore", "ignore", "pipe"] });
  child.stderr?.on("data", (chunk: Buffer) => { said.text = (said.text + String(chunk)).slice(-20_000); });
  return child;
}

async function stop(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** In one go, as `init` does: the kinds are there a moment after their definitions, and what is asked again is answered from the server's own view of it. */
async function applyManifest(cluster: Cluster): Promise<void> {
  const of = (value: object): ObjectAction => ({ kind: "object", id: (value as KubeObject).metadata.name, object: value as KubeObject, policy: "apply", as: "admin", timeoutMs: 30_000 });
  const web = { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "web", namespace: "shop" }, spec: {
    selector: { matchLabels: { app: "web" } },
    template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "web", image: "a:1", resources: { requests: { cpu: "1000m", memory: "1024Mi" } }, ports: [{ containerPort: 80 }] }] } },
  } };
  const actions = [
    of({ apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } }),
    of({ apiVersion: "apiextensions.k8s.io/v1", kind: "CustomResourceDefinition", metadata: { name: "tills.shop.example" }, spec: {
      group: "shop.example", scope: "Namespaced", names: { plural: "tills", singular: "till", kind: "Till" },
      versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object", properties: { drawer: { type: "string" } } } } }],
    } }),
    of(web),
    of({ apiVersion: "shop.example/v1", kind: "Till", metadata: { name: "one", namespace: "shop" }, drawer: "left" }),
    of({ apiVersion: "v1", kind: "Secret", metadata: { name: "key", namespace: "shop" }, stringData: { token: "text" } }),
  ];
  const run = async (changes: readonly ObjectAction[], dryRun = false): Promise<string> => {
    const told: string[] = [];
    for await (const { id, status, detail } of changeObjects(changes, {
      cluster, host: { now: () => new Date(), sleep: (ms) => sleep(ms) }, signal: new AbortController().signal, dryRun, toYaml: JSON.stringify,
    })) told.push(`${id} ${status === "applied" ? detail : status}`);
    return told.join(", ");
  };
  assert.equal(await run(actions), "shop created, tills.shop.example created, web created, one created, key created");
  // "1000m" comes back as "1", and a list has defaults in its items: in a dry run, too.
  assert.equal(await run(actions, true), "shop unchanged, tills.shop.example unchanged, web unchanged, one unchanged, key unchanged");
  assert.equal(await run(actions), "shop unchanged, tills.shop.example unchanged, web unchanged, one unchanged, key unchanged");
  // Somebody else's field stays, ours comes back.
  await cluster.patch({ apiVersion: "apps/v1", kind: "Deployment", name: "web", namespace: "shop" }, "strategic", { spec: { replicas: 3, template: { spec: { containers: [{ name: "web", image: "b:2" }] } } } });
  assert.equal(await run(actions, true), "shop unchanged, tills.shop.example unchanged, web planned, one unchanged, key unchanged");
  assert.equal(await run(actions), "shop unchanged, tills.shop.example unchanged, web configured, one unchanged, key unchanged");
  const spec = (await cluster.get({ apiVersion: "apps/v1", kind: "Deployment", name: "web", namespace: "shop" }))?.["spec"] as { replicas: number; template: { spec: { containers: { image: string }[] } } };
  assert.deepEqual([spec.replicas, spec.template.spec.containers[0]?.image], [3, "a:1"]);
}

describe("etcd and kube-apiserver with our certificates and flags", { skip }, () => {
  for (const algorithm of ["RSA-2048", "RSA-3072", "RSA-4096", "ECDSA-P256", "ECDSA-P384"] as const) {
    test(`answer over mutual TLS with ${algorithm}`, { timeout: 180_000 }, async () => {
      const folder = mkdtempSync(join(tmpdir(), "kubestick-control-plane-"));
      const said = { text: "" };
      let etcd: ChildProcess | undefined;
      let server: ChildProcess | undefined;
      try {
        const ports = await freePorts(4);
        const config = configuration(algorithm, folder, ports);
        // Each authority has its own key, as have the leaves; more than a few of 4096 bits would only take time.
        const some = await Promise.all(Array.from({ length: 4 }, () => generateKey(algorithm)));
        let next = 0;
        const pki = await issueControlPlane(config, new Date(), async () => some[next++ % some.length] as string);
        const files = [...pki.certificates, ...pki.keys, ["sa.key", some[0] as string], ["sa.pub", publicKeyPem(some[0] as string)]] as const;
        for (const [name, text] of files) {
          const path = join(folder, "pki", name);
          mkdirSync(dirname(path), { recursive: true });
          writeFileSync(path, text, { mode: 0o600 });
        }
        etcd = start(firstEtcdPod(config) as KubeObject, said);
        server = start(controlPlanePods(config, { caDirectories: [], proxyEnvironment: {} })[0] as KubeObject, said);

        const as = async (name: string): Promise<ReturnType<typeof connectCluster>> =>
          connectCluster(await credentialsFromKubeconfig(pki.kubeconfigs.get(name) ?? "", name), { server: `https://127.0.0.1:${ports[0]}` });
        const admin = await as("admin.conf");
        try {
          const until = Date.now() + 120_000;
          const running: readonly ChildProcess[] = [etcd, server];
          let health = "no answer yet";
          while (health !== "ok" && Date.now() < until) {
            for (const child of running) assert.ok(child.exitCode === null, `${child.spawnfile} ended:\n${said.text.slice(-4000)}`);
            health = await admin.raw("/livez").then(({ status, body }) => (status === 200 ? "ok" : `${status} ${body}`), (error: unknown) => String(error));
            if (health !== "ok") await sleep(200);
          }
          assert.equal(health, "ok", said.text.slice(-4000));
          // Known by its certificate, and without rights until the binding of its group is there.
          await assert.rejects(admin.get({ apiVersion: "v1", kind: "Namespace", name: "kube-system" }), { code: "API_FORBIDDEN" });
        } finally {
          await admin.close();
        }
        for (const [name, ref, wanted] of [
          ["super-admin.conf", { apiVersion: "v1", kind: "Namespace", name: "default" }, "default"],
          // The node authorizer lets a kubelet read its own node, which is not registered.
          ["kubelet.conf", { apiVersion: "v1", kind: "Node", name: "cp1" }, undefined],
        ] as const) {
          const client = await as(name);
          try { assert.equal((await client.get(ref))?.metadata.name, wanted, name); } finally { await client.close(); }
        }
        if (algorithm === "ECDSA-P256") {
          const client = await as("super-admin.conf");
          try { await applyManifest(client); } finally { await client.close(); }
        }
        const other = await as("kubelet.conf");
        try { await assert.rejects(other.get({ apiVersion: "v1", kind: "Node", name: "cp2" }), { code: "API_FORBIDDEN" }); } finally { await other.close(); }
      } finally {
        await stop(server);
        await stop(etcd);
        rmSync(folder, { recursive: true, force: true });
      }
    });
  }
});
