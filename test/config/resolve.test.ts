import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import type { InitOptions } from "../../src/config/options.ts";
import { isKubestickError, type KubestickError } from "../../src/errors.ts";
import type { HostFacts } from "../../src/host/types.ts";
import { airgappedFacts, plainFacts } from "../support/facts.ts";

function resolve(options: InitOptions = {}, text?: string, facts: HostFacts = plainFacts()): ReturnType<typeof resolveInitConfig> {
  return resolveInitConfig({ options, facts, ...(text === undefined ? {} : { file: { name: "cluster.yaml", text } }) });
}

function failure(run: () => unknown): KubestickError {
  try { run(); } catch (error) { if (isKubestickError(error)) return error; throw error; }
  throw new assert.AssertionError({ message: "it was accepted" });
}

const wholeText = (error: KubestickError): string => [error.happened, ...error.details].join("\n");

test("resolveInitConfig without any input takes kubeadm's defaults and the machine's facts", () => {
  const { config } = resolve({ cni: "none" });
  assert.equal(config.cluster.kubernetesVersion, "v1.36.2");
  assert.deepEqual(config.cluster.networking, { serviceSubnet: "10.96.0.0/12", dnsDomain: "cluster.local" });
  assert.deepEqual(config.init.localAPIEndpoint, { advertiseAddress: "192.0.2.10", bindPort: 6443 });
  assert.equal(config.init.nodeRegistration.name, "cp1");
  assert.equal(config.init.nodeRegistration.criSocket, "unix:///var/run/containerd/containerd.sock");
  assert.deepEqual(config.init.bootstrapTokens, [{ ttl: "24h0m0s", usages: ["signing", "authentication"], groups: ["system:bootstrappers:kubeadm:default-node-token"] }]);
  assert.equal(config.init.timeouts.kubeletHealthCheck, 240_000);
  assert.ok(Object.isFrozen(config) && Object.isFrozen(config.cluster.networking));
});

test("resolveInitConfig gives a pod network only to a CNI that needs one and when none is chosen", () => {
  assert.equal(resolve().config.cluster.networking.podSubnet, "10.244.0.0/16");
  assert.equal(resolve({ podNetworkCidr: "10.5.0.0/16" }).config.cluster.networking.podSubnet, "10.5.0.0/16");
  assert.equal(resolve({ cni: "none" }).config.cluster.networking.podSubnet, undefined);
});

test("resolveInitConfig gives the pods a network of each family the Services have", () => {
  assert.equal(resolve({ serviceCidr: "fd00:10:96::/112" }).config.cluster.networking.podSubnet, "fd00:10:244::/56");
  assert.equal(resolve({ serviceCidr: "10.96.0.0/16,fd00:10:96::/112" }).config.cluster.networking.podSubnet, "10.244.0.0/16,fd00:10:244::/56");
});

test("resolveInitConfig keeps the file's wish for a dry run", () => {
  assert.equal(resolve({}, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\ndryRun: true\n").config.init.dryRun, true);
  assert.equal(resolve({}, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\ndryRun: false\n").config.init.dryRun, undefined);
});

test("resolveInitConfig chooses the only global address when there is no default route", () => {
  assert.equal(resolve({}, undefined, airgappedFacts()).config.init.localAPIEndpoint.advertiseAddress, "192.0.2.10");
});

test("resolveInitConfig passes over addresses that a cluster made itself", () => {
  const facts = airgappedFacts({ addresses: [...airgappedFacts().addresses, { interface: "cni0", address: "10.244.0.1", family: 4, prefixLength: 24, global: true }, { interface: "flannel.1", address: "10.244.0.0", family: 4, prefixLength: 32, global: true }] });
  assert.equal(resolve({}, undefined, facts).config.init.localAPIEndpoint.advertiseAddress, "192.0.2.10");
});

test("resolveInitConfig asks when several addresses are possible and none has the default route", () => {
  const facts = airgappedFacts({ addresses: [...airgappedFacts().addresses, { interface: "eth1", address: "198.51.100.7", family: 4, prefixLength: 24, global: true }] });
  assert.match(wholeText(failure(() => resolve({}, undefined, facts))), /192\.0\.2\.10 on eth0, 198\.51\.100\.7 on eth1.*--apiserver-advertise-address/);
});

test("loadDocuments names line, column and the nearest field for an unknown one", () => {
  const error = failure(() => resolve({}, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking:\n  podSubent: 10.244.0.0/16\n"));
  assert.equal(error.code, "CONFIG_INVALID");
  assert.match(error.happened, /^cluster\.yaml:4:3: ClusterConfiguration\.networking: unknown field "podSubent"; did you mean "podSubnet"\?$/);
});

test("loadDocuments names line and column of broken YAML and shows the line", () => {
  const error = failure(() => resolve({}, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: [ClusterConfiguration\n"));
  assert.equal(error.code, "CONFIG_YAML");
  assert.match(error.happened, /^cluster\.yaml:\d+:\d+: /);
  assert.ok(error.details.length === 2);
});

test("resolveInitConfig reports every problem at once with its place", () => {
  const error = failure(() => resolve({}, [
    "apiVersion: kubeadm.k8s.io/v1beta4", "kind: ClusterConfiguration", "networking:", "  serviceSubnet: 10.96.0.0/30", "  dnsDomain: Not_A_Domain",
    "encryptionAlgorithm: RSA-2084", "---", "apiVersion: kubeadm.k8s.io/v1beta4", "kind: InitConfiguration", "localAPIEndpoint: {bindPort: true}", "timeouts: {discovery: 5 minutes}", "",
  ].join("\n")));
  const text = wholeText(error);
  assert.match(text, /cluster\.yaml:6:22: .*RSA-2048/);
  assert.match(text, /cluster\.yaml:10:30: .*whole number/);
  assert.match(text, /cluster\.yaml:11:23: .*duration/);
});

test("validateConfig applies kubeadm's subnet rules and points at the field", () => {
  const cluster = (networking: string): string => `apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking:\n  ${networking}\n`;
  for (const [networking, wanted] of [
    ["serviceSubnet: 10.96.0.0/29", /cluster\.yaml:4:3: .*too small/], ["serviceSubnet: 10.0.0.0/8", /too large/], ["serviceSubnet: 10.96.0.0/12,10.112.0.0/12", /one IPv4 and one IPv6/],
    ["podSubnet: 10.244.0.0/25", /smaller than the \/24/], ["podSubnet: 10.0.0.0/7", /more than 65536/], ["serviceSubnet: nonsense", /not a network/],
  ] as const) assert.match(wholeText(failure(() => resolve({}, cluster(networking)))), wanted);
  assert.doesNotThrow(() => resolve({}, cluster("serviceSubnet: 10.96.0.0/16,fd00:10:96::/112")));
});

test("validateConfig never repeats a token in its message", () => {
  const error = failure(() => resolve({ token: "SECRET.notatoken" }));
  assert.doesNotMatch(wholeText(error), /SECRET/);
});

test("loadDocuments says which kubeadm converts a retired version", () => {
  assert.match(failure(() => resolve({}, "apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\n")).happened, /v1\.22/);
});

test("resolveInitConfig fills the port of the control-plane endpoint and lower-cases SANs", () => {
  const { config } = resolve({ controlPlaneEndpoint: "lb.example", apiserverCertExtraSans: ["API.Example", "10.0.0.9"] });
  assert.equal(config.cluster.controlPlaneEndpoint, "lb.example:6443");
  assert.deepEqual(config.cluster.apiServer.certSANs, ["api.example", "10.0.0.9"]);
});

test("resolveInitConfig refuses a Kubernetes minor it has no data for", () => {
  assert.match(failure(() => resolve({ kubernetesVersion: "v1.29.0" })).happened, /1\.36/);
});

test("resolveInitConfig asks which runtime when several answer", () => {
  const facts = plainFacts({ criSockets: ["unix:///var/run/containerd/containerd.sock", "unix:///var/run/crio/crio.sock"] });
  assert.match(failure(() => resolve({}, undefined, facts)).happened, /--cri-socket/);
});
