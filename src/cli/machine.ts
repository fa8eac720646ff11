/** The real machine as the ports a run works with: host, container runtime, API server, lock. Made here so that everything below can be tested without one. */
import { discover, type Discovered, type DiscoveryRequest, type DiscoveryTools } from "../cluster/discovery.ts";
import { connectCluster } from "../cluster/kube-client.ts";
import { credentialsFromKubeconfig } from "../cluster/credentials-from-kubeconfig.ts";
import type { Cluster } from "../cluster/types.ts";
import type { RunContext } from "../engine/context.ts";
import { diagnoseWaits } from "../engine/diagnose.ts";
import { acquireLock } from "../host/lock.ts";
import { nodeHost } from "../host/node-host.ts";
import type { Host } from "../host/types.ts";
import { toYaml } from "../manifests/yaml.ts";
import { connectRuntime } from "../runtime/connect.ts";
import { embeddedAssets } from "./executable.ts";

export type { Discovered, DiscoveryRequest };

export type MachinePorts = Pick<RunContext, "host" | "runtime" | "connect" | "assets" | "lock" | "toYaml" | "diagnose">;

export interface JoinPorts extends MachinePorts {
  readonly discover: (request: DiscoveryRequest, tools: Pick<DiscoveryTools, "signal" | "report">) => Promise<Discovered>;
}

export function joinPorts(command: string): JoinPorts {
  const ports = machinePorts(command);
  return { ...ports, discover: (request, tools) => discover(request, { ...tools, readFile: (path) => ports.host.readText(path) }) };
}

/** `command` stands in the lock file, for the person whose second run is refused. */
export function machinePorts(command: string): MachinePorts {
  const host = nodeHost();
  return {
    host,
    runtime: connectRuntime,
    connect: (kubeconfigText, server) => clusterOf(host, kubeconfigText, server),
    assets: embeddedAssets(),
    lock: () => acquireLock(command),
    toYaml,
    diagnose: diagnoseWaits(host, connectRuntime),
  };
}

/** Connects with the first call: credentials may have to be read from files that the kubeconfig names. */
function clusterOf(host: Host, kubeconfigText: string, server: string | undefined): Cluster {
  let opened: Promise<Cluster> | undefined;
  const open = (): Promise<Cluster> => {
    opened ??= credentialsFromKubeconfig(kubeconfigText, "of this node", (path) => host.readText(path))
      .then((credentials) => connectCluster(credentials, server === undefined ? {} : { server }));
    return opened;
  };
  return {
    get: async (ref) => (await open()).get(ref),
    list: async (apiVersion, kind, options) => (await open()).list(apiVersion, kind, options),
    create: async (object) => (await open()).create(object),
    replace: async (object) => (await open()).replace(object),
    patch: async (ref, type, body) => (await open()).patch(ref, type, body),
    apply: async (object, options) => (await open()).apply(object, options),
    delete: async (ref) => (await open()).delete(ref),
    raw: async (path) => (await open()).raw(path),
    close: async () => { if (opened !== undefined) await (await opened).close(); },
  };
}
