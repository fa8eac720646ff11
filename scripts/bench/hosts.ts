/**
 * The main job on real hosts: from a bare machine to a node and all system pods Ready, the stock way and ours in turn.
 *
 *   stock   everything preinstalled for kubeadm (runtime, kubelet, programs); timed: a loop of `ctr images import` over gzip archives, `kubeadm init`,
 *           `kubectl apply` of the pod network, until all is Ready
 *   ours    nothing preinstalled but the file; timed: `kubestick init`
 *
 * Every run has a fresh host. Needs what the end-to-end tests need (README), and `kubeadm` in that folder.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { openPackage } from "../../src/package/reader.ts";
import { followEvents } from "../../test/support/e2e-events.ts";
import { kubeadmConfiguration } from "../../test/support/e2e-kubeadm.ts";
import { missingAssets, missingForHosts } from "../../test/support/e2e-requirements.ts";
import { assetsFolder, stickPath } from "../../test/support/e2e-stick.ts";
import { baseImage } from "../../test/support/hosts/base-image.ts";
import type { TestHost } from "../../test/support/hosts/test-host.ts";
import { TestNetwork } from "../../test/support/hosts/test-network.ts";
import { gzipArchives, median } from "./side-load.ts";

export interface HostsOptions {
  readonly rounds: number;
  readonly json: boolean;
}

/** Seconds from the start of the timed part. */
interface Times {
  readonly images: number;
  readonly controlPlane: number;
  readonly node: number;
  readonly pods: number;
}

const steps = [["images", "images in the runtime"], ["controlPlane", "control plane healthy"], ["node", "node Ready"], ["pods", "all system pods Ready"]] as const;

export async function benchHosts({ rounds, json }: HostsOptions): Promise<void> {
  const kubeadm = join(assetsFolder(), "bin/kubeadm");
  const missing = missingForHosts() ?? missingAssets() ?? (existsSync(kubeadm) ? undefined : `no kubeadm at ${kubeadm}`);
  if (missing !== undefined) throw new Error(`this bench needs test hosts: ${missing}`);
  baseImage();
  const stick = await stickPath({ onProgress: (line) => { console.error(line); } });
  const folder = mkdtempSync(join(tmpdir(), "kubestick-bench-"));
  const stock: Times[] = [];
  const ours: Times[] = [];
  try {
    const source = await openPackage(stick);
    console.error(`making archives of ${source.index.images.length} images`);
    const archives = await gzipArchives(source, folder);
    await source.close();
    for (let round = 1; round <= rounds; round++) {
      stock.push(await onFreshHost((host) => stockWay(host, { stick, kubeadm, archives })));
      ours.push(await onFreshHost((host) => ourWay(host, stick)));
      console.error(`round ${round} of ${rounds}: all system pods Ready after ${stock.at(-1)?.pods.toFixed(1)} s the stock way, ${ours.at(-1)?.pods.toFixed(1)} s ours`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const medians = (list: readonly Times[]): Times => Object.fromEntries(steps.map(([step]) => [step, median(list.map((times) => times[step]))])) as unknown as Times;
  const result = { machine: { cores: cpus().length, model: cpus()[0]?.model, memoryBytes: totalmem() }, rounds, stock, ours, medians: { stock: medians(stock), ours: medians(ours) } };
  console.log(json ? JSON.stringify(result, null, 2) : [
    `bare host to Ready, medians of ${rounds} rounds in turn, ${cpus().length} cores`.padEnd(60) + "  stock s   ours s   ratio",
    ...steps.map(([step, title]) => `  ${title.padEnd(58)}${result.medians.stock[step].toFixed(1).padStart(9)}${result.medians.ours[step].toFixed(1).padStart(9)}${(result.medians.ours[step] / result.medians.stock[step]).toFixed(2).padStart(8)}`),
  ].join("\n"));
}

async function onFreshHost(work: (host: TestHost) => Promise<Times>): Promise<Times> {
  const network = TestNetwork.create();
  try {
    return await work(await network.boot({ name: "cp1" }));
  } finally {
    network.destroy();
  }
}

/** All of it is one script on the host, so that no step waits for us. */
async function stockWay(host: TestHost, { stick, kubeadm, archives }: { readonly stick: string; readonly kubeadm: string; readonly archives: readonly string[] }): Promise<Times> {
  host.put(stick, "/root/kubestick");
  host.put(kubeadm, "/usr/local/bin/kubeadm");
  for (const [number, path] of archives.entries()) host.put(path, `/root/images/${String(number).padStart(2, "0")}.tar`);
  host.write("/root/cluster.yaml", kubeadmConfiguration(host.address));
  host.write("/root/flannel.yaml", readFileSync(join(import.meta.dirname, "../../bundle/cni/flannel.yaml"), "utf8").replace("- --kube-subnet-mgr", "- --kube-subnet-mgr\n        - --iface=eth0"));
  // A nameserver that nobody answers at, without which CoreDNS never becomes Ready.
  host.write("/etc/resolv.conf", "nameserver 10.77.0.1\n");
  // What is preinstalled comes from the same file; nothing of it is timed.
  await host.check(["./kubestick", "init", "phase", "node", "all", "--config", "cluster.yaml"]);
  const { stdout } = await host.run(["sh", "-c", `
    set -e
    export KUBECONFIG=/etc/kubernetes/admin.conf
    mark() { echo "MARK $1 $(date +%s.%N)"; }
    until_ready() { while ! "$@" >/dev/null 2>&1; do sleep 0.2; done; }
    mark start
    for archive in /root/images/*.tar; do ctr -n k8s.io images import "$archive" >/dev/null; done
    mark images
    kubeadm init --config /root/cluster.yaml --ignore-preflight-errors=all >/root/kubeadm.log 2>&1
    mark controlPlane
    kubectl apply -f /root/flannel.yaml >/dev/null
    until_ready kubectl wait --for=condition=Ready node --all --timeout=1s
    mark node
    until_ready sh -c 'test $(kubectl get pods -A --no-headers | wc -l) -ge 8 && kubectl wait --for=condition=Ready pod --all -A --timeout=1s'
    mark pods
  `], { timeoutMs: 600_000 });
  const at = new Map([...stdout.matchAll(/^MARK (\w+) (\S+)$/gm)].map(([, name = "", time]) => [name, Number(time)]));
  const since = (name: string): number => {
    const time = at.get(name);
    if (time === undefined) throw new Error(`the stock way did not come to ${name}\n${stdout}`);
    return time - (at.get("start") ?? Number.NaN);
  };
  return { images: since("images"), controlPlane: since("controlPlane"), node: since("node"), pods: since("pods") };
}

async function ourWay(host: TestHost, stick: string): Promise<Times> {
  host.put(stick, "/root/kubestick");
  const marks = new Map<string, number>();
  const started = performance.now();
  const mark = (name: string): void => { marks.set(name, (performance.now() - started) / 1000); };
  const run = followEvents(host, [], ({ type, phase, id, status }) => {
    if (type === "phase-finished" && phase === "images") mark("images");
    if (type === "phase-finished" && phase === "wait-control-plane") mark("controlPlane");
    if (type === "action" && id === "wait/node" && status !== "started") mark("node");
  }, { timeoutMs: 600_000 });
  const { code, stderr } = await run.result;
  if (code !== 0) throw new Error(`init ended with ${code}\n${stderr.slice(-2000)}`);
  mark("pods");
  return Object.fromEntries(steps.map(([step]) => [step, marks.get(step) ?? Number.NaN])) as unknown as Times;
}
