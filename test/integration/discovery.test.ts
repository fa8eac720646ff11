import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ticketCreateCommand } from "../../src/cli/ticket.ts";
import { tokenCreateCommand, tokenDeleteCommand, tokenListCommand } from "../../src/cli/token-cluster.ts";
import { discover, type Discovered, type DiscoveryRequest, type DiscoveryTools } from "../../src/cluster/discovery.ts";
import { parseTicket } from "../../src/config/ticket.ts";
import { isKubestickError } from "../../src/errors.ts";
import { toYaml } from "../../src/manifests/yaml.ts";
import { decryptCertificate } from "../../src/pki/certs-secret.ts";
import { caPin } from "../../src/pki/inspect.ts";
import { testIo, TextSink } from "../cli/screen.ts";
import { hasOpenssl } from "../cluster/openssl-certificates.ts";
import { ControlPlaneProcess, controlPlanePrograms } from "../support/control-plane-process.ts";
import { joinAsNode } from "../support/simulated-node.ts";

const programs = controlPlanePrograms();
const skip = programs === undefined ? "no etcd, kube-apiserver and kube-controller-manager in KUBESTICK_E2E_ASSETS/bin or PATH" : hasOpenssl() ? false : "needs the openssl command";
/** How many nodes join at the same moment. */
const nodes = 100;

describe("discovery with a real control plane", { skip, timeout: 600_000 }, () => {
  let plane: ControlPlaneProcess;

  before(async () => {
    plane = new ControlPlaneProcess(programs as string);
    await plane.start();
  });
  after(async () => { await plane.remove(); });

  type TokenRequest = Extract<DiscoveryRequest, { kind: "token" }>;
  const find = (token: string, changes: Partial<TokenRequest> = {}, tools: DiscoveryTools = {}): Promise<Discovered> => discover(
    { kind: "token", servers: [plane.address], token, caCertHashes: [caPin(plane.ca.caPem)], unsafeSkipCaVerification: false, timeoutMs: 120_000, ...changes }, tools,
  );
  /** For what is asked again and again. */
  const impatient: DiscoveryTools = { pace: { graceMs: 1000 } };
  async function codeOf(work: Promise<unknown>): Promise<string> {
    return await work.then(() => "found", (error: unknown) => (isKubestickError(error) ? error.code : String(error)));
  }
  async function run(command: (io: ReturnType<typeof testIo>) => Promise<void>): Promise<string> {
    const io = testIo();
    await command(io);
    return (io.stdout as TextSink).text;
  }
  const create = async (flags: Parameters<typeof tokenCreateCommand>[0] = {}): Promise<string> => (await run((io) => tokenCreateCommand({ kubeconfig: plane.kubeconfigPath, ...flags }, [], io))).trim();

  test("a token made by the command is signed by the controller and finds the cluster; a deleted, a mistyped and a foreign one do not", async () => {
    const token = await create({ description: "for a test" });
    const found = await find(token);
    assert.equal(found.server, `https://${plane.address}`, "the given address is kept");
    assert.equal(found.clusterServer, "https://cluster.example:6443");
    assert.equal(found.caPem.trim(), plane.ca.caPem.trim());
    assert.match(await run((io) => tokenListCommand({ kubeconfig: plane.kubeconfigPath }, io)), new RegExp(`${token.replace(".", "\\.")} +23h +.*for a test`));

    const mistyped = token.slice(0, -1) + (token.endsWith("a") ? "b" : "a");
    assert.equal(await codeOf(find(mistyped)), "DISCOVERY_TOKEN_WRONG");
    assert.equal(await codeOf(find(token, { caCertHashes: [`sha256:${"0".repeat(64)}`] })), "DISCOVERY_CA_PIN_MISMATCH");
    assert.equal(await codeOf(find(token, {}, { now: () => new Date(Date.now() + 2 * 3_600_000) })), "DISCOVERY_CLOCK_SKEW");
    assert.equal(await codeOf(find("zzzzzz.zzzzzzzzzzzzzzzz", {}, impatient)), "DISCOVERY_TOKEN_UNKNOWN");

    await run((io) => tokenDeleteCommand({ kubeconfig: plane.kubeconfigPath }, [token], io));
    await plane.until("a cluster-info without the deleted token", async () => (await codeOf(find(token, {}, impatient))) === "DISCOVERY_TOKEN_UNKNOWN", 60_000);
  });

  test("an expired token is unknown", async () => {
    const token = await create({ ttl: "15s" });
    assert.equal(await codeOf(find(token)), "found");
    await plane.until("the end of the token", async () => (await codeOf(find(token, {}, impatient))) === "DISCOVERY_TOKEN_UNKNOWN", 120_000);
  });

  test("a token without the usage signing is told from one that is not there", async () => {
    const token = await create({ usages: ["authentication"] });
    assert.equal(await codeOf(find(token, {}, impatient)), "DISCOVERY_TOKEN_UNSIGNED");
  });

  test("a ticket of either role names the API server, and the shared certificates are under its key alone", async () => {
    const pki = join(plane.directory, "pki");
    mkdirSync(join(pki, "etcd"), { recursive: true });
    for (const name of ["ca.crt", "ca.key"]) copyFileSync(plane.ca.caPath.replace(/ca\.crt$/, name), join(pki, name));
    for (const name of ["front-proxy-ca.crt", "front-proxy-ca.key", "sa.pub", "sa.key", "etcd/ca.crt", "etcd/ca.key"]) writeFileSync(join(pki, name), `content of ${name}`);
    const clusterConfiguration = toYaml({ apiVersion: "kubeadm.k8s.io/v1beta4", kind: "ClusterConfiguration", kubernetesVersion: "v1.36.2", certificatesDir: pki, controlPlaneEndpoint: "api.example:6443" });
    await plane.admin.create({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "kubeadm-config", namespace: "kube-system" }, data: { ClusterConfiguration: clusterConfiguration } });
    await plane.until("the addresses of the API server", async () => (await plane.admin.get({ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", name: "kubernetes", namespace: "default" })) !== undefined);
    const out = join(plane.directory, "ticket.yaml");
    for (const role of ["worker", "control-plane"] as const) {
      await run((io) => ticketCreateCommand({ kubeconfig: plane.kubeconfigPath, out, "control-plane": role === "control-plane" }, io));
      const ticket = parseTicket(out, readFileSync(out, "utf8"), new Date());
      assert.equal(ticket.role, role);
      assert.deepEqual(ticket.endpoints, ["api.example:6443", `192.0.2.10:${plane.address.split(":")[1]}`], "loopback is left out");
      assert.equal(ticket.clusterId, (await plane.admin.get({ apiVersion: "v1", kind: "Namespace", name: "kube-system" }))?.metadata["uid"]);
      assert.equal(await codeOf(find(ticket.token, { caCertHashes: ticket.caCertHashes })), "found");
      if (ticket.certificateKey === undefined) continue;
      const certs = await plane.admin.get({ apiVersion: "v1", kind: "Secret", name: "kubeadm-certs", namespace: "kube-system" });
      const value = Buffer.from((certs?.["data"] as Record<string, string>)["sa.key"] ?? "", "base64");
      assert.equal(Buffer.from(decryptCertificate(value, ticket.certificateKey, "sa.key")).toString(), "content of sa.key");
    }
    assert.equal(statSync(out).mode & 0o777, 0o600);
  });

  test(`${nodes} nodes that join at the same moment all get their certificate and their Node`, async () => {
    const token = await create();
    await Promise.all(Array.from({ length: nodes }, (_, n) => joinAsNode({ name: `node-${n}`, server: plane.address, token, caCertHashes: [caPin(plane.ca.caPem)] })));
    const names = (await plane.admin.list("v1", "Node")).map(({ metadata: { name } }) => name);
    assert.deepEqual(names.sort(), Array.from({ length: nodes }, (_, n) => `node-${n}`).sort());
  });
});
