/**
 * The run of `ha enable`: what this machine is in its cluster, what the cluster says of itself, then the flow of the node's role.
 * Until the flow begins nothing is changed.
 */
import { parse } from "yaml";
import { splitHostPort } from "../config/address.ts";
import { readJoin } from "../config/join.ts";
import { resolveInitConfig } from "../config/resolve.ts";
import { joinedConfig } from "../config/resolve-join.ts";
import type { ResolvedConfig } from "../config/types.ts";
import type { ClusterReader } from "../cluster/types.ts";
import { retrying } from "../engine/actions/api-retry.ts";
import type { RunOutcome } from "../engine/outcome.ts";
import { runFlow } from "../engine/run.ts";
import type { RunEvent } from "../engine/types.ts";
import { KubestickError } from "../errors.ts";
import { controlPlaneHaFlow, readThisNode, workerHaFlow, type ThisNode } from "../flows/ha-enable.ts";
import type { HostFacts } from "../host/types.ts";
import { apiServersOf, apiServerSlice } from "../manifests/haproxy.ts";
import { storedConfiguration } from "../manifests/kubeadm-config.ts";
import { carriedPackage } from "./carried-package.ts";
import { machinePorts, type MachinePorts } from "./machine.ts";
import { trustEvents } from "./package-trust.ts";
import type { TrustFlags } from "./trust-flags.ts";

export interface HaRequest {
  /** `NAME[:PORT]` */
  readonly endpoint?: string;
  readonly packagePath?: string;
  readonly packageParts?: readonly string[];
  readonly trust?: TrustFlags;
  readonly dryRun: boolean;
}

const readingMs = 10_000;

export async function* haEvents(request: HaRequest, signal: AbortSignal, ports: MachinePorts = machinePorts("kubestick ha enable")): AsyncGenerator<RunEvent, RunOutcome> {
  const pkg = await carriedPackage(request.packagePath, request.packageParts);
  try {
    const facts = await ports.host.facts();
    if (facts.uid !== 0 && !request.dryRun) throw new KubestickError({ code: "NOT_ROOT", attempted: "making this node reach all control planes", happened: `This runs as user id ${facts.uid}, and changing a node needs root.`, next: "sudo kubestick ha enable" });
    const node = await readThisNode(ports.host);
    const config = await configured(request, node, facts, signal, ports);
    if (pkg !== undefined) yield* trustEvents(pkg, request.trust, config.install);
    return yield* runFlow(config.joining === undefined ? controlPlaneHaFlow : workerHaFlow, { ...ports, pkg, config, dryRun: request.dryRun, skipPhases: [], ignorePreflightErrors: [], signal });
  } finally {
    await pkg?.close();
  }
}

/** Asked as the kubelet, which may read what joining nodes may read. */
async function configured(request: HaRequest, node: ThisNode, facts: HostFacts, signal: AbortSignal, { host, connect }: MachinePorts): Promise<ResolvedConfig> {
  const cluster = await connect((await host.readText("/etc/kubernetes/kubelet.conf")) ?? "");
  try {
    const ask = <T>(what: () => Promise<T>): Promise<T> => retrying({ host, signal, timeoutMs: readingMs, attempted: `reading the configuration of the cluster at ${node.server}` }, what);
    const data = (await ask(() => cluster.get({ apiVersion: "v1", kind: "ConfigMap", name: "kubeadm-config", namespace: "kube-system" })))?.["data"] as Readonly<Record<string, string>> | undefined;
    const text = storedConfiguration(data);
    if (text === undefined) throw new KubestickError({ code: "HA_CLUSTER", attempted: "reading ConfigMap kube-system/kubeadm-config", happened: "It has no ClusterConfiguration, so the cluster does not say what it is.", next: "On a control plane: kubestick init phase upload-config kubeadm" });
    return node.localAPIEndpoint === undefined ? await workerConfig(request, node, data ?? {}, facts, cluster, ask) : controlPlaneConfig(request, node, node.localAPIEndpoint, text, facts);
  } finally {
    await cluster.close();
  }
}

/** The stored configuration with the new endpoint; the names by which the cluster was known stay good. */
export function controlPlaneConfig({ endpoint }: HaRequest, { name, criSocket }: ThisNode, { advertiseAddress, bindPort }: NonNullable<ThisNode["localAPIEndpoint"]>, text: string, facts: HostFacts): ResolvedConfig {
  const [stored, install] = text.split(/^---$/m).map((document) => parse(document) as Readonly<Record<string, unknown>> | null);
  const before = stored?.["controlPlaneEndpoint"] as string | undefined;
  const already = install?.["ha"] === true;
  const wanted = endpoint ?? (already ? before : undefined) ?? `kube-api.${(stored?.["clusterName"] as string | undefined) ?? "kubernetes"}.internal`;
  const known = already || before === undefined ? [] : [splitHostPort(before)?.host ?? before];
  const { config } = resolveInitConfig({
    // A pod network that is not stored was not chosen, and none is presumed.
    options: { ha: true, cni: "none", controlPlaneEndpoint: wanted, nodeName: name, criSocket, apiserverAdvertiseAddress: advertiseAddress, apiserverBindPort: bindPort, apiserverCertExtraSans: known },
    file: { name: "ConfigMap kube-system/kubeadm-config", text }, facts,
  });
  if (already && before !== undefined && config.cluster.controlPlaneEndpoint !== before) {
    throw new KubestickError({ code: "HA_ENDPOINT_OTHER", attempted: `making ${wanted} the endpoint of the cluster`, happened: `The cluster is highly available already, under ${before}.`, next: "Leave out --control-plane-endpoint; nothing was changed." });
  }
  return config;
}

async function workerConfig(
  { endpoint }: HaRequest, node: ThisNode, data: Readonly<Record<string, string>>, facts: HostFacts, cluster: ClusterReader, ask: <T>(what: () => Promise<T>) => Promise<T>,
): Promise<ResolvedConfig> {
  const install = parse(data["InstallConfiguration"] ?? "") as { readonly ha?: boolean } | null;
  if (install?.ha !== true) {
    throw new KubestickError({ code: "HA_CONTROL_PLANES_FIRST", attempted: "making this worker reach all control planes", happened: "The cluster does not name an endpoint that every node could serve itself: its control planes have not been changed yet.", next: "On every control plane: kubestick ha enable   # then the same on each worker" });
  }
  if (endpoint !== undefined) throw new KubestickError({ code: "CLI_FLAG_VALUE", attempted: "reading the arguments of \"kubestick ha enable\"", happened: "--control-plane-endpoint is for control planes; a worker takes the cluster's.", next: "Leave it out; nothing was changed." });
  const controlPlanes = apiServersOf(await ask(() => cluster.get(apiServerSlice)));
  const join = readJoin(undefined, { nodeName: node.name, criSocket: node.criSocket, endpoint: new URL(node.server).host }, facts, [], []);
  return joinedConfig({
    join, warnings: [], discoveryTimed: false, install: { cni: "none", serviceRoute: "Never", waitFor: "none", signaturePolicy: "Auto", trustedKeys: [], ha: true }, clusterText: data["ClusterConfiguration"] ?? "", facts,
    joining: {
      role: "worker", server: controlPlanes[0] === undefined ? node.server : `https://${controlPlanes[0]}`, clusterName: node.clusterName, caPem: node.caPem, caCertPath: node.caPath ?? "/etc/kubernetes/pki/ca.crt", identity: { token: "" }, kubelet: {}, apiServerVersion: "", controlPlanes,
    },
  });
}
