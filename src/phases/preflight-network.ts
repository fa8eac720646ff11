/** Preflight checks of the network: ports, firewall, proxies, names, forwarding. */
import { addressInCidr, familyOf, parseCidrList } from "../config/address.ts";
import { haEndpoint, haproxyHealthPort, haproxyManifestPath } from "../manifests/haproxy.ts";
import type { Check, Input, Seen } from "./preflight-check.ts";
import { httpsProxyFor } from "./go-proxy.ts";

/** kubeadm names both settings; the node phase sets `all.forwarding`, with which the kernel changes `default` as well. */
const forwarding = [
  { family: 4, key: "net.ipv4.ip_forward", path: "/proc/sys/net/ipv4/ip_forward" },
  { family: 6, key: "net.ipv6.conf.all.forwarding", path: "/proc/sys/net/ipv6/conf/default/forwarding" },
] as const;

export const networkChecks: readonly Check[] = [
  { name: "Firewalld", severity: "warning", verifies: "no firewalld is active that closes the ports of a node", run: checkFirewall },
  { name: "Port-*", severity: "error", verifies: "the ports of the control plane, of the kubelet and of a local etcd are free", run: checkPorts },
  { name: "HTTPProxy", severity: "warning", verifies: "the API server is not asked by a proxy", run: checkProxy },
  { name: "HTTPProxyCIDR", severity: "warning", verifies: "services and pods are not asked by a proxy", run: checkProxyNetworks },
  { name: "Hostname", severity: "warning", verifies: "the node's name is a qualified name and resolves", run: checkHostname },
  {
    name: "AdvertiseAddress", severity: "warning", verifies: "the advertised address belongs to this machine",
    run: ({ config: { init: { localAPIEndpoint: { advertiseAddress } } }, facts }) => (facts.addresses.some(({ address }) => address === advertiseAddress) ? [] : [{
      message: `${advertiseAddress} is not an address of this machine`,
      hint: "The API server will not be reachable there unless something forwards to it. Choose one with --apiserver-advertise-address.",
    }]),
  },
  { name: "EndpointName", severity: "error", verifies: "with ha no line of /etc/hosts gives the endpoint's name to another machine", run: checkEndpointName },
  { name: "HighAvailability", severity: "error", verifies: "a node that reaches its control planes through haproxy goes on doing so", run: checkStillHa },
  { name: "FileContent-*", severity: "error", verifies: "forwarding of packets is on, or can be switched on", run: checkForwarding },
];

async function checkFirewall({ config, read }: Input): Promise<readonly Seen[]> {
  if ((await read.unit("firewalld.service")).active !== "active") return [];
  const { bindPort } = config.init.localAPIEndpoint;
  const ports = [`${bindPort}/tcp`, "10250/tcp", ...(config.install.cni === "flannel" ? ["8472/udp"] : [])];
  const pods = config.cluster.networking.podSubnet?.split(",").map((part) => part.trim()) ?? [];
  return [{
    message: `firewalld is active, and the ports ${bindPort} and 10250 must be open for other nodes`,
    hint: `Closed ones look like dead nodes and pods without network. Open them: firewall-cmd --permanent ${ports.map((port) => `--add-port=${port}`).join(" ")}`
      + `${pods.length > 0 ? ` && firewall-cmd --permanent --zone=trusted ${pods.map((pod) => `--add-source=${pod}`).join(" ")}` : ""} && firewall-cmd --reload`,
  }];
}

/** A port held by what an earlier run of ours started is not taken. comm names are cut to 15 characters by the kernel. */
function checkPorts({ config, facts, made }: Input): readonly Seen[] {
  const { bindPort } = config.init.localAPIEndpoint;
  const controlPlane = config.joining?.role !== "worker";
  const local = controlPlane && config.cluster.etcd.local !== undefined;
  const ports: readonly { readonly port: number; readonly owner: string; readonly madeBy: string }[] = [
    ...(!controlPlane ? [] : [
      { port: bindPort, owner: "kube-apiserver", madeBy: "file/etc/kubernetes/manifests/kube-apiserver.yaml" },
      { port: 10259, owner: "kube-scheduler", madeBy: "file/etc/kubernetes/manifests/kube-scheduler.yaml" },
      { port: 10257, owner: "kube-controller", madeBy: "file/etc/kubernetes/manifests/kube-controller-manager.yaml" },
    ]),
    { port: 10250, owner: "kubelet", madeBy: "file/etc/systemd/system/kubelet.service" },
    ...(config.install.ha ? [haEndpoint(config).port, haproxyHealthPort].map((port) => ({ port, owner: "haproxy", madeBy: `file${haproxyManifestPath}` })) : []),
    ...(local ? [2379, 2380].map((port) => ({ port, owner: "etcd", madeBy: "file/etc/kubernetes/manifests/etcd.yaml" })) : []),
  ];
  return ports.flatMap(({ port, owner, madeBy }) => {
    const holder = facts.listening.find((listening) => listening.port === port);
    if (holder === undefined || (made.has(madeBy) && (holder.process === undefined || holder.process.startsWith(owner)))) return [];
    const who = holder.process === undefined ? "another process" : `${holder.process}${holder.pid === undefined ? "" : ` (pid ${holder.pid})`}`;
    const look = holder.pid === undefined ? `ss -ltnp 'sport = :${port}'` : `systemctl status ${holder.pid}`;
    return [{
      check: `Port-${port}`, message: `port ${port} is taken by ${who}`,
      hint: `${owner === "kube-controller" ? "kube-controller-manager" : owner} needs it. See what it is with ${look}, and stop it${port === bindPort ? ", or choose another port with --apiserver-bind-port" : ""}.`,
    }];
  });
}

function checkProxy({ config, facts }: Input): readonly Seen[] {
  const server = config.joining === undefined ? undefined : new URL(config.joining.server);
  const address = server === undefined ? config.init.localAPIEndpoint.advertiseAddress : server.hostname.replace(/^\[|\]$/g, "");
  const proxy = httpsProxyFor(address, server === undefined ? config.init.localAPIEndpoint.bindPort : Number(server.port || 443), facts.proxyEnvironment);
  return proxy === undefined ? [] : [{
    message: `connections to ${address} go through the proxy ${withoutPassword(proxy)}`,
    hint: `${server === undefined ? "The control plane gets these variables, and would ask the proxy for its own API server" : "The kubelet would ask the proxy for the API server"}. Add the address: export NO_PROXY=${listed(facts.proxyEnvironment, [address])}`,
  }];
}

function checkProxyNetworks({ config, facts }: Input): readonly Seen[] {
  const { serviceSubnet, podSubnet } = config.cluster.networking;
  const networks = [serviceSubnet, ...(podSubnet === undefined ? [] : [podSubnet])].flatMap((list) => (parseCidrList(list) ?? []).map((cidr, index) => ({ cidr, text: (list.split(",")[index] ?? "").trim() })));
  const proxied = networks.filter(({ cidr }) => httpsProxyFor(addressInCidr(cidr, 1), 443, facts.proxyEnvironment) !== undefined).map(({ text }) => text);
  return proxied.length === 0 ? [] : [{
    message: `connections to ${proxied.join(", ")} go through a proxy`,
    hint: `Services and pods are behind no proxy, so the API server would not reach them (webhooks, aggregated APIs). Add the networks: export NO_PROXY=${listed(facts.proxyEnvironment, proxied)}`,
  }];
}

function listed(environment: Readonly<Record<string, string>>, more: readonly string[]): string {
  return [...(environment["NO_PROXY"] ?? environment["no_proxy"] ?? "").split(",").map((part) => part.trim()).filter((part) => part !== ""), ...more].join(",");
}

/** `http://user:password@proxy` is a usual form, and findings go to logs. */
function withoutPassword(proxy: string): string {
  return proxy.replace(/^([a-z0-9+.-]+:\/\/)?[^@/]*@/i, "$1");
}

/** apimachinery validation.IsQualifiedName, without the prefix that a node's name cannot have. */
const qualified = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

/** Only the machine's own name is looked up: another one given as --node-name is known to nobody yet who could be asked without leaving this machine. */
async function checkHostname({ config, facts, read }: Input): Promise<readonly Seen[]> {
  const { name } = config.init.nodeRegistration;
  const seen: Seen[] = [];
  if (!qualified.test(name)) seen.push({ message: `the node's name ${JSON.stringify(name)} is not a qualified name of at most 63 characters`, hint: "It becomes a label of the node, which would be refused. Choose another one with --node-name." });
  if (facts.hostname.toLowerCase() === name && facts.hostnameResolves === false) {
    const { advertiseAddress } = config.init.localAPIEndpoint;
    const known = ((await read.readText("/etc/hosts")) ?? "").split("\n").some((line) => (line.split("#")[0] ?? "").split(/\s+/).slice(1).some((word) => word.toLowerCase() === name));
    if (!known) seen.push({ message: `the node's name ${name} does not resolve`, hint: `Programs that look up their own host wait or fail. Add it: echo '${advertiseAddress} ${name}' >> /etc/hosts` });
  }
  return seen;
}

/** The first line with a name counts, so that another one would send this node past its own haproxy. */
async function checkEndpointName({ config, read }: Input): Promise<readonly Seen[]> {
  if (!config.install.ha) return [];
  const { host } = haEndpoint(config);
  const other = ((await read.readText("/etc/hosts")) ?? "").split("\n").map((line) => (line.split("#")[0] ?? "").trim().split(/\s+/))
    .find(([address, ...names]) => address !== "127.0.0.1" && names.some((name) => name.toLowerCase() === host));
  return other === undefined ? [] : [{ message: `/etc/hosts says that ${host} is ${other[0] ?? ""}`, hint: "With ha each node reaches the control planes under that name through its own haproxy, on 127.0.0.1. Take that line out, or choose another name: controlPlaneEndpoint." }];
}

/** Without it the stored configuration would lose the endpoint, and no further node could join. */
async function checkStillHa({ config, read }: Input): Promise<readonly Seen[]> {
  if (config.joining !== undefined || config.install.ha || (await read.stat(haproxyManifestPath)) === undefined) return [];
  return [{ message: "the nodes of this cluster reach its control planes through haproxy (--ha), and this configuration says nothing of it", hint: "Add --ha, with the same --control-plane-endpoint if there was one, or ha: true in the InstallConfiguration. `kubestick reset` takes the node apart instead." }];
}

/** The node phase switches forwarding on, so what is off now is no finding; what cannot be switched on is one. */
async function checkForwarding({ config, facts, read }: Input): Promise<readonly Seen[]> {
  const { podSubnet, serviceSubnet } = config.cluster.networking;
  const families = new Set([familyOf(config.init.localAPIEndpoint.advertiseAddress), ...[serviceSubnet, podSubnet ?? ""].flatMap((list) => (parseCidrList(list) ?? []).map(({ family }) => family))]);
  const seen: Seen[] = [];
  for (const { family, key, path } of forwarding.filter((candidate) => families.has(candidate.family))) {
    const check = `FileContent-${path.replaceAll("/", "-")}`;
    const value = await read.sysctl(key);
    if (value === undefined && family === 6) {
      seen.push({ check, message: `this kernel has no ${key}: IPv6 is switched off`, hint: "The networks of this cluster need it. Take ipv6.disable=1 off the kernel's command line and reboot, or use IPv4 networks only." });
    } else if (value !== undefined && !value.startsWith("1") && facts.readOnlySysctls.includes(key)) {
      seen.push({ check, message: `${key} is ${value} and cannot be changed here`, hint: `Without it no packet of a pod leaves the node. ${facts.container ? "Set it on the machine below" : "Find out what makes /proc/sys read-only, then set it"}: sysctl -w ${key}=1` });
    }
  }
  return seen;
}
