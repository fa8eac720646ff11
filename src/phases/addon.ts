/** Phase `addon`: CoreDNS and kube-proxy, then the manifests that were added to the package. */
import type { ClusterReader, KubeObject } from "../cluster/types.ts";
import type { Action, Finding, Phase, PlanInput } from "../engine/types.ts";
import { coreDnsObjects, corefile } from "../manifests/coredns.ts";
import { kubeProxyObjects } from "../manifests/kube-proxy.ts";
import { applyPatches } from "../manifests/patches.ts";
import { object, wait } from "./actions.ts";
import { carriedManifests } from "./carried-manifests.ts";
import type { NodeOutput } from "./node.ts";
import { configuredPatches } from "./patches.ts";

type Input = PlanInput<{ readonly node: NodeOutput }>;

export const addon: Phase<"addon", { readonly node: NodeOutput }, Record<never, never>> = {
  id: "addon",
  title: "Install CoreDNS and kube-proxy",
  needs: ["node"],
  // What was decided about the machine, not what was made on it.
  reads: { node: [] },
  steps: [
    { id: "coredns", title: "Install CoreDNS" },
    { id: "kube-proxy", title: "Install kube-proxy" },
    { id: "manifests", title: "Apply the manifests the package carries" },
  ],
  async plan(input) {
    const findings: Finding[] = [];
    const dns = await planCoreDns(input, findings);
    const proxy = planKubeProxy(input);
    const network = dns.length > 0 && proxy.length > 0 ? await networkFirst(input) : undefined;
    const own = network === undefined ? [...dns, ...proxy] : [...proxy, network, ...dns];
    return { actions: [...own, ...(await planManifests(input, own, findings))], output: {}, findings };
  },
};

/** A node with flannel is Ready as soon as its configuration is there, a moment before flannel knows the node's subnet. */
const networkPatienceMs = 30_000;

/**
 * With flannel, CoreDNS comes last. Pods that are started before flannel knows the node's subnet fail, and the kubelet tries them again only
 * after 10 to 15 seconds; flannel in turn reaches the API server through kube-proxy. Where flannel is not there yet, kubeadm's order.
 */
async function networkFirst({ config: { init, install }, cluster }: Input): Promise<Action | undefined> {
  if (install.cni !== "flannel" || install.waitFor !== "system") return undefined;
  if ((await cluster?.get({ apiVersion: "apps/v1", kind: "DaemonSet", name: "kube-flannel-ds", namespace: "kube-flannel" })) === undefined) return undefined;
  const { name: node, criSocket: socket } = init.nodeRegistration;
  const probe = { type: "file", path: "/run/flannel/subnet.env", writer: "kube-flannel", node, socket } as const;
  return { ...wait("network", "flannel knows the subnet of this node", probe, networkPatienceMs, { step: "coredns" }), onlyOrder: true };
}

async function planCoreDns(input: Input, findings: Finding[]): Promise<Action[]> {
  const { config, cluster, read, from } = input;
  if (config.cluster.dns.disabled === true) return [];
  const upstream = from.node.machine.dnsUpstream;
  const replicas = await liveReplicas(cluster);
  const live = await cluster?.get({ apiVersion: "v1", kind: "ConfigMap", name: "coredns", namespace: "kube-system" });
  const liveText = (live?.["data"] as Readonly<Record<string, string>> | undefined)?.["Corefile"] ?? "";
  const domain = config.cluster.networking.dnsDomain;
  // Somebody's own Corefile is never replaced (kubeadm phases/addons/dns); both texts of ours are ours.
  const customised = liveText.trim() !== "" && ![true, false].some((flag) => corefile(domain, flag).trim() === liveText.trim());
  if (customised) findings.push({ check: "Corefile", severity: "info", message: "the Corefile of this cluster was changed by hand", hint: "It is kept as it is." });
  const patches = await configuredPatches(config, read);
  return coreDnsObjects(config, { upstream, ...(replicas === undefined ? {} : { replicas }) })
    .map((value) => (value.kind === "Deployment" ? applyPatches(patches, "corednsdeployment", value) : value))
    .map((value) => object(value, customised && value.kind === "ConfigMap" ? "retain" : "replace", config.init.timeouts.kubernetesAPICall, { step: "coredns" }));
}

/** kubeadm keeps the replica count that an administrator chose. */
async function liveReplicas(cluster: ClusterReader | undefined): Promise<number | undefined> {
  const deployments = (await cluster?.list("apps/v1", "Deployment", { namespace: "kube-system", labelSelector: "k8s-app=kube-dns" })) ?? [];
  const spec = (deployments[0] as KubeObject | undefined)?.["spec"] as { readonly replicas?: number } | undefined;
  return spec?.replicas;
}

function planKubeProxy({ config, facts, from }: Input): Action[] {
  if (config.cluster.proxy.disabled === true) return [];
  return kubeProxyObjects(config, { proxyEnvironment: facts.proxyEnvironment, conntrackWritable: !from.node.machine.conntrackReadOnly })
    .map((value) => object(value, "replace", config.init.timeouts.kubernetesAPICall, { step: "kube-proxy" }));
}

/** Theirs come last, so that they may rely on DNS; what init itself makes they may not describe, or each would undo the other. */
async function planManifests(input: Input, own: readonly Action[], findings: Finding[]): Promise<Action[]> {
  const ids = new Set(own.map(({ id }) => id));
  return (await carriedManifests(input)).flatMap(({ value, from }) => {
    const action = object(value, "apply", input.config.init.timeouts.kubernetesAPICall, { step: "manifests", why: `from ${from} in the package` });
    if (!ids.has(action.id)) return [{ ...action, id: groupedId(value) }];
    findings.push({ check: "Manifest", severity: "error", message: `${from} in the package describes ${action.id}, which init makes itself`, hint: "Take it out of the manifest, or leave out the addon with --skip-phases and its part of the configuration." });
    return [];
  });
}

/** kubectl's way to tell kinds of one name apart: `certificate.cert-manager.io/shop/tls`. */
function groupedId({ apiVersion, kind, metadata: { name, namespace } }: KubeObject): string {
  const group = apiVersion.includes("/") ? `.${apiVersion.split("/", 1)[0]}` : "";
  return `${kind.toLowerCase()}${group}/${namespace === undefined ? "" : `${namespace}/`}${name}`;
}
