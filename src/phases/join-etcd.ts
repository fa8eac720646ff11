/**
 * The etcd of a joining control plane: `check-etcd`, `etcd-learner`, `etcd`, and after the kubelet's start `etcd-join`. An external etcd is asked
 * whether it answers from here, and is changed by nobody.
 *
 * kubeadm does all of it in one phase after the kubelet's start. Here the learner is added and its static pod written before: as at init, the
 * kubelet then starts once, from complete manifests. The list of members in the manifest is read after the learner is in it, and no other
 * can be added while it is one.
 */
import { toYaml } from "../manifests/yaml.ts";
import type { ClusterReader } from "../cluster/types.ts";
import type { ResolvedConfig } from "../config/types.ts";
import type { Action, EtcdFiles, EtcdMemberAction, Finding, Phase, PlanInput } from "../engine/types.ts";
import { KubestickError } from "../errors.ts";
import { etcdClientUrl, etcdLivenessUrl, etcdPeerUrl, etcdPod, type EtcdPeer } from "../manifests/etcd.ts";
import { applyPatches } from "../manifests/patches.ts";
import { staticPodPath } from "../manifests/static-pods.ts";
import { directory, file, wait } from "./actions.ts";
import type { CertsOutput } from "./certs.ts";
import { etcdPodUrls } from "./etcd-pods.ts";
import { externalEtcdCheck, externalEtcdWaits } from "./external-etcd.ts";
import { configuredPatches } from "./patches.ts";
import { ignoresCheck } from "./preflight-check.ts";

type Needs = { readonly "control-plane-prepare": CertsOutput };

export interface EtcdOutput {
  /** Client URLs of the members that were there before this node. */
  readonly endpoints: readonly string[];
}

const reads = { "control-plane-prepare": ["download-certs", "certs"] } as const;

export const checkEtcd: Phase<"check-etcd", Needs, EtcdOutput> = {
  id: "check-etcd",
  title: "Check that the etcd of the cluster is healthy",
  needs: ["control-plane-prepare"],
  reads,
  async plan({ config, cluster }) {
    const { local, external } = config.cluster.etcd;
    // Its client's certificate is on this machine only now. A route or a firewall that is not there for this node shows itself before the kubelet starts.
    if (local === undefined) return { actions: external === undefined || ignoresCheck(config, externalEtcdCheck) ? [] : externalEtcdWaits(external), output: { endpoints: [] } };
    const endpoints = await memberEndpoints(config, cluster);
    const { nodeRegistration, timeouts } = config.init;
    return {
      actions: [wait("etcd-cluster", "More than half of the etcd members are healthy", { type: "etcd-health", endpoints, files: etcdFiles(config), socket: nodeRegistration.criSocket }, timeouts.etcdAPICall)],
      output: { endpoints },
    };
  },
};

export const etcdLearner: Phase<"etcd-learner", Needs & { readonly "check-etcd": EtcdOutput }, Record<never, never>> = {
  id: "etcd-learner",
  title: "Add this node to etcd as a member that does not vote yet",
  needs: ["control-plane-prepare", "check-etcd"],
  reads: { ...reads, "check-etcd": [] },
  async plan({ config, from }) {
    const action = member(config, "learner", from["check-etcd"].endpoints);
    return { actions: action === undefined ? [] : [action], output: {} };
  },
};

export const joinEtcd: Phase<"etcd", Needs & { readonly "check-etcd": EtcdOutput }, Record<never, never>> = {
  id: "etcd",
  title: "Write the static pod of etcd",
  needs: ["control-plane-prepare", "check-etcd"],
  reads: { ...reads, "check-etcd": [] },
  steps: [{ id: "local", title: "Write the static pod of the local etcd member" }],
  async plan(input) {
    const { config, read, from } = input;
    const { local } = config.cluster.etcd;
    if (local === undefined) return { actions: [], output: {} };
    const findings: Finding[] = [];
    const peers = await membersFor(input, from["check-etcd"].endpoints, findings);
    const pod = applyPatches(await configuredPatches(config, read), "etcd", etcdPod(config, local, peers));
    const step = "local";
    return { actions: [directory(local.dataDir, 0o700, { step }), file(staticPodPath("etcd"), 0o600, toYaml(pod), { step, parentMode: 0o700 })], output: {}, findings };
  },
};

export const etcdJoin: Phase<"etcd-join", Needs & { readonly "check-etcd": EtcdOutput }, Record<never, never>> = {
  id: "etcd-join",
  title: "Make this node a voting member of etcd",
  needs: ["control-plane-prepare", "check-etcd"],
  reads: { ...reads, "check-etcd": [] },
  async plan({ config, from }) {
    const { local } = config.cluster.etcd;
    const { endpoints } = from["check-etcd"];
    const action = member(config, "voting", endpoints);
    if (local === undefined || action === undefined) return { actions: [], output: {} };
    const { nodeRegistration, timeouts, localAPIEndpoint } = config.init;
    const socket = nodeRegistration.criSocket;
    const actions: Action[] = [
      wait("etcd", "etcd of this node is running", { type: "http", url: etcdLivenessUrl(config, local), component: "etcd", socket }, timeouts.controlPlaneComponentHealthCheck),
      action,
      wait("etcd-members", "More than half of the etcd members are healthy, this one included",
        { type: "etcd-health", endpoints: [...endpoints, etcdClientUrl(localAPIEndpoint.advertiseAddress)], files: etcdFiles(config), socket }, timeouts.etcdAPICall),
    ];
    return { actions, output: {} };
  },
};

export function etcdFiles({ cluster: { certificatesDir } }: ResolvedConfig): EtcdFiles {
  return { ca: `${certificatesDir}/etcd/ca.crt`, certificate: `${certificatesDir}/etcd/healthcheck-client.crt`, key: `${certificatesDir}/etcd/healthcheck-client.key` };
}

function member(config: ResolvedConfig, state: "learner" | "voting", endpoints: readonly string[]): EtcdMemberAction | undefined {
  const { local } = config.cluster.etcd;
  const { localAPIEndpoint: { advertiseAddress }, nodeRegistration: { name, criSocket: socket }, timeouts } = config.init;
  if (local === undefined) return undefined;
  const own = { url: etcdClientUrl(advertiseAddress), pod: `etcd-${name}`, socket };
  return {
    kind: "etcd-member", id: `etcd-member/${name}/${state}`, state, name, peerUrl: etcdPeerUrl(advertiseAddress), endpoints, files: etcdFiles(config), dataDirectory: local.dataDir,
    // Another node may be joining at this moment, and only one can be a learner.
    timeoutMs: Math.max(timeouts.etcdAPICall, 240_000),
    ...(state === "voting" ? { own } : {}),
  };
}

/** Not this node's own: it may not run. */
async function memberEndpoints(config: ResolvedConfig, cluster: ClusterReader | undefined): Promise<readonly string[]> {
  if (cluster === undefined) {
    throw new KubestickError({
      code: "CLUSTER_UNREACHABLE", attempted: "looking for the etcd members of the cluster", happened: `The API server at ${config.joining?.server ?? ""} does not answer to /etc/kubernetes/admin.conf.`,
      next: "Look at the API server there: crictl ps -a --name kube-apiserver. Then run the same command again: it continues here.",
    });
  }
  const own = etcdClientUrl(config.init.localAPIEndpoint.advertiseAddress);
  return (await etcdPodUrls(cluster)).filter((url) => url !== own);
}

/** What `--initial-cluster` has to say: every member, this one under its name. A member that has started with a list keeps it. */
async function membersFor({ config, read, etcd }: PlanInput<unknown>, endpoints: readonly string[], findings: Finding[]): Promise<readonly EtcdPeer[]> {
  const { localAPIEndpoint: { advertiseAddress }, nodeRegistration: { name } } = config.init;
  const own = { name, peerUrl: etcdPeerUrl(advertiseAddress) };
  const members = endpoints.length === 0 ? undefined : await etcd?.(endpoints, etcdFiles(config));
  const written = peersOf((await read.readText(staticPodPath("etcd"))) ?? "");
  if (members === undefined) {
    if (written.length === 0) findings.push({ check: "EtcdMembers", severity: "info", message: "the other members of etcd are not known yet, so initial-cluster in the manifest names this one alone", hint: "They are read when this node was added to them." });
    return written.length === 0 ? [own] : written;
  }
  const mine = members.find(({ peerUrls }) => peerUrls.includes(own.peerUrl));
  if (mine !== undefined && mine.name !== "" && written.some(({ peerUrl }) => peerUrl === own.peerUrl)) return written;
  const others = members.filter((candidate) => candidate !== mine).flatMap((candidate) => candidate.peerUrls.map((peerUrl) => ({ name: candidate.name === "" ? candidate.id : candidate.name, peerUrl })));
  return [...others, own];
}

function peersOf(manifest: string): readonly EtcdPeer[] {
  const list = /--initial-cluster=(\S+)/.exec(manifest)?.[1] ?? "";
  return list.split(",").filter(Boolean).map((entry) => ({ name: entry.slice(0, entry.indexOf("=")), peerUrl: entry.slice(entry.indexOf("=") + 1) }));
}
