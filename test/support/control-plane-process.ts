/**
 * A control plane without a node: real etcd, kube-apiserver and kube-controller-manager as processes of this test on the loopback, with the
 * objects that `init` makes for joining nodes. Everything is in one temporary directory and ended by process id.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { connectCluster } from "../../src/cluster/kube-client.ts";
import type { Cluster } from "../../src/cluster/types.ts";
import { changeObjects } from "../../src/engine/change-objects.ts";
import { bootstrapRbacObjects } from "../../src/manifests/bootstrap-rbac.ts";
import { clusterInfoObjects } from "../../src/manifests/cluster-info.ts";
import { toYaml } from "../../src/manifests/yaml.ts";
import { object } from "../../src/phases/actions.ts";
import { clusterInfoKubeconfig, renderKubeconfig } from "../../src/pki/kubeconfig.ts";
import { type Authority, type Issued, openAuthority } from "../cluster/openssl-certificates.ts";
import { isProgram } from "../runtime/containerd-process.ts";

const names = ["etcd", "kube-apiserver", "kube-controller-manager"] as const;
const folders = [join(process.env["KUBESTICK_E2E_ASSETS"] ?? "/var/cache/kubestick-e2e", "bin"), ...(process.env["PATH"] ?? "").split(delimiter)].filter((folder) => folder.startsWith("/"));

/** Folder that has all three programs. */
export function controlPlanePrograms(): string | undefined {
  return folders.find((folder) => names.every((name) => isProgram(join(folder, name))));
}

export class ControlPlaneProcess {
  readonly directory = mkdtempSync(join(tmpdir(), "kubestick-control-plane-"));
  readonly ca: Authority = openAuthority("kubernetes");
  readonly #programs: string;
  readonly #children: ChildProcess[] = [];
  #output = "";
  #port = 0;
  #admin: Cluster | undefined;

  constructor(programs: string) {
    this.#programs = programs;
  }

  /** `127.0.0.1:port` */
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** With all rights. */
  get admin(): Cluster {
    if (this.#admin === undefined) throw new Error("the control plane was not started");
    return this.#admin;
  }

  get kubeconfigPath(): string {
    return join(this.directory, "admin.conf");
  }

  async start(): Promise<void> {
    const [etcdClient, etcdPeer, api, manager] = await freePorts(4);
    this.#port = api as number;
    const at = (name: string): string => join(this.directory, name);
    const caKey = this.ca.caPath.replace(/ca\.crt$/, "ca.key");
    const server = this.ca.issue("kube-apiserver", { names: "IP:127.0.0.1,DNS:kubernetes" });
    execFileSync("openssl", ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", at("sa.key")], { stdio: "ignore" });
    execFileSync("openssl", ["pkey", "-in", at("sa.key"), "-pubout", "-out", at("sa.pub")], { stdio: "ignore" });
    const kubeconfig = (user: string, { certificatePem, keyPem }: Issued): string => renderKubeconfig({ clusterName: "kubernetes", server: `https://${this.address}`, userName: user, caPem: this.ca.caPem, credentials: { certificate: certificatePem, key: keyPem } });
    const adminIdentity = this.ca.issue("kubernetes-super-admin", { organization: "system:masters" });
    writeFileSync(this.kubeconfigPath, kubeconfig("kubernetes-super-admin", adminIdentity));
    writeFileSync(at("manager.conf"), kubeconfig("system:kube-controller-manager", this.ca.issue("system:kube-controller-manager")));

    this.#spawn("etcd", [`--data-dir=${at("etcd")}`, `--listen-client-urls=http://127.0.0.1:${etcdClient}`, `--advertise-client-urls=http://127.0.0.1:${etcdClient}`, `--listen-peer-urls=http://127.0.0.1:${etcdPeer}`, `--initial-advertise-peer-urls=http://127.0.0.1:${etcdPeer}`, `--initial-cluster=default=http://127.0.0.1:${etcdPeer}`, "--unsafe-no-fsync=true"]);
    this.#spawn("kube-apiserver", [
      `--etcd-servers=http://127.0.0.1:${etcdClient}`, "--bind-address=127.0.0.1", `--secure-port=${api}`, "--advertise-address=192.0.2.10", `--tls-cert-file=${server.certificatePath}`, `--tls-private-key-file=${server.keyPath}`,
      `--client-ca-file=${this.ca.caPath}`, `--service-account-key-file=${at("sa.pub")}`, `--service-account-signing-key-file=${at("sa.key")}`, "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
      "--service-cluster-ip-range=10.96.0.0/12", "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--enable-bootstrap-token-auth=true",
    ]);
    this.#admin = connectCluster({ server: `https://${this.address}`, caPem: this.ca.caPem, certificatePem: adminIdentity.certificatePem, keyPem: adminIdentity.keyPem }, { timeoutMs: 30_000 });
    await this.until("a ready API server", async () => (await this.admin.raw("/readyz")).status === 200);
    this.#spawn("kube-controller-manager", [
      `--kubeconfig=${at("manager.conf")}`, "--leader-elect=false", "--bind-address=127.0.0.1", `--secure-port=${manager}`, `--authentication-kubeconfig=${at("manager.conf")}`, `--authorization-kubeconfig=${at("manager.conf")}`,
      `--cluster-signing-cert-file=${this.ca.caPath}`, `--cluster-signing-key-file=${caKey}`, `--root-ca-file=${this.ca.caPath}`, `--service-account-private-key-file=${at("sa.key")}`, "--use-service-account-credentials=true",
      "--controllers=serviceaccount,serviceaccount-token,csrapproving,csrsigning,bootstrapsigner,tokencleaner", "--kube-api-qps=200", "--kube-api-burst=400",
    ]);
    const objects = [...bootstrapRbacObjects(), ...clusterInfoObjects(clusterInfoKubeconfig({ caPem: this.ca.caPem, server: "https://cluster.example:6443" }))];
    const host = { now: () => new Date(), sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)) };
    for await (const _ of changeObjects(objects.map((value) => object(value, "replace", 60_000)), { cluster: this.admin, host, signal: new AbortController().signal, dryRun: false, toYaml }));
  }

  async until(what: string, holds: () => Promise<boolean>, timeoutMs = 180_000): Promise<void> {
    const end = Date.now() + timeoutMs;
    let last: unknown;
    for (;;) {
      if (await holds().catch((error: unknown) => { last = error; return false; })) return;
      const dead = this.#children.find(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null);
      if (Date.now() > end || dead !== undefined) throw new Error(`${what} did not come about (${String(last)}); ${dead === undefined ? "all processes run" : `${dead.spawnfile} ended`}:\n${this.#output.slice(-6000)}`);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }

  async remove(): Promise<void> {
    await this.#admin?.close();
    await Promise.all(this.#children.map(async (child) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
    }));
    this.ca.remove();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #spawn(name: (typeof names)[number], args: readonly string[]): void {
    const child = spawn(join(this.#programs, name), args, { stdio: ["ignore", "ignore", "pipe"], cwd: this.directory });
    child.stderr.on("data", (chunk: Buffer) => { this.#output = (this.#output + String(chunk)).slice(-20_000); });
    this.#children.push(child);
  }
}

/** All held until the last is known, so that they differ. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(Array.from({ length: count }, async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return server;
  }));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
