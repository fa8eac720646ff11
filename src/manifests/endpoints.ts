/** Addresses that follow from a configuration: which URL reaches the cluster, which this node, and the fixed Service IPs. */
import { addressInCidr, familyOf, joinHostPort, parseCidrList } from "../config/address.ts";
import type { ResolvedConfig } from "../config/types.ts";

/** The node's own API server. Components on the node use it, so that they work while a load balancer does not. */
export function localEndpoint(config: ResolvedConfig): string {
  const { advertiseAddress, bindPort } = config.init.localAPIEndpoint;
  return `https://${joinHostPort(advertiseAddress, bindPort)}`;
}

/** What everybody else uses: controlPlaneEndpoint, or this node when there is none. */
export function clusterEndpoint(config: ResolvedConfig): string {
  const { controlPlaneEndpoint } = config.cluster;
  return controlPlaneEndpoint === undefined ? localEndpoint(config) : `https://${controlPlaneEndpoint}`;
}

/** IPv6 or not is decided by the advertise address alone, as in kubeadm. */
export function isIPv6Node(config: ResolvedConfig): boolean {
  return familyOf(config.init.localAPIEndpoint.advertiseAddress) === 6;
}

/** ClusterIP of Service `default/kubernetes`: the first address of the first service network. */
export function apiServiceAddress(config: ResolvedConfig): string {
  return serviceAddress(config, 1);
}

/** ClusterIP of the cluster DNS: the tenth address of the first service network. */
export function dnsServiceAddress(config: ResolvedConfig): string {
  return serviceAddress(config, 10);
}

function serviceAddress(config: ResolvedConfig, n: number): string {
  const { serviceSubnet } = config.cluster.networking;
  const [first] = parseCidrList(serviceSubnet) ?? [];
  if (first === undefined) throw new RangeError(`serviceSubnet ${JSON.stringify(serviceSubnet)} is no network: the configuration was not validated`);
  return addressInCidr(first, n);
}
