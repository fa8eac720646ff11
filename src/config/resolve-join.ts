/**
 * The configuration of a node that joins, in two steps: what a person gave, with which the cluster is found; then, with what the cluster
 * says of itself, the one frozen configuration that every phase reads.
 */
import { KubestickError } from "../errors.ts";
import type { HostFacts } from "../host/types.ts";
import { splitHostPort } from "./address.ts";
import { readJoin, validateJoin, type JoinConfiguration, type JoinOptions } from "./join.ts";
import { configError, loadDocuments, type Problem } from "./load.ts";
import { advertiseAddress, section } from "./node-registration.ts";
import type { ConfigFile } from "./options.ts";
import { clusterConfiguration, deepFreeze, placed, waitFor } from "./resolve.ts";
import type { FlagsOnly, InstallConfiguration, Joining, ResolvedConfig, VersionFacts } from "./types.ts";
import { parseVersion, versionFacts } from "./versions.ts";

export interface JoinInput {
  readonly options: JoinOptions & { readonly cni?: string; readonly wait?: string };
  readonly file?: ConfigFile;
  readonly facts: HostFacts;
  /** The CNI the package was made for. */
  readonly packageCni?: InstallConfiguration["cni"];
}

export interface JoinRequest {
  readonly join: JoinConfiguration;
  readonly install: InstallConfiguration;
  readonly warnings: readonly string[];
  /** `timeouts.discovery` stands in the file, and is no default. */
  readonly discoveryTimed: boolean;
}

/** Throws CONFIG_YAML or CONFIG_INVALID with every finding and its place. */
export function resolveJoinRequest({ options, file, facts, packageCni }: JoinInput): JoinRequest {
  const loaded = file === undefined ? { documents: [], warnings: [] } : loadDocuments(file.name, file.text, ["JoinConfiguration", "InstallConfiguration"]);
  const value = (kind: string): Readonly<Record<string, unknown>> | undefined => loaded.documents.find((document) => document.kind === kind)?.value;
  const problems: Problem[] = [];
  const warnings: string[] = [...loaded.warnings];
  const join = readJoin(value("JoinConfiguration"), options, facts, problems, warnings);
  validateJoin(join, (path, message) => { problems.push({ path, message }); });
  const installValue = value("InstallConfiguration");
  const install: InstallConfiguration = {
    cni: (options.cni ?? installValue?.["cni"] ?? packageCni ?? "flannel") as InstallConfiguration["cni"],
    serviceRoute: (installValue?.["serviceRoute"] as InstallConfiguration["serviceRoute"] | undefined) ?? "Auto",
    waitFor: waitFor(options.wait, installValue),
    signaturePolicy: (installValue?.["signaturePolicy"] as InstallConfiguration["signaturePolicy"] | undefined) ?? "Auto",
    trustedKeys: (installValue?.["trustedKeys"] as readonly string[] | undefined) ?? [],
    // The cluster's to say, not the node's.
    ha: false,
  };
  if (problems.length > 0) throw configError(file?.name ?? "", problems.map((problem) => placed(problem, loaded)));
  return { join: deepFreeze(join), install, warnings, discoveryTimed: section(value("JoinConfiguration"), "timeouts")?.["discovery"] !== undefined };
}

export interface JoinedInput extends JoinRequest {
  readonly joining: Joining;
  /** `ClusterConfiguration` of ConfigMap kube-system/kubeadm-config, as stored. */
  readonly clusterText: string;
  readonly facts: HostFacts;
  /** `v1.36.2` of the carried package. */
  readonly packageVersion?: string;
  readonly flags?: FlagsOnly;
}

/** Throws CONFIG_INVALID when this node has no address with which the cluster could reach it. */
export function joinedConfig({ join, install, joining, clusterText, facts, packageVersion, flags }: JoinedInput): ResolvedConfig {
  const name = "ConfigMap kube-system/kubeadm-config";
  const [document] = loadDocuments(name, clusterText, ["ClusterConfiguration"]).documents;
  const kubernetesVersion = (document?.value["kubernetesVersion"] as string | undefined) ?? joining.apiServerVersion;
  const problems: Problem[] = [];
  const localAPIEndpoint = join.controlPlane?.localAPIEndpoint ?? { advertiseAddress: advertiseAddress(undefined, facts, problems, splitHostPort(new URL(joining.server).host)?.host), bindPort: 6443 };
  if (problems.length > 0) throw configError("", problems);
  const cluster = clusterConfiguration({}, document, { cni: "none", ha: false }, kubernetesVersion, localAPIEndpoint.bindPort);
  // A worker's sandboxes are started by what its own package carries, which may be of an older minor than the control plane.
  const minor = parseVersion((join.controlPlane === undefined ? packageVersion : undefined) ?? kubernetesVersion)?.minor;
  if (joining.controlPlanes !== undefined && cluster.controlPlaneEndpoint === undefined) {
    throw new KubestickError({
      code: "JOIN_ENDPOINT_ABSENT", attempted: `reading ${name}`, happened: "The cluster says that its nodes reach the control planes through haproxy, and names no controlPlaneEndpoint for it: something has taken that out.",
      next: "On a control plane: kubestick ha enable   # it puts it back; then run the same command again",
    });
  }
  return deepFreeze({
    joining, cluster, install: { ...install, ha: joining.controlPlanes !== undefined }, version: versionFacts(minor ?? 36) ?? (versionFacts(36) as VersionFacts),
    init: {
      bootstrapTokens: [], nodeRegistration: join.nodeRegistration, localAPIEndpoint, skipPhases: join.skipPhases, timeouts: join.timeouts,
      ...(join.controlPlane?.certificateKey === undefined ? {} : { certificateKey: join.controlPlane.certificateKey }),
      ...(join.patchesDirectory === undefined ? {} : { patchesDirectory: join.patchesDirectory }),
      ...(join.dryRun === undefined ? {} : { dryRun: join.dryRun }),
    },
    ...(flags === undefined ? {} : { flags }),
  });
}
