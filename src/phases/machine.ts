/**
 * The machine as it is found: what the plan does differently because of an observed fact, decided once and in one place.
 *
 * Every decision must come out the same on the next run, after our own changes: what we made is never taken for what was found.
 */
import { cidrContains, familyOf, isGlobalUnicast, parseCidr, parseCidrList } from "../config/address.ts";
import type { ResolvedConfig } from "../config/types.ts";
import type { Finding } from "../engine/types.ts";
import type { HostFacts, HostReader, Route } from "../host/types.ts";

export interface MachineDecisions {
  /** We install and run containerd; otherwise a runtime was there before us and is used. */
  readonly ownRuntime: boolean;
  /** A route of ours for each service network that no route of the host matches. */
  readonly serviceRoutes: readonly Route[];
  /** `resolvConf` for the kubelet; undefined leaves its default, /etc/resolv.conf. */
  readonly resolvConf?: string;
  /** The file at `resolvConf` is ours to write (there is no usable one on this host). */
  readonly ownResolvConf: boolean;
  /** CoreDNS has somewhere to forward to. */
  readonly dnsUpstream: boolean;
  readonly cgroupV1: boolean;
  readonly swapOn: boolean;
  readonly restrictOomScoreAdj: boolean;
  readonly conntrackReadOnly: boolean;
  /** Address the kubelet must be told, because it could not find one itself; two with a comma, one of each family, in a cluster of two. */
  readonly nodeIp?: string;
  /** One line each, for the plan. */
  readonly findings: readonly Finding[];
}

export const containerdUnitPath = "/etc/systemd/system/containerd.service";
export const ownResolvConfPath = "/etc/kubernetes/resolv.conf";
const resolvedConfPath = "/run/systemd/resolve/resolv.conf";

export async function decideMachine(
  config: ResolvedConfig, facts: HostFacts, read: HostReader, made: { has(actionId: string): boolean },
): Promise<MachineDecisions> {
  const findings: Finding[] = [];
  const note = (severity: Finding["severity"], check: string, message: string, hint: string): void => { findings.push({ severity, check, message, hint }); };

  const ownRuntime = !facts.criSockets.includes(config.init.nodeRegistration.criSocket) || made.has(`file${containerdUnitPath}`);
  if (!ownRuntime) note("info", "CRI", `a container runtime already answers at ${config.init.nodeRegistration.criSocket}`, "It is used as it is; kubestick neither installs nor configures containerd and runc on this host.");

  const serviceRoutes = config.install.serviceRoute === "Never" ? [] : wantedRoutes(config, facts);
  for (const route of serviceRoutes) note("info", "ServiceRoute", `no route of this host matches the service network ${route.destination}`, `A route by ${route.device} is added and kept over reboots (kubestick-route.service), so that service addresses work from the host itself.`);

  const resolver = await decideResolver(facts, read);
  if (resolver.ownResolvConf) note("info", "ResolvConf", "this host has no usable nameserver in /etc/resolv.conf", `The kubelet gets its own ${ownResolvConfPath}, and CoreDNS answers for the cluster without forwarding.`);

  const cgroupV1 = facts.cgroupVersion === 1;
  if (cgroupV1) note("warning", "SystemVerification", "this host uses cgroup v1, which the kubelet refuses since 1.35 unless told otherwise", "failCgroupV1: false is set for this node. Plan a move to cgroup v2: support for v1 will be removed.");
  // With --fix it is off before the kubelet starts. A guest sees the swap of the machine below and cannot switch it off.
  const fixable = facts.swaps.length > 0 && !facts.container;
  const fixed = fixable && config.flags?.fix === true;
  const swapOn = facts.swaps.length > 0 && !fixed;
  if (fixed) note("info", "Swap", `swap is on (${facts.swaps.join(", ")}): it is switched off, for now and after the next boot (--fix)`, "Reset switches it on again.");
  if (swapOn) note("warning", "Swap", `swap is on (${facts.swaps.join(", ")})`, `failSwapOn: false is set for this node; pods do not use swap, and a node that swaps is slow where it should refuse. ${fixable ? "To switch it off for good, run init with --fix; reset undoes it." : "It belongs to the machine below this guest: swapoff -a there, and remove its lines from /etc/fstab."}`);
  const restrictOomScoreAdj = !facts.capabilities.includes("CAP_SYS_RESOURCE");
  if (restrictOomScoreAdj) note("warning", "OomScoreAdj", "this host lacks CAP_SYS_RESOURCE, so processes may not lower their oom_score_adj", ownRuntime ? "containerd gets restrict_oom_score_adj = true." : "Set restrict_oom_score_adj = true in the configuration of the existing runtime, or no sandbox starts.");
  const conntrackReadOnly = !facts.conntrackWritable;
  if (conntrackReadOnly) note("info", "Conntrack", "nf_conntrack_max cannot be written on this host (nested or locked-down machine)", "kube-proxy is told to leave it alone (conntrack maxPerCore: 0, min: 0).");

  const { advertiseAddress } = config.init.localAPIEndpoint;
  const pathless = !facts.routes.some((route) => route.destination === "default" && route.family === familyOf(advertiseAddress));
  const nodeIp = [advertiseAddress, ...otherFamily(config, facts)].join(",");
  if (pathless) note("info", "NodeIP", "this host has no default route, by which the kubelet would find the node's address", `The kubelet is told to use ${nodeIp} (--node-ip).`);

  return { ownRuntime, serviceRoutes, ...resolver, cgroupV1, swapOn, restrictOomScoreAdj, conntrackReadOnly, ...(pathless ? { nodeIp } : {}), findings };
}

/** In a cluster of both families, the node's address of the one that is not advertised: on the same interface, if there is one. */
function otherFamily(config: ResolvedConfig, facts: HostFacts): readonly string[] {
  const { localAPIEndpoint: { advertiseAddress } } = config.init;
  const { serviceSubnet, podSubnet } = config.cluster.networking;
  const families = new Set([serviceSubnet, podSubnet ?? serviceSubnet].flatMap((text) => parseCidrList(text) ?? []).map(({ family }) => family));
  const device = facts.addresses.find(({ address }) => address === advertiseAddress)?.interface;
  const other = facts.addresses.find((candidate) => candidate.interface === device && candidate.global && isGlobalUnicast(candidate.address) && candidate.family !== familyOf(advertiseAddress));
  return families.size === 2 && other !== undefined ? [other.address] : [];
}

function wantedRoutes(config: ResolvedConfig, facts: HostFacts): readonly Route[] {
  const { advertiseAddress } = config.init.localAPIEndpoint;
  const networks = (parseCidrList(config.cluster.networking.serviceSubnet) ?? []).map((cidr, index) => ({
    cidr, text: (config.cluster.networking.serviceSubnet.split(",")[index] as string).trim(),
  }));
  return networks.flatMap(({ cidr, text }) => {
    const probe = parseCidr(text);
    const matched = facts.routes.some((route) => {
      if (route.family !== cidr.family || route.destination === text) return false;
      if (route.destination === "default") return true;
      const destination = parseCidr(route.destination);
      return destination !== undefined && probe !== undefined && destination.prefixLength <= probe.prefixLength && cidrContains(destination, text.split("/")[0] as string);
    });
    if (matched) return [];
    // The device that carries the node's own address of that family; a packet never really leaves by it, kube-proxy rewrites it first.
    const own = facts.addresses.find((address) => address.address === advertiseAddress && address.family === cidr.family)
      ?? facts.addresses.find((address) => address.global && address.family === cidr.family && address.interface === facts.addresses.find((other) => other.address === advertiseAddress)?.interface);
    return own === undefined ? [] : [{ destination: text, family: cidr.family, device: own.interface, source: own.address }];
  });
}

/** kubeadm's rule for systemd-resolved first; then, beyond kubeadm, a file of our own where no nameserver can be used from inside a pod. */
async function decideResolver(facts: HostFacts, read: HostReader): Promise<Pick<MachineDecisions, "resolvConf" | "ownResolvConf" | "dnsUpstream">> {
  const usable = (nameservers: readonly string[]): boolean => nameservers.some((server) => familyOf(server.split("%")[0] as string) !== undefined && !server.startsWith("127.") && server !== "::1");
  if (facts.systemdResolved) {
    const text = (await read.readText(resolvedConfPath)) ?? "";
    if (usable([...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => match[1] as string))) return { resolvConf: resolvedConfPath, ownResolvConf: false, dnsUpstream: true };
  }
  if (usable(facts.nameservers)) return { ownResolvConf: false, dnsUpstream: true };
  return { resolvConf: ownResolvConfPath, ownResolvConf: true, dnsUpstream: false };
}
