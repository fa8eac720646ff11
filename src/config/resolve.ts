/**
 * From what was typed, what the file says and what the machine is, to the one frozen configuration that every phase reads.
 * Order as in kubeadm (util/config/initconfiguration.go): static defaults, dynamic defaults, validation of everything at once.
 */
import type { HostFacts } from "../host/types.ts";
import { isGlobalUnicast, joinHostPort, splitHostPort } from "./address.ts";
import { parseDuration } from "./duration.ts";
import { configError, loadDocuments, type LoadedDocument, type Problem } from "./load.ts";
import type { ConfigFile, InitOptions } from "./options.ts";
import type {
  Arg, BootstrapToken, ClusterConfiguration, EncryptionAlgorithm, FlagsOnly, InitConfiguration, InstallConfiguration, ResolvedConfig, Taint, Timeouts,
} from "./types.ts";
import { validateConfig } from "./validate.ts";
import { defaultKubernetesVersion, parseVersion, supportedMinors, versionFacts } from "./versions.ts";

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

export const defaultCriSocket = "unix:///var/run/containerd/containerd.sock";
export const defaultTokenGroup = "system:bootstrappers:kubeadm:default-node-token";
/** flannel's and most people's habit; only set when the CNI needs a pod network and nobody chose one. */
export const defaultPodSubnet = "10.244.0.0/16";

/** kubeadm v1beta4 defaults.go */
const defaultTimeouts: Timeouts = {
  controlPlaneComponentHealthCheck: 240_000, kubeletHealthCheck: 240_000, kubernetesAPICall: 60_000,
  etcdAPICall: 120_000, tlsBootstrap: 300_000, discovery: 300_000, upgradeManifests: 300_000,
};

type Doc = Readonly<Record<string, unknown>>;

function section(doc: Doc | undefined, key: string): Doc | undefined {
  const value = doc?.[key];
  return value === null || value === undefined ? undefined : (value as Doc);
}

/** Throws CONFIG_YAML or CONFIG_INVALID with every finding and its place. */
export function resolveInitConfig(input: ResolveInput): Resolved {
  const { options, facts } = input;
  const loaded = input.file === undefined ? { documents: [], warnings: [] } : loadDocuments(input.file.name, input.file.text);
  const document = (kind: string): LoadedDocument | undefined => loaded.documents.find((candidate) => candidate.kind === kind);
  const initDoc = document("InitConfiguration");
  const clusterDoc = document("ClusterConfiguration");
  const installDoc = document("InstallConfiguration");
  const problems: Problem[] = [];

  const installValue = installDoc?.value;
  const cni = (options.cni ?? installValue?.["cni"] ?? input.packageCni ?? "flannel") as InstallConfiguration["cni"];
  if (!["flannel", "bridge", "none"].includes(cni)) problems.push({ path: "--cni", message: `must be flannel, bridge or none, not ${JSON.stringify(cni)}` });
  const install: InstallConfiguration = {
    cni,
    serviceRoute: (installValue?.["serviceRoute"] as InstallConfiguration["serviceRoute"] | undefined) ?? "Auto",
    waitForAddons: (installValue?.["waitForAddons"] as boolean | undefined) ?? true,
  };

  const init = initConfiguration(options, initDoc, facts, problems);
  const cluster = withoutSkippedAddons(init.skipPhases, clusterConfiguration(options, clusterDoc, cni, input.packageVersion, init.localAPIEndpoint.bindPort));
  const minor = parseVersion(cluster.kubernetesVersion)?.minor;
  const version = minor === undefined ? undefined : versionFacts(minor);
  if (version === undefined) {
    const place = clusterDoc?.at("kubernetesVersion");
    problems.push({
      path: options.kubernetesVersion === undefined ? "ClusterConfiguration.kubernetesVersion" : "--kubernetes-version",
      message: `${JSON.stringify(cluster.kubernetesVersion)} is not a version this kubestick installs (1.${supportedMinors.join(", 1.")}; written as v1.36.2)`,
      ...(place === undefined ? {} : { at: place }),
    });
  }
  const kubelet = document("KubeletConfiguration")?.value;
  const kubeProxy = document("KubeProxyConfiguration")?.value;
  const resolved = {
    init, cluster, install, version: version ?? { minor: 0, etcdTag: "", corednsTag: "", pauseTag: "" },
    ...(kubelet === undefined ? {} : { kubelet }), ...(kubeProxy === undefined ? {} : { kubeProxy }), ...(input.flags === undefined ? {} : { flags: input.flags }),
  };
  const place = (path: string): { at: string } | Record<string, never> => {
    const [kind, ...rest] = path.split(".");
    const doc = kind === "InitConfiguration" ? initDoc : kind === "ClusterConfiguration" ? clusterDoc : installDoc;
    return doc === undefined ? {} : { at: doc.at(rest.join(".")) };
  };
  const { errors, warnings } = validateConfig(resolved);
  problems.push(...errors.map((problem) => ({ ...problem, ...place(problem.path) })));
  if (problems.length > 0) throw configError(input.file?.name ?? "", problems);
  return { config: deepFreeze(resolved), warnings: [...loaded.warnings, ...warnings] };
}

function initConfiguration(options: InitOptions, doc: LoadedDocument | undefined, facts: HostFacts, problems: Problem[]): InitConfiguration {
  const value = doc?.value;
  const node = section(value, "nodeRegistration");
  const endpoint = section(value, "localAPIEndpoint");
  const givenAddress = options.apiserverAdvertiseAddress ?? (endpoint?.["advertiseAddress"] as string | undefined);
  const taints = node?.["taints"] as readonly Taint[] | null | undefined;
  const patches = options.patches ?? (section(value, "patches")?.["directory"] as string | undefined);
  const certificateKey = options.certificateKey ?? (value?.["certificateKey"] as string | undefined);
  return {
    bootstrapTokens: bootstrapTokens(options, value),
    nodeRegistration: {
      name: (options.nodeName ?? (node?.["name"] as string | undefined) ?? facts.hostname).trim().toLowerCase(),
      criSocket: options.criSocket ?? (node?.["criSocket"] as string | undefined) ?? detectCriSocket(facts, problems),
      ...(taints === undefined || taints === null ? {} : { taints }),
      kubeletExtraArgs: (node?.["kubeletExtraArgs"] as readonly Arg[] | undefined) ?? [],
      ignorePreflightErrors: [...new Set([...((node?.["ignorePreflightErrors"] as readonly string[] | undefined) ?? []), ...(options.ignorePreflightErrors ?? [])].map((name) => name.toLowerCase()))].sort(),
      imagePullPolicy: (node?.["imagePullPolicy"] as string | undefined) ?? "IfNotPresent",
      imagePullSerial: (node?.["imagePullSerial"] as boolean | undefined) ?? true,
    },
    localAPIEndpoint: {
      advertiseAddress: advertiseAddress(givenAddress, facts, problems),
      bindPort: options.apiserverBindPort ?? (endpoint?.["bindPort"] as number | undefined) ?? 6443,
    },
    ...(certificateKey === undefined || certificateKey === "" ? {} : { certificateKey }),
    skipPhases: options.skipPhases !== undefined && options.skipPhases.length > 0 ? options.skipPhases : ((value?.["skipPhases"] as readonly string[] | undefined) ?? []),
    ...(patches === undefined || patches === "" ? {} : { patchesDirectory: patches }),
    timeouts: timeouts(section(value, "timeouts")),
  };
}

function bootstrapTokens(options: InitOptions, value: Doc | undefined): readonly BootstrapToken[] {
  const listed = (value?.["bootstrapTokens"] as readonly Doc[] | undefined) ?? [];
  const entries = listed.length > 0 ? listed : [{}];
  return entries.map((entry: Doc): BootstrapToken => {
    const token = options.token ?? (entry["token"] as string | undefined);
    const description = entry["description"] as string | undefined;
    const expires = entry["expires"] as string | undefined;
    return {
      ...(token === undefined || token === "" ? {} : { token }),
      ...(description === undefined || description === "" ? {} : { description }),
      ...(expires === undefined ? {} : { expires }),
      ttl: options.tokenTtl ?? (entry["ttl"] as string | undefined) ?? "24h0m0s",
      usages: (entry["usages"] as readonly string[] | undefined) ?? ["signing", "authentication"],
      groups: (entry["groups"] as readonly string[] | undefined) ?? [defaultTokenGroup],
    };
  });
}

function timeouts(doc: Doc | undefined): Timeouts {
  const entries = Object.entries(defaultTimeouts).map(([name, fallback]) => {
    const text = doc?.[name];
    return [name, typeof text === "string" ? (parseDuration(text) ?? fallback) : fallback];
  });
  return Object.fromEntries(entries) as Timeouts;
}

function clusterConfiguration(
  options: InitOptions, doc: LoadedDocument | undefined, cni: InstallConfiguration["cni"], packageVersion: string | undefined, bindPort: number,
): ClusterConfiguration {
  const value = doc?.value;
  const networking = section(value, "networking");
  const etcd = section(value, "etcd");
  const external = section(etcd, "external");
  const local = section(etcd, "local");
  const apiServer = section(value, "apiServer");
  const podSubnet = options.podNetworkCidr ?? (networking?.["podSubnet"] as string | undefined) ?? (cni === "none" ? undefined : defaultPodSubnet);
  const endpoint = options.controlPlaneEndpoint ?? (value?.["controlPlaneEndpoint"] as string | undefined);
  const givenVersion = options.kubernetesVersion ?? (value?.["kubernetesVersion"] as string | undefined) ?? packageVersion ?? defaultKubernetesVersion;
  const sans = [...((apiServer?.["certSANs"] as readonly string[] | undefined) ?? []), ...(options.apiserverCertExtraSans ?? [])].map((name) => name.toLowerCase());
  const text = (given: unknown, fallback: string): string => (typeof given === "string" && given !== "" ? given : fallback);
  const featureGates = options.featureGates ?? (section(value, "featureGates") as Readonly<Record<string, boolean>> | undefined);
  const gate = featureGates?.["PublicKeysECDSA"];
  const algorithm = gate === undefined ? text(value?.["encryptionAlgorithm"], "RSA-2048") : gate ? "ECDSA-P256" : "RSA-2048";
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
      serviceSubnet: text(options.serviceCidr ?? networking?.["serviceSubnet"], "10.96.0.0/12"),
      ...(podSubnet === undefined || podSubnet === "" ? {} : { podSubnet }),
      dnsDomain: text(options.serviceDnsDomain ?? networking?.["dnsDomain"], "cluster.local"),
    },
    kubernetesVersion: givenVersion.startsWith("v") ? givenVersion : `v${givenVersion}`,
    ...(endpoint === undefined || endpoint === "" ? {} : { controlPlaneEndpoint: withPort(endpoint, bindPort) }),
    apiServer: { ...(apiServer as object | undefined), ...(sans.length > 0 ? { certSANs: sans } : {}) },
    controllerManager: { ...(section(value, "controllerManager") as object | undefined) },
    scheduler: { ...(section(value, "scheduler") as object | undefined) },
    dns: { ...(section(value, "dns") as object | undefined) },
    proxy: { ...(section(value, "proxy") as object | undefined) },
    certificatesDir: text(options.certDir ?? value?.["certificatesDir"], "/etc/kubernetes/pki"),
    imageRepository: text(options.imageRepository ?? value?.["imageRepository"], "registry.k8s.io"),
    ...(featureGates === undefined ? {} : { featureGates }),
    clusterName: text(value?.["clusterName"], "kubernetes"),
    encryptionAlgorithm: algorithm as EncryptionAlgorithm,
    certificateValidityPeriod: text(value?.["certificateValidityPeriod"], "8760h0m0s"),
    caCertificateValidityPeriod: text(value?.["caCertificateValidityPeriod"], "87600h0m0s"),
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

/** kubeadm stores the endpoint with its port filled in. */
function withPort(endpoint: string, bindPort: number): string {
  const parts = splitHostPort(endpoint);
  return parts === undefined || parts.port !== undefined ? endpoint : joinHostPort(parts.host, bindPort);
}

/** kubeadm's candidates (constants_unix.go): one that answers wins, several are a question only a person can answer. */
function detectCriSocket(facts: HostFacts, problems: Problem[]): string {
  if (facts.criSockets.length > 1) {
    problems.push({ path: "--cri-socket", message: `several container runtimes answer on this host (${facts.criSockets.join(", ")}); name the one to use with --cri-socket` });
  }
  return facts.criSockets[0] ?? defaultCriSocket;
}

/** Interfaces that clusters make themselves; their addresses are never the node's. */
const clusterInterfaces = /^(cni|flannel|veth|docker|br-|virbr|kube-|cbr|cali|tunl|vxlan|lo$)/;

/**
 * The given address, else that of the default route's interface (kubeadm), else, on a machine without a default route, where kubeadm
 * gives up, the only global address there is.
 */
export function advertiseAddress(given: string | undefined, facts: HostFacts, problems: Problem[]): string {
  if (given !== undefined && given !== "" && given !== "0.0.0.0" && given !== "::") {
    if (!given.startsWith("127.") && given !== "::1") return given;
    const onLoopback = facts.addresses.find((candidate) => candidate.interface === "lo" && isGlobalUnicast(candidate.address));
    if (onLoopback !== undefined) return onLoopback.address;
    problems.push({ path: "--apiserver-advertise-address", message: `${given} is a loopback address and no global address is configured on lo` });
    return given;
  }
  const own = facts.addresses.filter((candidate) => candidate.global && isGlobalUnicast(candidate.address) && !clusterInterfaces.test(candidate.interface));
  for (const family of [4, 6] as const) {
    const route = facts.routes.find((candidate) => candidate.destination === "default" && candidate.family === family);
    const address = own.find((candidate) => candidate.family === family && candidate.interface === route?.device);
    if (route !== undefined && address !== undefined) return route.source ?? address.address;
  }
  const first = own.filter((candidate) => candidate.family === 4);
  const choices = first.length > 0 ? first : own;
  if (choices.length === 1 && choices[0] !== undefined) return choices[0].address;
  problems.push({
    path: "--apiserver-advertise-address",
    message: choices.length === 0
      ? "this host has no global address and no default route; give an interface an address, or name one with --apiserver-advertise-address"
      : `this host has no default route and several addresses (${choices.map((choice) => `${choice.address} on ${choice.interface}`).join(", ")}); name one with --apiserver-advertise-address`,
  });
  return "";
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const child of Object.values(value)) deepFreeze(child);
  }
  return value;
}
