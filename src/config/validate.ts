/**
 * Every rule kubeadm checks on Init- and ClusterConfiguration (apis/kubeadm/validation/validation.go), all findings at once.
 * Paths are field paths, so that the loader can add line and column.
 */
import { cidrsOverlap, cidrSize, familyOf, parseCidr, parseCidrList, splitHostPort, type Cidr } from "./address.ts";
import { parseDuration } from "./duration.ts";
import { isDnsSubdomain, isWildcardSubdomain, nearest } from "./names.ts";
import type { Problem } from "./load.ts";
import { validateArgs, validateCertificateKey, validateEndpoint, validateNodeRegistration, validateToken, type Report } from "./node-registration.ts";
import type { ClusterConfiguration, ExternalEtcd, InitConfiguration, ResolvedConfig } from "./types.ts";

/** Host with port, then path, as the distribution project writes references; upper case is fine in the host alone. */
const imageRepository = /^(?:\[[0-9a-fA-F:]+\]|[a-zA-Z0-9]+(?:[._-]+[a-zA-Z0-9]+)*)(?::\d+)?(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*$/;

export interface Validation {
  readonly errors: readonly Problem[];
  readonly warnings: readonly string[];
}

const siteLocal = parseCidr("fec0::/10") as Cidr;
const knownFeatureGates = ["NodeLocalCRISocket", "PublicKeysECDSA", "RootlessControlPlane"];

export function validateConfig(config: ResolvedConfig): Validation {
  const errors: Problem[] = [];
  const warnings: string[] = [];
  const report = (path: string, message: string): void => { errors.push({ path, message }); };
  validateInit(config.init, report);
  validateCluster(config.cluster, report, warnings);
  if (config.install.ha) validateHa(config, report);
  return { errors, warnings };
}

/** Ports of a node that its haproxy cannot have: of etcd, kubelet, kube-proxy, controller manager, scheduler, and haproxy's own health endpoint. */
const nodePorts = [2379, 2380, 2381, 7444, 10248, 10249, 10250, 10256, 10257, 10259];

function validateHa({ cluster, init, install }: ResolvedConfig, report: Report): void {
  const path = "ClusterConfiguration.controlPlaneEndpoint";
  const { host, port } = splitHostPort(cluster.controlPlaneEndpoint ?? "") ?? {};
  // What is no endpoint at all is told already.
  if (host !== undefined && familyOf(host) !== undefined) report(path, `${cluster.controlPlaneEndpoint} is an address; with ha it is a name, which each node resolves to itself, e.g. kube-api.example.internal:7443`);
  if (port !== undefined && [init.localAPIEndpoint.bindPort, ...nodePorts].includes(port)) report(path, `port ${port} belongs to another program of the node; with ha the node's haproxy listens there on 127.0.0.1, e.g. on 7443`);
  if (install.cni === "bridge") report("InstallConfiguration.ha", "the pod network bridge connects the pods of one node only; with ha use flannel or none");
}

function validateInit(init: InitConfiguration, report: Report): void {
  validateEndpoint("InitConfiguration.localAPIEndpoint", init.localAPIEndpoint, report);
  validateNodeRegistration("InitConfiguration.nodeRegistration", init.nodeRegistration, report);
  validateCertificateKey("InitConfiguration.certificateKey", init.certificateKey, report);
  init.bootstrapTokens.forEach((token, index) => {
    const path = `InitConfiguration.bootstrapTokens.${index}`;
    if (token.token !== undefined) validateToken(`${path}.token`, token.token, report);
    const ttl = parseDuration(token.ttl);
    if (ttl === undefined || ttl < 0) report(`${path}.ttl`, `${JSON.stringify(token.ttl)} must be a duration such as 24h0m0s, or 0s for never`);
    if (token.expires !== undefined) report(`${path}.expires`, "use ttl; expires cannot be combined with it");
    for (const group of token.groups) {
      if (!/^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/.test(group)) report(`${path}.groups`, `${JSON.stringify(group)} must start with system:bootstrappers:`);
    }
    if (token.groups.length > 0 && !token.usages.includes("authentication")) report(`${path}.usages`, "a token with groups needs the usage authentication");
  });
}

function validateCluster(cluster: ClusterConfiguration, report: Report, warnings: string[]): void {
  const kind = "ClusterConfiguration";
  if (!isDnsSubdomain(cluster.networking.dnsDomain)) report(`${kind}.networking.dnsDomain`, `${JSON.stringify(cluster.networking.dnsDomain)} is not a DNS domain (RFC 1123)`);
  validateSubnets(cluster, report, warnings);
  if (cluster.controlPlaneEndpoint !== undefined) {
    const parts = splitHostPort(cluster.controlPlaneEndpoint);
    if (parts === undefined || (familyOf(parts.host) === undefined && !isDnsSubdomain(parts.host))) report(`${kind}.controlPlaneEndpoint`, `${JSON.stringify(cluster.controlPlaneEndpoint)} must be an IP address or DNS name, with or without :port`);
  }
  for (const san of cluster.apiServer.certSANs ?? []) validateSan(`${kind}.apiServer.certSANs`, san, report);
  for (const name of ["apiServer", "controllerManager", "scheduler"] as const) validateArgs(`${kind}.${name}.extraArgs`, cluster[name].extraArgs ?? [], report);
  if (!cluster.certificatesDir.startsWith("/")) report(`${kind}.certificatesDir`, `${JSON.stringify(cluster.certificatesDir)} must be an absolute path`);
  for (const [field, repository] of [["imageRepository", cluster.imageRepository], ["dns.imageRepository", cluster.dns.imageRepository], ["etcd.local.imageRepository", cluster.etcd.local?.imageRepository]] as const) {
    if (repository !== undefined && (repository !== "" || field === "imageRepository") && !imageRepository.test(repository)) report(`${kind}.${field}`, `${JSON.stringify(repository)} is not an image repository such as registry.k8s.io`);
  }
  for (const gate of Object.keys(cluster.featureGates ?? {})) {
    // Taking it for known and doing nothing would let somebody believe that the control plane is confined.
    if (gate === "RootlessControlPlane" && cluster.featureGates?.[gate] === true) report(`${kind}.featureGates`, "RootlessControlPlane is not built here (alpha in kubeadm, and given up there); leave it out: the control plane runs as root");
    if (gate === "NodeLocalCRISocket" && cluster.featureGates?.[gate] === false) report(`${kind}.featureGates`, "NodeLocalCRISocket is always on since 1.36 and cannot be switched off");
    if (knownFeatureGates.includes(gate)) continue;
    const close = nearest(gate, knownFeatureGates);
    report(`${kind}.featureGates`, `unknown feature gate ${gate}${close === undefined ? ` (known: ${knownFeatureGates.join(", ")})` : `; did you mean ${close}?`}`);
  }
  for (const [field, usual] of [["certificateValidityPeriod", "8760h0m0s"], ["caCertificateValidityPeriod", "87600h0m0s"]] as const) {
    const period = parseDuration(cluster[field]);
    if (period === undefined || period <= 0) report(`${kind}.${field}`, `${JSON.stringify(cluster[field])} must be a positive duration such as ${usual}`);
    else if (period > (parseDuration(usual) as number)) warnings.push(`${field} ${cluster[field]} is longer than the usual ${usual}`);
  }
  const [leaf, authority] = [parseDuration(cluster.certificateValidityPeriod), parseDuration(cluster.caCertificateValidityPeriod)];
  if (leaf !== undefined && authority !== undefined && leaf > authority) warnings.push(`certificateValidityPeriod ${cluster.certificateValidityPeriod} is longer than caCertificateValidityPeriod ${cluster.caCertificateValidityPeriod}: the certificates end with their authority`);
  if (cluster.etcd.local !== undefined) {
    const { dataDir, extraArgs, serverCertSANs, peerCertSANs } = cluster.etcd.local;
    if (!dataDir.startsWith("/")) report(`${kind}.etcd.local.dataDir`, `${JSON.stringify(dataDir)} must be an absolute path`);
    validateArgs(`${kind}.etcd.local.extraArgs`, extraArgs ?? [], report);
    for (const san of serverCertSANs ?? []) validateSan(`${kind}.etcd.local.serverCertSANs`, san, report);
    for (const san of peerCertSANs ?? []) validateSan(`${kind}.etcd.local.peerCertSANs`, san, report);
  } else {
    validateExternalEtcd(cluster.etcd.external, report);
  }
}

function validateSan(path: string, san: string, report: Report): void {
  if (familyOf(san) === undefined && !isDnsSubdomain(san) && !isWildcardSubdomain(san)) report(path, `${JSON.stringify(san)} is neither an IP address nor a DNS name`);
}

function validateExternalEtcd(etcd: ExternalEtcd, report: Report): void {
  const path = "ClusterConfiguration.etcd.external";
  const secure = etcd.caFile !== "" || etcd.certFile !== "" || etcd.keyFile !== "";
  if (etcd.endpoints.length === 0) report(`${path}.endpoints`, "at least one endpoint is needed");
  for (const endpoint of etcd.endpoints) {
    const url = URL.parse(endpoint);
    if (url === null || !["http:", "https:"].includes(url.protocol)) report(`${path}.endpoints`, `${JSON.stringify(endpoint)} must be a URL such as https://10.0.0.5:2379`);
    else if (secure && url.protocol !== "https:") report(`${path}.endpoints`, `${endpoint} must use https because certificates are given`);
  }
  for (const endpoint of etcd.httpEndpoints ?? []) {
    if (!["http:", "https:"].includes(URL.parse(endpoint)?.protocol ?? "")) report(`${path}.httpEndpoints`, `${JSON.stringify(endpoint)} must be a URL such as http://10.0.0.5:2381`);
  }
  for (const field of ["caFile", "certFile", "keyFile"] as const) {
    if (etcd[field] !== "" && !etcd[field].startsWith("/")) report(`${path}.${field}`, `${JSON.stringify(etcd[field])} must be an absolute path`);
  }
  if ((etcd.certFile === "") !== (etcd.keyFile === "")) report(path, "certFile and keyFile belong together; one of them is missing");
  if (etcd.certFile !== "" && etcd.keyFile !== "" && etcd.caFile === "") report(`${path}.caFile`, "is needed when certFile and keyFile are given");
}

function validateSubnets(cluster: ClusterConfiguration, report: Report, warnings: string[]): void {
  const check = (field: "serviceSubnet" | "podSubnet", text: string, smallest: bigint): readonly Cidr[] => {
    const path = `ClusterConfiguration.networking.${field}`;
    const cidrs = parseCidrList(text);
    if (cidrs === undefined) { report(path, `${JSON.stringify(text)} is not a network such as 10.96.0.0/12`); return []; }
    if (cidrs.length > 2 || (cidrs.length === 2 && cidrs[0]?.family === cidrs[1]?.family)) report(path, `${text}: at most one IPv4 and one IPv6 network`);
    for (const cidr of cidrs) {
      if (cidrSize(cidr) < smallest) report(path, `${text}: too small, at least ${smallest} addresses are needed`);
      if (field === "serviceSubnet" && cidrSize(cidr) > 1n << 20n) report(path, `${text}: too large; the longest service network is /12 for IPv4 and /108 for IPv6`);
      if (cidrsOverlap(cidr, siteLocal)) warnings.push(`${field} ${text} is in the site-local range fec0::/10, which is deprecated (RFC 3879)`);
    }
    return cidrs;
  };
  check("serviceSubnet", cluster.networking.serviceSubnet, 10n);
  if (cluster.networking.podSubnet === undefined) return;
  const last = (name: string): string | undefined => cluster.controllerManager.extraArgs?.findLast((arg) => arg.name === name)?.value;
  for (const cidr of check("podSubnet", cluster.networking.podSubnet, 14n)) {
    if (last("allocate-node-cidrs") === "false") continue;
    const given = last(`node-cidr-mask-size-ipv${cidr.family}`);
    const mask = Number(given || (cidr.family === 4 ? 24 : 64));
    const path = "ClusterConfiguration.networking.podSubnet";
    if (!Number.isInteger(mask)) report("ClusterConfiguration.controllerManager.extraArgs", `node-cidr-mask-size-ipv${cidr.family} must be a whole number, not ${JSON.stringify(given)}`);
    else if (cidr.prefixLength > mask) report(path, `/${cidr.prefixLength} is smaller than the /${mask} each node gets; choose a larger network or set the controller manager's node-cidr-mask-size-ipv${cidr.family}`);
    else if (mask - cidr.prefixLength > 16) report(path, `/${cidr.prefixLength} holds more than 65536 node networks of /${mask}; choose a smaller network`);
  }
}
