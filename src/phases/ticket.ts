/**
 * What `ticket create` wants of a cluster: a token that lives as long as the ticket, and for control planes the shared certificates,
 * encrypted with a key that only the ticket holds. Reads only; the engine carries the actions out.
 */
import { joinHostPort, splitHostPort } from "../config/address.ts";
import { parseDuration } from "../config/duration.ts";
import type { JoinTicket } from "../config/ticket.ts";
import type { ObjectAction, PlanInput } from "../engine/types.ts";
import { KubestickError } from "../errors.ts";
import { readBootstrapToken } from "../manifests/bootstrap-token-secret.ts";
import { apiServersOf, apiServerSlice } from "../manifests/haproxy.ts";
import { certificatesTokenDescription } from "../manifests/uploaded-certs.ts";
import { caPin } from "../pki/inspect.ts";
import { splitPemBundle } from "../pki/pem.ts";
import { planNewToken } from "./token-changes.ts";
import { uploadCerts } from "./upload-certs.ts";

export interface TicketRequest {
  readonly role: JoinTicket["role"];
  /** Go duration. */
  readonly ttl: string;
  /** Server of the kubeconfig with which the ticket is made, and the CA that it trusts. */
  readonly server: string;
  readonly caPem: string;
}

export interface PlannedTicket {
  readonly ticket: JoinTicket;
  /** Certificates first: a ticket's token is the last thing that comes to be. */
  readonly actions: readonly ObjectAction[];
}

/** `input.config` is the cluster's own; for control planes it has a new certificate key, and flag `uploadCerts`. */
export async function planTicket(request: TicketRequest, input: Omit<PlanInput<never>, "cluster" | "from"> & { readonly cluster: NonNullable<PlanInput<never>["cluster"]> }): Promise<PlannedTicket> {
  const { config, cluster, now } = input;
  const { role, ttl, caPem } = request;
  const ttlMs = parseDuration(ttl) ?? 0;
  if (role === "control-plane") await refuseImpossible(request, input);
  const certificates = role === "worker" ? [] : (await uploadCerts.plan({ ...input, from: undefined as never })).actions.filter((action) => action.kind === "object");
  const planned = await planNewToken({ ttl, usages: ["signing", "authentication"], groups: ["system:bootstrappers:kubeadm:default-node-token"], description: `Join ticket (${role})` }, cluster, now);
  const created = new Date(Math.floor(now.getTime() / 1000) * 1000);
  const ends = [new Date(created.getTime() + ttlMs), ...certificates.map(({ object }) => certificatesEnd(object)).filter((end) => end !== undefined)];
  const expires = new Date(Math.min(...ends.map((end) => end.getTime())));
  const { certificateKey } = config.init;
  return {
    ticket: {
      clusterName: config.cluster.clusterName,
      clusterId: await clusterId(cluster),
      kubernetesVersion: config.cluster.kubernetesVersion,
      role, created, expires,
      endpoints: await endpoints(request, config, cluster),
      caCertHashes: splitPemBundle(caPem).map(caPin),
      token: planned.token,
      ...(role === "control-plane" && certificateKey !== undefined ? { certificateKey } : {}),
    },
    actions: [...certificates, planned.action],
  };
}

/** The cluster must take further control planes, and the certificates are uploaded from this machine: it has to be one of that very cluster. */
async function refuseImpossible({ caPem }: TicketRequest, { config, read }: Pick<PlanInput<never>, "config" | "read">): Promise<void> {
  if (config.cluster.controlPlaneEndpoint === undefined) {
    throw new KubestickError({
      code: "TICKET_NO_ENDPOINT", attempted: "writing a ticket for a control plane", happened: "The cluster has no controlPlaneEndpoint, so every node knows it by the address of its first control plane, and a further one could not join.",
      next: "A worker's ticket works: kubestick ticket create. For further control planes the cluster needs an endpoint from its init on: --control-plane-endpoint",
    });
  }
  const path = `${config.cluster.certificatesDir}/ca.crt`;
  const own = await read.readText(path);
  const pins = splitPemBundle(caPem).map(caPin);
  if (own !== undefined && splitPemBundle(own).map(caPin).some((pin) => pins.includes(pin))) return;
  throw new KubestickError({
    code: "TICKET_NOT_CONTROL_PLANE", attempted: "writing a ticket for a control plane",
    happened: own === undefined ? `This machine has no ${path}: the certificates that control planes share are not here.` : `${path} belongs to another cluster than the kubeconfig.`,
    next: "Run it on a control plane of the cluster: kubestick ticket create --control-plane",
  });
}

/** The certificates go when the token that owns them goes. */
function certificatesEnd(object: ObjectAction["object"]): Date | undefined {
  if (object["type"] !== "bootstrap.kubernetes.io/token") return undefined;
  const token = readBootstrapToken(object);
  return "problem" in token || token.description !== certificatesTokenDescription ? undefined : token.expires;
}

async function clusterId(cluster: NonNullable<PlanInput<never>["cluster"]>): Promise<string> {
  const uid = (await cluster.get({ apiVersion: "v1", kind: "Namespace", name: "kube-system" }))?.metadata["uid"];
  if (typeof uid === "string") return uid;
  throw new KubestickError({ code: "TICKET_CLUSTER", attempted: "writing a join ticket", happened: "The cluster does not show namespace kube-system, whose uid identifies it.", next: "Use a kubeconfig with the rights of an administrator: --kubeconfig /etc/kubernetes/admin.conf" });
}

/** The cluster's endpoint first, then every API server that is up (EndpointSlice default/kubernetes), then the address this command used. */
async function endpoints({ server }: TicketRequest, { cluster: { controlPlaneEndpoint }, install }: PlanInput<never>["config"], cluster: NonNullable<PlanInput<never>["cluster"]>): Promise<readonly string[]> {
  const live = apiServersOf(await cluster.get(apiServerSlice));
  const used = splitHostPort(new URL(server).host);
  // With ha the endpoint's name is of use on nodes that have joined, and nowhere else.
  const own = used === undefined || install.ha ? [] : [joinHostPort(used.host, used.port ?? 443)];
  const reachable = [...(controlPlaneEndpoint === undefined || install.ha ? [] : [controlPlaneEndpoint]), ...live, ...own].filter((endpoint) => !/^(?:127\.|localhost:|\[::1\])/.test(endpoint));
  if (reachable.length > 0) return [...new Set(reachable)];
  throw new KubestickError({ code: "TICKET_ENDPOINTS", attempted: "writing a join ticket", happened: `The only known address of the cluster is ${server}, which no other machine can reach.`, next: "Use a kubeconfig with an address that other nodes reach: --kubeconfig FILE" });
}
