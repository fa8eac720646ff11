/**
 * From what was typed, what the file says and what the machine is, to the one frozen configuration that every phase reads.
 * Order as in kubeadm (util/config/initconfiguration.go): static defaults, dynamic defaults, validation of everything at once.
 */
import type { HostFacts } from "../host/types.ts";
import { joinHostPort, parseCidrList, splitHostPort } from "./address.ts";
import { formatDuration, parseDuration } from "./duration.ts";
import { configError, loadDocuments, type LoadedConfig, type LoadedDocument, type Problem } from "./load.ts";
import { advertiseAddress, readNodeRegistration, readTimeouts, section, type Doc } from "./node-registration.ts";
import type { ConfigFile, InitOptions } from "./options.ts";
import type {
  BootstrapToken, ClusterConfiguration, EncryptionAlgorithm, FlagsOnly, InitConfiguration, InstallConfiguration, ResolvedConfig, VersionFacts,
} from "./types.ts";
import { validateConfig } from "./validate.ts";
import { controlPlaneVersionProblem, parseVersion, versionFacts } from "./versions.ts";
import { chosenVersion } from "./version-label.ts";

export interface ResolveInput {
  readonly options: InitOptions;
  readonly file?: ConfigFile;
  readonly facts: HostFacts;
  readonly flags?: FlagsOnly;
  /** `v1.36.2` of the carried package, which decides the version when nobody names one. */
  readonly packageVersion?: string;
  /** The CNI the package was made for, likewise. */
  readonly packageCni?: InstallConfiguration["cni"];
}

export interface Resolved {
  readonly config: ResolvedConfig;
  readonly warnings: readonly string[];
}

/** Where the node's own haproxy listens; not the API server's port, which a control plane has on all its addresses. */
export const haPort = 7443;
export const defaultTokenGroup = "system:bootstrappers:kubeadm:default-node-token";
/** flannel's and most people's habit, and the same for IPv6; only set when the CNI needs a pod network and nobody chose one. */
const defaultPodSubnets = { 4: "10.244.0.0/16", 6: "fd00:10:244::/56" } as const;

/** The flag, else what the file says: `waitForAddons: false` leaves the whole wait out. */
export function waitFor(flag: string | undefined, file: Readonly<Record<string, unknown>> | undefined): InstallConfiguration["waitFor"] {
  // The command line has a table of the three words.
  return (flag as InstallConfiguration["waitFor"] | undefined) ?? (file?.["waitForAddons"] === false ? "none" : "system");
}

/** Throws CONFIG_YAML or CONFIG_INVALID with every finding and its place. */
export function resolveInitConfig(input: ResolveInput): Resolved {
  const loaded = input.file === undefined ? { documents: [], warnings: [] } : loadDocuments(input.file.name, input.file.text);
  const { config, problems, warnings } = resolveInitDocuments(input, loaded);
  if (problems.length > 0) throw configError(input.file?.name ?? "", problems);
  return { config, warnings: [...loaded.warnings, ...warnings] };
}

/** The same from documents that are loaded already; the configuration is only good when there are no problems. */
export function resolveInitDocuments(input: ResolveInput, loaded: LoadedConfig): Resolved & { readonly problems: readonly Problem[] } {
  const { options, facts } = input;
  const document = (kind: string): LoadedDocument | undefined => loaded.documents.find((candidate) => candidate.kind === kind);
  const initDoc = document("InitConfiguration");
  const clusterDoc = document("ClusterConfiguration");
  const installDoc = document("InstallConfiguration");
  const problems: Problem[] = [];
  const warnings: string[] = [];

  const installValue = installDoc?.value;
  const cni = (options.cni ?? installValue?.["cni"] ?? input.packageCni ?? "flannel") as InstallConfiguration["cni"];
  if (!["flannel", "bridge", "none"].includes(cni)) problems.push({ path: "--cni", message: `must be flannel, bridge or none, not ${JSON.stringify(cni)}` });
  const install: InstallConfiguration = {
    cni,
    serviceRoute: (installValue?.["serviceRoute"] as InstallConfiguration["serviceRoute"] | undefined) ?? "Auto",
    waitFor: waitFor(options.wait, installValue),
    signaturePolicy: (installValue?.["signaturePolicy"] as InstallConfiguration["signaturePolicy"] | undefined) ?? "Auto",
    trustedKeys: (installValue?.["trustedKeys"] as readonly string[] | undefined) ?? [],
    ha: options.ha ?? (installValue?.["ha"] as boolean | undefined) ?? false,
  };

  const init = initConfiguration(options, initDoc, facts, problems, warnings, input.file === undefined && loaded.documents.length === 0);
  const given = options.kubernetesVersion ?? (clusterDoc?.value["kubernetesVersion"] as string | undefined);
  const kubernetesVersion = chosenVersion(given, input.packageVersion, warnings);
  const cluster = withoutSkippedAddons(init.skipPhases, clusterConfiguration(options, clusterDoc, install, kubernetesVersion, init.localAPIEndpoint.bindPort));
  const versionProblem = controlPlaneVersionProblem(kubernetesVersion);
  if (versionProblem !== undefined) {
    const place = clusterDoc?.at("kubernetesVersion");
    problems.push({
      path: options.kubernetesVersion === undefined ? "ClusterConfiguration.kubernetesVersion" : "--kubernetes-version", message: versionProblem, ...(place === undefined ? {} : { at: place }),
    });
  }
  const etcd = section(clusterDoc?.value, "etcd");
  if (etcd?.["local"] !== undefined && etcd["external"] !== undefined) problems.push({ path: "ClusterConfiguration.etcd", message: "local and external exclude each other; leave one of them out" });
  const kubelet = document("KubeletConfiguration")?.value;
  const kubeProxy = document("KubeProxyConfiguration")?.value;
  const resolved = {
    init, cluster, install, version: versionFacts(parseVersion(kubernetesVersion)?.minor ?? 36) ?? (versionFacts(36) as VersionFacts),
    ...(kubelet === undefined ? {} : { kubelet }), ...(kubeProxy === undefined ? {} : { kubeProxy }), ...(input.flags === undefined ? {} : { flags: input.flags }),
  };
  const { errors, warnings: remarks } = validateConfig(resolved);
  problems.push(...errors);
  return { config: deepFreeze(resolved), problems: problems.map((problem) => placed(problem, loaded)), warnings: [...warnings, ...remarks] };
}

/** Adds file, line and column to a problem that names a field. */
export function placed(problem: Problem, loaded: LoadedConfig): Problem {
  const [kind, ...rest] = problem.path.split(".");
  const document = problem.at === undefined ? loaded.documents.find((candidate) => candidate.kind === kind) : undefined;
  return document === undefined ? problem : { ...problem, at: document.at(rest.join(".")) };
}

function initConfiguration(
  options: InitOptions, doc: LoadedDocument | undefined, facts: HostFacts, problems: Problem[], warnings: string[], flagsAlone: boolean,
): InitConfiguration {
  const value = doc?.value;
  const endpoint = section(value, "localAPIEndpoint");
  const givenAddress = options.apiserverAdvertiseAddress ?? (endpoint?.["advertiseAddress"] as string | undefined);
  const patches = options.patches ?? (section(value, "patches")?.["directory"] as string | undefined);
  const certificateKey = options.certificateKey ?? (value?.["certificateKey"] as string | undefined);
  return {
    bootstrapTokens: bootstrapTokens(options, value, flagsAlone),
    nodeRegistration: readNodeRegistration(section(value, "nodeRegistration"), options, facts, problems, warnings),
    localAPIEndpoint: {
      advertiseAddress: advertiseAddress(givenAddress, facts, problems),
      bindPort: options.apiserverBindPort ?? ((endpoint?.["bindPort"] as number | undefined) || 6443),
    },
    ...(certificateKey === undefined || certificateKey === "" ? {} : { certificateKey }),
    skipPhases: options.skipPhases !== undefined && options.skipPhases.length > 0 ? options.skipPhases : ((value?.["skipPhases"] as readonly string[] | undefined) ?? []),
    ...(patches === undefined || patches === "" ? {} : { patchesDirectory: patches }),
    timeouts: readTimeouts(section(value, "timeouts")),
    ...(value?.["dryRun"] === true ? { dryRun: true } : {}),
  };
}

/** kubeadm describes the token of a run that has no file (cmd/options/token.go). */
function bootstrapTokens(options: InitOptions, value: Doc | undefined, flagsAlone: boolean): readonly BootstrapToken[] {
  const listed = (value?.["bootstrapTokens"] as readonly Doc[] | undefined) ?? [];
  const entries = listed.length > 0 ? listed : [{}];
  return entries.map((entry: Doc): BootstrapToken => {
    const token = options.token ?? (entry["token"] as string | undefined);
    const description = flagsAlone ? "The default bootstrap token generated by 'kubestick init'." : (entry["description"] as string | undefined);
    const expires = entry["expires"] as string | undefined;
    return {
      ...(token === undefined || token === "" ? {} : { token }),
      ...(description === undefined || description === "" ? {} : { description }),
      ...(expires === undefined ? {} : { expires }),
      ttl: goDuration(options.tokenTtl ?? (entry["ttl"] as string | undefined) ?? "24h0m0s"),
      usages: listOr(entry["usages"], ["signing", "authentication"]),
      groups: listOr(entry["groups"], [defaultTokenGroup]),
    };
  });
}

/** Go's defaults do not tell an empty list from an absent one. */
function listOr(given: unknown, fallback: readonly string[]): readonly string[] {
  return Array.isArray(given) && given.length > 0 ? (given as readonly string[]) : fallback;
}

/** Also for the ClusterConfiguration that a running cluster keeps, of which only what differs from the defaults may be written. */
export function clusterConfiguration(
  options: InitOptions, doc: LoadedDocument | undefined, { cni, ha }: Pick<InstallConfiguration, "cni" | "ha">, kubernetesVersion: string, bindPort: number,
): ClusterConfiguration {
  const text = (given: unknown, fallback: string): string => (typeof given === "string" && given !== "" ? given : fallback);
  const value = doc?.value;
  const networking = section(value, "networking");
  const etcd = section(value, "etcd");
  const external = section(etcd, "external");
  const local = section(etcd, "local");
  const apiServer = section(value, "apiServer");
  const serviceSubnet = text(options.serviceCidr ?? networking?.["serviceSubnet"], "10.96.0.0/12");
  const podSubnet = options.podNetworkCidr ?? (networking?.["podSubnet"] as string | undefined) ?? (cni === "none" ? undefined : podSubnetBeside(serviceSubnet));
  const clusterName = text(value?.["clusterName"], "kubernetes");
  const endpoint = text(options.controlPlaneEndpoint ?? value?.["controlPlaneEndpoint"], ha ? `kube-api.${clusterName}.internal` : "");
  const sans = [...((apiServer?.["certSANs"] as readonly string[] | undefined) ?? []), ...(options.apiserverCertExtraSans ?? [])].map((name) => name.toLowerCase());
  const featureGates = options.featureGates ?? (section(value, "featureGates") as Readonly<Record<string, boolean>> | undefined);
  return {
    etcd: external === undefined
      ? { local: { ...(local as object | undefined), dataDir: text(local?.["dataDir"], "/var/lib/etcd") } }
      : {
          external: {
            endpoints: (external["endpoints"] as readonly string[] | undefined) ?? [],
            httpEndpoints: (external["httpEndpoints"] as readonly string[] | undefined) ?? (external["endpoints"] as readonly string[] | undefined) ?? [],
            caFile: text(external["caFile"], ""), certFile: text(external["certFile"], ""), keyFile: text(external["keyFile"], ""),
          },
        },
    networking: {
      serviceSubnet,
      ...(podSubnet === undefined || podSubnet === "" ? {} : { podSubnet }),
      dnsDomain: text(options.serviceDnsDomain ?? networking?.["dnsDomain"], "cluster.local"),
    },
    kubernetesVersion,
    ...(endpoint === "" ? {} : { controlPlaneEndpoint: withPort(endpoint, ha ? haPort : bindPort) }),
    apiServer: { ...(apiServer as object | undefined), ...(sans.length > 0 ? { certSANs: sans } : {}) },
    controllerManager: { ...(section(value, "controllerManager") as object | undefined) },
    scheduler: { ...(section(value, "scheduler") as object | undefined) },
    dns: { ...(section(value, "dns") as object | undefined) },
    proxy: { ...(section(value, "proxy") as object | undefined) },
    certificatesDir: text(options.certDir ?? value?.["certificatesDir"], "/etc/kubernetes/pki"),
    imageRepository: text(options.imageRepository ?? value?.["imageRepository"], "registry.k8s.io"),
    ...(featureGates === undefined ? {} : { featureGates }),
    clusterName,
    encryptionAlgorithm: text(value?.["encryptionAlgorithm"], "RSA-2048") as EncryptionAlgorithm,
    certificateValidityPeriod: goDuration(text(value?.["certificateValidityPeriod"], "8760h0m0s")),
    caCertificateValidityPeriod: goDuration(text(value?.["caCertificateValidityPeriod"], "87600h0m0s")),
  };
}

/** An addon that is skipped now must not come with the first upgrade, so the stored configuration says so (kubeadm cmd/init.go). */
function withoutSkippedAddons(skipPhases: readonly string[], cluster: ClusterConfiguration): ClusterConfiguration {
  const skipped = (addon: string): boolean => skipPhases.some((path) => ["addon", `addon/${addon}`].includes(path.trim().toLowerCase()));
  return {
    ...cluster,
    dns: skipped("coredns") ? { ...cluster.dns, disabled: true } : cluster.dns,
    proxy: skipped("kube-proxy") ? { ...cluster.proxy, disabled: true } : cluster.proxy,
  };
}

/** One network for each family of the service network, in its order; a text that is no network is told elsewhere. */
function podSubnetBeside(serviceSubnet: string): string {
  return (parseCidrList(serviceSubnet) ?? [{ family: 4 as const }]).map(({ family }) => defaultPodSubnets[family]).join(",");
}

/** As Go writes it: `2h` is stored and printed as `2h0m0s`. */
function goDuration(text: string): string {
  const ms = parseDuration(text);
  return ms === undefined ? text : formatDuration(ms);
}

/** kubeadm stores the endpoint with its port filled in. */
function withPort(endpoint: string, bindPort: number): string {
  const parts = splitHostPort(endpoint);
  return parts === undefined || parts.port !== undefined ? endpoint : joinHostPort(parts.host, bindPort);
}

export function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const child of Object.values(value)) deepFreeze(child);
  }
  return value;
}
