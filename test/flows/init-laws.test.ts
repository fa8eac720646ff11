/** The laws of the engine on the real init flow: every phase, on a machine in memory whose daemons come up when their units start. */
import { resolveInitConfig } from "../../src/config/resolve.ts";
import { initFlow } from "../../src/flows/init.ts";
import { requiredImages } from "../../src/manifests/images.ts";
import { toYaml } from "../../src/manifests/yaml.ts";
import { lawsOf, type World } from "../engine/laws.ts";
import { airgappedFacts } from "../support/facts.ts";
import { MemoryClusterStore } from "../support/memory-cluster.ts";
import { MemoryHost } from "../support/memory-host.ts";
import { memoryPackage } from "../support/memory-package.ts";
import { MemoryRuntimeStore } from "../support/memory-runtime.ts";
import { packageIndexFor } from "../support/package-index.ts";
import { repositoryAssets } from "../support/repository-assets.ts";

const node = "cp1";

/** Images that the CNI's manifest names beyond those of the control plane. */
function cniImages(): readonly string[] {
  return [...repositoryAssets.text("bundle/cni/flannel.yaml").matchAll(/image: (\S+)/g)].map((match) => match[1] as string);
}

function world(): World {
  const { config } = resolveInitConfig({ options: {}, facts: airgappedFacts() });
  const known = new Set(requiredImages(config).map(({ reference }) => reference));
  const index = packageIndexFor(config, [...new Set(cniImages())].filter((reference) => !known.has(reference)));
  const host = new MemoryHost();
  const runtime = new MemoryRuntimeStore(host.ledger);
  const cluster = new MemoryClusterStore(host.ledger);
  const started = new Map<string, number>();
  const upFor = (name: string): number => (host.units.state(name).active === "active" ? host.now().getTime() - (started.get(name) ?? Number.POSITIVE_INFINITY) : Number.NEGATIVE_INFINITY);
  const pod = (name: string, namespace: string, kind: string, owner: string): void => {
    cluster.plant({ apiVersion: "v1", kind: "Pod", metadata: { name, namespace, ownerReferences: [{ kind, name: owner }] }, spec: { nodeName: node }, status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] } });
  };

  runtime.answers = () => upFor("containerd.service") >= 1000;
  cluster.answers = () => upFor("kubelet.service") >= 4000;
  host.units.onStop = (name) => { if (name === "containerd.service") host.openSockets.clear(); };
  host.units.onStart = (name) => {
    started.set(name, host.now().getTime());
    if (name === "containerd.service") host.openSockets.add(config.init.nodeRegistration.criSocket);
    if (name !== "kubelet.service" || cluster.live({ apiVersion: "v1", kind: "Node", name: node }) !== undefined) return;
    cluster.plant({ apiVersion: "v1", kind: "Node", metadata: { name: node, labels: { "kubernetes.io/hostname": node } }, spec: {}, status: { conditions: [{ type: "Ready", status: "True" }] } });
    pod("coredns-6d5f9-a", "kube-system", "ReplicaSet", "coredns-6d5f9");
    pod("kube-proxy-a", "kube-system", "DaemonSet", "kube-proxy");
    pod("kube-flannel-ds-a", "kube-flannel", "DaemonSet", "kube-flannel-ds");
  };
  return {
    host, runtime, cluster,
    context: (changes = {}) => ({
      host, config, toYaml, pkg: memoryPackage(index), assets: repositoryAssets, dryRun: false, skipPhases: [], ignorePreflightErrors: [],
      runtime: (socket) => runtime.connect(socket),
      connect: (text) => cluster.connect(text),
      signal: new AbortController().signal,
      httpGet: async () => {
        if (upFor("kubelet.service") < 2000) throw new Error("connect ECONNREFUSED 127.0.0.1:10248");
        return { status: 200, body: "ok" };
      },
      ...changes,
    }),
  };
}

// Keys are made anew for every kill: a sample of the changes keeps this within seconds. The fixture flow tries all of its own.
lawsOf("init", () => initFlow, world, { crashPoints: 6 });
