/**
 * Phase `preflight`: look before anything is changed, report everything at once.
 * Checks carry kubeadm's names (preflight/checks.go) so that `--ignore-preflight-errors` takes what people know; ours are new words.
 */
import { wait } from "./actions.ts";
import type { Finding, Phase, PlanInput } from "../engine/types.ts";
import { parseVersion } from "../config/versions.ts";
import { requiredImages } from "../manifests/images.ts";
import { decideMachine, type MachineDecisions } from "./machine.ts";

type Input = PlanInput<Record<never, never>>;

interface Check {
  /** Findings; none when all is well. */
  run(input: Input, machine: MachineDecisions): Promise<readonly Finding[]> | readonly Finding[];
}

const error = (check: string, message: string, hint: string): Finding => ({ check, severity: "error", message, hint });
const warning = (check: string, message: string, hint: string): Finding => ({ check, severity: "warning", message, hint });

/** Earliest believable date: this code did not exist before. A machine with a dead clock battery starts in 1970 or 2000. */
const earliest = Date.UTC(2026, 0, 1);

const manifestNames = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"];

const checks: readonly Check[] = [
  { run: checkPackage },
  { run: checkResources },
  { run: checkSystem },
  { run: checkRuntime },
  { run: checkPorts },
  { run: checkFiles },
  { run: checkDisk },
  { run: checkNames },
];

export const preflight: Phase<"preflight", Record<never, never>, Record<never, never>> = {
  id: "preflight",
  title: "Check the machine and the package",
  needs: [],
  async plan(input) {
    // Like kubeadm, alone and first: without root most other answers would be wrong.
    if (input.facts.uid !== 0) {
      return { actions: [], output: {}, findings: [error("IsPrivilegedUser", `kubestick runs as user id ${input.facts.uid}, and init needs root`, "Run it with sudo, or as root.")] };
    }
    const machine = await decideMachine(input.config, input.facts, input.read, input.made);
    const findings: Finding[] = [];
    for (const check of checks) findings.push(...(await check.run(input, machine)));
    return {
      actions: input.pkg === undefined ? [] : [wait("package", "Every byte of the package is intact", { type: "package" }, 600_000)],
      output: {},
      findings: [...findings, ...machine.findings],
    };
  },
};

function checkPackage({ pkg, facts, config }: Input): Finding[] {
  const findings: Finding[] = [];
  if (pkg === undefined) {
    return [error("Package", "this executable carries no package, so there is nothing to install from", "On a connected machine run: ./kubestick pack -o kubestick-offline, copy that file here and run it instead. Or name one that carries a package with --package FILE.")];
  }
  if (pkg.arch !== facts.arch) findings.push(error("PackageArchitecture", `the package is for ${pkg.arch}, this machine is ${facts.arch}`, `Make one for this machine: ./kubestick pack --arch ${facts.arch}`));
  const { kubernetesVersion } = config.cluster;
  if (pkg.kubernetesVersion !== kubernetesVersion) findings.push(error("KubernetesVersion", `the configuration asks for Kubernetes ${kubernetesVersion}, the package carries ${pkg.kubernetesVersion}`, `Remove kubernetesVersion from the configuration, or make a package with: ./kubestick pack --kubernetes-version ${kubernetesVersion}`));
  const absent = requiredImages(config).filter((image) => !pkg.images.some((carried) => carried.reference === image.reference));
  if (absent.length > 0) findings.push(warning("PackageImages", `the package lacks ${absent.map((image) => image.reference).join(", ")}`, "The container runtime must have them already, or the image gate will stop before the kubelet is started. Add them with: ./kubestick pack --image REF"));
  return findings;
}

/** NumCPU and Mem with kubeadm's bounds (constants.go: 2 CPUs, 1700 MB). */
function checkResources({ facts }: Input): Finding[] {
  const findings: Finding[] = [];
  if (facts.cpus < 2) findings.push(error("NumCPU", `this machine has ${facts.cpus} CPU, a control plane needs 2`, "Give it another one, or continue at your own risk with --ignore-preflight-errors=NumCPU."));
  const mib = Math.floor(facts.memoryTotal / 1024 / 1024);
  if (mib < 1700) findings.push(error("Mem", `this machine has ${mib} MiB of memory, a control plane needs 1700 MiB`, "Give it more, or continue at your own risk with --ignore-preflight-errors=Mem."));
  return findings;
}

function checkSystem({ facts, now, config }: Input, machine: MachineDecisions): Finding[] {
  const findings: Finding[] = [];
  if (!facts.systemd) findings.push(error("SystemVerification", "systemd is not running this machine (process 1)", "kubestick installs systemd units; use a distribution that boots with systemd."));
  const kernel = /^(\d+)\.(\d+)/.exec(facts.kernelRelease);
  if (kernel !== null && (Number(kernel[1]) < 5 || (Number(kernel[1]) === 5 && Number(kernel[2]) < 4))) findings.push(error("SystemVerification", `the kernel is ${facts.kernelRelease}, Kubernetes ${config.cluster.kubernetesVersion} needs 5.4 or newer`, "Boot a newer kernel."));
  if (now.getTime() < earliest) findings.push(error("Clock", `the clock says ${now.toISOString()}, which cannot be`, `Certificates made now would be wrong everywhere. Set the clock first: date -s '2026-12-31 23:59:59' (with the right time), then hwclock -w`));
  for (const name of ["mount", "losetup", "cp"]) {
    if (facts.commands[name] === undefined) findings.push(error(`FileExisting-${name}`, `${name} is not in PATH`, "Install util-linux and coreutils; the kubelet calls it."));
  }
  if (machine.serviceRoutes.length > 0 && facts.commands["ip"] === undefined) findings.push(error("FileExisting-ip", "ip is not in PATH, and a route for the service network is needed", "Install iproute2, or set serviceRoute: Never in an InstallConfiguration."));
  if (facts.commands["iptables"] === undefined) {
    if (config.install.cni === "bridge") findings.push(error("FileExisting-iptables", "iptables is not in PATH, and the bridge plugin needs it for outgoing traffic of pods", "Install iptables, or use --cni flannel."));
    else if (config.install.cni === "flannel") findings.push(warning("FileExisting-iptables", "iptables is not in PATH, so pods cannot use hostPort", "Install iptables if a workload needs hostPort; nothing else is affected."));
  }
  return findings;
}

function checkRuntime({ config, runtime, facts }: Input, machine: MachineDecisions): Finding[] {
  const socket = config.init.nodeRegistration.criSocket;
  if (!machine.ownRuntime) {
    if (runtime === undefined) return [error("CRI", `something listens at ${socket} but does not answer CRI`, "Look at that service's log; stop it (then kubestick installs containerd), or name another runtime with --cri-socket.")];
    if (runtime.name !== "containerd") return [error("CRI", `the running container runtime is ${runtime.name} ${runtime.version}, into which images cannot be loaded from this file`, `Use containerd: stop and disable ${runtime.name} and run init again, so that the carried one is installed.`)];
    return [];
  }
  if (socket.replace("/var/run/", "/run/") !== "unix:///run/containerd/containerd.sock") {
    return [error("CRI", `nothing answers at ${socket}`, facts.criSockets.length > 0 ? `Running: ${facts.criSockets.join(", ")}.` : "Start that runtime, or leave criSocket out so that the carried containerd is installed.")];
  }
  return [];
}

/** A port held by what an earlier run of ours started is not taken. comm names are cut to 15 characters by the kernel. */
function checkPorts({ config, facts, made }: Input): Finding[] {
  const local = config.cluster.etcd.local !== undefined;
  const ports: readonly { readonly port: number; readonly owner: string; readonly madeBy: string }[] = [
    { port: config.init.localAPIEndpoint.bindPort, owner: "kube-apiserver", madeBy: "file/etc/kubernetes/manifests/kube-apiserver.yaml" },
    { port: 10259, owner: "kube-scheduler", madeBy: "file/etc/kubernetes/manifests/kube-scheduler.yaml" },
    { port: 10257, owner: "kube-controller", madeBy: "file/etc/kubernetes/manifests/kube-controller-manager.yaml" },
    { port: 10250, owner: "kubelet", madeBy: "file/etc/systemd/system/kubelet.service" },
    ...(local ? [2379, 2380].map((port) => ({ port, owner: "etcd", madeBy: "file/etc/kubernetes/manifests/etcd.yaml" })) : []),
  ];
  return ports.flatMap(({ port, owner, madeBy }) => {
    const holder = facts.listening.find((listening) => listening.port === port);
    if (holder === undefined || (made.has(madeBy) && (holder.process === undefined || holder.process.startsWith(owner)))) return [];
    const who = holder.process === undefined ? "another process" : `${holder.process}${holder.pid === undefined ? "" : ` (pid ${holder.pid})`}`;
    return [error(`Port-${port}`, `port ${port} is taken by ${who}`, `${owner === "kube-controller" ? "kube-controller-manager" : owner} needs it. Stop that process${port === config.init.localAPIEndpoint.bindPort ? ", or choose another port with --apiserver-bind-port" : ""}.`)];
  });
}

async function checkFiles({ config, read, made }: Input): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const name of manifestNames) {
    if (name === "etcd" && config.cluster.etcd.local === undefined) continue;
    const path = `/etc/kubernetes/manifests/${name}.yaml`;
    if (!made.has(`file${path}`) && (await read.stat(path)) !== undefined) findings.push(error(`FileAvailable-${path.replaceAll("/", "-")}`, `${path} exists and was not made by kubestick`, "Another cluster lives here. If it is not needed, remove it with the tool that made it (kubeadm reset), then run init again."));
  }
  const dataDir = config.cluster.etcd.local?.dataDir;
  if (dataDir !== undefined && !made.has("file/etc/kubernetes/manifests/etcd.yaml") && ((await read.list(dataDir)) ?? []).length > 0) {
    findings.push(error(`DirAvailable-${dataDir.replaceAll("/", "-")}`, `${dataDir} is not empty`, `It may hold the data of another etcd. If it is not needed, move it away: mv ${dataDir} ${dataDir}.old`));
  }
  return findings;
}

/** Beyond what is installed, init may use this much: logs, databases of containerd, etcd's first files. */
const slack = 64 * 1024 * 1024;

/** Exact: bytes still to be written, per file system, against what is free there. */
async function checkDisk({ pkg, read, made, config }: Input, machine: MachineDecisions): Promise<Finding[]> {
  if (pkg === undefined) return [];
  const needs = new Map<string, { readonly mount: string; readonly free: number; bytes: number; readonly what: Set<string> }>();
  const need = async (path: string, bytes: number, what: string): Promise<void> => {
    if (bytes === 0) return;
    const disk = await read.disk(path);
    const entry = needs.get(disk.id) ?? { mount: disk.mount, free: disk.freeBytes, bytes: slack, what: new Set<string>() };
    entry.bytes += bytes;
    entry.what.add(what);
    needs.set(disk.id, entry);
  };
  for (const binary of pkg.binaries) {
    if (!machine.ownRuntime && !made.has(`file${binary.path}`) && (await read.stat(binary.path)) !== undefined) continue;
    // An older file is replaced only after the new one is complete, so an existing one does not help unless it is already the right one.
    if ((await read.stat(binary.path))?.size !== binary.size) await need(binary.path, binary.size, "programs");
  }
  const blobs = new Map<string, number>();
  for (const image of pkg.images) {
    if (made.has(`image/${image.reference}`)) continue;
    for (const blob of [image.target, image.manifest, image.config]) blobs.set(blob.digest, blob.size);
    for (const layer of image.layers) blobs.set(layer.digest, layer.size + layer.unpackedSize);
  }
  await need("/var/lib/containerd", [...blobs.values()].reduce((sum, size) => sum + size, 0), "images");
  if (config.cluster.etcd.local !== undefined && !made.has("file/etc/kubernetes/manifests/etcd.yaml")) await need(config.cluster.etcd.local.dataDir, 32 * 1024 * 1024, "etcd");
  return [...needs.values()].filter((entry) => entry.free < entry.bytes).map((entry) => error(
    "DiskSpace",
    `${entry.mount} has ${entry.free} bytes free, ${entry.bytes} bytes are needed (${[...entry.what].join(", ")}): ${entry.bytes - entry.free} bytes short`,
    `Free or add space on the file system at ${entry.mount}, then run init again. Nothing was written.`,
  ));
}

function checkNames({ config, facts }: Input): Finding[] {
  const findings: Finding[] = [];
  const { advertiseAddress } = config.init.localAPIEndpoint;
  if (!facts.addresses.some((address) => address.address === advertiseAddress)) findings.push(warning("AdvertiseAddress", `${advertiseAddress} is not an address of this machine`, "The API server will not be reachable there unless something forwards to it. Choose one with --apiserver-advertise-address."));
  const version = parseVersion(config.cluster.kubernetesVersion);
  if (version !== undefined && version.suffix.startsWith("-")) findings.push(warning("KubernetesVersion", `${config.cluster.kubernetesVersion} is a pre-release`, "Use a release for anything that matters."));
  return findings;
}

