/**
 * The fields of every configuration kind, as data: what a document may contain and of which type.
 * One table serves strict checking (with the nearest valid name), cleaning, and the reading of v1beta3.
 * Source: kubeadm's v1beta4 types (cmd/kubeadm/app/apis/kubeadm/v1beta4/types.go).
 */
import { kubeletSchema, kubeProxySchema } from "./component-schema.ts";

export type Schema = Shape & {
  /** Zero and nothing are the same to the program, which writes neither. */
  readonly omitZero?: true;
};

type Shape =
  | { readonly type: "string" | "boolean" | "integer" | "number" | "duration" | "any" }
  | { readonly type: "booleanMap" | "stringMap" }
  | { readonly type: "enum"; readonly values: readonly string[] }
  | { readonly type: "list"; readonly of: Schema }
  | ObjectSchema;

export interface ObjectSchema {
  readonly type: "object";
  readonly fields: Readonly<Record<string, Schema>>;
  /** What Go's decoder gives a text that is not there, where the program needs a text. */
  readonly defaults?: Readonly<Record<string, string>>;
  /** A field that is not in the table is told and left out; without this it is refused. */
  readonly unknownFields?: "warn";
}

const string: Schema = { type: "string" };
const boolean: Schema = { type: "boolean" };
const integer: Schema = { type: "integer" };
const duration: Schema = { type: "duration" };
const list = (of: Schema): Schema => ({ type: "list", of });
const object = (fields: Readonly<Record<string, Schema>>): ObjectSchema => ({ type: "object", fields });
const oneOf = (...values: string[]): Schema => ({ type: "enum", values });

/** `extraArgs` and `kubeletExtraArgs`. */
export const argumentList: Schema = list({ ...object({ name: string, value: string }), defaults: { name: "", value: "" } });
/** core/v1 EnvVarSource; the default is the one core/v1 gives a fieldRef. */
const envSource = object({
  fieldRef: { ...object({ apiVersion: string, fieldPath: string }), defaults: { apiVersion: "v1" } },
  resourceFieldRef: { type: "any" }, configMapKeyRef: { type: "any" }, secretKeyRef: { type: "any" }, fileKeyRef: { type: "any" },
});
const envs = list({ ...object({ name: string, value: string, valueFrom: envSource }), defaults: { name: "" } });
const volumes = list({ ...object({ name: string, hostPath: string, mountPath: string, readOnly: boolean, pathType: string }), defaults: { name: "", hostPath: "", mountPath: "" } });
const component = { extraArgs: argumentList, extraVolumes: volumes, extraEnvs: envs };
const imageMeta = { imageRepository: string, imageTag: string };

const pullPolicy = oneOf("Always", "IfNotPresent", "Never");

const nodeRegistration = object({
  name: string,
  criSocket: string,
  taints: list({ ...object({ key: string, value: string, effect: oneOf("NoSchedule", "PreferNoSchedule", "NoExecute"), timeAdded: string }), defaults: { key: "", effect: "" } }),
  kubeletExtraArgs: argumentList,
  ignorePreflightErrors: list(string),
  imagePullPolicy: pullPolicy,
  imagePullSerial: boolean,
});

const timeouts = object({
  controlPlaneComponentHealthCheck: duration,
  kubeletHealthCheck: duration,
  kubernetesAPICall: duration,
  etcdAPICall: duration,
  tlsBootstrap: duration,
  discovery: duration,
  upgradeManifests: duration,
});

const typeMeta = { apiVersion: string, kind: string };

const localAPIEndpoint = object({ advertiseAddress: string, bindPort: integer });
const patches = object({ directory: string });

const initConfiguration = object({
  ...typeMeta,
  bootstrapTokens: list(object({ token: string, description: string, ttl: duration, expires: string, usages: list(oneOf("signing", "authentication")), groups: list(string) })),
  dryRun: boolean,
  nodeRegistration,
  localAPIEndpoint,
  certificateKey: string,
  skipPhases: list(string),
  patches,
  timeouts,
});

const clusterConfiguration = object({
  ...typeMeta,
  etcd: object({
    local: object({ ...imageMeta, dataDir: string, extraArgs: argumentList, extraEnvs: envs, serverCertSANs: list(string), peerCertSANs: list(string) }),
    external: object({ endpoints: list(string), httpEndpoints: list(string), caFile: string, certFile: string, keyFile: string }),
  }),
  networking: object({ serviceSubnet: string, podSubnet: string, dnsDomain: string }),
  kubernetesVersion: string,
  controlPlaneEndpoint: string,
  apiServer: object({ ...component, certSANs: list(string) }),
  controllerManager: object(component),
  scheduler: object(component),
  dns: object({ ...imageMeta, disabled: boolean }),
  proxy: object({ disabled: boolean }),
  certificatesDir: string,
  imageRepository: string,
  featureGates: { type: "booleanMap" },
  clusterName: string,
  encryptionAlgorithm: oneOf("RSA-2048", "RSA-3072", "RSA-4096", "ECDSA-P256", "ECDSA-P384"),
  certificateValidityPeriod: duration,
  caCertificateValidityPeriod: duration,
});

const joinConfiguration = object({
  ...typeMeta,
  dryRun: boolean,
  nodeRegistration,
  caCertPath: string,
  discovery: object({
    bootstrapToken: object({ token: string, apiServerEndpoint: string, caCertHashes: list(string), unsafeSkipCAVerification: boolean }),
    file: object({ kubeConfigPath: string }),
    tlsBootstrapToken: string,
  }),
  controlPlane: object({ localAPIEndpoint, certificateKey: string }),
  skipPhases: list(string),
  patches,
  timeouts,
});

const resetConfiguration = object({
  ...typeMeta,
  cleanupTmpDir: boolean,
  certificatesDir: string,
  criSocket: string,
  dryRun: boolean,
  force: boolean,
  ignorePreflightErrors: list(string),
  skipPhases: list(string),
  unmountFlags: list(oneOf("MNT_FORCE", "MNT_DETACH", "MNT_EXPIRE", "UMOUNT_NOFOLLOW")),
  timeouts,
});

const upgradePlan = { kubernetesVersion: string, allowExperimentalUpgrades: boolean, allowRCUpgrades: boolean, dryRun: boolean, etcdUpgrade: boolean, ignorePreflightErrors: list(string), printConfig: boolean };
const upgradeNode = {
  certificateRenewal: boolean, dryRun: boolean, etcdUpgrade: boolean, ignorePreflightErrors: list(string), patches, skipPhases: list(string), imagePullPolicy: pullPolicy, imagePullSerial: boolean,
};

const upgradeConfiguration = object({
  ...typeMeta,
  apply: object({ ...upgradePlan, ...upgradeNode, forceUpgrade: boolean }),
  diff: object({ kubernetesVersion: string, contextLines: integer }),
  node: object(upgradeNode),
  plan: object(upgradePlan),
  timeouts,
});

export const installConfiguration: ObjectSchema = object({
  ...typeMeta,
  cni: oneOf("flannel", "bridge", "none"),
  serviceRoute: oneOf("Auto", "Never"),
  waitForAddons: boolean,
  signaturePolicy: oneOf("Auto", "Require"),
  trustedKeys: list(string),
  ha: boolean,
});

export const kubeadmApiVersion = "kubeadm.k8s.io/v1beta4";
export const installApiVersion = "kubestick.io/v1alpha1";
export const kubeletApiVersion = "kubelet.config.k8s.io/v1beta1";
export const kubeProxyApiVersion = "kubeproxy.config.k8s.io/v1alpha1";

/** `apiVersion kind` to the schema of the document. */
export const documentSchemas: Readonly<Record<string, Schema>> = {
  [`${kubeadmApiVersion} InitConfiguration`]: initConfiguration,
  [`${kubeadmApiVersion} ClusterConfiguration`]: clusterConfiguration,
  [`${kubeadmApiVersion} JoinConfiguration`]: joinConfiguration,
  [`${kubeadmApiVersion} ResetConfiguration`]: resetConfiguration,
  [`${kubeadmApiVersion} UpgradeConfiguration`]: upgradeConfiguration,
  [`${installApiVersion} InstallConfiguration`]: installConfiguration,
  [`${kubeletApiVersion} KubeletConfiguration`]: kubeletSchema,
  [`${kubeProxyApiVersion} KubeProxyConfiguration`]: kubeProxySchema,
};
