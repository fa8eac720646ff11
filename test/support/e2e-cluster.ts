/** Questions to a cluster on a test host, asked with its own kubectl and crictl as an operator would. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { WEB_IMAGE } from "./e2e-images.ts";
import type { CommandResult } from "./hosts/host-command.ts";
import type { TestHost } from "./hosts/test-host.ts";

/** The cache in memory: what kubectl keeps for itself is no trace of the program under test. */
const ADMIN = { KUBECONFIG: "/etc/kubernetes/admin.conf", KUBECACHEDIR: "/run/systemd/kubectl-cache" };

export function kubectl(host: TestHost, argv: readonly string[], stdin?: string): Promise<CommandResult> {
  return host.run(["kubectl", "--request-timeout=15s", ...argv], { env: ADMIN, ...(stdin === undefined ? {} : { stdin }) });
}

async function objects(host: TestHost, kinds: string): Promise<readonly KubeItem[] | string> {
  const done = await kubectl(host, ["get", kinds, "--all-namespaces", "-o", "json"]);
  return done.code === 0 ? (JSON.parse(done.stdout) as { items: KubeItem[] }).items : done.stderr.trim();
}

interface KubeItem {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly deletionTimestamp?: string };
  readonly status?: {
    readonly phase?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly lastHeartbeatTime?: string }[];
    readonly containerStatuses?: readonly { readonly state?: { readonly running?: { readonly startedAt: string } } }[];
  };
}

/** Ready now. After a power cut the API server first repeats what was true before it, so heartbeats and containers older than the boot do not count. */
function ready(item: KubeItem, host: TestHost): boolean {
  // These times have whole seconds.
  const booted = Math.floor(host.bootedAt.getTime() / 1000) * 1000;
  const condition = item.status?.conditions?.find((one) => one.type === "Ready");
  const fresh = [condition?.lastHeartbeatTime, ...(item.status?.containerStatuses ?? []).map((one) => one.state?.running?.startedAt)];
  return condition?.status === "True" && fresh.every((time) => time === undefined || time === null || Date.parse(time) >= booted);
}

export interface Expected {
  readonly cni: "flannel" | "bridge" | "none";
  /** Default: a pod on this node. */
  readonly etcd?: "external";
}

/** Everything that keeps this one-node cluster from being healthy; empty when it is. */
export async function ailments(host: TestHost, expected: Expected = { cni: "flannel" }): Promise<string[]> {
  const found = await objects(host, "nodes,pods");
  if (typeof found === "string") return [`the API server does not answer: ${found}`];
  const list: string[] = [];
  const nodes = found.filter((item) => item.kind === "Node");
  if (nodes.length !== 1) list.push(`${nodes.length} nodes instead of one`);
  for (const node of nodes) if (ready(node, host) !== (expected.cni !== "none")) list.push(`node ${node.metadata.name} is ${ready(node, host) ? "" : "not "}Ready`);
  const pods = found.filter((item) => item.kind === "Pod" && item.status?.phase !== "Succeeded");
  const wanted = [...(expected.etcd === "external" ? [] : ["etcd"]), "kube-apiserver", "kube-controller-manager", "kube-scheduler"].map((name) => `kube-system/${name}-${host.name}`)
    .concat("kube-system/kube-proxy-", "kube-system/coredns-", expected.cni === "flannel" ? ["kube-flannel/kube-flannel-ds-"] : []);
  for (const name of wanted) if (!pods.some((pod) => `${pod.metadata.namespace}/${pod.metadata.name}`.startsWith(name))) list.push(`there is no pod ${name}`);
  for (const pod of pods) {
    const { namespace, name, deletionTimestamp } = pod.metadata;
    // Without a network CoreDNS has nowhere to run, and must not be Ready.
    if (expected.cni === "none" && name.startsWith("coredns-")) continue;
    if (!ready(pod, host) || deletionTimestamp !== undefined) list.push(`pod ${namespace}/${name} is not Ready (${deletionTimestamp === undefined ? pod.status?.phase : "being deleted"})`);
  }
  return list;
}

/** Milliseconds until healthy; throws with what is wrong and what the machine says about it. */
export async function untilHealthy(host: TestHost, patienceMs: number, expected?: Expected): Promise<number> {
  const started = performance.now();
  let list = await ailments(host, expected);
  while (list.length > 0 && performance.now() - started < patienceMs) {
    await sleep(500);
    list = await ailments(host, expected);
  }
  if (list.length > 0) throw new Error(`not healthy after ${patienceMs / 1000} s:\n${list.join("\n")}\n${await explain(host)}`);
  return Math.round(performance.now() - started);
}

/** What a person would look at next; for the message of a failed test. */
export async function explain(host: TestHost): Promise<string> {
  const script = [
    "echo --- nodes and pods; kubectl --request-timeout=5s get nodes,pods -A -o wide",
    "echo --- events; kubectl --request-timeout=5s get events -A --sort-by=.lastTimestamp | tail -15",
    "echo --- journal; journalctl -u kubelet -u containerd --no-pager -n 25 -o cat",
    "for c in $(crictl ps -a --state exited -q 2>/dev/null | head -6); do echo --- container; crictl inspect -o go-template --template '{{.status.metadata.name}}' $c; crictl logs --tail 6 $c; done",
    "echo --- failed units; systemctl --failed --no-legend; df -h /",
  ].join("\n");
  const done = await host.run(["sh", "-c", script], { env: ADMIN, timeoutMs: 60_000 });
  return (done.stdout + done.stderr).slice(-12_000);
}

const TOLERATIONS = [{ operator: "Exists" }];

export interface ServiceOptions {
  readonly namespace?: string;
  /** Default `cluster.local`. */
  readonly domain?: string;
  /** The Service and its pods have an address of each family, and answer at both. */
  readonly dualStack?: true;
}

/** A web server behind a Service, and a client that knows only its name. */
export async function assertServiceAnswersByName(host: TestHost, { namespace = "e2e", domain = "cluster.local", dualStack }: ServiceOptions = {}): Promise<void> {
  const metadata = (name: string): object => ({ name, namespace, labels: { app: name } });
  const container = { name: "main", image: WEB_IMAGE, imagePullPolicy: "Never" };
  // Not wget -T: its alarm crashes a static busybox while it resolves a name.
  const look = `for i in $(seq 60); do timeout 3 wget -q -O - http://web && nslookup web.${namespace}.svc.${domain}${dualStack === true ? " && timeout 3 wget -q -O - http://$(cat /etc/addresses/4) && timeout 3 wget -q -O - http://[$(cat /etc/addresses/6)] && echo both families answer" : ""} && exit 0; sleep 1; done; cat /etc/resolv.conf; exit 1`;
  const items = [
    { apiVersion: "apps/v1", kind: "Deployment", metadata: metadata("web"), spec: { selector: { matchLabels: { app: "web" } }, template: { metadata: { labels: { app: "web" } }, spec: { tolerations: TOLERATIONS, terminationGracePeriodSeconds: 0, containers: [container] } } } },
    { apiVersion: "v1", kind: "Service", metadata: metadata("web"), spec: { selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080 }], ...(dualStack === true ? { ipFamilyPolicy: "RequireDualStack" } : {}) } },
    { apiVersion: "v1", kind: "Pod", metadata: metadata("client"), spec: { restartPolicy: "Never", tolerations: TOLERATIONS, containers: [{ ...container, command: ["/bin/sh", "-c", look], ...(dualStack === true ? { volumeMounts: [{ name: "addresses", mountPath: "/etc/addresses" }] } : {}) }], ...(dualStack === true ? { volumes: [{ name: "addresses", configMap: { name: "addresses" } }] } : {}) } },
  ];
  const created = await kubectl(host, ["create", "namespace", namespace]);
  assert.equal(created.code, 0, created.stderr);
  // A controller makes it, and a bare pod is refused until then.
  const account = await kubectl(host, ["-n", namespace, "wait", "serviceaccount/default", "--for=create", "--timeout=60s", "--request-timeout=0"]);
  assert.equal(account.code, 0, account.stderr);
  const applied = await kubectl(host, ["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  assert.equal(applied.code, 0, applied.stderr);
  if (dualStack === true) {
    // The client starts when it can be told where to look.
    const service = JSON.parse((await kubectl(host, ["-n", namespace, "get", "service", "web", "-o", "json"])).stdout) as { spec: { clusterIPs: string[] } };
    const [v4, v6] = [service.spec.clusterIPs.find((address) => !address.includes(":")), service.spec.clusterIPs.find((address) => address.includes(":"))];
    const told = await kubectl(host, ["-n", namespace, "create", "configmap", "addresses", `--from-literal=4=${v4}`, `--from-literal=6=${v6}`]);
    assert.equal(told.code, 0, told.stderr);
  }
  const waited = await kubectl(host, ["-n", namespace, "wait", "pod/client", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s", "--request-timeout=0"]);
  const log = await kubectl(host, ["-n", namespace, "logs", "client"]);
  if (waited.code !== 0) assert.fail(`the client pod got no answer: ${waited.stderr}\n${log.stdout}${log.stderr}\n${await explain(host)}`);
  assert.match(log.stdout, /served by the e2e workload/);
  assert.match(log.stdout, new RegExp(`Name:\\s+web\\.${namespace}\\.svc\\.${domain.replaceAll(".", "\\.")}`));
  if (dualStack === true) assert.match(log.stdout, /both families answer/);
  const gone = await kubectl(host, ["delete", "namespace", namespace, "--wait=true", "--timeout=60s", "--request-timeout=0"]);
  assert.equal(gone.code, 0, gone.stderr);
}

/** Folders init writes to, and the parts of them that hold bytes which may differ between two equal installations. */
const INSTALLED = ["/etc/kubernetes", "/etc/containerd", "/etc/cni", "/opt/cni", "/usr/local", "/usr/bin", "/etc/systemd/system", "/etc/modules-load.d", "/etc/sysctl.d", "/etc/crictl.yaml"];
const HASHED = "/etc/kubernetes/manifests /etc/containerd /etc/cni /etc/systemd/system /etc/modules-load.d /etc/sysctl.d /var/lib/kubelet/config.yaml /var/lib/kubelet/kubeadm-flags.env /opt/cni/bin";

/**
 * The end state of an installation as lines that are equal for equal installations: files with modes, content where it is not random by nature,
 * units, kernel settings, images with pins, API objects. Left-over temporary files, doubled tokens and missing pins all show here.
 */
export async function endState(host: TestHost): Promise<string[]> {
  const files = await host.check(["sh", "-c", `find ${INSTALLED.join(" ")} -printf '%y %m %p %l\\n'; find /var/lib/kubelet -maxdepth 1 -name 'c*' -printf '%y %m %p\\n'; find ${HASHED} -type f -exec sha256sum {} +`]);
  const units = await host.check(["sh", "-c", "systemctl is-enabled containerd kubelet; systemctl is-active containerd kubelet; systemctl --failed --no-legend"]);
  const kernel = await host.check(["sysctl", "net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables", "vm.overcommit_memory", "kernel.panic"]);
  const images = JSON.parse(await host.check(["crictl", "images", "-o", "json"])) as { images: { repoTags: string[]; repoDigests: string[]; pinned: boolean }[] };
  const found = await objects(host, "configmaps,secrets,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,daemonsets,deployments,services");
  if (typeof found === "string") throw new Error(found);
  return [
    ...files.split("\n"),
    ...units.split("\n").map((line) => `unit ${line}`),
    ...kernel.split("\n"),
    ...images.images.flatMap((image) => [...image.repoTags, ...image.repoDigests].map((name) => `image ${name} ${image.pinned ? "pinned" : "not pinned"}`)),
    ...found.map(({ kind, metadata }) => `object ${kind} ${metadata.namespace ?? ""}/${metadata.name.replace(/^bootstrap-token-[a-z0-9]{6}$/, "bootstrap-token-*")}`),
  ].filter((line) => line !== "").sort();
}

/** Lines only one of the two has. */
export function differences(left: readonly string[], right: readonly string[]): string[] {
  const count = (list: readonly string[]): Map<string, number> => list.reduce((map, line) => map.set(line, (map.get(line) ?? 0) + 1), new Map<string, number>());
  const a = count(left);
  const b = count(right);
  return [...new Set([...a.keys(), ...b.keys()])].flatMap((line) => {
    const more = (b.get(line) ?? 0) - (a.get(line) ?? 0);
    return more === 0 ? [] : [`${more > 0 ? "+" : "-"} ${line}`];
  });
}
