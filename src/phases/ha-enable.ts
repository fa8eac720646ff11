/**
 * The phases of `ha enable`: a cluster that was made without `--ha` gets it, node by node, while it runs.
 *
 * Each node takes only steps that are good whatever the others have done. Its haproxy and, on a control plane, the new name in the API server's
 * certificate come first and disturb nobody. The cluster names the new endpoint when every control plane has both, because from then on a client
 * may come to any of them under that name; kube-proxy, which all nodes share the settings of, follows when every node has a haproxy.
 */
import { configMap, configMapHash, hashAnnotation } from "../manifests/component-config.ts";
import type { ClusterReader, KubeObject, ObjectRef } from "../cluster/types.ts";
import type { ResolvedConfig } from "../config/types.ts";
import type { Action, Finding, Phase } from "../engine/types.ts";
import { KubestickError } from "../errors.ts";
import { clusterInfoObjects } from "../manifests/cluster-info.ts";
import { endpointAnnotation, haEndpoint, haproxyHealthPort, haproxyImage, haproxyPodName } from "../manifests/haproxy.ts";
import { hostAliases } from "../manifests/kube-proxy.ts";
import { kubeadmConfigObjects } from "../manifests/kubeadm-config.ts";
import { annotations, labels } from "../manifests/names.ts";
import { clusterInfoKubeconfig, parseKubeconfig } from "../pki/kubeconfig.ts";
import { file, fingerprint, image, object, unit, wait } from "./actions.ts";
import { certs, type CertsOutput } from "./certs.ts";
import { clusterEndpoint } from "../manifests/endpoints.ts";
import { httpsProxyFor } from "./go-proxy.ts";
import { kubeletConfPath } from "./kubeconfig.ts";
import { decideMachine } from "./machine.ts";
import { findingsOf } from "./preflight-check.ts";
import { preflightChecks } from "./preflight.ts";

type None = Record<never, never>;

/** What of the checks of init concerns a node that runs already. */
const checked: ReadonlySet<string> = new Set(["Port-*", "EndpointName", "PackageArchitecture"]);
const bridgePath = "/etc/cni/net.d/10-kubestick-bridge.conflist";

export const haPreflight: Phase<"preflight", None, None> = {
  id: "preflight",
  title: "Check the machine and the package",
  needs: [],
  async plan(input) {
    const { config, facts, read, made, pkg } = input;
    if (facts.uid !== 0) {
      return { actions: [], output: {}, findings: [{ check: "IsPrivilegedUser", severity: "error", message: `kubestick runs as user id ${facts.uid}, and ha enable needs root`, hint: "Run it with sudo, or as root." }] };
    }
    // Ports of what runs here already are its own.
    const own = { has: (id: string): boolean => made.has(id) || !id.includes("haproxy") };
    const findings: Finding[] = [...(await findingsOf(preflightChecks.filter(({ name }) => checked.has(name)), { ...input, made: own }, await decideMachine(config, facts, read, made)))];
    if ((await read.stat(bridgePath)) !== undefined) findings.push({ check: "PodNetwork", severity: "error", message: "the pods of this cluster are connected by a bridge, which reaches one node only", hint: "A cluster of several nodes needs another pod network, such as flannel." });
    if (pkg?.images.some(({ reference }) => reference === haproxyImage) !== true) {
      findings.push({ check: "ImagePull", severity: "error", message: `${pkg === undefined ? "this executable carries no package" : "the package does not carry"}${pkg === undefined ? ", and with it no" : ""} ${haproxyImage}`, hint: "Use the file that kubestick pack made, or name it with --package FILE." });
    }
    return { actions: [], output: {}, findings };
  },
};

export const haImages: Phase<"images", None, None> = {
  id: "images",
  title: "Load haproxy's image into the container runtime",
  needs: [],
  async plan({ config, pkg }) {
    const socket = config.init.nodeRegistration.criSocket;
    return { actions: [...(pkg?.images ?? []).filter(({ reference }) => reference === haproxyImage).map((carried) => image(socket, carried)), wait("images", "The runtime has haproxy's image", { type: "images", socket, references: [haproxyImage] }, 30_000)], output: {} };
  },
};

/** Of the certificates the API server's alone, which takes a new one without a restart. */
export const haCerts: Phase<"certs", None, CertsOutput> = {
  id: "certs",
  title: "Put the endpoint's name into the API server's certificate",
  needs: [],
  async plan(input) {
    const { actions, output, findings = [] } = await certs.plan(input);
    const directory = input.config.cluster.certificatesDir;
    const wanted: ReadonlySet<string> = new Set([`${directory}/apiserver.key`, `${directory}/apiserver.crt`]);
    return { actions: actions.filter((action) => "path" in action && wanted.has(action.path)), output, findings: findings.filter(({ check }) => check === "Certificate-apiserver") };
  },
};

/** The kubelet shows its certificate, because a cluster may answer nobody else. */
export const haWait: Phase<"wait-ha", None, None> = {
  id: "wait-ha",
  title: "Wait until this node reaches the control planes through its haproxy",
  needs: [],
  async plan({ config, read }) {
    const { timeouts, nodeRegistration } = config.init;
    const socket = nodeRegistration.criSocket;
    const { credentials, caPath } = parseKubeconfig((await read.readText(kubeletConfPath)) ?? "", kubeletConfPath);
    const identity = "certificatePath" in credentials ? { certificate: credentials.certificatePath, key: credentials.keyPath } : {};
    const ca = config.joining?.caCertPath ?? caPath ?? `${config.cluster.certificatesDir}/ca.crt`;
    return {
      actions: [
        wait("haproxy", "haproxy runs", { type: "http", url: `http://127.0.0.1:${haproxyHealthPort}/healthz`, component: "haproxy", socket }, timeouts.controlPlaneComponentHealthCheck),
        ...(config.joining === undefined ? [shown(config)] : []),
        wait("endpoint", `The API server answers at ${config.cluster.controlPlaneEndpoint ?? ""}`, { type: "http", url: `${clusterEndpoint(config)}/livez`, component: "kube-apiserver", ca, socket, ...identity }, timeouts.controlPlaneComponentHealthCheck),
      ],
      output: {},
    };
  },
};

export const haCluster: Phase<"cluster", { readonly certs: CertsOutput }, None> = {
  id: "cluster",
  title: "Let the cluster name the new endpoint",
  needs: ["certs"],
  reads: { certs: [] },
  async plan({ config, cluster, read, from }) {
    const waiting = await without(reached(cluster), config, { labelSelector: labels.controlPlane });
    if (waiting.length > 0) return { actions: [], output: {}, findings: [later("the cluster keeps its endpoint for now", waiting)] };
    const timeout = config.init.timeouts.kubernetesAPICall;
    const server = clusterEndpoint(config);
    const actions: Action[] = [];
    for (const path of ["/etc/kubernetes/admin.conf", "/etc/kubernetes/super-admin.conf"]) {
      const text = await read.readText(path);
      if (text !== undefined) actions.push(file(path, 0o600, withServer(text, path, server), { secret: true }));
    }
    actions.push(
      ...kubeadmConfigObjects(config).map((value) => object(value, value.kind === "ConfigMap" ? "mutate" : "replace", timeout)),
      ...clusterInfoObjects(clusterInfoKubeconfig({ caPem: from.certs.caPem, server })).filter(({ kind }) => kind === "ConfigMap").map((value) => object(value, "replace", timeout)),
    );
    return { actions, output: {} };
  },
};

const kubeProxyMap = { apiVersion: "v1", kind: "ConfigMap", name: "kube-proxy", namespace: "kube-system" } as const satisfies ObjectRef;

export const haKubeProxy: Phase<"kube-proxy", None, None> = {
  id: "kube-proxy",
  title: "Let kube-proxy use the haproxy of its node",
  needs: [],
  async plan({ config, cluster }) {
    const live = await reached(cluster).get(kubeProxyMap);
    const data = (live?.["data"] ?? {}) as Readonly<Record<string, string>>;
    const kubeconfig = data["kubeconfig.conf"];
    // Somebody else's kube-proxy, or none.
    if (live === undefined || kubeconfig === undefined) return { actions: [], output: {} };
    const waiting = await without(reached(cluster), config, {});
    if (waiting.length > 0) return { actions: [], output: {}, findings: [later("kube-proxy keeps its endpoint for now", waiting)] };
    const { host, port } = haEndpoint(config);
    const proxy = httpsProxyFor(host, port, await proxiesOf(reached(cluster)));
    if (proxy !== undefined) {
      return { actions: [], output: {}, findings: [{
        check: "HTTPProxy", severity: "warning", message: `kube-proxy keeps its endpoint, because it would ask a proxy for ${host}`,
        hint: `Make it an exception: kubectl -n kube-system set env daemonset/kube-proxy NO_PROXY=$NO_PROXY,${host}   # then run the same command again`,
      }] };
    }
    const timeout = config.init.timeouts.kubernetesAPICall;
    const changed = { ...data, "kubeconfig.conf": kubeconfig.replace(/^(\s*server:).*$/m, `$1 ${clusterEndpoint(config)}`) };
    // A hash that does not fit tells kubeadm of somebody's hand, and stays so.
    const byHand = (live.metadata["annotations"] as Readonly<Record<string, string>> | undefined)?.[annotations.componentConfigHash] !== configMapHash(data);
    const { name, namespace } = kubeProxyMap;
    return {
      actions: [
        object(configMap({ ...hashAnnotation(changed, byHand), name, namespace }, changed), "mutate", timeout),
        // It reads its kubeconfig once; pods of a changed template are replaced one node after the other.
        object({ apiVersion: "apps/v1", kind: "DaemonSet", metadata: { name, namespace }, spec: { template: { metadata: { annotations: { [endpointAnnotation]: config.cluster.controlPlaneEndpoint } }, spec: { hostAliases: hostAliases(config) } } } }, "patch", timeout),
      ],
      output: {},
    };
  },
};

/** The proxy variables that kube-proxy's pods have. */
async function proxiesOf(cluster: ClusterReader): Promise<Readonly<Record<string, string>>> {
  const daemonSet = (await cluster.get({ apiVersion: "apps/v1", kind: "DaemonSet", name: kubeProxyMap.name, namespace: kubeProxyMap.namespace })) as { readonly spec?: { readonly template?: { readonly spec?: { readonly containers?: readonly { readonly env?: readonly { readonly name: string; readonly value?: string }[] }[] } } } } | undefined;
  return Object.fromEntries((daemonSet?.spec?.template?.spec?.containers ?? []).flatMap(({ env = [] }) => env.map(({ name, value = "" }) => [name, value] as const)));
}

/** A worker's kubelet; that of a control plane asks its own API server. */
export const haKubelet: Phase<"kubelet", None, None> = {
  id: "kubelet",
  title: "Let the kubelet use the haproxy of its node",
  needs: [],
  async plan({ config, read }) {
    const text = await read.readText(kubeletConfPath);
    if (text === undefined) throw new TypeError("a node without kubelet.conf was taken for one");
    const content = withServer(text, kubeletConfPath, clusterEndpoint(config));
    return { actions: [file(kubeletConfPath, 0o600, content, { secret: true, ofCluster: true }), unit("kubelet.service", fingerprint(content), { key: "endpoint" }), shown(config, "kubelet")], output: {} };
  },
};

/** By its pod the other nodes know that this one is ready, and the kubelet shows it some seconds later. */
function shown({ init: { nodeRegistration: { name: node, criSocket: socket }, timeouts } }: ResolvedConfig, as?: "kubelet"): Action {
  const pod = { apiVersion: "v1", kind: "Pod", name: haproxyPodName(node), namespace: "kube-system" };
  return wait("haproxy/shown", "The cluster knows that this node has a haproxy", { type: "workloads", workloads: [pod], node, socket, ...(as === undefined ? {} : { as }) }, timeouts.controlPlaneComponentHealthCheck);
}

/** Only the address changes: who wrote the file, and how, stays visible. */
function withServer(text: string, path: string, server: string): string {
  return parseKubeconfig(text, path).server === server ? text : text.replace(/^(\s*(?:- )?server:).*$/m, `$1 ${server}`);
}

/** Names of the nodes whose haproxy does not serve; this one was waited for. */
async function without(cluster: ClusterReader, config: ResolvedConfig, which: { readonly labelSelector?: string }): Promise<readonly string[]> {
  const own = config.init.nodeRegistration.name;
  const missing: string[] = [];
  for (const { metadata: { name } } of await cluster.list("v1", "Node", which)) {
    if (name !== own && !serves(config, await cluster.get({ apiVersion: "v1", kind: "Pod", name: haproxyPodName(name), namespace: "kube-system" }))) missing.push(name);
  }
  return missing;
}

/** It runs, under the name that the cluster is to have: else its API server's certificate lacks it. Not Ready, which a pod ceases to be while its kubelet starts anew. */
function serves({ cluster }: ResolvedConfig, pod: KubeObject | undefined): boolean {
  const { containerStatuses = [] } = (pod?.["status"] ?? {}) as { readonly containerStatuses?: readonly { readonly state?: { readonly running?: object } }[] };
  const runs = containerStatuses.length > 0 && containerStatuses.every(({ state }) => state?.running !== undefined);
  return runs && (pod?.metadata["annotations"] as Readonly<Record<string, string>> | undefined)?.[endpointAnnotation] === cluster.controlPlaneEndpoint;
}

/** Who cannot be asked whether all are ready has not said that they are. */
function reached(cluster: ClusterReader | undefined): ClusterReader {
  if (cluster !== undefined) return cluster;
  throw new KubestickError({
    code: "CLUSTER_UNREACHABLE", attempted: "finding out whether the other nodes are ready for the new endpoint", happened: "The API server of this node does not answer.",
    next: "See why: crictl ps -a --name kube-apiserver   # then run the same command again: it continues here",
  });
}

function later(what: string, nodes: readonly string[]): Finding {
  return { check: "NextStep", severity: "warning", message: `${what}, because ${nodes.join(", ")} ${nodes.length === 1 ? "has" : "have"} no haproxy yet`, hint: `There: kubestick ha enable   # then the same once more on this node` };
}
