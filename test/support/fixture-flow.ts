/**
 * A small flow with every kind of action, and the machine it runs on: random keys that later runs adopt, foreign files that are
 * changed and removed, a runtime and an API server that come up when their units are started. What the engine's laws are tried on.
 */
import { randomBytes } from "node:crypto";
import type { KubeObject } from "../../src/cluster/types.ts";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import type { RunContext } from "../../src/engine/context.ts";
import { flow } from "../../src/engine/flow.ts";
import type { Action, Phase, Probe } from "../../src/engine/types.ts";
import type { Digest, PackageImage, PackageIndex } from "../../src/package/types.ts";
import { airgappedFacts } from "./facts.ts";
import { MemoryClusterStore } from "./memory-cluster.ts";
import { MemoryHost } from "./memory-host.ts";
import { memoryPackage } from "./memory-package.ts";
import { MemoryRuntimeStore } from "./memory-runtime.ts";
import { contentOf, digestOf } from "./package-index.ts";

export const socket = "unix:///var/run/containerd/containerd.sock";
const node = "cp1";
const apiUrl = "https://192.0.2.10:6443/livez";

type None = Record<never, never>;

// ---------------------------------------------------------------- package

function entryOf(label: string): { readonly mediaType: string; readonly digest: Digest; readonly size: number } {
  const content = contentOf(label);
  return { mediaType: "application/octet-stream", digest: digestOf(content), size: content.byteLength };
}

function imageOf(name: string): PackageImage {
  const manifest = entryOf(`manifest ${name}`);
  const layers = ["base layer", `layer ${name}`].map((label) => ({ ...entryOf(label), diffId: entryOf(label).digest, unpackedSize: 100, entry: entryOf(label).digest }));
  return { reference: `registry.k8s.io/${name}:v1`, role: name, target: manifest, manifest, config: entryOf(`config ${name}`), layers };
}

const images = [imageOf("pause"), imageOf("etcd")];
const labels = ["daemon program", "base layer", ...["pause", "etcd"].flatMap((name) => [`manifest ${name}`, `config ${name}`, `layer ${name}`])];

const binaries = [{ name: "daemon", version: "v1", path: "/usr/local/bin/daemon", mode: 0o755, ...entryOf("daemon program"), source: "https://example.test/daemon" }];

export const fixtureIndex: PackageIndex = {
  formatVersion: 2, kubernetesVersion: "v1.36.2", arch: "amd64", cni: "none", images, binaries, platforms: [{ arch: "amd64", images, binaries }], documents: [],
  chunkSize: 1024 * 1024, executable: { arch: "amd64", length: 0, digest: digestOf(""), chunks: new Uint8Array(0) },
  entries: labels.map((label) => {
    const { digest, size } = entryOf(label);
    return { digest, size, encoding: "identity" as const, offset: 0, length: size, stored: digest, label, chunks: Buffer.from(digest.slice("sha256:".length), "hex") };
  }),
};

// ---------------------------------------------------------------- phases

const runtimeUnit = "/etc/systemd/system/runtime.service";
const unitText = (program: string): string => `[Service]\nExecStart=${program}\n[Install]\nWantedBy=multi-user.target\n`;
const file = (path: string, content: string, mode = 0o644, secret = false): Action => ({ kind: "file", id: `file${path}`, path, mode, content, ...(secret ? { secret: true } : {}) });
const unit = (name: string, fingerprint: string): Action => ({ kind: "unit", id: `unit/${name}`, name, enabled: true, running: true, fingerprint });
const wait = (name: string, probe: Probe): Action => ({ kind: "wait", id: `wait/${name}`, title: `The ${name} is there`, probe, timeoutMs: 60_000 });
const object = (value: KubeObject, policy: "replace" | "mutate" | "retain" | "patch", as: "admin" | "super-admin" = "admin"): Action => ({
  kind: "object", id: `${value.kind.toLowerCase()}/${value.metadata.name}`, object: value, policy, as, timeoutMs: 10_000,
});

const prepare: Phase<"prepare", None, { readonly configuration: string }> = {
  id: "prepare", title: "Prepare the machine", needs: [],
  steps: [{ id: "kernel", title: "Kernel" }, { id: "files", title: "Files" }],
  async plan({ pkg, config }) {
    const configuration = `port: ${config.init.localAPIEndpoint.bindPort}\n`;
    const [daemon] = pkg?.binaries ?? [];
    return {
      output: { configuration },
      findings: [{ check: "Swap", severity: "info", message: "swap is off" }],
      actions: [
        ...(pkg === undefined ? [] : [wait("package", { type: "package", onlyRead: false })]),
        { kind: "kernel", id: "module/br_netfilter", step: "kernel", module: "br_netfilter" },
        { kind: "kernel", id: "sysctl/ip_forward", step: "kernel", sysctl: "net.ipv4.ip_forward", value: "1" },
        { kind: "directory", id: "directory/var/lib/daemon/data", path: "/var/lib/daemon/data", mode: 0o700 },
        { ...file("/etc/daemon/config.yaml", configuration), step: "files" },
        { kind: "remove", id: "remove/etc/daemon/old.conf", path: "/etc/daemon/old.conf" },
        { kind: "remove", id: "remove/etc/daemon/conf.d", path: "/etc/daemon/conf.d", recursive: true },
        ...(daemon === undefined ? [] : [{ kind: "payload" as const, id: `file${daemon.path}`, path: daemon.path, mode: daemon.mode, digest: daemon.digest, size: daemon.size }]),
        file(runtimeUnit, unitText("/usr/local/bin/daemon")),
        unit("runtime.service", configuration),
        wait("runtime", { type: "runtime", socket }),
        { kind: "route", id: "route/10.96.0.0/12", route: { destination: "10.96.0.0/12", family: 4, device: "eth0", source: "192.0.2.10" } },
      ],
    };
  },
};

const loadImages: Phase<"images", None, None> = {
  id: "images", title: "Load the images", needs: [],
  async plan({ pkg }) {
    const carried = pkg?.images ?? [];
    return {
      output: {},
      actions: [
        ...carried.map((image): Action => ({ kind: "image", id: `image/${image.reference}`, socket, image, ...(image.role === "pause" ? { alsoAs: ["registry.test/pause:old"] } : {}) })),
        wait("images", { type: "images", socket, references: carried.flatMap(({ reference, target }) => [reference, `${reference.replace(/:v1$/, "")}@${target.digest}`]) }),
      ],
    };
  },
};

/** Random like a key; what an earlier run wrote is adopted, so that planning comes to rest. */
const keys: Phase<"keys", None, { readonly key: string }> = {
  id: "keys", title: "Make keys", needs: [],
  async plan({ read }) {
    const key = (await read.readText("/etc/daemon/secrets/key.pem")) ?? `-----BEGIN PRIVATE KEY-----\n${randomBytes(48).toString("base64")}\n-----END PRIVATE KEY-----\n`;
    return {
      output: { key },
      actions: [
        file("/etc/daemon/secrets/key.pem", key, 0o600, true),
        file("/etc/daemon/secrets/public.txt", `public half of ${digestOf(key)}\n`),
        file("/etc/kubernetes/admin.conf", `kubeconfig of admin\nclient-key-data: ${Buffer.from(key).toString("base64")}\n`, 0o600, true),
        file("/etc/kubernetes/super-admin.conf", `kubeconfig of super-admin\nclient-key-data: ${Buffer.from(key).toString("base64")}\n`, 0o600, true),
      ],
    };
  },
};

const start: Phase<"start", { readonly prepare: { readonly configuration: string } }, None> = {
  id: "start", title: "Start the daemon", needs: ["prepare"],
  async plan({ from }) {
    return {
      output: {},
      actions: [
        file("/etc/systemd/system/kubelet.service", unitText("/usr/local/bin/daemon")),
        unit("kubelet.service", from.prepare.configuration),
        file("/etc/daemon/later.yaml", "later: true\n"),
        { ...unit("kubelet.service", "later: true"), id: "unit/kubelet.service/later" },
        wait("kubelet", { type: "http", url: "http://127.0.0.1:10248/healthz", component: "kubelet", socket }),
        wait("API server", { type: "api", url: apiUrl, socket }),
      ],
    };
  },
};

const upload: Phase<"upload", None, { readonly token: string }> = {
  id: "upload", title: "Store objects in the cluster", needs: [],
  async plan({ cluster }) {
    const known = (await cluster?.get({ apiVersion: "v1", kind: "Secret", name: "token", namespace: "kube-system" }))?.["data"] as { readonly token?: string } | undefined;
    const token = known?.token === undefined ? randomBytes(32).toString("hex") : Buffer.from(known.token, "base64").toString();
    return {
      output: { token },
      actions: [
        object({ apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRoleBinding", metadata: { name: "admins" }, roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" }, subjects: [{ kind: "Group", name: "admins" }] }, "retain", "super-admin"),
        object({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "settings", namespace: "kube-system" }, data: { settings: "a: 1\nb: 2\n" } }, "mutate"),
        object({ apiVersion: "v1", kind: "Secret", metadata: { name: "token", namespace: "kube-system" }, stringData: { token } }, "replace"),
        object({ apiVersion: "v1", kind: "Node", metadata: { name: node, labels: { "node-role.kubernetes.io/control-plane": "" } }, spec: { taints: [{ key: "control-plane", effect: "NoSchedule" }] } }, "patch"),
      ],
    };
  },
};

const finish: Phase<"finish", { readonly upload: { readonly token: string } }, None> = {
  id: "finish", title: "Wait until all is well", needs: ["upload"],
  async plan({ from }) {
    return {
      output: {},
      actions: [
        file("/etc/daemon/config.d/late.yaml", "late: true\n"),
        wait("node", { type: "node-ready", node, socket }),
        wait("workloads", { type: "workloads", workloads: [{ apiVersion: "apps/v1", kind: "Deployment", name: "coredns", namespace: "kube-system" }, { apiVersion: "apps/v1", kind: "DaemonSet", name: "kube-proxy", namespace: "kube-system" }], node, socket }),
      ],
      result: { name: "joinCommand", value: { token: from.upload.token }, text: `join --token ${from.upload.token}\n` },
    };
  },
};

export const fixtureFlow = () => flow("fixture").add(prepare).add(loadImages).add(keys).add(start).add(upload).add(finish);

// ---------------------------------------------------------------- machine

export interface FixtureWorld {
  readonly host: MemoryHost;
  readonly runtime: MemoryRuntimeStore;
  readonly cluster: MemoryClusterStore;
  /** For a new process on this machine. */
  context(changes?: Partial<RunContext>): RunContext;
}

const pod = (name: string, owner: { readonly kind: string; readonly name: string }): KubeObject => ({
  apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "kube-system", ownerReferences: [owner] }, spec: { nodeName: node },
  status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] },
});

export function fixtureWorld(): FixtureWorld {
  const host = new MemoryHost({
    files: {
      "/etc/daemon/config.yaml": { content: "port: 1\n# written by an administrator\npassword: hunter2hunter2\n", mode: 0o640 },
      "/etc/daemon/old.conf": "old\n",
      "/etc/daemon/conf.d/a.conf": { content: "a\n", mode: 0o600 },
      "/etc/daemon/conf.d/deep/b.conf": "b\n",
      [runtimeUnit]: unitText("/opt/theirs/daemon"),
    },
  });
  host.files.plantLink("/etc/daemon/conf.d/link", "a.conf");
  const runtime = new MemoryRuntimeStore(host.ledger);
  const cluster = new MemoryClusterStore(host.ledger);
  const started = new Map<string, number>();
  const upFor = (name: string): number => (host.units.state(name).active === "active" ? host.now().getTime() - (started.get(name) ?? Number.POSITIVE_INFINITY) : Number.NEGATIVE_INFINITY);

  runtime.answers = () => host.units.program("runtime.service") === "/usr/local/bin/daemon" && upFor("runtime.service") >= 1000;
  cluster.answers = () => upFor("kubelet.service") >= 4000;
  host.units.onStart = (name) => {
    started.set(name, host.now().getTime());
    if (name === "runtime.service") host.openSockets.add(socket);
    if (name !== "kubelet.service" || cluster.live({ apiVersion: "v1", kind: "Node", name: node }) !== undefined) return;
    cluster.plant({ apiVersion: "v1", kind: "Node", metadata: { name: node, labels: { "kubernetes.io/hostname": node } }, status: { conditions: [{ type: "Ready", status: "True" }] } });
    cluster.plant(pod("coredns-6d5f9-abcde", { kind: "ReplicaSet", name: "coredns-6d5f9" }));
    cluster.plant(pod("kube-proxy-xyz12", { kind: "DaemonSet", name: "kube-proxy" }));
  };
  host.units.onStop = (name) => { if (name === "runtime.service") host.openSockets.delete(socket); };

  // Theirs, enabled and running before us, on another program: changed by the flow, and to be as it was after a reset.
  host.units.command("runtime.service", "enable");
  host.units.command("runtime.service", "start");

  const { config } = resolveInitConfig({ options: { cni: "none" }, facts: airgappedFacts() });
  return {
    host, runtime, cluster,
    context: (changes = {}) => ({
      host, config, pkg: memoryPackage(fixtureIndex), dryRun: false, skipPhases: [], ignorePreflightErrors: [],
      runtime: (address) => runtime.connect(address),
      connect: (text) => cluster.connect(text),
      assets: { text: (path) => { throw new Error(`no asset ${path}`); }, list: () => [] },
      signal: new AbortController().signal,
      httpGet: async () => {
        if (upFor("kubelet.service") < 2000) throw new Error("connect ECONNREFUSED 127.0.0.1:10248");
        return { status: 200, body: "ok" };
      },
      ...changes,
    }),
  };
}
