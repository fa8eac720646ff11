/** Connections of a run: to container runtimes and to the API server, opened when first needed and closed together. */
import type { Cluster } from "../cluster/types.ts";
import { KubestickError } from "../errors.ts";
import type { Runtime } from "../runtime/types.ts";
import type { RunContext } from "./context.ts";

export type Identity = "admin" | "super-admin";

export function kubeconfigPath(identity: Identity): string {
  return `/etc/kubernetes/${identity}.conf`;
}

export interface Clients {
  runtime(socket: string): Runtime;
  /** This node's own API server, as in kubeadm: a load balancer in front of the cluster need not work yet. With a kubeconfig of the caller's, the server that one names. */
  cluster(identity: Identity): Promise<Cluster>;
  close(): Promise<void>;
}

/** `https://<advertiseAddress>:<bindPort>` */
export function localServer(config: RunContext["config"]): string {
  const { advertiseAddress, bindPort } = config.init.localAPIEndpoint;
  return `https://${advertiseAddress.includes(":") ? `[${advertiseAddress}]` : advertiseAddress}:${bindPort}`;
}

/** The kubeconfig for an identity, and the server to ask in place of the one it names. */
export function credentialsOf(context: Pick<RunContext, "config" | "kubeconfig">, identity: Identity): { readonly path: string; readonly server?: string } {
  return context.kubeconfig === undefined ? { path: kubeconfigPath(identity), server: localServer(context.config) } : { path: context.kubeconfig };
}

export function openClients(context: Pick<RunContext, "host" | "runtime" | "connect" | "config" | "kubeconfig">): Clients {
  const runtimes = new Map<string, Runtime>();
  const clusters = new Map<string, { readonly text: string; readonly cluster: Cluster }>();
  return {
    runtime(socket) {
      const known = runtimes.get(socket);
      if (known !== undefined) return known;
      const opened = context.runtime(socket);
      runtimes.set(socket, opened);
      return opened;
    },
    async cluster(identity) {
      const { path, server } = credentialsOf(context, identity);
      const text = await context.host.readText(path);
      if (text === undefined) {
        throw new KubestickError({
          code: "KUBECONFIG_ABSENT",
          attempted: `talking to the API server as ${identity}`,
          happened: `${path} does not exist.`,
          next: context.kubeconfig === undefined ? "Run the phase that makes it: kubestick init phase kubeconfig all" : "Name a kubeconfig that exists with --kubeconfig.",
        });
      }
      const known = clusters.get(identity);
      // A renewed kubeconfig must be used at once: the old one may name a certificate that is no longer trusted.
      if (known?.text === text) return known.cluster;
      await known?.cluster.close();
      const cluster = await context.connect(text, server);
      clusters.set(identity, { text, cluster });
      return cluster;
    },
    async close() {
      const open = [...runtimes.values(), ...[...clusters.values()].map(({ cluster }) => cluster)];
      runtimes.clear();
      clusters.clear();
      await Promise.allSettled(open.map((client) => client.close())); // nothing hangs on a connection that does not close well
    },
  };
}
