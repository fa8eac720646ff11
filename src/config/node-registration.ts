/** What every kind that describes a node shares: its registration, its address, the time-outs. Facts: kubeadm v1beta4 defaults.go, util/config/initconfiguration.go. */
import type { HostFacts } from "../host/types.ts";
import { cidrContains, familyOf, isGlobalUnicast, parseCidr } from "./address.ts";
import { formatDuration, parseDuration } from "./duration.ts";
import type { Problem } from "./load.ts";
import { isDnsSubdomain } from "./names.ts";
import type { Arg, NodeRegistration, Taint, Timeouts } from "./types.ts";

export const defaultCriSocket = "unix:///var/run/containerd/containerd.sock";

/** kubeadm v1beta4 defaults.go */
const defaultTimeouts: Timeouts = {
  controlPlaneComponentHealthCheck: 240_000, kubeletHealthCheck: 240_000, kubernetesAPICall: 60_000,
  etcdAPICall: 120_000, tlsBootstrap: 300_000, discovery: 300_000, upgradeManifests: 300_000,
};

export type Doc = Readonly<Record<string, unknown>>;

export function section(doc: Doc | undefined, key: string): Doc | undefined {
  const value = doc?.[key];
  return value === null || value === undefined ? undefined : (value as Doc);
}

/** What flags say about a node. */
export interface NodeOptions {
  readonly nodeName?: string;
  readonly criSocket?: string;
  readonly ignorePreflightErrors?: readonly string[];
}

export function readNodeRegistration(node: Doc | undefined, options: NodeOptions, facts: HostFacts, problems: Problem[], warnings: string[]): NodeRegistration {
  const taints = node?.["taints"] as readonly Taint[] | undefined;
  return {
    name: (options.nodeName ?? (text(node?.["name"]) || facts.hostname)).trim().toLowerCase(),
    criSocket: readCriSocket(options.criSocket ?? node?.["criSocket"], facts, problems, warnings),
    ...(taints === undefined ? {} : { taints }),
    kubeletExtraArgs: (node?.["kubeletExtraArgs"] as readonly Arg[] | undefined) ?? [],
    ignorePreflightErrors: readIgnored(node?.["ignorePreflightErrors"], options.ignorePreflightErrors),
    imagePullPolicy: text(node?.["imagePullPolicy"]) || "IfNotPresent",
    imagePullSerial: (node?.["imagePullSerial"] as boolean | undefined) ?? true,
  };
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** File and flags together, in lower case, each once. */
export function readIgnored(inFile: unknown, flags: readonly string[] = []): readonly string[] {
  return [...new Set([...((inFile as readonly string[] | undefined) ?? []), ...flags].map((name) => name.toLowerCase()))].sort();
}

/** The given socket, a bare path with its scheme added; else the one that answers. */
export function readCriSocket(given: unknown, facts: HostFacts, problems: Problem[], warnings: string[]): string {
  const socket = text(given);
  if (socket === "") return detectCriSocket(facts, problems);
  if (!socket.startsWith("/")) return socket;
  warnings.push(`criSocket ${socket} has no scheme; unix://${socket} is meant, write it so`);
  return `unix://${socket}`;
}

/** kubeadm's candidates (constants_unix.go): one that answers wins, several are a question only a person can answer. */
function detectCriSocket(facts: HostFacts, problems: Problem[]): string {
  if (facts.criSockets.length > 1) {
    problems.push({ path: "--cri-socket", message: `several container runtimes answer on this host (${facts.criSockets.join(", ")}); name the one to use with --cri-socket` });
  }
  return facts.criSockets[0] ?? defaultCriSocket;
}

export function readTimeouts(doc: Doc | undefined): Timeouts {
  const entries = Object.entries(defaultTimeouts).map(([name, fallback]) => {
    const text = doc?.[name];
    return [name, typeof text === "string" ? (parseDuration(text) ?? fallback) : fallback];
  });
  return Object.fromEntries(entries) as Timeouts;
}

/** As in the documents: Go durations. */
export function timeoutsDocument(timeouts: Timeouts): Doc {
  return Object.fromEntries(Object.entries(timeouts).map(([name, ms]) => [name, formatDuration(ms as number)]));
}

/** Interfaces that clusters make themselves; their addresses are never the node's. */
const clusterInterfaces = /^(cni|flannel|veth|docker|br-|virbr|kube-|cbr|cali|tunl|vxlan|lo$)/;

/**
 * The given address, else that of the default route's interface (kubeadm), else, on a machine without a default route, where kubeadm
 * gives up, the one in the network of `towards` (the cluster a node joins), and the only global address there is.
 */
export function advertiseAddress(given: string | undefined, facts: HostFacts, problems: Problem[], towards?: string): string {
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
  const near = towards === undefined ? undefined : own.find((candidate) => {
    const network = parseCidr(`${candidate.address}/${candidate.prefixLength}`);
    return network !== undefined && candidate.family === familyOf(towards) && cidrContains(network, towards);
  });
  if (near !== undefined) return near.address;
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

export type Report = (path: string, message: string) => void;

export function validateNodeRegistration(path: string, node: NodeRegistration, report: Report): void {
  if (!isDnsSubdomain(node.name)) report(`${path}.name`, `${JSON.stringify(node.name)} is not a node name: lower-case letters, digits, - and . only (RFC 1123); set --node-name or the hostname`);
  validateCriSocket(`${path}.criSocket`, node.criSocket, report);
  validateArgs(`${path}.kubeletExtraArgs`, node.kubeletExtraArgs, report);
  validateIgnored(`${path}.ignorePreflightErrors`, node.ignorePreflightErrors, report);
}

export function validateCriSocket(path: string, socket: string, report: Report): void {
  if (!/^unix:\/\/\/./.test(socket)) report(path, `${JSON.stringify(socket)} must be a URL such as ${defaultCriSocket}`);
}

export function validateIgnored(path: string, names: readonly string[], report: Report): void {
  if (names.includes("all") && names.length > 1) report(path, "all cannot be combined with other names");
}

export function validateArgs(path: string, args: readonly Arg[], report: Report): void {
  args.forEach((arg, index) => {
    if (arg.name === "") report(`${path}.${index}`, "an argument needs a name");
  });
}

export function validateEndpoint(path: string, endpoint: { readonly advertiseAddress: string; readonly bindPort: number }, report: Report): void {
  const { advertiseAddress: address, bindPort } = endpoint;
  if (address !== "" && familyOf(address) === undefined) report(`${path}.advertiseAddress`, `${JSON.stringify(address)} is not an IP address`);
  else if (address !== "" && !isGlobalUnicast(address)) report(`${path}.advertiseAddress`, `${address} cannot be reached by other nodes; it must be a global unicast address`);
  if (!Number.isInteger(bindPort) || bindPort < 1 || bindPort > 65_535) report(`${path}.bindPort`, `${bindPort} is not a port (1 to 65535)`);
}

export function validateCertificateKey(path: string, key: string | undefined, report: Report): void {
  if (key !== undefined && !/^[0-9a-fA-F]{64}$/.test(key)) report(path, "must be 64 hexadecimal characters (32 bytes)");
}

/** The value itself is a secret and stays out of the message. */
export function validateToken(path: string, token: string, report: Report): void {
  if (!/^[a-z0-9]{6}\.[a-z0-9]{16}$/.test(token)) report(path, "must have the form abcdef.0123456789abcdef (6 and 16 lower-case letters or digits)");
}
