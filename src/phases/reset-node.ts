/**
 * Reset phase `cleanup-node`: everything the cluster left on this machine that no file of ours describes. Pods, mounts, data, logs,
 * interfaces, packet-filter rules. Without a survey it keeps to kubeadm's list (cmd/phases/reset/cleanupnode.go).
 */
import type { Action, ResetInput, ResetPhase } from "../engine/types.ts";
import { clusterSettings } from "./cluster-settings.ts";
import { awaitsRuntime, planContents } from "./reset-places.ts";
import { planQuiet } from "./reset-quiet.ts";

const kubeletDirectory = "/var/lib/kubelet";

/** Of kube-proxy and the kubelet, of flannel, of the CNI plugins (portmap: CNI-HOSTPORT-, CNI-DN-; bridge: CNI-<hash>). */
const chainPrefixes = ["KUBE-", "FLANNEL-", "CNI-"];
/** kube-proxy in nftables mode, flannel with EnableNFTables, CNI plugins with the nftables backend. */
const ownTables = ["ip kube-proxy", "ip6 kube-proxy", "ip flannel-ipv4", "ip6 flannel-ipv6", "inet cni_hostport", "inet cni_plugins_masquerade"];
/** iptables-nft makes these when they are first needed. */
const sharedTables = ["ip", "ip6"].flatMap((family) => ["filter", "nat", "mangle", "raw"].map((table) => `${family} ${table}`));

const interfaceNames = new Set(["flannel.1", "flannel-v6.1", "cni0", "kube-ipvs0"]);
/** As the bridge plugin names them (containernetworking/plugins, pkg/ip/link_linux.go). */
const pluginVeth = /^veth[0-9a-f]{8}$/;

export const cleanupNode: ResetPhase = {
  id: "cleanup-node",
  title: "Remove what the cluster left on this node",
  async plan(input) {
    const { survey, recorded, force, dryRun, certificatesDir } = input;
    // To name a directory is the consent to empty it.
    const named = certificatesDir === undefined ? [] : [data(certificatesDir, true)];
    if (!recorded && ((!force && !dryRun) || (await nothingHere(input)))) return { actions: named };
    const of = (who: string): readonly Action[] => planContents((survey?.places ?? []).filter((place) => place.of === who && !awaitsRuntime(place, input.made)));
    return {
      actions: [
        ...(await planQuiet(input)),
        ...(await planControlGroups(input)),
        ...(await planUnmounts(input)),
        ...(survey === undefined ? kubeadmList(certificatesDir) : [...of("kubelet"), ...of("logs"), ...named]),
        ...(input.cleanupTmpDir ? [data("/etc/kubernetes/tmp", true)] : []),
        ...(await planInterfaces(input)),
        ...of("network"),
        ...(await planRules(input)),
        ...(await planSettings(input)),
      ],
    };
  },
};

/** A bare machine: a dry run there has nothing to list. */
async function nothingHere({ read }: ResetInput): Promise<boolean> {
  for (const path of ["/etc/kubernetes", kubeletDirectory]) if ((await read.stat(path)) !== undefined) return false;
  return true;
}

/** Last made, first taken away: a mount may lie below another. */
async function planUnmounts({ read, unmountFlags }: ResetInput): Promise<readonly Action[]> {
  const link = await read.stat(kubeletDirectory);
  const tops = [kubeletDirectory, ...(link?.type === "symlink" && link.target?.startsWith("/") === true ? [link.target] : [])];
  const paths = (await read.mounts()).map(({ path }) => path).filter((path) => tops.some((top) => path.startsWith(`${top}/`)) || /^\/(var\/)?run\/netns\/cni-/.test(path));
  // UMOUNT_NOFOLLOW holds anyway: the kernel lists mounts by their real paths.
  const how = [...(unmountFlags.includes("MNT_FORCE") ? ["force" as const] : []), ...(unmountFlags.includes("MNT_DETACH") ? ["lazy" as const] : [])];
  return [...new Set(paths.toReversed())].map((path) => ({ kind: "unmount", id: `mount${path}`, path, ...(how.length === 0 ? {} : { how }) }));
}

/** Of the systemd driver and of the cgroupfs driver (kubelet, --cgroup-root). */
async function planControlGroups({ read }: ResetInput): Promise<readonly Action[]> {
  const roots = (await read.mounts()).filter(({ type }) => type === "cgroup" || type === "cgroup2").map(({ path }) => path);
  const actions: Action[] = [];
  for (const name of ["kubepods.slice", "kubepods"]) {
    const paths: string[] = [];
    for (const root of new Set(roots)) if ((await read.stat(`${root}/${name}`)) !== undefined) paths.push(`${root}/${name}`);
    if (paths.length > 0) actions.push({ kind: "control-group", id: `control-group/${name}`, paths });
  }
  return actions;
}

async function planInterfaces({ read, survey }: ResetInput): Promise<readonly Action[]> {
  const before = new Set(survey?.interfaces ?? []);
  // Which veths are a pod's can be told only where it is known which were there before.
  return (await read.interfaces()).filter((name) => !before.has(name) && (interfaceNames.has(name) || (survey !== undefined && pluginVeth.test(name))))
    .map((name) => ({ kind: "interface", id: `interface/${name}`, name }));
}

async function planRules({ read, survey }: ResetInput): Promise<readonly Action[]> {
  const tables = survey?.rules === undefined ? ownTables : [...ownTables, ...sharedTables];
  // Rules that cannot be read must not keep everything else from going: that one action fails, and tells why.
  const programs = await read.packetFilter().then((sets) => sets.map(({ program }) => program), () => ["nft"]);
  return programs.map((program) => ({ kind: "rules", id: `rules/${program}`, program, chainPrefixes, tables, keep: survey?.rules ?? [] }));
}

/** Back to what they were, unless somebody changed them since. */
async function planSettings({ read, survey }: ResetInput): Promise<readonly Action[]> {
  const actions: Action[] = [];
  for (const [key, value] of Object.entries(survey?.settings ?? {})) {
    if (value !== clusterSettings[key] && (await read.sysctl(key)) === clusterSettings[key]) actions.push({ kind: "kernel", id: `sysctl/${key}`, sysctl: key, value });
  }
  return actions;
}

function kubeadmList(certificatesDir = "/etc/kubernetes/pki"): readonly Action[] {
  return [
    ...["/etc/kubernetes/manifests", kubeletDirectory, certificatesDir].map((path) => data(path, true)),
    ...["admin", "super-admin", "kubelet", "bootstrap-kubelet", "controller-manager", "scheduler"].map((name) => data(`/etc/kubernetes/${name}.conf`, false)),
  ];
}

function data(path: string, keepItself: boolean): Action {
  return { kind: "contents", id: `data${path}`, path, keep: [], keepItself, parents: [] };
}
