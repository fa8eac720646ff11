/** Host paths the control-plane pods mount. Facts: kubeadm phases/controlplane/volumes.go. */
import type { ExternalEtcd, HostPathMount, ResolvedConfig } from "../config/types.ts";

export interface HostVolume {
  readonly name: string;
  readonly hostPath: string;
  readonly mountPath: string;
  /** core/v1 hostPath type; empty means no check. */
  readonly pathType: string;
  readonly readOnly: boolean;
}

const systemCaDirectory = "/etc/ssl/certs";

/** Distributions keep the targets of the links in /etc/ssl/certs in one of these; mounted when the host has it. */
export const optionalCaDirectories: readonly string[] = [
  "/etc/pki/ca-trust",
  "/etc/pki/tls/certs",
  "/etc/ca-certificates",
  "/usr/share/ca-certificates",
  "/usr/local/share/ca-certificates",
];

/** A path mounted at the same place in the container. */
export function samePath(name: string, path: string, pathType: string, readOnly = true): HostVolume {
  return { name, hostPath: path, mountPath: path, pathType, readOnly };
}

/** The cluster's certificates and the system's CA directories: what the API server and the controller manager see. */
export function certificateVolumes(config: ResolvedConfig, caDirectories: readonly string[]): readonly HostVolume[] {
  return [
    samePath("k8s-certs", config.cluster.certificatesDir, "DirectoryOrCreate"),
    samePath("ca-certs", systemCaDirectory, "DirectoryOrCreate"),
    ...optionalCaDirectories
      .filter((directory) => caDirectories.includes(directory))
      .map((directory) => samePath(directory.slice(1).replaceAll("/", "-"), directory, "DirectoryOrCreate")),
  ];
}

/**
 * Directories of the external etcd's client files that are not mounted already. kubeadm compares string prefixes, so with it
 * `/etc/etcd` hides `/etc/etcd-client` and the API server cannot read its key; here a directory hides only what is really below it.
 */
export function externalEtcdVolumes(etcd: ExternalEtcd, certificatesDir: string): readonly HostVolume[] {
  const mounted = [systemCaDirectory, certificatesDir, ...optionalCaDirectories];
  const wanted = [etcd.caFile, etcd.certFile, etcd.keyFile]
    .filter((file) => file !== "")
    .map((file) => file.slice(0, Math.max(1, file.lastIndexOf("/"))))
    .filter((directory) => !mounted.some((parent) => isBelow(directory, parent)));
  const outermost = [...new Set(wanted)].filter((directory) => !wanted.some((parent) => parent !== directory && isBelow(directory, parent)));
  return outermost.sort().map((directory, index) => samePath(`etcd-certs-${index}`, directory, "DirectoryOrCreate"));
}

function isBelow(path: string, parent: string): boolean {
  return path === parent || path.startsWith(parent.endsWith("/") ? parent : `${parent}/`);
}

/** The user's volumes replace default ones of the same name, mount included; the result is sorted by name. */
export function withExtraVolumes(defaults: readonly HostVolume[], extra: readonly HostPathMount[] = []): readonly HostVolume[] {
  const byName = new Map(defaults.map((volume) => [volume.name, volume]));
  for (const mount of extra) {
    byName.set(mount.name, { name: mount.name, hostPath: mount.hostPath, mountPath: mount.mountPath, pathType: mount.pathType ?? "", readOnly: mount.readOnly ?? false });
  }
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
