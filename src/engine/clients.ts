/** Connections of a run: to container runtimes and to the API server, opened when first needed and closed together. */
import type { Cluster } from "../cluster/types.ts";
import { connectEtcd, type EtcdClient } from "../cluster/etcd.ts";
import { isKubestickError, KubestickError } from "../errors.ts";
import type { Runtime } from "../runtime/types.ts";
import type { RunContext } from "./context.ts";
import type { EtcdFiles, PlanInput } from "./types.ts";

/** Whose kubeconfig in /etc/kubernetes. */
export type Identity = "admin" | "super-admin" | "kubelet";

export function kubeconfigPath(identity: Identity): string {
  return `/etc/kubernetes/${identity}.conf`;
}

export interface Clients {
  runtime(socket: string): Runtime;
  /**
   * Administrators ask this node's own API server, as in kubeadm: a load balancer in front of the cluster need not work yet. On a node that
   * joins they ask the one by which the cluster was found; with a kubeconfig of the caller's, or as the kubelet, the one in that file. `server` overrules.
   */
  cluster(identity: Identity, server?: string): Promise<Cluster>;
  etcd(endpoint: string, files: EtcdFiles): Promise<EtcdClient>;
  /** The answer of the first of these members that gives one; the failure of the last one when none does. */
  anyEtcd<T>(endpoints: readonly string[], files: EtcdFiles, ask: (etcd: EtcdClient) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** `https://<advertiseAddress>:<bindPort>` */
export function localServer(config: RunContext["config"]): string {
  const { advertiseAddress, bindPort } = config.init.localAPIEndpoint;
  return `https://${advertiseAddress.includes(":") ? `[${advertiseAddress}]` : advertiseAddress}:${bindPort}`;
}

/** Where administrators' requests of this run go. */
export function clusterServer(config: RunContext["config"]): string {
  return config.joining?.server ?? localServer(config);
}

/** The kubeconfig for an identity, and the server to ask in place of the one it names. */
export function credentialsOf(context: Pick<RunContext, "config" | "kubeconfig">, identity: Identity): { readonly path: string; readonly server?: string } {
  if (context.kubeconfig !== undefined) return { path: context.kubeconfig };
  return identity === "kubelet" ? { path: kubeconfigPath(identity) } : { path: kubeconfigPath(identity), server: clusterServer(context.config) };
}

/**
 * etcd's answers that another member would give as well. Not that the cluster is unhealthy: each tells that of its own connections (server.go, `mayRemoveMember`), and
 * one that was cut off may hold a peer for inactive, while messages pass, until a connection is made anew.
 */
const sameEverywhere: ReadonlySet<string> = new Set(["ETCD_LEARNER_BEHIND", "ETCD_LEARNER_LIMIT", "ETCD_MEMBER_EXISTS", "ETCD_MEMBER_NOT_FOUND", "ETCD_DATABASE_FULL"]);

export function openClients(context: Pick<RunContext, "host" | "runtime" | "connect" | "connectEtcd" | "config" | "kubeconfig">): Clients {
  const runtimes = new Map<string, Runtime>();
  const etcds = new Map<string, { readonly text: string; readonly client: EtcdClient }>();
  const clusters = new Map<string, { readonly text: string; readonly cluster: Cluster }>();
  const etcd = async (endpoint: string, files: EtcdFiles): Promise<EtcdClient> => {
    const [caPem, certificatePem, keyPem] = await Promise.all([files.ca, files.certificate, files.key].map(async (path) => {
      const text = await context.host.readText(path);
      if (text === undefined) throw new KubestickError({ code: "ETCD_CERTIFICATE_ABSENT", attempted: `talking to etcd at ${endpoint}`, happened: `${path} does not exist.`, next: "Run the same command again without --skip-phases: it makes the certificates." });
      return text;
    })) as [string, string, string];
    const text = `${caPem}${certificatePem}`;
    const known = etcds.get(endpoint);
    if (known?.text === text) return known.client;
    await known?.client.close();
    const client = (context.connectEtcd ?? connectEtcd)({ server: endpoint, caPem, certificatePem, keyPem });
    etcds.set(endpoint, { text, client });
    return client;
  };
  return {
    etcd,
    async anyEtcd(endpoints, files, ask) {
      let last: unknown = new KubestickError({ code: "ETCD_ENDPOINT_UNKNOWN", attempted: "talking to the etcd of the cluster", happened: "No member's address is known.", next: "Look for etcd's pods: kubectl -n kube-system get pods -l component=etcd -o wide" });
      for (const endpoint of endpoints) {
        try {
          return await ask(await etcd(endpoint, files));
        } catch (error) {
          if (isKubestickError(error) && sameEverywhere.has(error.code)) throw error;
          last = error;
        }
      }
      throw last;
    },
    runtime(socket) {
      const known = runtimes.get(socket);
      if (known !== undefined) return known;
      const opened = context.runtime(socket);
      runtimes.set(socket, opened);
      return opened;
    },
    async cluster(identity, given) {
      const { path, server: usual } = credentialsOf(context, identity);
      const server = given ?? usual;
      const text = await context.host.readText(path);
      if (text === undefined) {
        throw new KubestickError({
          code: "KUBECONFIG_ABSENT",
          attempted: `talking to the API server as ${identity}`,
          happened: `${path} does not exist.`,
          next: context.kubeconfig === undefined ? "Run the phase that makes it: kubestick init phase kubeconfig all" : "Name a kubeconfig that exists with --kubeconfig.",
        });
      }
      const key = `${identity} ${server ?? ""}`;
      const known = clusters.get(key);
      // A renewed kubeconfig must be used at once: the old one may name a certificate that is no longer trusted.
      if (known?.text === text) return known.cluster;
      await known?.cluster.close();
      const cluster = await context.connect(text, server);
      clusters.set(key, { text, cluster });
      return cluster;
    },
    async close() {
      const open = [...runtimes.values(), ...[...clusters.values()].map(({ cluster }) => cluster), ...[...etcds.values()].map(({ client }) => client)];
      runtimes.clear();
      clusters.clear();
      etcds.clear();
      await Promise.allSettled(open.map((client) => client.close())); // nothing hangs on a connection that does not close well
    },
  };
}

/** For plans: not being answered is an answer, too. */
export function membersReader(clients: Clients): NonNullable<PlanInput<never>["etcd"]> {
  return async (endpoints, files) => {
    try {
      return await clients.anyEtcd(endpoints, files, (etcd) => etcd.members());
    } catch (error) {
      if (isKubestickError(error)) return undefined;
      throw error;
    }
  };
}
