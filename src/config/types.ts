/**
 * Configuration after loading, defaulting and validation: frozen, complete, what every phase reads.
 * Field names and meanings are kubeadm's (kubeadm.k8s.io/v1beta4); durations are kept as Go strings next to their milliseconds where a plan needs them.
 */

export interface Arg {
  readonly name: string;
  readonly value: string;
}

/** core/v1 EnvVar. */
export interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: Readonly<Record<string, unknown>>;
}

export interface HostPathMount {
  readonly name: string;
  readonly hostPath: string;
  readonly mountPath: string;
  readonly readOnly?: boolean;
  readonly pathType?: string;
}

export interface Taint {
  readonly key: string;
  readonly value?: string;
  readonly effect: string;
}

export interface BootstrapToken {
  /** `id.secret`; undefined = generate (or adopt a valid one the cluster holds). */
  readonly token?: string;
  readonly description?: string;
  /** Go duration; `0s` = never expires. */
  readonly ttl: string;
  readonly expires?: string;
  readonly usages: readonly string[];
  readonly groups: readonly string[];
}

export interface NodeRegistration {
  readonly name: string;
  /** `unix:///...` */
  readonly criSocket: string;
  /** undefined: role's default. */
  readonly taints?: readonly Taint[];
  readonly kubeletExtraArgs: readonly Arg[];
  readonly ignorePreflightErrors: readonly string[];
  readonly imagePullPolicy: string;
  readonly imagePullSerial: boolean;
}

export interface Timeouts {
  /** All in milliseconds. */
  readonly controlPlaneComponentHealthCheck: number;
  readonly kubeletHealthCheck: number;
  readonly kubernetesAPICall: number;
  readonly etcdAPICall: number;
  readonly tlsBootstrap: number;
  readonly discovery: number;
  readonly upgradeManifests: number;
}

export interface InitConfiguration {
  readonly bootstrapTokens: readonly BootstrapToken[];
  readonly nodeRegistration: NodeRegistration;
  readonly localAPIEndpoint: { readonly advertiseAddress: string; readonly bindPort: number };
  readonly certificateKey?: string;
  readonly skipPhases: readonly string[];
  readonly patchesDirectory?: string;
  readonly timeouts: Timeouts;
  /** The file asks for a dry run; `--dry-run` or `--dry-run=false` on the command line wins. */
  readonly dryRun?: true;
}

export interface ControlPlaneComponent {
  readonly extraArgs?: readonly Arg[];
  readonly extraVolumes?: readonly HostPathMount[];
  readonly extraEnvs?: readonly EnvVar[];
}

export interface LocalEtcd {
  readonly imageRepository?: string;
  readonly imageTag?: string;
  readonly dataDir: string;
  readonly extraArgs?: readonly Arg[];
  readonly extraEnvs?: readonly EnvVar[];
  readonly serverCertSANs?: readonly string[];
  readonly peerCertSANs?: readonly string[];
}

export interface ExternalEtcd {
  readonly endpoints: readonly string[];
  readonly httpEndpoints?: readonly string[];
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** As stored in ConfigMap kubeadm-config: every key here except the discriminating helpers serialises to YAML under its own name. */
export interface ClusterConfiguration {
  readonly etcd: { readonly local: LocalEtcd; readonly external?: undefined } | { readonly external: ExternalEtcd; readonly local?: undefined };
  readonly networking: { readonly serviceSubnet: string; readonly podSubnet?: string; readonly dnsDomain: string };
  /** With leading v. */
  readonly kubernetesVersion: string;
  /** host:port, or undefined. */
  readonly controlPlaneEndpoint?: string;
  readonly apiServer: ControlPlaneComponent & { readonly certSANs?: readonly string[] };
  readonly controllerManager: ControlPlaneComponent;
  readonly scheduler: ControlPlaneComponent;
  readonly dns: { readonly imageRepository?: string; readonly imageTag?: string; readonly disabled?: boolean };
  readonly proxy: { readonly disabled?: boolean };
  readonly certificatesDir: string;
  readonly imageRepository: string;
  readonly featureGates?: Readonly<Record<string, boolean>>;
  readonly clusterName: string;
  readonly encryptionAlgorithm: EncryptionAlgorithm;
  /** Go duration. */
  readonly certificateValidityPeriod: string;
  readonly caCertificateValidityPeriod: string;
}

export type EncryptionAlgorithm = "RSA-2048" | "RSA-3072" | "RSA-4096" | "ECDSA-P256" | "ECDSA-P384";

/** What `init` can only be told by flags, next to a configuration file too. */
export interface FlagsOnly {
  readonly uploadCerts?: boolean;
  readonly skipTokenPrint?: boolean;
  readonly skipCertificateKeyPrint?: boolean;
  /** Apply the safe cures of what preflight finds. */
  readonly fix?: boolean;
  /** Where phase kubeconfig alone writes its files; absolute. */
  readonly kubeconfigDirectory?: string;
}

/** kubestick.io/v1alpha1 InstallConfiguration: what kubeadm has no word for. */
export interface InstallConfiguration {
  readonly cni: "flannel" | "bridge" | "none";
  /** `Auto`: a route for the service network when the host has no route that matches it; `Never`. */
  readonly serviceRoute: "Auto" | "Never";
  /** What a run waits for at its end: the node and the pods of network, DNS and proxy on it (`system`), the node alone, or nothing. */
  readonly waitFor: "system" | "node" | "none";
  /** `Require`: no package is used without a signature of a trusted key; `Auto`: where a key is trusted. */
  readonly signaturePolicy: "Auto" | "Require";
  /** Public keys, one of which must have signed the package: files (PEM) or `sha256:` fingerprints. */
  readonly trustedKeys: readonly string[];
  /** Every node reaches the control planes through a haproxy of its own, under the name in `controlPlaneEndpoint`. */
  readonly ha: boolean;
}

/** What differs per Kubernetes minor, as data (`src/config/versions.ts`). */
export interface VersionFacts {
  readonly minor: number;
  readonly etcdTag: string;
  readonly corednsTag: string;
  readonly pauseTag: string;
  /** The flags of a local etcd member whose names or values depend on the etcd of this minor. */
  readonly etcdFlags: Readonly<Record<string, string>>;
}

/** Who a joining node is to the API server until it has its own certificate. */
export type BootstrapIdentity = { readonly token: string } | { readonly certificate: string; readonly key: string };

/** What a node that joins has learned of the cluster, before anything is planned and without changing anything. */
export interface Joining {
  readonly role: "worker" | "control-plane";
  /** `https://host:port` by which the cluster was found and is reached from this node. */
  readonly server: string;
  readonly clusterName: string;
  /** Of the cluster; vouched for by discovery. */
  readonly caPem: string;
  /** Where a worker keeps it. */
  readonly caCertPath: string;
  readonly identity: BootstrapIdentity;
  /** The KubeletConfiguration that all nodes start from (ConfigMap kubelet-config). */
  readonly kubelet: Readonly<Record<string, unknown>>;
  /** `v1.36.2` */
  readonly apiServerVersion: string;
  /** `host:port` of the API servers, as the cluster names them; present when every node reaches them through a haproxy of its own. */
  readonly controlPlanes?: readonly string[];
  /** The node that has this node's name already. */
  readonly namesake?: { readonly ready: boolean; readonly machineId: string; readonly addresses: readonly string[] };
  /** Of a control plane: the shared files by their keys in the Secret kubeadm-certs, decrypted; undefined when they are on this machine already. */
  readonly certificates?: Readonly<Record<string, string>>;
}

export interface ResolvedConfig {
  /** Of a node that joins; undefined at init. */
  readonly joining?: Joining;
  readonly init: InitConfiguration;
  readonly cluster: ClusterConfiguration;
  /** The user's KubeletConfiguration / KubeProxyConfiguration document, fields as given; undefined when there was none. */
  readonly kubelet?: Readonly<Record<string, unknown>>;
  readonly kubeProxy?: Readonly<Record<string, unknown>>;
  readonly install: InstallConfiguration;
  readonly flags?: FlagsOnly;
  readonly version: VersionFacts;
}
