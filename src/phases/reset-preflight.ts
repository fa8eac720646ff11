/** Reset phase `preflight`: is this a node we know, and can everything be reached that is to go? Changes nothing. */
import type { Finding, ResetInput, ResetPhase } from "../engine/types.ts";
import { etcdStanding } from "./reset-etcd-standing.ts";
import type { HostReader } from "../host/types.ts";

/** One that is there and fails is told by the action that needs it. */
async function noProgram(read: HostReader): Promise<boolean> {
  return await read.packetFilter().then((sets) => sets.length === 0, () => false);
}

/** Through which runtime the pods are ended. */
async function runtimeFindings({ read, criSocket, criSocketGiven, facts, made, dryRun }: ResetInput): Promise<readonly Finding[]> {
  if (criSocket === undefined) {
    return [{ check: "CRISocket", severity: dryRun ? "warning" : "error", message: `several container runtimes answer on this host (${facts.criSockets.join(", ")}), and nothing says which one ran the pods`, hint: "Name it with --cri-socket." }];
  }
  // A containerd of ours is started for it when it is stopped.
  if (!criSocketGiven || made.has("unit/containerd.service") || (await read.stat(criSocket.replace(/^unix:\/\//, ""))) !== undefined) return [];
  return [{ check: "CRISocket", severity: "warning", message: `there is no ${criSocket}, so no pods can be ended through it`, hint: "Start that runtime before, or name the socket of the one that runs." }];
}

/** What a node that somebody else made is known by. */
const traces = ["/etc/kubernetes/manifests", "/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/config.yaml"];

export const resetPreflight: ResetPhase = {
  id: "preflight",
  title: "Look at what is on this machine",
  async plan(input) {
    const { read, recorded, survey, force, dryRun } = input;
    const findings: Finding[] = [];
    const standing = recorded || force || dryRun ? await etcdStanding(input) : undefined;
    const danger = standing?.danger ?? standing?.findings.find(({ severity }) => severity === "error");
    // Before the data goes. Not for --force alone where the last healthy member is concerned: people give it to be asked no question.
    if (danger !== undefined) findings.push({ ...danger, severity: dryRun ? "warning" : "error" });
    const found: string[] = [];
    for (const path of traces) if ((await read.stat(path)) !== undefined) found.push(path);
    if (!recorded && found.length > 0) {
      findings.push({
        check: "NoRecord",
        severity: force || dryRun ? "warning" : "error",
        message: `this machine is a Kubernetes node (${found.join(", ")}), but this program has no record of having made it`,
        hint: "--force is the consent to empty, as kubeadm reset does, /etc/kubernetes/manifests, /etc/kubernetes/pki, /var/lib/kubelet and the data directory of etcd, to delete the kubeconfig files and to remove every pod, kube-proxy's rules and flannel's and the CNI plugins' interfaces and rules.",
      });
    } else if (recorded && survey === undefined) {
      findings.push({ check: "NoSurvey", severity: "info", message: "the record of this machine does not say what was in the data directories before", hint: "They are emptied as by kubeadm reset, and the directories themselves stay." });
    }
    if (recorded || found.length > 0) findings.push(...(await runtimeFindings(input)));
    if (input.certificatesDir !== undefined && (await read.stat(input.certificatesDir)) !== undefined) {
      findings.push({ check: "CertificatesDir", severity: "warning", message: `everything in ${input.certificatesDir} is removed, also what this program did not put there`, hint: "Without --cert-dir only the certificates go that it made." });
    }
    if ((recorded || found.length > 0) && (await noProgram(read))) {
      findings.push({ check: "PacketFilter", severity: "warning", message: "neither nft nor iptables is on this machine, so the packet-filter rules of kube-proxy and the pod network cannot be seen or removed", hint: "They do no harm without a cluster, and a reboot removes them." });
    }
    return { actions: [], findings };
  },
};
