/** Phase upload-config/kubeadm: the ClusterConfiguration as later joins and upgrades, also those of kubeadm itself, read it. */
import type { KubeObject } from "../cluster/types.ts";
import type { ClusterConfiguration, ControlPlaneComponent, EnvVar, HostPathMount, ResolvedConfig } from "../config/types.ts";
import { configMap } from "./component-config.ts";
import { controlPlaneListRbac } from "./haproxy.ts";
import { groups, namespaces } from "./names.ts";
import { getOnly, group, role, roleBinding } from "./rbac.ts";
import { toYaml } from "./yaml.ts";

const name = "kubeadm-config";
const roleName = "kubeadm:nodes-kubeadm-config";

export function kubeadmConfigObjects(config: ResolvedConfig): readonly KubeObject[] {
  return [
    configMap({ name, namespace: namespaces.system }, {
      ClusterConfiguration: clusterConfigurationText(config.cluster),
      ...(config.install.ha ? { [installKey]: toYaml({ apiVersion: "kubestick.io/v1alpha1", ha: true, kind: "InstallConfiguration" }) } : {}),
    }),
    role(namespaces.system, roleName, [getOnly("configmaps", name)]),
    roleBinding(namespaces.system, roleName, [group(groups.bootstrapTokens), group(groups.nodes)]),
    ...(config.install.ha ? controlPlaneListRbac() : []),
  ];
}

/** What the ConfigMap says of the cluster, as one file of documents; undefined without kubeadm's part. */
export function storedConfiguration(data: Readonly<Record<string, string>> | undefined): string | undefined {
  const [cluster, install] = [data?.["ClusterConfiguration"], data?.[installKey]];
  return cluster === undefined || install === undefined ? cluster : `${cluster.trimEnd()}\n---\n${install}`;
}

/** Beside kubeadm's key in the same ConfigMap, which joining nodes may read: what of our own settings is the cluster's. */
export const installKey = "InstallConfiguration";

/** kubeadm.k8s.io/v1beta4 text, every default spelled out, empty optional fields left out as Go's `omitempty` does. */
export function clusterConfigurationText(cluster: ClusterConfiguration): string {
  const { etcd, networking, dns } = cluster;
  return toYaml({
    apiServer: { ...component(cluster.apiServer), certSANs: some(cluster.apiServer.certSANs) },
    apiVersion: "kubeadm.k8s.io/v1beta4",
    caCertificateValidityPeriod: cluster.caCertificateValidityPeriod,
    certificateValidityPeriod: cluster.certificateValidityPeriod,
    certificatesDir: cluster.certificatesDir,
    clusterName: cluster.clusterName,
    controlPlaneEndpoint: cluster.controlPlaneEndpoint,
    controllerManager: component(cluster.controllerManager),
    dns: { disabled: dns.disabled === true ? true : undefined, imageRepository: text(dns.imageRepository), imageTag: text(dns.imageTag) },
    encryptionAlgorithm: cluster.encryptionAlgorithm,
    etcd:
      etcd.external === undefined
        ? {
            local: {
              dataDir: etcd.local.dataDir,
              extraArgs: some(etcd.local.extraArgs),
              extraEnvs: some(etcd.local.extraEnvs?.map(environment)),
              imageRepository: text(etcd.local.imageRepository),
              imageTag: text(etcd.local.imageTag),
              peerCertSANs: some(etcd.local.peerCertSANs),
              serverCertSANs: some(etcd.local.serverCertSANs),
            },
          }
        : {
            external: {
              caFile: etcd.external.caFile,
              certFile: etcd.external.certFile,
              endpoints: etcd.external.endpoints,
              httpEndpoints: some(etcd.external.httpEndpoints),
              keyFile: etcd.external.keyFile,
            },
          },
    featureGates: cluster.featureGates === undefined || Object.keys(cluster.featureGates).length === 0 ? undefined : cluster.featureGates,
    imageRepository: cluster.imageRepository,
    kind: "ClusterConfiguration",
    kubernetesVersion: cluster.kubernetesVersion,
    networking: { dnsDomain: networking.dnsDomain, podSubnet: text(networking.podSubnet), serviceSubnet: networking.serviceSubnet },
    proxy: { disabled: cluster.proxy.disabled === true ? true : undefined },
    scheduler: component(cluster.scheduler),
  });
}

function component(given: ControlPlaneComponent): Readonly<Record<string, unknown>> {
  return { extraArgs: some(given.extraArgs), extraEnvs: some(given.extraEnvs?.map(environment)), extraVolumes: some(given.extraVolumes?.map(volume)) };
}

function environment({ name, value, valueFrom }: EnvVar): Readonly<Record<string, unknown>> {
  return { name, value: text(value), valueFrom };
}

function volume({ name, hostPath, mountPath, pathType, readOnly }: HostPathMount): Readonly<Record<string, unknown>> {
  return { hostPath, mountPath, name, pathType: text(pathType), readOnly: readOnly === true ? true : undefined };
}

function some<T>(list: readonly T[] | undefined): readonly T[] | undefined {
  return list === undefined || list.length === 0 ? undefined : list;
}

function text(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}
