/** A cluster as commands reach it that belong to no machine: by the kubeconfig a person named, or kubectl's own. */
import type { Cluster } from "../cluster/types.ts";
import { changeObjects, type ObjectChange } from "../engine/change-objects.ts";
import type { ObjectAction } from "../engine/types.ts";
import { KubestickError } from "../errors.ts";
import { parseKubeconfig } from "../pki/kubeconfig.ts";
import type { Io } from "./io.ts";
import { machinePorts, type MachinePorts } from "./machine.ts";

export interface ClusterAccess {
  readonly cluster: Cluster;
  /** The kubeconfig's path. */
  readonly path: string;
  /** `https://host:port` of the kubeconfig. */
  readonly server: string;
  /** undefined: the kubeconfig embeds none. */
  readonly caPem: string | undefined;
  readonly ports: MachinePorts;
  /** In order; in a dry run nothing is changed. */
  change(actions: readonly ObjectAction[], dryRun: boolean): AsyncGenerator<ObjectChange, void>;
}

/** Opens, works, closes. */
export async function withCluster<T>(named: string | undefined, io: Io, work: (access: ClusterAccess) => Promise<T>, ports: MachinePorts = machinePorts("kubestick")): Promise<T> {
  const { path, text } = await findKubeconfig(named, io, ports);
  const { server, caPem, caPath } = parseKubeconfig(text, path);
  const authority = caPem ?? (caPath === undefined ? undefined : await ports.host.readText(caPath));
  const cluster = await ports.connect(text);
  try {
    return await work({
      cluster, path, server, caPem: authority, ports,
      change: (actions, dryRun) => changeObjects(actions, { cluster, host: ports.host, signal: io.signal, dryRun, toYaml: ports.toYaml ?? JSON.stringify }),
    });
  } finally {
    await cluster.close();
  }
}

/** kubeadm's order (cmd/util/cmdutil.go): the flag, kubectl's variable and file, admin.conf. */
async function findKubeconfig(named: string | undefined, { env }: Io, { host }: MachinePorts): Promise<{ readonly path: string; readonly text: string }> {
  const listed = (env["KUBECONFIG"] ?? "").split(":").filter((path) => path !== "");
  const home = env["HOME"];
  const candidates = named !== undefined ? [named] : [...(listed.length > 0 ? listed : home === undefined ? [] : [`${home}/.kube/config`]), "/etc/kubernetes/admin.conf"];
  for (const path of candidates) {
    const text = await host.readText(path);
    if (text !== undefined) return { path, text };
  }
  throw new KubestickError({
    code: "KUBECONFIG_ABSENT", attempted: "finding the cluster", happened: `There is no kubeconfig: ${candidates.join(", ")} ${candidates.length === 1 ? "does" : "do"} not exist.`,
    next: "Run this on a control plane as root, or name a kubeconfig with --kubeconfig FILE.",
  });
}
