/** A cluster made without `--ha` gets it: on one node alone, and where other nodes are not ready for it yet. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { controlPlaneConfig } from "../../src/cli/ha-run.ts";
import { runFlow } from "../../src/engine/run.ts";
import { runReset } from "../../src/engine/undo.ts";
import type { ActionStatus } from "../../src/engine/types.ts";
import { controlPlaneHaFlow, type ThisNode } from "../../src/flows/ha-enable.ts";
import { initFlow } from "../../src/flows/init.ts";
import { resetFlow } from "../../src/flows/reset.ts";
import { storedConfiguration } from "../../src/manifests/kubeadm-config.ts";
import { readCertificate } from "../../src/pki/inspect.ts";
import { parseKubeconfig } from "../../src/pki/kubeconfig.ts";
import { collect, type Ran, type World } from "../engine/laws.ts";
import { airgappedFacts } from "../support/facts.ts";
import { initWorld } from "../support/init-world.ts";
import { differences } from "../support/memory-host.ts";

const endpoint = "kube-api.kubernetes.internal:7443";
const cluster = { apiVersion: "v1", namespace: "kube-system" } as const;
const localAPIEndpoint = { advertiseAddress: "192.0.2.10", bindPort: 6443 };
const node: ThisNode = { name: "cp1", criSocket: "unix:///run/containerd/containerd.sock", server: "https://192.0.2.10:6443", clusterName: "kubernetes", caPem: "", localAPIEndpoint };

async function initialised(): Promise<World> {
  const world = initWorld({ file: { name: "a.yaml", text: "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nencryptionAlgorithm: ECDSA-P256\ncontrolPlaneEndpoint: 192.0.2.9:6443\n" } });
  const { outcome } = await collect(runFlow(initFlow, world.context()));
  assert.equal(outcome.ok, true, JSON.stringify(outcome));
  // What its kubelet will show.
  world.cluster.plant({ apiVersion: "v1", kind: "Pod", metadata: { name: "kubestick-haproxy-cp1", namespace: "kube-system" }, spec: { nodeName: "cp1" }, status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] } });
  return world;
}

async function enable(world: World, given: Parameters<typeof controlPlaneConfig>[0] = { dryRun: false }): Promise<Ran> {
  const stored = storedConfiguration(world.cluster.live({ ...cluster, kind: "ConfigMap", name: "kubeadm-config" })?.["data"] as Readonly<Record<string, string>>) ?? "";
  return await collect(runFlow(controlPlaneHaFlow, world.context({ config: controlPlaneConfig(given, node, localAPIEndpoint, stored, airgappedFacts()) })));
}

function statuses({ events }: Ran): ReadonlyMap<string, ActionStatus> {
  return new Map(events.flatMap((event) => (event.type === "action" ? [[event.id, event.status] as const] : [])));
}

function data(world: World, name: string, namespace = "kube-system"): Readonly<Record<string, string>> {
  return (world.cluster.live({ apiVersion: "v1", kind: "ConfigMap", name, namespace })?.["data"] ?? {}) as Readonly<Record<string, string>>;
}

test("on the only node everything follows at once, a second time nothing is left to do, and reset takes it all back", async () => {
  const world = await initialised();
  const { outcome } = await enable(world);
  assert.equal(outcome.ok, true, JSON.stringify(outcome));

  const read = async (path: string): Promise<string> => (await world.host.readText(path)) ?? "";
  for (const name of ["admin.conf", "super-admin.conf"]) assert.equal(parseKubeconfig(await read(`/etc/kubernetes/${name}`)).server, `https://${endpoint}`);
  // Controllers and the kubelet keep their own API server.
  for (const name of ["controller-manager.conf", "kubelet.conf"]) assert.equal(parseKubeconfig(await read(`/etc/kubernetes/${name}`)).server, "https://192.0.2.10:6443");
  const { dnsNames, ipAddresses } = readCertificate(await read("/etc/kubernetes/pki/apiserver.crt"), "apiserver.crt");
  assert.ok(dnsNames.includes("kube-api.kubernetes.internal") && ipAddresses.includes("192.0.2.9"), JSON.stringify([dnsNames, ipAddresses]));
  const stored = parse(data(world, "kubeadm-config")["ClusterConfiguration"] ?? "") as { controlPlaneEndpoint: string; apiServer: { certSANs: string[] } };
  assert.deepEqual([stored.controlPlaneEndpoint, stored.apiServer.certSANs], [endpoint, ["192.0.2.9"]]);
  assert.match(data(world, "kubeadm-config")["InstallConfiguration"] ?? "", /^ha: true$/m);
  assert.match(data(world, "cluster-info", "kube-public")["kubeconfig"] ?? "", new RegExp(`server: https://${endpoint}\n`));
  assert.match(data(world, "kube-proxy")["kubeconfig.conf"] ?? "", new RegExp(`server: https://${endpoint}\n`));
  const daemonSet = world.cluster.live({ apiVersion: "apps/v1", kind: "DaemonSet", name: "kube-proxy", namespace: "kube-system" }) as unknown as { spec: { template: { metadata: { annotations: Record<string, string> }; spec: unknown } } };
  assert.equal(daemonSet.spec.template.metadata.annotations["kubestick.io/endpoint"], endpoint);
  assert.ok(daemonSet.spec.template.spec !== undefined);

  const again = await enable(world);
  assert.deepEqual([...statuses(again)].filter(([, status]) => status !== "unchanged"), []);

  const back = await collect(runReset(world.context(), resetFlow));
  assert.equal(back.outcome.ok, true, JSON.stringify(back.outcome));
  // Modules stay loaded, and the settings they bring with them (test/engine/laws.ts).
  assert.deepEqual(differences(initWorld().host.snapshot(), world.host.snapshot()).filter((line) => !/^(modules|sysctls)/.test(line)), []);
});

test("the cluster keeps its endpoint until every control plane has a haproxy, and kube-proxy until every node has one", async () => {
  const world = await initialised();
  const plant = (name: string, labels: Readonly<Record<string, string>>): void => { world.cluster.plant({ apiVersion: "v1", kind: "Node", metadata: { name, labels }, spec: {}, status: {} }); };
  const haproxyOn = (name: string, serves = endpoint): void => { world.cluster.plant({ apiVersion: "v1", kind: "Pod", metadata: { name: `kubestick-haproxy-${name}`, namespace: "kube-system", annotations: { "kubestick.io/endpoint": serves } }, status: { containerStatuses: [{ state: { running: {} } }], conditions: [{ type: "Ready", status: "False" }] } }); };
  plant("cp2", { "node-role.kubernetes.io/control-plane": "" });
  plant("w1", {});
  const told = ({ events }: Ran): readonly string[] => events.flatMap((event) => (event.type === "finding" && event.finding.check === "NextStep" ? [event.finding.message] : []));

  const first = await enable(world);
  assert.equal(first.outcome.ok, true, JSON.stringify(first.outcome));
  assert.deepEqual(told(first), ["the cluster keeps its endpoint for now, because cp2 has no haproxy yet", "kube-proxy keeps its endpoint for now, because cp2, w1 have no haproxy yet"]);
  assert.equal(statuses(first).get("file/etc/kubernetes/pki/apiserver.crt"), "applied");
  assert.equal(data(world, "kubeadm-config")["InstallConfiguration"], undefined);

  // One under another name is none: that API server's certificate lacks this one.
  haproxyOn("cp2", "other.example:7443");
  assert.equal(told(await enable(world))[0], "the cluster keeps its endpoint for now, because cp2 has no haproxy yet");
  haproxyOn("cp2");
  const second = await enable(world);
  assert.deepEqual(told(second), ["kube-proxy keeps its endpoint for now, because w1 has no haproxy yet"]);
  assert.match(data(world, "kubeadm-config")["InstallConfiguration"] ?? "", /ha: true/);
  assert.doesNotMatch(data(world, "kube-proxy")["kubeconfig.conf"] ?? "", /7443/);

  haproxyOn("w1");
  assert.deepEqual(told(await enable(world)), []);
  assert.match(data(world, "kube-proxy")["kubeconfig.conf"] ?? "", /7443/);
});

test("kube-proxy is left alone while it would ask a proxy for the endpoint, and its hash stays as a hand has left it", async () => {
  const world = await initialised();
  const daemonSet = { apiVersion: "apps/v1", kind: "DaemonSet", name: "kube-proxy", namespace: "kube-system" } as const;
  const live = structuredClone(world.cluster.live(daemonSet)) as unknown as { metadata: object; spec: { template: { spec: { containers: { env: { name: string; value: string }[] }[] } } } };
  const env = live.spec.template.spec.containers[0]?.env ?? [];
  env.push({ name: "HTTPS_PROXY", value: "http://proxy.example:3128" });
  world.cluster.plant(live as never);
  const first = await enable(world);
  assert.equal(first.outcome.ok, true, JSON.stringify(first.outcome));
  assert.ok(first.events.some((event) => event.type === "finding" && event.finding.check === "HTTPProxy" && event.finding.message.includes("kube-api.kubernetes.internal")));
  assert.doesNotMatch(data(world, "kube-proxy")["kubeconfig.conf"] ?? "", /7443/);

  env.push({ name: "NO_PROXY", value: "192.0.2.0/24,kube-api.kubernetes.internal" });
  world.cluster.plant(live as never);
  const map = structuredClone(world.cluster.live({ ...cluster, kind: "ConfigMap", name: "kube-proxy" })) as unknown as { metadata: { annotations: Record<string, string> }; data: Record<string, string> };
  map.data["config.conf"] = `${map.data["config.conf"] ?? ""}\n# by hand`;
  const hash = map.metadata.annotations["kubeadm.kubernetes.io/component-config.hash"];
  world.cluster.plant(map as never);
  await enable(world);
  assert.match(data(world, "kube-proxy")["kubeconfig.conf"] ?? "", /7443/);
  assert.match(data(world, "kube-proxy")["config.conf"] ?? "", /# by hand/);
  const after = world.cluster.live({ ...cluster, kind: "ConfigMap", name: "kube-proxy" })?.metadata["annotations"] as Record<string, string>;
  assert.equal(after["kubeadm.kubernetes.io/component-config.hash"], hash);
});

test("a cluster that has an endpoint of this kind already keeps its name", async () => {
  const world = await initialised();
  assert.equal((await enable(world, { dryRun: false, endpoint: "api.plant.example:9443" })).outcome.ok, true);
  assert.deepEqual([...statuses(await enable(world))].filter(([, status]) => status !== "unchanged"), []);
  await assert.rejects(enable(world, { dryRun: false, endpoint: "other.example:9443" }), { code: "HA_ENDPOINT_OTHER", happened: /api\.plant\.example:9443/ });
});
