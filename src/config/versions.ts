/**
 * What differs per Kubernetes minor, as data. Image tags are those kubeadm of that minor deploys
 * (kubeadm cmd/kubeadm/app/constants/constants.go of each release).
 */
import type { VersionFacts } from "./types.ts";

const table: readonly VersionFacts[] = [
  { minor: 36, etcdTag: "3.6.8-0", corednsTag: "v1.14.2", pauseTag: "3.10.2" },
];

/** Version used when neither a package nor the configuration names one. */
export const defaultKubernetesVersion = "v1.36.2";

export const supportedMinors: readonly number[] = table.map((facts) => facts.minor);

export interface SemanticVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** `-rc.1`, `+build`; empty for a release. */
  readonly suffix: string;
}

export function parseVersion(text: string): SemanticVersion | undefined {
  const match = /^v?(\d+)\.(\d+)\.(\d+)([-+][0-9A-Za-z.+-]+)?$/.exec(text);
  if (match === null) return undefined;
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3]), suffix: match[4] ?? "" };
}

export function versionFacts(minor: number): VersionFacts | undefined {
  return table.find((facts) => facts.minor === minor);
}
