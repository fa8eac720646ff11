/**
 * The main job on real hosts, the stock way and ours in turn.
 *
 *   stock   everything preinstalled for kubeadm (runtime, kubelet, programs); timed: a loop of `ctr images import` over gzip archives, `kubeadm init` or
 *           `kubeadm join`, `kubectl apply` of the pod network, until all is Ready
 *   ours    nothing preinstalled but the file; timed: `kubestick init` or `kubestick join`
 *
 * What is Ready is found out in both by the same loop of kubectl. Every run has fresh hosts. Needs what the end-to-end tests need (README), and `kubeadm` in
 * that folder.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openPackage } from "../../src/package/reader.ts";
import { followEvents, type RunEvent } from "../../test/support/e2e-events.ts";
import { wordsOf } from "../../test/support/e2e-join.ts";
import { kubeadmConfiguration } from "../../test/support/e2e-kubeadm.ts";
import { missingAssets, missingForHosts } from "../../test/support/e2e-requirements.ts";
import { assetsFolder, stickPath } from "../../test/support/e2e-stick.ts";
import { baseImage } from "../../test/support/hosts/base-image.ts";
import type { TestHost } from "../../test/support/hosts/test-host.ts";
import { TestNetwork } from "../../test/support/hosts/test-network.ts";
import { inWorkFolder, machine, machineText, markdownTable, median, peakOf, settle, table, type Machine } from "./measure.ts";
import { gzipArchives } from "./side-load.ts";
import { timeline, type Bar } from "./timeline.ts";

export interface HostsOptions {
  readonly rounds: number;
  /** Also the joins of a worker and of two control planes. */
  readonly joins: boolean;
  readonly work: string | undefined;
}

export interface HostsResult {
  readonly machine: Machine;
  readonly rounds: number;
  /** Seconds, medians. */
  readonly medians: readonly Row[];
  readonly installer: Cost;
  readonly stock: readonly Round[];
  readonly ours: readonly Round[];
}

interface Row {
  readonly title: string;
  readonly stock: number;
  readonly ours: number;
  readonly ratio: number;
}

const steps = [["images", "images in the runtime"], ["controlPlane", "control plane healthy"], ["node", "node Ready"], ["pods", "all system pods Ready"]] as const;
const joiners = [["worker", "w1"], ["second control plane", "cp2"], ["third control plane", "cp3"]] as const;

/** Seconds from the start of the timed part. */
type Times = Readonly<Record<(typeof steps)[number][0], number>>;

interface Round {
  readonly times: Times;
  readonly bars: readonly Bar[];
  /** Seconds until the node is Ready, in the order of `joiners`. */
  readonly joins: readonly number[];
  /** Of the installer. */
  readonly cost?: Cost;
}

/** Bytes: resident at most, read and written (proc(5), VmHWM and io). */
interface Cost {
  readonly resident: number;
  readonly read: number;
  readonly written: number;
}

interface Material {
  readonly stick: string;
  readonly kubeadm: string;
  readonly archives: readonly string[];
  readonly joins: boolean;
}

export async function benchHosts({ rounds, joins, work }: HostsOptions): Promise<HostsResult> {
  const kubeadm = join(assetsFolder(), "bin/kubeadm");
  const missing = missingForHosts() ?? missingAssets() ?? (existsSync(kubeadm) ? undefined : `no kubeadm at ${kubeadm}`);
  if (missing !== undefined) throw new Error(`this bench needs test hosts: ${missing}`);
  baseImage();
  const stick = await stickPath({ onProgress: (line) => { console.error(line); } });
  const stock: Round[] = [];
  const ours: Round[] = [];
  await inWorkFolder(work, async (folder) => {
    const source = await openPackage(stick);
    console.error(`making archives of ${source.index.images.length} images`);
    const material: Material = { stick, kubeadm, archives: await gzipArchives(source, folder), joins };
    await source.close();
    for (let round = 1; round <= rounds; round++) {
      stock.push(await onNetwork((boot) => stockWay(boot, material)));
      ours.push(await onNetwork((boot) => ourWay(boot, material)));
      console.error(`round ${round} of ${rounds}: all system pods Ready after ${stock.at(-1)?.times.pods.toFixed(1)} s the stock way, ${ours.at(-1)?.times.pods.toFixed(1)} s ours`);
    }
  });
  const medians = [
    ...steps.map(([step, title]) => rowOf(title, stock.map(({ times }) => times[step]), ours.map(({ times }) => times[step]))),
    ...(joins ? joiners.map(([title], number) => rowOf(`${title} joined and Ready`, stock.map((run) => run.joins[number] ?? Number.NaN), ours.map((run) => run.joins[number] ?? Number.NaN))) : []),
  ];
  const cost = (field: keyof Cost): number => median(ours.map((run) => run.cost?.[field] ?? Number.NaN));
  return { machine: machine(), rounds, medians, installer: { resident: Math.max(...ours.map((run) => run.cost?.resident ?? 0)), read: cost("read"), written: cost("written") }, stock, ours };
}

export function hostsText(result: HostsResult): string {
  return [headline(result), table(rowsOf(result)), installerText(result)].join("\n");
}

export function hostsMarkdown(result: HostsResult, chart: string): string {
  return [`${headline(result)}.`, "", markdownTable(rowsOf(result)), "", `${installerText(result)}.`, "", `![What happens when, kubestick above kubeadm](${chart})`].join("\n");
}

/** The round in the middle of each way. */
export function hostsChart({ stock, ours, machine: on }: HostsResult): string {
  return timeline("From a bare machine to a cluster in which everything is Ready", machineText(on), [{ name: "kubestick", bars: middle(ours).bars }, { name: "kubeadm", bars: middle(stock).bars }]);
}

function headline({ rounds, machine: on }: HostsResult): string {
  return `Fresh hosts, ${rounds === 1 ? "one round of each" : `medians of ${rounds} rounds in turn`}, on ${machineText(on)}`;
}

function rowsOf({ medians }: HostsResult): string[][] {
  return [["seconds until", "kubeadm", "kubestick", "ratio"], ...medians.map(({ title, stock, ours, ratio }) => [title, stock.toFixed(1), ours.toFixed(1), ratio.toFixed(2)])];
}

function installerText({ installer }: HostsResult): string {
  const mib = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;
  return `The installer had ${mib(installer.resident)} resident at most, read ${mib(installer.read)} and wrote ${mib(installer.written)}`;
}

function rowOf(title: string, theirs: readonly number[], mine: readonly number[]): Row {
  return { title, stock: median(theirs), ours: median(mine), ratio: median(mine) / median(theirs) };
}

function middle(runs: readonly Round[]): Round {
  return runs.toSorted((a, b) => a.times.pods - b.times.pods)[Math.floor(runs.length / 2)] as Round;
}

type Boot = (name: string) => Promise<TestHost>;

async function onNetwork(work: (boot: Boot) => Promise<Round>): Promise<Round> {
  const network = TestNetwork.create();
  try {
    return await work((name) => network.boot({ name }));
  } finally {
    network.destroy();
  }
}

// ---------------------------------------------------------------- what both are asked

/** Shell functions: what time it is under a name, and waiting until something is so. */
const shell = `
  export KUBECONFIG=/etc/kubernetes/admin.conf
  mark() { echo "MARK $1 $(date +%s.%N)"; }
  until_so() { while ! "$@" >/dev/null 2>&1; do sleep 0.5; done; }
  until_node() { until_so kubectl wait --for=condition=Ready node "$1" --timeout=1s; }
  until_pods() { until_so sh -c 'test $(kubectl get pods -A --no-headers | wc -l) -ge 8 && kubectl wait --for=condition=Ready pod --all -A --timeout=1s'; }
`;

/** Seconds since the epoch, by name. */
async function marksOf(host: TestHost, script: string): Promise<(name: string) => number> {
  const { stdout, stderr } = await host.run(["sh", "-c", `set -e\n${shell}\n${script}`], { timeoutMs: 900_000 });
  const at = new Map([...stdout.matchAll(/^MARK (\w+) (\S+)$/gm)].map(([, name = "", time]) => [name, Number(time)]));
  return (name) => {
    const time = at.get(name);
    if (time === undefined) throw new Error(`${host.name} did not come to ${name}\n${stdout}\n${stderr.slice(-2000)}`);
    return time;
  };
}

/** A host joins by `timed`; seconds until the cluster, as seen from its first node, has it Ready. */
async function joinTime(first: TestHost, host: TestHost, timed: () => Promise<unknown>): Promise<number> {
  await settle();
  const started = Date.now() / 1000;
  const [marks] = await Promise.all([marksOf(first, `until_node ${host.name}; mark ready`), timed()]);
  return marks("ready") - started;
}

// ---------------------------------------------------------------- the stock way

const certificateKey = "0".repeat(64);
const token = "abcdef.0123456789abcdef";

async function preinstalled(host: TestHost, { stick, kubeadm, archives }: Material): Promise<void> {
  host.put(stick, "/root/kubestick");
  host.put(kubeadm, "/usr/local/bin/kubeadm");
  for (const [number, path] of archives.entries()) host.put(path, `/root/images/${String(number).padStart(2, "0")}.tar`);
  host.write("/root/cluster.yaml", kubeadmConfiguration(host.address));
  // A nameserver that nobody answers at, without which CoreDNS never becomes Ready.
  host.write("/etc/resolv.conf", "nameserver 10.77.0.1\n");
  // What is preinstalled comes from the same file; nothing of it is timed.
  for (const phase of [["node", "all"], ["tools"]]) await host.check(["./kubestick", "init", "phase", ...phase, "--config", "cluster.yaml"]);
}

const importLoop = `for archive in /root/images/*.tar; do ctr -n k8s.io images import "$archive" >/dev/null; done`;

/** All of it is one script on the host, so that no step waits for us. */
async function stockWay(boot: Boot, material: Material): Promise<Round> {
  const host = await boot("cp1");
  await preinstalled(host, material);
  const endpoint = `${host.address}:6443`;
  const configuration = kubeadmConfiguration(host.address).replace("kind: InitConfiguration\n", `kind: InitConfiguration\ncertificateKey: "${certificateKey}"\n`).replace("kind: ClusterConfiguration\n", `kind: ClusterConfiguration\ncontrolPlaneEndpoint: ${endpoint}\n`);
  host.write("/root/cluster.yaml", configuration);
  host.write("/root/flannel.yaml", readFileSync(join(import.meta.dirname, "../../bundle/cni/flannel.yaml"), "utf8").replace("- --kube-subnet-mgr", "- --kube-subnet-mgr\n        - --iface=eth0"));
  await settle();
  const at = await marksOf(host, `
    mark start
    ${importLoop}
    mark images
    kubeadm init --config /root/cluster.yaml --upload-certs --ignore-preflight-errors=all >/root/kubeadm.log 2>&1
    mark controlPlane
    kubectl apply -f /root/flannel.yaml >/dev/null
    until_node cp1
    mark node
    until_pods
    mark pods
  `);
  const since = (name: string): number => at(name) - at("start");
  const times: Times = { images: since("images"), controlPlane: since("controlPlane"), node: since("node"), pods: since("pods") };
  const joins: number[] = [];
  for (const [title, name] of material.joins ? joiners : []) {
    const joining = await boot(name);
    await preinstalled(joining, material);
    const controlPlane = title === "worker" ? "" : `controlPlane: {certificateKey: "${certificateKey}", localAPIEndpoint: {advertiseAddress: ${joining.address}}}\n`;
    joining.write("/root/join.yaml", `apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery: {bootstrapToken: {token: ${token}, apiServerEndpoint: "${endpoint}", unsafeSkipCAVerification: true}}
nodeRegistration: {kubeletExtraArgs: [{name: node-ip, value: ${joining.address}}]}
${controlPlane}`);
    joins.push(await joinTime(host, joining, () => joining.check(["sh", "-c", `set -e; ${importLoop}; kubeadm join --config /root/join.yaml --ignore-preflight-errors=all >/root/kubeadm.log 2>&1`], { timeoutMs: 600_000 })));
  }
  return {
    times, joins,
    bars: [
      { title: "images: ctr images import, one by one", from: 0, to: times.images }, { title: "kubeadm init", from: times.images, to: times.controlPlane },
      { title: "pod network, until the node is Ready", from: times.controlPlane, to: times.node }, { title: "system pods", from: times.node, to: times.pods },
    ],
  };
}

// ---------------------------------------------------------------- our way

/** What the phases of `init` are to somebody who waits for them. */
const stages: readonly (readonly [title: string, phases: readonly string[]])[] = [
  ["checks", ["preflight"]],
  ["kernel, runtime, programs", ["node"]],
  ["images, several at once", ["images"]],
  ["keys and manifests", ["certs", "kubeconfig", "etcd", "ha"]],
  ["control plane starts", ["kubelet-start", "wait-control-plane"]],
  ["tools, CNI plugins", ["tools"]],
  ["settings, pod network, addons", ["controller-accounts", "upload-config", "upload-certs", "mark-control-plane", "bootstrap-token", "kubelet-finalize", "cni", "addon"]],
  ["system pods", ["wait-node"]],
];

async function ourWay(boot: Boot, { stick, joins: withJoins }: Material): Promise<Round> {
  const host = await boot("cp1");
  host.put(stick, "/root/kubestick");
  const phases = new Map<string, { readonly from: number; to: number }>();
  let commands: readonly string[] = [];
  await settle();
  const started = Date.now() / 1000;
  const now = (): number => Date.now() / 1000 - started;
  let healthy = Number.NaN;
  const answering = Promise.withResolvers<void>();
  const run = followEvents(host, withJoins ? ["--control-plane-endpoint", `${host.address}:6443`, "--upload-certs"] : [], (event: RunEvent & { readonly result?: { readonly name: string; readonly value: unknown } }) => {
    if (event.type === "phase-started" && event.phase !== undefined) phases.set(event.phase, { from: now(), to: Number.NaN });
    const phase = phases.get(event.phase ?? "");
    if (event.type === "phase-finished" && phase !== undefined) phase.to = now();
    if (event.type === "phase-finished" && event.phase === "wait-control-plane") {
      healthy = now();
      answering.resolve();
    }
    if (event.type === "run-finished") answering.resolve();
    if (event.type === "result" && event.result?.name === "joinCommands") commands = event.result.value as readonly string[];
  }, { timeoutMs: 600_000 });
  const pid = await run.pid();
  let cost: Cost = { resident: 0, read: 0, written: 0 };
  const sample = setInterval(() => { cost = costOf(pid) ?? cost; }, 250);
  // From when the stock way asks, and as it asks: a kubectl that is refused costs the machine as much as one that is answered.
  const [at, { code, stderr }] = await Promise.all([answering.promise.then(() => marksOf(host, "until_node cp1; mark node; until_pods; mark pods")), run.result]);
  clearInterval(sample);
  if (code !== 0) throw new Error(`init ended with ${code}\n${stderr.slice(-2000)}`);
  const bars = stages.map(([title, ids]): Bar => {
    const own = ids.flatMap((id) => phases.get(id) ?? []);
    return { title, from: Math.min(...own.map(({ from }) => from)), to: Math.max(...own.map(({ to }) => to)) };
  });
  const joins: number[] = [];
  for (const [title, name] of withJoins ? joiners : []) {
    const joining = await boot(name);
    joining.put(stick, "/root/kubestick");
    const [controlPlane = "", worker = ""] = commands;
    joins.push(await joinTime(host, joining, () => joining.check(["./kubestick", "join", ...wordsOf(title === "worker" ? worker : controlPlane)], { timeoutMs: 600_000 })));
  }
  return { times: { images: phases.get("images")?.to ?? Number.NaN, controlPlane: healthy, node: at("node") - started, pods: at("pods") - started }, bars, joins, cost };
}

function costOf(pid: number): Cost | undefined {
  const resident = peakOf(pid);
  if (resident === 0) return undefined; // ended
  try {
    const io = readFileSync(`/proc/${pid}/io`, "utf8");
    const field = (name: string): number => Number(new RegExp(`^${name}: (\\d+)$`, "m").exec(io)?.[1]);
    return { resident, read: field("rchar"), written: field("write_bytes") };
  } catch {
    return undefined; // ended meanwhile
  }
}
