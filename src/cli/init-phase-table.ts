/**
 * The commands below `init phase`, as data: one for each phase of the init flow, one for each of its steps, and `all` where there are steps.
 * Flags are kubeadm's for the same phase (kubeadm cmd/phases/init), plus ours that every run has.
 */
import { initFlags } from "./flag-tables.ts";
import type { FlagTable } from "./flags.ts";
import { flagsNamed, phaseCommandsOf, phaseTree, type PhaseCommandOf, type PhaseRow, type PhaseTree } from "./phase-table.ts";

type InitFlag = keyof typeof initFlags;

interface Row extends PhaseRow<InitFlag> {
  /** `--kubeconfig`, where requests are sent; `--kubeconfig-dir`, where kubeconfigs are written. */
  readonly own?: keyof typeof phaseOnly;
  /** Steps with `manifest` take `--print-manifest`. */
  readonly steps?: readonly { readonly id: string; readonly title: string; readonly flags?: readonly InitFlag[]; readonly manifest?: true }[];
}

export type PhaseCommand = PhaseCommandOf<Row>;

const endpoint = ["apiserver-advertise-address", "apiserver-bind-port", "control-plane-endpoint"] as const;
const names = ["apiserver-advertise-address", "apiserver-cert-extra-sans", "cert-dir", "control-plane-endpoint", "kubernetes-version", "service-cidr", "service-dns-domain"] as const;
const plain = ["cert-dir", "kubernetes-version"] as const;
const kubeconfigFlags = [...endpoint, "cert-dir", "kubernetes-version", "node-name"] as const;
const certificate = (id: string): { id: string; title: string; flags: readonly InitFlag[] } => ({ id, title: `Generate the certificate ${id}`, flags: plain });
const authority = (id: string): { id: string; title: string; flags: readonly InitFlag[] } => ({ id, title: `Generate the certificate authority ${id}`, flags: plain });

export const initPhaseRows: readonly Row[] = [
  { phase: "preflight", title: "Check the machine and the package", flags: ["cri-socket", "fix", "ignore-preflight-errors", "image-repository"] },
  {
    phase: "node", title: "Prepare the node: kernel, container runtime, kubelet", flags: ["cni", "cri-socket", "fix", "kubernetes-version", "service-cidr"],
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
    phase: "certs", title: "Generate the certificates of the control plane", flags: names,
    steps: [
      authority("ca"), { ...certificate("apiserver"), flags: names }, certificate("apiserver-kubelet-client"), authority("front-proxy-ca"), certificate("front-proxy-client"),
      authority("etcd-ca"), certificate("etcd-server"), certificate("etcd-peer"), certificate("etcd-healthcheck-client"), certificate("apiserver-etcd-client"),
      { id: "sa", title: "Generate the key pair that signs service account tokens", flags: plain },
    ],
  },
  { phase: "images", title: "Load the carried images into the container runtime", flags: ["cni", "cri-socket", "image-repository", "kubernetes-version"] },
  {
    phase: "kubeconfig", title: "Write the kubeconfigs of administrators and components", own: "kubeconfig-dir", flags: kubeconfigFlags,
    steps: ["admin", "super-admin", "kubelet", "controller-manager", "scheduler"].map((id) => ({ id, title: `Write ${id}.conf` })),
  },
  {
    phase: "etcd", title: "Write the static pod of etcd", flags: ["cert-dir", "image-repository", "patches"],
    steps: [{ id: "local", title: "Write the static pod of the local etcd member" }],
  },
  {
    phase: "control-plane", title: "Write the static pods of the control plane",
    flags: [...endpoint, "cert-dir", "feature-gates", "image-repository", "kubernetes-version", "patches", "pod-network-cidr", "service-cidr"],
    steps: [
      { id: "apiserver", title: "Write the static pod of kube-apiserver", flags: [...endpoint, "cert-dir", "feature-gates", "image-repository", "kubernetes-version", "patches", "service-cidr"] },
      { id: "controller-manager", title: "Write the static pod of kube-controller-manager", flags: ["cert-dir", "image-repository", "kubernetes-version", "patches", "pod-network-cidr"] },
      { id: "scheduler", title: "Write the static pod of kube-scheduler", flags: ["cert-dir", "image-repository", "kubernetes-version", "patches"] },
    ],
  },
  { phase: "ha", title: "Give this node a way to all control planes (with --ha)", flags: [...endpoint, "cert-dir", "cri-socket", "node-name"] },
  { phase: "kubelet-start", title: "Configure and start the kubelet", flags: ["cri-socket", "image-repository", "node-name", "patches"] },
  { phase: "tools", title: "Install the programs that can wait, such as crictl, kubectl and ctr", flags: ["cri-socket"] },
  { phase: "wait-control-plane", title: "Wait until the control plane is healthy", flags: [] },
  { phase: "controller-accounts", title: "Create the controllers' service accounts", own: "kubeconfig", flags: [] },
  {
    phase: "upload-config", title: "Store the configuration in the cluster", own: "kubeconfig", flags: ["cri-socket"],
    steps: [{ id: "kubeadm", title: "Store the ClusterConfiguration" }, { id: "kubelet", title: "Store the kubelet's configuration" }],
  },
  { phase: "upload-certs", title: "Upload the shared certificates, encrypted (with --upload-certs)", own: "kubeconfig", flags: ["certificate-key", "skip-certificate-key-print", "upload-certs"] },
  { phase: "mark-control-plane", title: "Mark this node as control plane", flags: ["node-name"] },
  { phase: "bootstrap-token", title: "Create bootstrap tokens and cluster-info", own: "kubeconfig", flags: ["skip-token-print"] },
  {
    phase: "kubelet-finalize", title: "Let the kubelet use the client certificate it renews itself", flags: ["cert-dir"],
    steps: [{ id: "enable-client-cert-rotation", title: "Point kubelet.conf to the certificate the kubelet rotates" }],
  },
  { phase: "cni", title: "Install the pod network", flags: ["cni", "pod-network-cidr"] },
  {
    phase: "addon", title: "Install CoreDNS and kube-proxy",
    own: "kubeconfig", flags: [...endpoint, "feature-gates", "image-repository", "kubernetes-version", "pod-network-cidr", "service-cidr", "service-dns-domain"],
    steps: [
      { id: "coredns", title: "Install CoreDNS", flags: ["feature-gates", "image-repository", "kubernetes-version", "patches", "service-cidr", "service-dns-domain"], manifest: true },
      { id: "kube-proxy", title: "Install kube-proxy", flags: [...endpoint, "image-repository", "kubernetes-version", "pod-network-cidr"], manifest: true },
      { id: "manifests", title: "Apply the manifests the package carries", flags: [] },
    ],
  },
  { phase: "wait-node", title: "Wait until the node and the addons are Ready", flags: ["cni", "wait"] },
  { phase: "show-join-command", title: "Print the join command", flags: ["skip-certificate-key-print", "skip-token-print", "upload-certs"] },
];

export const initPhases: readonly PhaseTree[] = phaseTree(initPhaseRows);

export const phaseCommands: readonly PhaseCommand[] = phaseCommandsOf(initPhaseRows);

/** kubeadm has these on single phases and not on `init`. */
export const phaseOnly = {
  kubeconfig: {
    type: "string", withConfig: true, placeholder: "FILE", completes: "file", default: "/etc/kubernetes/admin.conf, asking this node's own API server",
    description: "Kubeconfig for the requests, used as it stands",
  },
  "kubeconfig-dir": { type: "string", withConfig: true, placeholder: "DIR", completes: "directory", default: "/etc/kubernetes", description: "Where the kubeconfigs are written" },
} as const satisfies FlagTable;

const everywhere = ["config", "dry-run", "ha", "out", "package", "part", "trust-key", "signature-policy", "output"] as const satisfies readonly InitFlag[];

export const printManifest = { type: "bool", withConfig: true, description: "Print the objects as YAML instead of sending them; nothing is asked of a cluster" } as const;

export function phaseFlags({ flags, manifest, own }: PhaseCommand): FlagTable {
  return { ...flagsNamed(initFlags, [...flags, ...everywhere]), ...(own === undefined ? {} : { [own]: phaseOnly[own] }), ...(manifest === true ? { "print-manifest": printManifest } : {}) };
}
