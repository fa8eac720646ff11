/**
 * The commands below `join phase`, as data, like `init-phase-table.ts`. Flags are kubeadm's for the same phase (kubeadm cmd/phases/join), plus
 * ours.
 */
import { joinFlags } from "./flag-tables.ts";
import type { FlagTable } from "./flags.ts";
import { flagsNamed, type PhaseCommandOf, type PhaseRow } from "./phase-table.ts";

type JoinFlag = keyof typeof joinFlags;

interface Row extends PhaseRow<JoinFlag> {
  /** Of control planes alone. */
  readonly controlPlane?: true;
}

export type JoinPhaseCommand = PhaseCommandOf<Row>;

const address = ["apiserver-advertise-address", "apiserver-bind-port"] as const;

export const joinPhaseRows: readonly Row[] = [
  { phase: "preflight", title: "Check the machine, the package and the cluster", flags: [...address, "certificate-key", "cri-socket", "fix", "ignore-preflight-errors", "node-name"] },
  {
    phase: "node", title: "Prepare the node: kernel, container runtime, kubelet", flags: ["cri-socket", "fix"],
    steps: [
      { id: "fix", title: "Apply the cures that --fix asks for" },
      { id: "kernel", title: "Load kernel modules and set sysctls" },
      { id: "binaries", title: "Install the programs that the node runs" },
      { id: "runtime", title: "Configure and start the container runtime" },
      { id: "kubelet", title: "Install the kubelet's units" },
      { id: "route", title: "Make service addresses reachable from the host" },
    ],
  },
  {
    phase: "control-plane-prepare", title: "Prepare certificates, kubeconfigs and static pods", controlPlane: true, flags: [...address, "certificate-key", "node-name", "patches"],
    steps: [
      { id: "download-certs", title: "Write the certificates that all control planes share", flags: ["certificate-key"] },
      { id: "certs", title: "Generate the certificates of this node", flags: ["apiserver-advertise-address", "certificate-key", "node-name"] },
      { id: "kubeconfig", title: "Write the kubeconfigs of administrators and components", flags: ["certificate-key"] },
      { id: "control-plane", title: "Write the static pods of the control plane", flags: [...address, "patches"] },
    ],
  },
  { phase: "images", title: "Load the carried images into the container runtime", flags: ["cni", "cri-socket"] },
  { phase: "check-etcd", title: "Check that the etcd of the cluster is healthy", controlPlane: true, flags: ["apiserver-advertise-address"] },
  { phase: "etcd-learner", title: "Add this node to etcd as a member that does not vote yet", controlPlane: true, flags: ["apiserver-advertise-address", "node-name"] },
  {
    phase: "etcd", title: "Write the static pod of etcd", controlPlane: true, flags: ["apiserver-advertise-address", "node-name", "patches"],
    steps: [{ id: "local", title: "Write the static pod of the local etcd member" }],
  },
  { phase: "ha", title: "Give this node a way to all control planes (with --ha)", flags: ["apiserver-advertise-address", "apiserver-bind-port", "cri-socket", "node-name"] },
  { phase: "kubelet-start", title: "Configure and start the kubelet", flags: ["cri-socket", "node-name", "patches"] },
  { phase: "tools", title: "Install the programs that can wait, such as crictl, kubectl and ctr", flags: ["cri-socket"] },
  { phase: "etcd-join", title: "Make this node a voting member of etcd", controlPlane: true, flags: ["apiserver-advertise-address", "node-name", "patches"] },
  { phase: "kubelet-wait-bootstrap", title: "Wait until the kubelet has its certificate", flags: ["cri-socket"] },
  {
    phase: "control-plane-join", title: "Mark this node as control plane", controlPlane: true, flags: ["apiserver-advertise-address", "node-name", "patches"],
    steps: [{ id: "mark-control-plane", title: "Set the labels and taints of a control plane", flags: ["node-name"] }],
  },
  { phase: "wait-control-plane", title: "Wait until the control plane is healthy", controlPlane: true, flags: ["apiserver-advertise-address"] },
  { phase: "wait-node", title: "Wait until the node is Ready", flags: ["cni", "wait"] },
];

/** How the cluster is found, and how a run is shown. */
const everywhere = [
  "config", "control-plane", "discovery-file", "discovery-token", "discovery-token-ca-cert-hash", "discovery-token-unsafe-skip-ca-verification", "dry-run", "tls-bootstrap-token", "token",
  "out", "package", "part", "trust-key", "signature-policy", "use-cluster-endpoint", "output",
] as const satisfies readonly JoinFlag[];

export function joinPhaseFlags({ flags }: JoinPhaseCommand): FlagTable {
  return flagsNamed(joinFlags, [...flags, ...everywhere]);
}
