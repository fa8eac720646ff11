/**
 * The PKI room: the cluster's certificates, keys, tokens and kubeconfigs as text.
 *
 * Owns THE table below: every certificate of a control plane as a row, in kubeadm's order and under kubeadm's names. Everything that makes,
 * checks, lists or renews certificates walks it. Refuses to touch files: text in, text out; phases read and plan writes. Then read
 * `issue.ts` (what a certificate looks like), `adopt.ts` (what happens to one that exists), `kubeconfig.ts`.
 * Facts: kubeadm phases/certs/certlist.go, util/pkiutil/pki_helpers.go, phases/kubeconfig.
 */
import { familyOf, splitHostPort } from "../config/address.ts";
import type { ResolvedConfig } from "../config/types.ts";
import { apiServiceAddress, clusterEndpoint, localEndpoint } from "../manifests/endpoints.ts";
import { groups, kubernetesDirectory } from "../manifests/names.ts";

export type AuthorityName = "ca" | "front-proxy-ca" | "etcd-ca";
export type Usage = "serverAuth" | "clientAuth";

export interface AltNames {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

interface Row {
  /** kubeadm's phase name: what `init phase certs` and `certs renew` take. */
  readonly name: string;
  readonly commonName: (config: ResolvedConfig) => string;
}

export interface AuthorityRow extends Row {
  readonly kind: "authority";
  readonly name: AuthorityName;
  /** Path below certificatesDir without extension. */
  readonly baseName: string;
}

export interface LeafRow extends Row {
  readonly kind: "leaf";
  readonly baseName: string;
  readonly authority: AuthorityName;
  readonly usages: readonly Usage[];
  readonly altNames: (config: ResolvedConfig) => AltNames;
}

/** A client certificate that lives inside a kubeconfig. */
export interface KubeconfigRow extends Row {
  readonly kind: "kubeconfig";
  /** Also the file's name below /etc/kubernetes. */
  readonly name: string;
  readonly authority: "ca";
  readonly organization?: string;
  readonly usages: readonly ["clientAuth"];
  readonly server: (config: ResolvedConfig) => string;
}

export type CertificateRow = AuthorityRow | LeafRow;

const noNames = (): AltNames => ({ dnsNames: [], ipAddresses: [] });
const named = (name: string) => (): string => name;
const nodeName = (config: ResolvedConfig): string => config.init.nodeRegistration.name;

const table: readonly CertificateRow[] = [
  { kind: "authority", name: "ca", baseName: "ca", commonName: named("kubernetes") },
  { kind: "leaf", name: "apiserver", baseName: "apiserver", authority: "ca", commonName: named("kube-apiserver"), usages: ["serverAuth"], altNames: apiServerNames },
  { kind: "leaf", name: "apiserver-kubelet-client", baseName: "apiserver-kubelet-client", authority: "ca", commonName: named("kube-apiserver-kubelet-client"), usages: ["clientAuth"], altNames: noNames },
  { kind: "authority", name: "front-proxy-ca", baseName: "front-proxy-ca", commonName: named("front-proxy-ca") },
  { kind: "leaf", name: "front-proxy-client", baseName: "front-proxy-client", authority: "front-proxy-ca", commonName: named("front-proxy-client"), usages: ["clientAuth"], altNames: noNames },
];

const etcdTable: readonly CertificateRow[] = [
  { kind: "authority", name: "etcd-ca", baseName: "etcd/ca", commonName: named("etcd-ca") },
  // etcd also dials itself with its server certificate (etcd-io/etcd#9785), hence both usages.
  { kind: "leaf", name: "etcd-server", baseName: "etcd/server", authority: "etcd-ca", commonName: nodeName, usages: ["serverAuth", "clientAuth"], altNames: (config) => etcdNames(config, config.cluster.etcd.local?.serverCertSANs) },
  { kind: "leaf", name: "etcd-peer", baseName: "etcd/peer", authority: "etcd-ca", commonName: nodeName, usages: ["serverAuth", "clientAuth"], altNames: (config) => etcdNames(config, config.cluster.etcd.local?.peerCertSANs) },
  { kind: "leaf", name: "etcd-healthcheck-client", baseName: "etcd/healthcheck-client", authority: "etcd-ca", commonName: named("kube-etcd-healthcheck-client"), usages: ["clientAuth"], altNames: noNames },
  { kind: "leaf", name: "apiserver-etcd-client", baseName: "apiserver-etcd-client", authority: "etcd-ca", commonName: named("kube-apiserver-etcd-client"), usages: ["clientAuth"], altNames: noNames },
];

/** Every row there can be. */
export const allCertificateRows: readonly CertificateRow[] = [...table, ...etcdTable];

/** Rows of this cluster, an authority always before what it signs. An external etcd brings its own certificates. */
export function certificateRows(config: ResolvedConfig): readonly CertificateRow[] {
  return config.cluster.etcd.external === undefined ? allCertificateRows : table;
}

/** The five kubeconfigs of `init`, in kubeadm's order. Components of this node dial this node; people dial the cluster. */
export const kubeconfigRows: readonly KubeconfigRow[] = [
  { kind: "kubeconfig", name: "admin.conf", authority: "ca", commonName: named("kubernetes-admin"), organization: groups.clusterAdmins, usages: ["clientAuth"], server: clusterEndpoint },
  { kind: "kubeconfig", name: "super-admin.conf", authority: "ca", commonName: named("kubernetes-super-admin"), organization: groups.masters, usages: ["clientAuth"], server: clusterEndpoint },
  { kind: "kubeconfig", name: "kubelet.conf", authority: "ca", commonName: (config) => `system:node:${nodeName(config)}`, organization: groups.nodes, usages: ["clientAuth"], server: localEndpoint },
  { kind: "kubeconfig", name: "controller-manager.conf", authority: "ca", commonName: named("system:kube-controller-manager"), usages: ["clientAuth"], server: localEndpoint },
  { kind: "kubeconfig", name: "scheduler.conf", authority: "ca", commonName: named("system:kube-scheduler"), usages: ["clientAuth"], server: localEndpoint },
];

export function certificatePath(config: ResolvedConfig, row: CertificateRow): string {
  return `${config.cluster.certificatesDir}/${row.baseName}.crt`;
}

export function keyPath(config: ResolvedConfig, row: CertificateRow): string {
  return `${config.cluster.certificatesDir}/${row.baseName}.key`;
}

export function kubeconfigPath(row: KubeconfigRow, config?: Pick<ResolvedConfig, "flags">): string {
  return `${config?.flags?.kubeconfigDirectory ?? kubernetesDirectory}/${row.name}`;
}

/** The service-account key pair has no certificate; it lives beside the table. */
export function serviceAccountPaths(config: ResolvedConfig): { readonly privateKey: string; readonly publicKey: string } {
  return { privateKey: `${config.cluster.certificatesDir}/sa.key`, publicKey: `${config.cluster.certificatesDir}/sa.pub` };
}

function apiServerNames(config: ResolvedConfig): AltNames {
  const { networking, controlPlaneEndpoint, apiServer } = config.cluster;
  const endpoint = controlPlaneEndpoint === undefined ? undefined : splitHostPort(controlPlaneEndpoint)?.host;
  return sorted([
    nodeName(config),
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    `kubernetes.default.svc.${networking.dnsDomain}`,
    apiServiceAddress(config),
    config.init.localAPIEndpoint.advertiseAddress,
    ...(endpoint === undefined ? [] : [endpoint]),
    ...(apiServer.certSANs ?? []),
  ]);
}

function etcdNames(config: ResolvedConfig, extra: readonly string[] = []): AltNames {
  return sorted([nodeName(config), "localhost", config.init.localAPIEndpoint.advertiseAddress, "127.0.0.1", "::1", ...extra]);
}

/** Names once and sorted, addresses once and in the order given: how kubeadm's certificates list them. */
function sorted(names: readonly string[]): AltNames {
  const isAddress = (name: string): boolean => familyOf(name) !== undefined;
  return {
    dnsNames: [...new Set(names.filter((name) => !isAddress(name)))].sort(),
    ipAddresses: [...new Set(names.filter(isAddress))],
  };
}
