/** `kubestick ticket create` and `ticket show`: all that a new node needs in one file for the stick. The file: `config/ticket.ts`. */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { formatDuration, parseDuration } from "../config/duration.ts";
import { resolveInitConfig } from "../config/resolve.ts";
import { parseTicket, renderTicket, ticketExpired, type JoinTicket } from "../config/ticket.ts";
import { errnoOf, isKubestickError, KubestickError, messageOf } from "../errors.ts";
import { planTicket, planTokenDeletion } from "../flows/tokens.ts";
import { storedConfiguration } from "../manifests/kubeadm-config.ts";
import { generateCertificateKey } from "../pki/certs-secret.ts";
import { anyMachine } from "./any-machine.ts";
import { withCluster, type ClusterAccess } from "./cluster-access.ts";
import type { Io } from "./io.ts";
import { machinePorts, type MachinePorts } from "./machine.ts";
import { printResult } from "./print-result.ts";
import { carryOut } from "./token-cluster.ts";

export interface TicketCreateFlags {
  readonly "control-plane"?: boolean;
  readonly "dry-run"?: boolean;
  readonly kubeconfig?: string;
  readonly out?: string;
  readonly output?: string;
  readonly ttl?: string;
}

/** The uploaded certificates last no longer (kubeadm constants.go, DefaultCertTokenDuration). */
const longestControlPlaneMs = 2 * 3_600_000;

export async function ticketCreateCommand(flags: TicketCreateFlags, io: Io, ports: MachinePorts = machinePorts("kubestick ticket create")): Promise<void> {
  const role = flags["control-plane"] === true ? "control-plane" : "worker";
  const ttl = flags.ttl ?? (role === "worker" ? "24h0m0s" : "2h0m0s");
  const ttlMs = parseDuration(ttl) ?? 0;
  if (ttlMs < 60_000) throw wrongTtl(`A ticket needs an end, at least a minute away; ${ttl} is none.`);
  if (role === "control-plane" && ttlMs > longestControlPlaneMs) throw wrongTtl(`The certificates for a control plane stay in the cluster for ${formatDuration(longestControlPlaneMs)} and no longer, so ${ttl} cannot be kept.`);
  const path = flags.out ?? `ticket-${role}.yaml`;
  const dryRun = flags["dry-run"] === true;
  // Before anything is made in the cluster: a token for a ticket that cannot be written would stay there.
  if (!dryRun) await refuseUnwritable(path, ports);
  await withCluster(flags.kubeconfig, io, async (access) => {
    const { ticket, actions } = await planned(access, role, ttl);
    await carryOut(access, actions, dryRun, io);
    if (dryRun) return;
    try {
      await ports.host.writeFile(resolve(path), renderTicket(ticket), { mode: 0o600 });
    } catch (error) {
      // Nobody will ever use its token.
      for await (const _ of access.change([planTokenDeletion(ticket.token)], false));
      throw unwritable(path, error);
    }
    printResult(io, flags.output, `${path}: ${role} ticket for cluster ${ticket.clusterName}, good until ${iso(ticket.expires)}\nOn the new node: kubestick join ${basename(path)}\n`, { path, ...shown(ticket) });
  }, ports);
}

async function planned({ cluster, server, caPem, path, ports }: ClusterAccess, role: JoinTicket["role"], ttl: string): ReturnType<typeof planTicket> {
  if (caPem === undefined) throw new KubestickError({ code: "KUBECONFIG_INVALID", attempted: "writing a join ticket", happened: `The kubeconfig ${path} names no CA, whose pin the ticket needs.`, next: "Use the one of a control plane: --kubeconfig /etc/kubernetes/admin.conf" });
  const stored = (await cluster.get({ apiVersion: "v1", kind: "ConfigMap", name: "kubeadm-config", namespace: "kube-system" }))?.["data"] as Readonly<Record<string, string>> | undefined;
  const text = storedConfiguration(stored);
  if (text === undefined) throw new KubestickError({ code: "TICKET_CLUSTER", attempted: "writing a join ticket", happened: "The cluster has no ClusterConfiguration in ConfigMap kube-system/kubeadm-config, so nodes could not join it.", next: "On a control plane: kubestick init phase upload-config all" });
  const { config } = resolveInitConfig({
    options: role === "worker" ? {} : { certificateKey: generateCertificateKey() }, file: { name: "ConfigMap kube-system/kubeadm-config", text }, facts: anyMachine,
    flags: { uploadCerts: role === "control-plane" },
  });
  return await planTicket({ role, ttl, server, caPem }, {
    config, facts: anyMachine, read: ports.host, pkg: undefined, assets: ports.assets, cluster, runtime: async () => undefined, made: { has: () => false }, now: ports.host.now(),
  });
}

export async function ticketShowCommand(flags: { readonly output?: string }, [path]: readonly string[], io: Io, now = new Date()): Promise<void> {
  const ticket = parseTicket(path as string, await readTicketFile(path as string));
  const expired = ticketExpired(ticket, now);
  const lines = [
    `${path}: ${ticket.role} ticket for cluster ${ticket.clusterName} (Kubernetes ${ticket.kubernetesVersion})`,
    expired ? `EXPIRED on ${iso(ticket.expires)}; this machine's clock says ${iso(now)}` : `good until ${iso(ticket.expires)}`,
    `cluster id:  ${ticket.clusterId}`,
    `created:     ${iso(ticket.created)}`,
    `endpoints:   ${ticket.endpoints.join(", ")}`,
    `CA pin:      ${ticket.caCertHashes.join(", ")}`,
    `token:       ${ticket.token.split(".")[0]}.<withheld>`,
    ...(ticket.certificateKey === undefined ? [] : ["certificates: key <withheld>"]),
  ];
  printResult(io, flags.output, `${lines.join("\n")}\n`, { ...shown(ticket), expired });
}

/** The text of a ticket; also for `join`. */
export async function readTicketFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const missing = errnoOf(error) === "ENOENT";
    throw new KubestickError({ code: "TICKET_UNREADABLE", attempted: `reading the join ticket ${path}`, happened: missing ? `There is no file ${path}.` : `It cannot be read: ${messageOf(error)}.`, next: missing ? "Name the ticket; on a control plane one is written by: kubestick ticket create" : "Read it as root, or copy it again.", cause: error });
  }
}

function shown(ticket: JoinTicket): object {
  const { token, certificateKey, created, expires, ...rest } = ticket;
  return { ...rest, created: iso(created), expires: iso(expires), tokenId: token.split(".")[0], certificates: certificateKey !== undefined };
}

/** A stick that is full, locked or not there shows itself now. */
async function refuseUnwritable(path: string, { host }: MachinePorts): Promise<void> {
  const target = resolve(path);
  if ((await host.stat(target))?.type === "directory") throw unwritable(path, new Error("it is a directory"));
  const probe = join(dirname(target), `.kubestick-${randomBytes(6).toString("hex")}`);
  try {
    await host.writeFile(probe, "", { mode: 0o600 });
  } catch (error) {
    throw unwritable(path, error);
  }
  await host.remove(probe);
}

function unwritable(path: string, error: unknown): KubestickError {
  return new KubestickError({ code: "TICKET_UNWRITABLE", attempted: `writing the join ticket ${path}`, happened: `It cannot be written: ${isKubestickError(error) ? error.happened : `${messageOf(error)}.`}`, next: "Name a file in a folder that can be written: --out FILE", cause: error });
}

function wrongTtl(happened: string): KubestickError {
  return new KubestickError({ code: "CLI_FLAG_VALUE", attempted: "reading the arguments of \"kubestick ticket create\"", happened, next: "Give another duration, such as --ttl 1h; nothing was changed." });
}

function iso(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}
