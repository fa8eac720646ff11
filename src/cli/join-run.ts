/**
 * The run of `join`: find the cluster and know that it is the right one, read what it says of itself, then the flow of the node's role.
 * Until the flow begins nothing is changed, so a wrong token or address leaves nothing behind.
 */
import { joinedConfig, resolveJoinRequest, type JoinRequest } from "../config/resolve-join.ts";
import { parseTicket, ticketJoinOptions, type JoinTicket } from "../config/ticket.ts";
import type { BootstrapIdentity, ResolvedConfig } from "../config/types.ts";
import { retrying } from "../engine/actions/api-retry.ts";
import { withEvents } from "../engine/event-queue.ts";
import type { RunOutcome } from "../engine/outcome.ts";
import { runFlow } from "../engine/run.ts";
import type { RunEvent } from "../engine/types.ts";
import { isKubestickError, KubestickError } from "../errors.ts";
import { controlPlaneJoinFlow, readJoinTarget, workerJoinFlow } from "../flows/join.ts";
import type { HostFacts } from "../host/types.ts";
import type { PackageReader } from "../package/types.ts";
import { renderKubeconfig } from "../pki/kubeconfig.ts";
import { carriedPackage } from "./carried-package.ts";
import { readConfigFile } from "./config-file.ts";
import type { JoinRunRequest } from "./join-options.ts";
import { trustEvents } from "./package-trust.ts";
import { openPeerPackage, type PeerTrust } from "./peer-package.ts";
import { readTicketFile } from "./ticket.ts";
import { joinPorts, type Discovered, type DiscoveryRequest, type JoinPorts } from "./machine.ts";

/** kubeadm tries for five minutes; at a console that is a long time to learn of a mistyped address. Who wants to wait says so: `timeouts.discovery`. */
const discoveryMs = 10_000;
/** Of the two clocks: within this time of its end a ticket's token may have expired by the cluster's clock already. */
const tolerableSkewMs = 5 * 60_000;
/** A busy API server, or one that restarts. */
const readingMs = 10_000;

export async function* joinEvents(typed: JoinRunRequest, signal: AbortSignal, ports: JoinPorts = joinPorts("kubestick join")): AsyncGenerator<RunEvent, RunOutcome> {
  const ticket = typed.ticketPath === undefined ? undefined : parseTicket(typed.ticketPath, await readTicketFile(typed.ticketPath), ports.host.now());
  const request = ticket === undefined ? typed : withTicket(typed, ticket);
  const pkg = request.packageFrom === undefined ? await carriedPackage(request.packagePath, request.packageParts) : await openPeerPackage(request.packageFrom, peerTrust(request), signal);
  try {
    const facts = await ports.host.facts();
    const file = request.configPath === undefined ? undefined : await readConfigFile(request.configPath, "join");
    const wanted = resolveJoinRequest({ options: request.options, ...(file === undefined ? {} : { file }), facts, ...(pkg === undefined ? {} : { packageCni: pkg.index.cni }) });
    for (const message of wanted.warnings) yield { type: "finding", phase: "config", finding: { check: "Configuration", severity: "warning", message } };
    const dryRun = request.dryRun ?? wanted.join.dryRun === true;
    if (facts.uid !== 0 && !dryRun) throw notRoot(facts.uid);
    if (request.ofControlPlane === true && wanted.join.controlPlane === undefined) throw ofControlPlanes(request.only?.[0] ?? "");
    if (pkg !== undefined) yield* trustEvents(pkg, request.trust, wanted.install);
    const config = yield* findCluster(wanted, request, ticket, facts, pkg, signal, ports);
    const flow = wanted.join.controlPlane === undefined ? workerJoinFlow : controlPlaneJoinFlow;
    return yield* runFlow(flow, {
      ...ports,
      pkg,
      config,
      dryRun,
      skipPhases: flow === workerJoinFlow ? config.init.skipPhases.filter((name) => !onlyOfControlPlanes(name)) : config.init.skipPhases,
      ignorePreflightErrors: config.init.nodeRegistration.ignorePreflightErrors,
      signal,
      ...(request.only === undefined ? {} : { only: request.only }),
      ...(request.out === undefined ? {} : { outputDirectory: request.out }),
    });
  } finally {
    await pkg?.close();
  }
}

async function* findCluster(
  wanted: JoinRequest, request: JoinRunRequest, ticket: JoinTicket | undefined, facts: HostFacts, pkg: PackageReader | undefined, signal: AbortSignal, ports: JoinPorts,
): AsyncGenerator<RunEvent, ResolvedConfig> {
  const { join } = wanted;
  const question = discoveryRequest(wanted, request.useClusterEndpoint, ticket);
  yield told(`looking for the cluster at ${placeOf(question)}`);
  const discovered = yield* withEvents<RunEvent, Discovered>((emit) => ports.discover(question, {
    signal, report: ({ server, problem }) => { emit(told(setback(server, problem))); },
  }).catch((error: unknown) => { throw ticket === undefined ? error : refusedTicket(error, request.ticketPath ?? "", ticket, ports.host.now()); }));
  for (const note of discovered.notes) yield told(note);

  const identity = identityOf(discovered);
  const { server, caPem, clusterName } = discovered;
  const cluster = await ports.connect(renderKubeconfig({ clusterName, server, userName: "tls-bootstrap-token-user", caPem, credentials: identity }), server);
  try {
    const { joining, clusterText } = await retrying({ host: ports.host, signal, timeoutMs: readingMs, attempted: `reading the configuration of the cluster at ${server}` }, () => readJoinTarget(cluster, {
      role: join.controlPlane === undefined ? "worker" : "control-plane", server, caPem, caCertPath: join.caCertPath, identity, nodeName: join.nodeRegistration.name,
      ...(join.controlPlane?.certificateKey === undefined ? {} : { certificateKey: join.controlPlane.certificateKey }),
    })).catch((error: unknown) => { throw refusedIdentity(error, identity); });
    yield told(`found cluster ${joining.clusterName} (Kubernetes ${joining.apiServerVersion}) at ${server}`);
    return joinedConfig({
      ...wanted, joining, clusterText, facts, ...(pkg === undefined ? {} : { packageVersion: pkg.index.kubernetesVersion }), ...(request.fix === true ? { flags: { fix: true } } : {}),
    });
  } finally {
    await cluster.close();
  }
}

/** To leave out what a worker does not have is no mistake: one configuration serves both roles. */
function onlyOfControlPlanes(name: string): boolean {
  const has = (flow: typeof controlPlaneJoinFlow | typeof workerJoinFlow): boolean => flow.phases.some(({ id }) => id === name.trim().toLowerCase().split("/")[0]);
  return has(controlPlaneJoinFlow) && !has(workerJoinFlow);
}

function ofControlPlanes(phase: string): KubestickError {
  return new KubestickError({
    code: "CLI_FLAG_VALUE", attempted: `running phase ${phase} of join`, happened: "It is a phase of control planes, and this node is to be a worker.",
    next: "Add --control-plane (or controlPlane to the JoinConfiguration); nothing was changed.",
  });
}

function withTicket(request: JoinRunRequest, ticket: JoinTicket): JoinRunRequest {
  const { apiserverAdvertiseAddress, apiserverBindPort } = request.options;
  if (ticket.role === "worker" && (apiserverAdvertiseAddress !== undefined || apiserverBindPort !== undefined)) {
    throw new KubestickError({
      code: "CLI_FLAG_VALUE", attempted: "reading the arguments of \"kubestick join\"", happened: "--apiserver-advertise-address and --apiserver-bind-port are for control planes, and the ticket is one for workers.",
      next: "Leave them out, or use a ticket for control planes: kubestick ticket create --control-plane",
    });
  }
  return { ...request, options: { ...request.options, ...ticketJoinOptions(ticket) } };
}

function peerTrust({ options: { token, discoveryToken, caCertHashes = [] } }: JoinRunRequest): PeerTrust {
  const own = discoveryToken ?? token;
  if (own !== undefined) return { token: own, caCertHashes };
  throw new KubestickError({
    code: "CLI_FLAG_VALUE", attempted: "finding the package of another node", happened: "--package-from needs a token and the hash of the cluster's CA, by which both nodes prove themselves.",
    next: "Give a ticket, or --token and --discovery-token-ca-cert-hash; nothing was changed.",
  });
}

function told(message: string): RunEvent {
  return { type: "finding", phase: "discovery", finding: { check: "Discovery", severity: "info", message } };
}

function discoveryRequest({ join: { discovery, timeouts }, discoveryTimed }: JoinRequest, useClusterEndpoint: boolean, ticket: JoinTicket | undefined): DiscoveryRequest {
  const { bootstrapToken, file, tlsBootstrapToken } = discovery;
  const common = { timeoutMs: discoveryTimed ? timeouts.discovery : discoveryMs, useClusterEndpoint, ...(tlsBootstrapToken === "" ? {} : { tlsBootstrapToken }) };
  if (bootstrapToken !== undefined) {
    return { ...common, kind: "token", servers: ticket?.endpoints ?? [bootstrapToken.apiServerEndpoint], token: bootstrapToken.token, caCertHashes: bootstrapToken.caCertHashes, unsafeSkipCaVerification: bootstrapToken.unsafeSkipCAVerification };
  }
  const path = file?.kubeConfigPath ?? "";
  return path.startsWith("https://") ? { ...common, kind: "url", url: path } : { ...common, kind: "file", path };
}

/** A sentence of an error names the server itself; the system's words for a connection that failed do not. */
function setback(server: string, problem: string): string {
  return `${problem.includes(server) ? "" : `${server}: `}${problem.replace(/\.$/, "")}; trying again`;
}

function placeOf(question: DiscoveryRequest): string {
  switch (question.kind) {
    case "token": return question.servers.join(", ");
    case "file": return `the place that ${question.path} names`;
    case "url": return `the place that ${question.url} names`;
  }
}

/** kubeadm's rule: a TLS bootstrap token wins over the credentials of a discovery file. */
function identityOf({ identity, tlsBootstrapToken }: Discovered): BootstrapIdentity {
  if (tlsBootstrapToken !== undefined) return { token: tlsBootstrapToken };
  if (identity === undefined) throw new TypeError("discovery found neither a token nor credentials");
  return "token" in identity ? { token: identity.token } : { certificate: identity.certificatePem, key: identity.keyPem };
}

function refusedIdentity(error: unknown, identity: BootstrapIdentity): unknown {
  if (!isKubestickError(error) || (error.code !== "API_UNAUTHORIZED" && error.code !== "API_FORBIDDEN")) return error;
  const who = "token" in identity ? `the bootstrap token ${identity.token.split(".")[0]}` : "the credentials of the discovery file";
  return new KubestickError({
    code: "JOIN_CREDENTIALS_REFUSED", attempted: error.attempted,
    happened: error.code === "API_UNAUTHORIZED" ? `The API server does not accept ${who} for joining: it has expired, was revoked, or lacks the usage authentication.` : `The API server knows ${who}, but it may not read what joining nodes read.`,
    next: "Make a new token on a control plane: kubestick token create --print-join-command", details: [error.happened], cause: error,
  });
}

/** What is wrong with a token or a pin is, with a ticket, wrong with the ticket; and a ticket knows until when its token is good. */
function refusedTicket(error: unknown, path: string, ticket: JoinTicket, now: Date): unknown {
  if (!isKubestickError(error)) return error;
  const attempted = `joining with the ticket ${path}`;
  const next = `Write a new one on a control plane of the cluster that this node is to join: kubestick ticket create${ticket.role === "worker" ? "" : " --control-plane"}`;
  const servers = ticket.endpoints.join(", ");
  switch (error.code) {
    case "DISCOVERY_CA_PIN_MISMATCH": return new KubestickError({
      code: "TICKET_OTHER_CLUSTER", attempted, next, details: error.details, cause: error,
      happened: `The ticket is for cluster ${ticket.clusterName} (${ticket.clusterId}), and what answers at ${servers} has another CA: another cluster, one that was set up anew at the same address, or somebody else in its place.`,
    });
    case "DISCOVERY_TOKEN_UNKNOWN": return ticket.expires.getTime() - now.getTime() < tolerableSkewMs ? error : new KubestickError({
      code: "TICKET_REVOKED", attempted, next, cause: error,
      happened: `The ticket is good until ${ticket.expires.toISOString().slice(0, 19)}Z, but its cluster at ${servers} knows its token ${ticket.token.split(".")[0]} no more: it was deleted there, or the cluster was restored from an older backup.`,
    });
    default: return error;
  }
}

function notRoot(uid: number): KubestickError {
  return new KubestickError({ code: "NOT_ROOT", attempted: "joining this machine to a cluster", happened: `This runs as user id ${uid}, and joining needs root.`, next: "Run it with sudo, or as root; --dry-run shows the plan without." });
}
