/**
 * Reset phase `remove-etcd-member`: this node leaves the etcd of its cluster while it still runs, then its data goes. The only member of a
 * cluster has nobody to take leave of. The pod is stopped before: kubeadm deletes below a running etcd, which then writes its log again.
 * A member that cannot leave although the others could let it go ends the reset: what follows takes its certificates, and nobody could try again.
 */
import { parse } from "yaml";
import type { HostReader } from "../host/types.ts";
import type { Action, ResetPhase } from "../engine/types.ts";
import { planContents } from "./reset-places.ts";
import { etcdStanding } from "./reset-etcd-standing.ts";
import { planQuiet } from "./reset-quiet.ts";

const manifest = "/etc/kubernetes/manifests/etcd.yaml";

export const removeEtcdMember: ResetPhase = {
  id: "remove-etcd-member",
  title: "Leave the cluster's etcd and remove its data on this node",
  async plan(input) {
    const { survey, recorded, force, dryRun, read } = input;
    const surveyed = (survey?.places ?? []).filter((place) => place.of === "etcd");
    const known = await dataDirectory(read);
    // Without a record, a data directory that no static pod names may belong to an etcd that has nothing to do with Kubernetes.
    const standing = recorded || force || dryRun ? await etcdStanding(input) : undefined;
    const leave = standing?.leave === undefined ? [] : [standing.leave];
    const path = known ?? (recorded ? "/var/lib/etcd" : undefined);
    const removals: readonly Action[] = survey !== undefined ? planContents(surveyed)
      : path !== undefined && (recorded || force || dryRun) ? emptied(path) : [];
    const needed = standing?.leave === undefined ? {} : { needed: { action: standing.leave.id, check: "EtcdMember", next: `; and then on another control plane: etcdctl member remove ${standing.id}` } };
    return { ...needed, actions: [...leave, ...(removals.length === 0 ? [] : [...(await planQuiet(input)), ...removals])], findings: standing?.findings ?? [] };
  },
};

function emptied(path: string): readonly Action[] {
  return [{ kind: "contents", id: `data${path}`, path, keep: [], keepItself: true, parents: [] }];
}

/** As kubeadm finds it: the volume `etcd-data` of the static pod (util/etcd). */
async function dataDirectory(read: HostReader): Promise<string | undefined> {
  const text = await read.readText(manifest);
  if (text === undefined) return undefined;
  const pod = parse(text) as { readonly spec?: { readonly volumes?: readonly { readonly name?: string; readonly hostPath?: { readonly path?: string } }[] } } | null;
  const path = pod?.spec?.volumes?.find(({ name }) => name === "etcd-data")?.hostPath?.path;
  return typeof path === "string" && /^\/[^/]/.test(path) ? path : undefined;
}
