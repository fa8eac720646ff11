/**
 * What differs per Kubernetes minor, as data. Image tags are those the newest kubeadm of that minor deploys
 * (kubeadm cmd/kubeadm/app/constants/constants.go of each release branch), not those of kubeadm 1.36: a minor is installed with the
 * etcd, CoreDNS and pause it was tested with. The same tags stand in offline-images; a test compares them.
 *
 * Not in the table because no plan has to tell them apart: `failCgroupV1: false` (every kubelet since 1.31 knows the field; only its default
 * changed in 1.35), and the runtime's socket in the kubelet's configuration (a field since 1.27; kubeadm moved there from a flag later).
 */
import type { VersionFacts } from "./types.ts";

/** etcd 3.6 made the corruption check a feature gate and took `experimental-` off the other flag; etcd 3.5 exits at names it does not know. */
const etcd35 = { "experimental-initial-corrupt-check": "true", "experimental-watch-progress-notify-interval": "5s" };
const etcd36 = { "feature-gates": "InitialCorruptCheck=true", "watch-progress-notify-interval": "5s" };

const table: readonly VersionFacts[] = [
  { minor: 33, etcdTag: "3.5.24-0", corednsTag: "v1.12.0", pauseTag: "3.10", etcdFlags: etcd35 },
  { minor: 34, etcdTag: "3.6.5-0", corednsTag: "v1.12.1", pauseTag: "3.10.1", etcdFlags: etcd36 },
  { minor: 35, etcdTag: "3.6.6-0", corednsTag: "v1.13.1", pauseTag: "3.10.1", etcdFlags: etcd36 },
  { minor: 36, etcdTag: "3.6.8-0", corednsTag: "v1.14.2", pauseTag: "3.10.2", etcdFlags: etcd36 },
];

/** Version used when neither a package nor the configuration names one. */
export const defaultKubernetesVersion = "v1.36.2";

/** Every minor there is data for. The older ones are for kubelets: a worker may be three minors behind its control plane. */
export const knownMinors: readonly number[] = table.map((facts) => facts.minor);

/** Minors whose control planes are deployed: kubeadm's own minor and the one before (its MinimumControlPlaneVersion). */
export const supportedMinors: readonly number[] = [35, 36];

/** A kubelet may be this many minors older than the control plane, never newer (kubeadm MinimumKubeletVersion; Kubernetes version skew policy). */
const kubeletSkew = 3;

export interface SemanticVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** `-rc.1`, `+build`; empty for a release. */
  readonly suffix: string;
}

export function parseVersion(text: string): SemanticVersion | undefined {
  const match = /^v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})([-+][0-9A-Za-z.+-]+)?$/.exec(text);
  if (match === null) return undefined;
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3]), suffix: match[4] ?? "" };
}

export function versionFacts(minor: number): VersionFacts | undefined {
  return table.find((facts) => facts.minor === minor);
}

/** Why this version cannot be a control plane's; undefined when it can. */
export function controlPlaneVersionProblem(text: string): string | undefined {
  const version = parseVersion(text);
  const deployable = supportedMinors.map((minor) => `1.${minor}`).join(" and ");
  if (version === undefined) return `${JSON.stringify(text)} is not a Kubernetes version; write it as ${defaultKubernetesVersion}`;
  if (version.major === 1 && supportedMinors.includes(version.minor)) return undefined;
  if (version.major === 1 && knownMinors.includes(version.minor)) {
    return `control planes of ${deployable} are deployed, not of 1.${version.minor}; a package of 1.${version.minor} serves nodes that join such a cluster`;
  }
  return `control planes of ${deployable} are deployed, not of 1.${version.minor}; use another version, or a kubestick made for ${version.major}.${version.minor}`;
}

/** Why a kubelet of this version cannot stand under a control plane of that one; undefined when it can. */
export function kubeletSkewProblem(kubelet: string, controlPlane: string): string | undefined {
  const node = parseVersion(kubelet);
  const plane = parseVersion(controlPlane);
  if (node === undefined || plane === undefined) return `${JSON.stringify(node === undefined ? kubelet : controlPlane)} is not a Kubernetes version`;
  const newer = node.major !== plane.major ? node.major > plane.major : node.minor !== plane.minor ? node.minor > plane.minor : node.patch > plane.patch;
  if (newer) return `the kubelet ${kubelet} is newer than the control plane ${controlPlane}; it may be the same version or up to ${kubeletSkew} minors older`;
  if (node.major !== plane.major || plane.minor - node.minor > kubeletSkew || !knownMinors.includes(node.minor)) {
    return `the kubelet ${kubelet} is too old for the control plane ${controlPlane}; it must be at least 1.${Math.max(plane.minor - kubeletSkew, Math.min(...knownMinors))}`;
  }
  return undefined;
}
