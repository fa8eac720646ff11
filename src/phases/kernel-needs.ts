/** What pods need of the kernel, for those who set it and those who look whether it will last. */
import { familyOf, parseCidrList } from "../config/address.ts";
import type { ResolvedConfig } from "../config/types.ts";

export interface NeededModule {
  readonly name: string;
  readonly why: string;
  /** Build option; `y` means there is nothing to load. */
  readonly option: string;
}

/** `br_netfilter` makes bridged packets pass the rules of kube-proxy. */
const modules: readonly NeededModule[] = [
  { name: "overlay", why: "containerd's snapshotter", option: "OVERLAY_FS" },
  { name: "br_netfilter", why: "bridged packets must pass kube-proxy's rules", option: "BRIDGE_NETFILTER" },
  { name: "nf_conntrack", why: "kube-proxy", option: "NF_CONNTRACK" },
];

export function neededModules(config: ResolvedConfig): readonly NeededModule[] {
  return config.install.cni === "flannel" ? [...modules, { name: "vxlan", why: "flannel's network between nodes", option: "VXLAN" }] : modules;
}

export function neededSysctls(config: ResolvedConfig): readonly (readonly [key: string, value: string])[] {
  const families = new Set([config.init.localAPIEndpoint.advertiseAddress, ...(parseCidrList(config.cluster.networking.serviceSubnet) ?? [])]
    .map((value) => (typeof value === "string" ? familyOf(value) : value.family)));
  return [
    ["net.bridge.bridge-nf-call-iptables", "1"],
    ["net.bridge.bridge-nf-call-ip6tables", "1"],
    ...(families.has(4) ? [["net.ipv4.ip_forward", "1"] as const] : []),
    ...(families.has(6) ? [["net.ipv6.conf.all.forwarding", "1"] as const] : []),
  ];
}

export const sysctlFile = "90-kubestick.conf";

export function sysctlText(config: ResolvedConfig): string {
  return `# Settings that Kubernetes needs (kubestick).\n${neededSysctls(config).map(([key, value]) => `${key} = ${value}`).join("\n")}\n`;
}
