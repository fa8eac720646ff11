/**
 * Phase `preflight` of a join: the checks of init that apply to the role (kubeadm preflight/checks.go, RunJoinNodeChecks), and those that
 * only a cluster in sight makes possible: versions, names, whether this machine belongs to somebody else already.
 */
import { kubeletSkewProblem, controlPlaneVersionProblem, parseVersion } from "../config/versions.ts";
import type { Joining, ResolvedConfig } from "../config/types.ts";
import type { Action, Finding, Phase } from "../engine/types.ts";
import { splitPemBundle } from "../pki/pem.ts";
import { wait } from "./actions.ts";
import { kubeletConfPath } from "./kubeconfig.ts";
import { decideMachine } from "./machine.ts";
import { patchFindings } from "./patches.ts";
import { preflightChecks } from "./preflight.ts";
import { findingsOf, pathCheck, type Check, type Input, type Seen } from "./preflight-check.ts";

export const bootstrapKubeconfigPath = "/etc/kubernetes/bootstrap-kubelet.conf";

/** Rows about versions in the words of init; the ones here know the cluster's. */
const replaced: ReadonlySet<string> = new Set(["KubernetesVersion", "KubeletVersion"]);
/** Rows about what only a control plane has. */
const controlPlaneOnly: ReadonlySet<string> = new Set(["NumCPU", "Mem", "Firewalld", "HTTPProxyCIDR", "AdvertiseAddress", "HostPath-*", "FileAvailable-*", "DirAvailable-*", "ExternalEtcdClientCertificates"]);

const joinChecks: readonly Check[] = [
  { name: "KubeletVersion", severity: "error", verifies: "the carried kubelet may stand under this control plane", run: checkKubeletVersion },
  { name: "KubernetesVersion", severity: "error", verifies: "a control plane is of the version of the others", run: checkControlPlaneVersion },
  { name: "NodeName", severity: "error", verifies: "no other machine has this node's name", run: checkNodeName },
  { name: "Role", severity: "error", verifies: "this machine is not a node already, in another role or by another hand", run: checkRole },
  { name: "FileAvailable-*", severity: "error", verifies: "no CA of another cluster", run: checkAuthority },
  { name: "ControlPlaneEndpoint", severity: "error", verifies: "the cluster has an endpoint that outlives its first control plane", run: checkEndpoint },
  { name: "SharedCertificates", severity: "error", verifies: "the certificates that control planes share can be had", run: checkShared },
];

export const joinPreflight: Phase<"preflight", Record<never, never>, Record<never, never>> = {
  id: "preflight",
  title: "Check the machine, the package and the cluster",
  needs: [],
  async plan(input) {
    const { config, facts, read, made, pkg } = input;
    if (facts.uid !== 0) {
      return { actions: [], output: {}, findings: [{ check: "IsPrivilegedUser", severity: "error", message: `kubestick runs as user id ${facts.uid}, and join needs root`, hint: "Run it with sudo, or as root." }] };
    }
    const machine = await decideMachine(config, facts, read, made);
    const findings: Finding[] = [...(await findingsOf(joinChecksFor(joiningOf(config).role), input, machine)), ...machine.findings, ...(await patchFindings(config, read))];
    return { actions: [], output: {}, findings };
  },
};

export function joinChecksFor(role: Joining["role"]): readonly Check[] {
  const shared = preflightChecks.filter(({ name }) => !replaced.has(name) && (role === "control-plane" || !controlPlaneOnly.has(name)));
  return [...joinChecks, ...shared];
}

/** What only a flow of `join` asks for. */
export function joiningOf({ joining }: ResolvedConfig): Joining {
  if (joining === undefined) throw new TypeError("a phase of join was planned without a cluster to join");
  return joining;
}

function checkKubeletVersion({ pkg, config }: Input): readonly Seen[] {
  const { apiServerVersion } = joiningOf(config);
  const problem = pkg === undefined ? undefined : kubeletSkewProblem(pkg.kubernetesVersion, apiServerVersion);
  if (pkg === undefined || problem === undefined) return [];
  const newer = newerThan(pkg.kubernetesVersion, apiServerVersion);
  return [{
    code: newer ? "KUBELET_TOO_NEW" : "KUBELET_TOO_OLD", message: problem,
    hint: `${newer ? "Upgrade the control plane first, or use a file of its version" : "Use a file of the control plane's version"}: kubestick pack --kubernetes-version ${apiServerVersion}`,
  }];
}

function newerThan(one: string, other: string): boolean {
  const [a, b] = [parseVersion(one), parseVersion(other)];
  if (a === undefined || b === undefined) return false;
  return a.minor !== b.minor ? a.minor > b.minor : a.patch > b.patch;
}

function checkControlPlaneVersion({ pkg, config }: Input): readonly Seen[] {
  const { kubernetesVersion } = config.cluster;
  if (joiningOf(config).role === "worker") return [];
  const problem = controlPlaneVersionProblem(kubernetesVersion);
  if (problem !== undefined) return [{ message: problem, hint: "Use the kubestick with which this cluster was made." }];
  if (pkg === undefined || pkg.kubernetesVersion === kubernetesVersion) return [];
  return [{
    code: "CONTROL_PLANE_VERSION", message: `the control planes of this cluster run Kubernetes ${kubernetesVersion}, the package carries ${pkg.kubernetesVersion}`,
    hint: `All of them are of one version. Use a file of that version: kubestick pack --kubernetes-version ${kubernetesVersion}`,
  }];
}

/** kubeadm's rule, a node that is Ready has its machine; beyond it, a machine that joined before may join again at once. */
async function checkNodeName({ config, read, facts, made }: Input): Promise<readonly Seen[]> {
  const { namesake } = joiningOf(config);
  const { name } = config.init.nodeRegistration;
  if (namesake === undefined || made.has("unit/kubelet.service")) return [];
  const machineId = ((await read.readText("/etc/machine-id")) ?? "").trim();
  const own = namesake.machineId === machineId && namesake.addresses.some((address) => facts.addresses.some((mine) => mine.address === address));
  if (own) return [];
  const where = namesake.addresses.length === 0 ? "" : ` at ${namesake.addresses.join(", ")}`;
  if (!namesake.ready) return [{ severity: "warning", message: `the cluster knows a node ${name}${where}, which is not Ready`, hint: `This machine takes its place. When the other one is to come back, stop here and choose another name with --node-name.` }];
  return [{ code: "NODE_NAME_TAKEN", message: `another machine is node ${name} of this cluster${where}`, hint: `Choose another name with --node-name, or, when that machine is gone: kubectl delete node ${name}` }];
}

function checkRole({ config, made }: Input): readonly Seen[] {
  const { role } = joiningOf(config);
  const was = made.has("file/etc/kubernetes/super-admin.conf") ? "the first control plane of a cluster (kubestick init)"
    : !made.has("unit/kubelet.service") ? undefined
      : made.has("file/etc/kubernetes/admin.conf") ? (role === "worker" ? "a control plane" : undefined) : (role === "worker" ? undefined : "a worker");
  return was === undefined ? [] : [{ code: "NODE_HAS_ROLE", message: `this machine is ${was} already`, hint: "A node changes its role or its cluster by a fresh start: kubestick reset, then join." }];
}

/** kubeadm's rule (phases/join/preflight.go): without one, everybody knows the cluster by its first node's address alone. */
function checkEndpoint({ config }: Input): readonly Seen[] {
  if (joiningOf(config).role === "worker" || config.cluster.controlPlaneEndpoint !== undefined) return [];
  return [{
    code: "NO_CONTROL_PLANE_ENDPOINT", message: "this cluster has no controlPlaneEndpoint, so nodes and administrators know it by the address of its first control plane alone",
    hint: "It was made as a cluster of one control plane. A cluster of several begins with: kubestick init --control-plane-endpoint NAME:6443 --upload-certs",
  }];
}

async function checkShared({ config, read }: Input): Promise<readonly Seen[]> {
  const { role, certificates, caPem } = joiningOf(config);
  if (role === "worker") return [];
  const upload = "On a control plane: kubestick init phase upload-certs --upload-certs   # and use the certificate key it prints";
  if (certificates !== undefined) {
    if (splitPemBundle(certificates["ca.crt"] ?? "").join("") === splitPemBundle(caPem).join("")) return [];
    return [{ code: "CERTIFICATES_FOREIGN", message: "the uploaded certificates (Secret kube-system/kubeadm-certs) have another CA than the cluster itself", hint: upload }];
  }
  const absent: string[] = [];
  for (const path of requiredShared(config)) if ((await read.stat(path)) === undefined) absent.push(path);
  if (absent.length === 0) return [];
  if (config.init.certificateKey !== undefined) {
    return [{ code: "CERTIFICATES_ABSENT", message: "the shared certificates are not in the cluster: they were never uploaded, or have expired two hours after they were", hint: upload }];
  }
  return [{ code: "CERTIFICATES_NEEDED", message: `this machine lacks what control planes share: ${absent.join(", ")}`, hint: `Give --certificate-key, or copy the files here. ${upload}` }];
}

/** kubeadm phases/copycerts: without the authorities' keys (an external CA) a control plane can still be made. */
function requiredShared(config: ResolvedConfig): readonly string[] {
  const names = ["ca.crt", "sa.key", "sa.pub", "front-proxy-ca.crt", ...(config.cluster.etcd.local === undefined ? [] : ["etcd/ca.crt"])];
  return names.map((name) => `${config.cluster.certificatesDir}/${name}`);
}

/** Another cluster's CA is never replaced, and never trusted beside this one. */
async function checkAuthority({ config, read, made }: Input): Promise<readonly Seen[]> {
  const { caPem, caCertPath, role } = joiningOf(config);
  const path = role === "worker" ? caCertPath : `${config.cluster.certificatesDir}/ca.crt`;
  const seen: Seen[] = [];
  const found = await read.readText(path);
  if (found !== undefined && splitPemBundle(found).join("") !== splitPemBundle(caPem).join("")) {
    seen.push({ check: pathCheck("FileAvailable", path), code: "OTHER_CLUSTER", message: `${path} is the CA of another cluster`, hint: made.has("unit/kubelet.service") ? "This machine is a node of that cluster. To leave it: kubestick reset" : `Move it away if it is not needed: mv ${path} ${path}.old` });
  }
  if (made.has("unit/kubelet.service")) return seen;
  for (const foreign of [kubeletConfPath, ...(made.has(`file${bootstrapKubeconfigPath}`) ? [] : [bootstrapKubeconfigPath])]) {
    if ((await read.stat(foreign)) !== undefined) seen.push({ check: pathCheck("FileAvailable", foreign), message: `${foreign} exists and was not made by kubestick`, hint: "This machine is a node of a cluster. If it is to leave it, use the tool that made it (kubeadm reset), then run the same command again." });
  }
  return seen;
}
