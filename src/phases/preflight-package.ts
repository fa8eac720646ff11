/** Preflight checks of the package: is there one, is it the right one, has it everything, and is there space for it. */
import type { ResolvedConfig } from "../config/types.ts";
import { kubeletSkewProblem, parseVersion } from "../config/versions.ts";
import { haproxyImage } from "../manifests/haproxy.ts";
import { requiredImages } from "../manifests/images.ts";
import { kubeletDirectory } from "../manifests/names.ts";
import type { PackageIndex } from "../package/types.ts";
import { flannelImages } from "./cni.ts";
import { containerdUnitPath, type MachineDecisions } from "./machine.ts";
import { ignoresCheck, type Check, type Input, type Seen } from "./preflight-check.ts";

export const packageChecks: readonly Check[] = [
  {
    name: "Package", severity: "error", verifies: "this executable carries a package",
    run: ({ pkg, config }) => (pkg !== undefined ? [] : [{
      message: "this executable carries no package, so there is nothing to install from",
      hint: `On a connected machine run: ./kubestick pack -o kubestick-offline, copy that file here and run it instead. Or name one that carries a package with --package FILE${config.joining === undefined ? "." : ", or a node on which \"kubestick package serve\" runs with --package-from HOST."}`,
    }]),
  },
  {
    name: "PackageArchitecture", severity: "error", verifies: "the package is for this processor",
    run: ({ pkg, facts }) => (pkg === undefined || pkg.arch === facts.arch ? [] : [wrongArchitecture(pkg, facts.arch)]),
  },
  { name: "KubernetesVersion", severity: "error", verifies: "the package carries the Kubernetes that the configuration asks for", run: checkVersion },
  { name: "KubeletVersion", severity: "error", verifies: "the carried kubelet is not newer than the API server", run: checkKubeletVersion },
  { name: "ImagePull", severity: "error", verifies: "the package carries every image, or the runtime may have it", run: checkImages },
];

/** `arch`: the machine's. */
function wrongArchitecture({ arch: own, platforms }: PackageIndex, arch: string): Seen {
  // The package shows what is for the program that reads it, which then is not the machine's own.
  if (platforms.some((platform) => platform.arch === arch)) {
    return { message: `this program is for ${own} and runs here by emulation: this machine is ${arch}`, hint: `What it installs would be emulated, too. Start the kubestick for ${arch}; the package has what is needed: ./kubestick-linux-${arch} init --package FILE` };
  }
  const carried = platforms.length > 1 ? platforms.map((platform) => platform.arch).join(" and ") : own;
  return { message: `the package is for ${carried}, this machine is ${arch}`, hint: `Its programs do not run here. Make one for this machine: ./kubestick pack --arch ${arch}` };
}

export const diskChecks: readonly Check[] = [
  { name: "DiskSpace", severity: "error", verifies: "every file system has room for what will be written to it", run: checkDisk },
  { name: "DiskPressure", severity: "error", verifies: "the kubelet will not hold a file system for full", run: checkDiskPressure },
];

function checkVersion({ pkg, config }: Input): readonly Seen[] {
  const { kubernetesVersion } = config.cluster;
  const seen: Seen[] = [];
  if (pkg !== undefined && pkg.kubernetesVersion !== kubernetesVersion) {
    seen.push({ message: `the configuration asks for Kubernetes ${kubernetesVersion}, the package carries ${pkg.kubernetesVersion}`, hint: `Remove kubernetesVersion from the configuration, or make a package with: ./kubestick pack --kubernetes-version ${kubernetesVersion}` });
  }
  if (parseVersion(kubernetesVersion)?.suffix.startsWith("-") === true) seen.push({ severity: "warning", message: `${kubernetesVersion} is a pre-release`, hint: "Nobody repairs it, and it may not be upgraded. Use a release for anything that matters." });
  return seen;
}

/** The node gets the package's kubelet, whatever other one is on the machine: only that one counts. */
function checkKubeletVersion({ pkg, config }: Input): readonly Seen[] {
  const [kubelet, plane] = [parseVersion(pkg?.kubernetesVersion ?? ""), parseVersion(config.cluster.kubernetesVersion)];
  if (pkg === undefined || kubelet === undefined || plane === undefined || kubelet.minor <= plane.minor) return [];
  return [{ message: `the carried kubelet is ${pkg.kubernetesVersion}, newer than the control plane ${config.cluster.kubernetesVersion}`, hint: `Kubernetes supports kubelets of the API server's minor and older ones. Make a package with: ./kubestick pack --kubernetes-version ${config.cluster.kubernetesVersion}` }];
}

/** A runtime that is not there yet will have exactly what the package brings; of one that runs, the gate before the kubelet knows more. */
function checkImages({ pkg, config, assets, made }: Input, machine: MachineDecisions): readonly Seen[] {
  // A package of the wrong version lacks all that is Kubernetes' own. Its version is the cause, and told by the checks of it.
  if (pkg === undefined || (isOfWrongVersion(pkg, config) && !ignoresCheck(config, "KubernetesVersion", "KubeletVersion"))) return [];
  const wanted = [...requiredImages(config).map(({ reference }) => reference), ...(config.install.cni === "flannel" ? flannelImages(assets.text("bundle/cni/flannel.yaml")) : []), ...(config.install.ha ? [haproxyImage] : [])];
  const absent = [...new Set(wanted)].filter((reference) => !pkg.images.some((carried) => carried.reference === reference));
  if (absent.length === 0) return [];
  const certain = machine.ownRuntime && !made.has(`file${containerdUnitPath}`);
  const cure = `./kubestick pack ${absent.map((reference) => `--image ${reference}`).join(" ")}`;
  return [{
    severity: certain ? "error" : "warning",
    message: `the package lacks ${absent.join(", ")}`,
    hint: certain ? `There is no network to pull from, so the node would wait for ever. Make a package that has ${absent.length === 1 ? "it" : "them"}: ${cure}`
      : `The container runtime must have ${absent.length === 1 ? "it" : "them"} already, or the image gate will stop before the kubelet is started. To carry ${absent.length === 1 ? "it" : "them"}: ${cure}`,
  }];
}

function isOfWrongVersion({ kubernetesVersion }: PackageIndex, { joining, cluster }: ResolvedConfig): boolean {
  return joining?.role === "worker" ? kubeletSkewProblem(kubernetesVersion, joining.apiServerVersion) !== undefined : kubernetesVersion !== cluster.kubernetesVersion;
}

/** Beyond what is installed, init may use this much: logs, databases of containerd, etcd's first files. */
const slack = 64 * 1024 * 1024;

interface Need {
  readonly mount: string;
  readonly free: number;
  readonly total: number;
  bytes: number;
  readonly what: Set<string>;
}

/** Bytes still to be written, by the id of the file system. */
async function diskNeeds(pkg: PackageIndex, { read, made, config }: Input, machine: MachineDecisions): Promise<ReadonlyMap<string, Need>> {
  const needs = new Map<string, Need>();
  const need = async (path: string, bytes: number, what: string): Promise<void> => {
    const disk = await read.disk(path);
    const entry = needs.get(disk.id) ?? { mount: disk.mount, free: disk.freeBytes, total: disk.totalBytes, bytes: 0, what: new Set<string>() };
    entry.bytes += bytes;
    if (bytes > 0) entry.what.add(what);
    needs.set(disk.id, entry);
  };
  for (const binary of pkg.binaries) {
    if (!machine.ownRuntime && !made.has(`file${binary.path}`) && (await read.stat(binary.path)) !== undefined) continue;
    // An older file is replaced only after the new one is complete, so an existing one does not help unless it is already the right one.
    if ((await read.stat(binary.path))?.size !== binary.size) await need(binary.path, binary.size, "programs");
  }
  const blobs = new Map<string, number>();
  let passing = 0;
  for (const image of pkg.images) {
    if (made.has(`image/${image.reference}`)) continue;
    for (const blob of [image.target, image.manifest, image.config]) blobs.set(blob.digest, blob.size);
    // A layer that travels as its tar is in containerd's store only until it is unpacked; two of them at a time are not much beside the slack, large ones are.
    for (const layer of image.layers) blobs.set(layer.digest, layer.unpackedSize + (layer.entry === layer.digest ? layer.size : 0));
    for (const { entry, digest } of image.layers) if (entry !== digest) passing = Math.max(passing, pkg.entries.find((candidate) => candidate.digest === entry)?.length ?? 0);
  }
  await need(imageStore, [...blobs.values()].reduce((sum, size) => sum + size, passing), "images");
  if (config.joining?.role !== "worker" && config.cluster.etcd.local !== undefined && !made.has("file/etc/kubernetes/manifests/etcd.yaml")) await need(config.cluster.etcd.local.dataDir, 32 * 1024 * 1024, "etcd");
  await need(kubeletDirectory, 0, "pods");
  return needs;
}

/** Exact, against what is free. */
async function checkDisk(input: Input, machine: MachineDecisions): Promise<readonly Seen[]> {
  if (input.pkg === undefined) return [];
  const needs = await diskNeeds(input.pkg, input, machine);
  return [...needs.values()].map(({ bytes, ...entry }) => ({ ...entry, bytes: bytes === 0 ? 0 : bytes + slack })).filter((entry) => entry.free < entry.bytes).map((entry) => ({
    message: `${entry.mount} has ${entry.free} bytes free, ${entry.bytes} bytes are needed (${[...entry.what].join(", ")}): ${entry.bytes - entry.free} bytes short`,
    hint: `Free or add space on the file system at ${entry.mount}, then run the same command again. Nothing was written.`,
  }));
}

const imageStore = "/var/lib/containerd";

/** The kubelet's defaults (pkg/kubelet/apis/config/v1beta1/defaults_linux.go, DefaultEvictionHard), shares of the file system that a path is on. */
const evictionHard: readonly { readonly signal: string; readonly path: string; readonly percent: number }[] = [
  { signal: "imagefs.available", path: imageStore, percent: 15 },
  { signal: "nodefs.available", path: kubeletDirectory, percent: 10 },
];

/**
 * A disk with room for everything is still full to a kubelet when too little of it remains: it then tells DiskPressure, and nothing but the system's own
 * pods starts. Not where somebody has decided otherwise, and not where a kubelet runs already: that one tells it by itself.
 */
async function checkDiskPressure(input: Input, machine: MachineDecisions): Promise<readonly Seen[]> {
  const { pkg, made, config, read } = input;
  const decided = (config.joining?.kubelet ?? config.kubelet)?.["evictionHard"] !== undefined || config.init.nodeRegistration.kubeletExtraArgs.some(({ name }) => name === "eviction-hard");
  if (pkg === undefined || decided || made.has("unit/kubelet.service")) return [];
  const needs = await diskNeeds(pkg, input, machine);
  // A joining node gets its KubeletConfiguration from the cluster.
  const bearLess = config.joining === undefined ? "evictionHard in a KubeletConfiguration" : "eviction-hard in nodeRegistration.kubeletExtraArgs of a JoinConfiguration";
  const seen: Seen[] = [];
  for (const { signal, path, percent } of evictionHard) {
    const disk = needs.get((await read.disk(path)).id);
    // One that lacks even the room for what is written is told of by DiskSpace.
    if (disk === undefined || disk.free < disk.bytes) continue;
    const short = Math.ceil((disk.total * percent) / 100) - (disk.free - disk.bytes);
    if (short <= 0 || seen.some(({ message }) => message.startsWith(`${disk.mount} `))) continue;
    seen.push({
      message: `${disk.mount} will have ${Math.floor((100 * (disk.free - disk.bytes)) / disk.total)} % free when all is installed, and below ${percent} % the kubelet reports DiskPressure (${signal})`,
      hint: `A node under DiskPressure starts no pods and evicts those that run, so ${config.joining === undefined ? "DNS would never come up" : "it would be of no use"}. Free or add ${short} bytes on the file system at ${disk.mount}, or tell the kubelet to go on with less: ${bearLess} (--config).`,
    });
  }
  return seen;
}
