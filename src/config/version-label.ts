/** Which Kubernetes version is meant when a person writes a version, a release label, or nothing. */
import { defaultKubernetesVersion, parseVersion } from "./versions.ts";

/** kubeadm's pattern for release labels (util/version.go). */
const label = /^(?:k8s-)?(?:latest|stable)(?:-1(?:\.(\d{1,3}))?)?$/;

/**
 * With its v. kubeadm asks dl.k8s.io what a label such as `stable-1` stands for; here it stands for the version that is carried, because that
 * is the one that can be installed. A label of another minor, or of a build, stays as it is and is refused later by name.
 */
export function chosenVersion(given: string | undefined, packageVersion: string | undefined, warnings: string[]): string {
  const own = packageVersion ?? defaultKubernetesVersion;
  if (given === undefined || given === "") return own;
  const match = label.exec(given);
  if (match === null) return /^\d/.test(given) ? `v${given}` : given;
  if (match[1] !== undefined && Number(match[1]) !== parseVersion(own)?.minor) return given;
  warnings.push(`kubernetesVersion ${given} needs the network to look it up; ${own} is used`);
  return own;
}
