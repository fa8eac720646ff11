/**
 * A join ticket: everything a new node needs to find, trust and join a cluster, in one small file for the stick. `docs/ticket.md` explains the fields.
 *
 * It holds secrets, so its errors name line, column and field and never repeat a value. A checksum over the values tells a file that was
 * cut off or changed while it was copied from one that is merely old.
 */
import { createHash } from "node:crypto";
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Node } from "yaml";
import { KubestickError } from "../errors.ts";
import { familyOf, splitHostPort } from "./address.ts";
import { isDnsSubdomain, nearest } from "./names.ts";

export const ticketApiVersion = "kubestick.io/v1alpha1";
export const ticketKind = "JoinTicket";

export interface JoinTicket {
  readonly clusterName: string;
  /** uid of namespace kube-system: what people in the field take for a cluster's identity. */
  readonly clusterId: string;
  /** `v1.36.2`, for people who look for the right package. */
  readonly kubernetesVersion: string;
  readonly role: "worker" | "control-plane";
  readonly created: Date;
  readonly expires: Date;
  /** `host:port` of the API servers, the preferred one first. */
  readonly endpoints: readonly string[];
  /** `sha256:<hex>`, at least one. */
  readonly caCertHashes: readonly string[];
  readonly token: string;
  /** 64 hexadecimal digits: opens the Secret kubeadm-certs. With a control-plane ticket only, and always then. */
  readonly certificateKey?: string;
}

const fieldNames = ["apiVersion", "kind", "clusterName", "clusterId", "kubernetesVersion", "role", "created", "expires", "endpoints", "caCertHashes", "token", "certificateKey", "checksum"] as const;
type FieldName = (typeof fieldNames)[number];

/** The lines of the file, comments first. */
export function renderTicket(ticket: JoinTicket): string {
  const list = (values: readonly string[]): string => values.map((value) => `\n- ${JSON.stringify(value)}`).join("");
  return [
    `# Join ticket for a ${ticket.role} node of cluster ${ticket.clusterName}, good until ${seconds(ticket.expires)}.`,
    "# On the new node: kubestick join <this file>",
    "# It holds secrets: who has it can join the cluster. Delete it when all nodes have joined.",
    `apiVersion: ${ticketApiVersion}`,
    `kind: ${ticketKind}`,
    `clusterName: ${JSON.stringify(ticket.clusterName)}`,
    `clusterId: ${JSON.stringify(ticket.clusterId)}`,
    `kubernetesVersion: ${JSON.stringify(ticket.kubernetesVersion)}`,
    `role: ${ticket.role}`,
    `created: ${JSON.stringify(seconds(ticket.created))}`,
    `expires: ${JSON.stringify(seconds(ticket.expires))}`,
    `endpoints:${list(ticket.endpoints)}`,
    `caCertHashes:${list(ticket.caCertHashes)}`,
    `token: ${JSON.stringify(ticket.token)}`,
    ...(ticket.certificateKey === undefined ? [] : [`certificateKey: ${JSON.stringify(ticket.certificateKey)}`]),
    `checksum: ${checksum(ticket)}`,
    "",
  ].join("\n");
}

/** Over the values alone: editors may change line ends and comments. */
function checksum(ticket: JoinTicket): string {
  const { clusterName, clusterId, kubernetesVersion, role, created, expires, endpoints, caCertHashes, token, certificateKey = "" } = ticket;
  return `sha256:${createHash("sha256").update(JSON.stringify([clusterName, clusterId, kubernetesVersion, role, seconds(created), seconds(expires), endpoints, caCertHashes, token, certificateKey])).digest("hex")}`;
}

/** `name` is the file, for errors. With `now`, a ticket past its time is refused. */
export function parseTicket(name: string, text: string, now?: Date): JoinTicket {
  const attempted = `reading the join ticket ${name}`;
  const another = "Copy the ticket again, or write a new one on a control plane: kubestick ticket create";
  const lines = new LineCounter();
  const place = (offset: number | undefined): string => {
    const { line, col } = lines.linePos(offset ?? 0);
    return `${name}:${line}:${col}`;
  };
  const truncated = (happened: string): KubestickError => new KubestickError({ code: "TICKET_TRUNCATED", attempted, happened, next: another });

  if (text.length > 64 * 1024) throw new KubestickError({ code: "TICKET_KIND", attempted, happened: `${name} has ${text.length} characters; a ticket has about a thousand.`, next: "Name the ticket itself." });
  if (text.trim() === "") throw truncated(`${name} is empty.`);
  // The library's own messages quote lines, and those hold secrets.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, logLevel: "error" });
  const root = document.contents as Node | null;
  const value = (key: string): Node | undefined => (isMap(root) ? (root.get(key, true) as Node | undefined) : undefined);
  const scalar = (key: string): unknown => {
    const node = value(key);
    return isScalar(node) ? node.value : undefined;
  };
  const [kind, apiVersion] = [scalar("kind"), scalar("apiVersion")];
  const cutOff = scalar("checksum") == null;
  if (kind !== ticketKind && !(cutOff && looksCutOff(text))) {
    const found = typeof kind === "string" && /^[A-Za-z]{1,60}$/.test(kind) ? `it is a ${kind}` : "it has no such kind";
    throw new KubestickError({
      code: "TICKET_KIND", attempted, happened: `${name} is not a join ticket (kind: ${ticketKind}): ${found}.`,
      next: kind === "JoinConfiguration" ? `A configuration is given as: kubestick join --config ${name}` : kind === "Config" ? `A kubeconfig is given as: kubestick join --discovery-file ${name}` : another,
    });
  }
  if (!cutOff && apiVersion !== ticketApiVersion) {
    throw new KubestickError({ code: "TICKET_KIND", attempted, happened: `${place(value("apiVersion")?.range?.[0])}: this program reads tickets of ${ticketApiVersion}, and this one is of another version.`, next: "Write the ticket with the same kubestick that the new node has." });
  }
  const [syntax] = document.errors;
  if (cutOff) throw truncated(`${name} ends after ${text.split("\n").length} lines without its last field, the checksum: it was cut off while it was written or copied.`);
  if (syntax !== undefined) throw new KubestickError({ code: "TICKET_INVALID", attempted, happened: `${place(syntax.pos[0])}: it is no YAML (${syntax.code}).`, next: another });

  const problems: string[] = [];
  const problem = (key: string, message: string, node = value(key)): void => { problems.push(`${place((node ?? root)?.range?.[0])}: ${key}: ${message}`); };
  if (isMap(root)) {
    for (const { key } of root.items) {
      const field = isScalar(key) ? String(key.value) : "";
      if ((fieldNames as readonly string[]).includes(field)) continue;
      const close = nearest(field, fieldNames);
      problem(field.slice(0, 40), `there is no such field${close === undefined ? "" : `; did you mean ${close}?`}`, key as Node);
    }
  }
  const string = (key: FieldName, form: RegExp, rule: string): string => {
    const found = scalar(key);
    if (typeof found === "string" && form.test(found)) return found;
    problem(key, value(key) === undefined ? "is missing" : rule);
    return "";
  };
  const strings = (key: FieldName, fits: (text: string) => boolean, rule: string): readonly string[] => {
    const node = value(key);
    if (!isSeq(node) || node.items.length === 0) {
      problem(key, node === undefined ? "is missing" : "must be a list with at least one entry");
      return [];
    }
    return node.items.map((item) => {
      const found = isScalar(item) ? item.value : undefined;
      if (typeof found === "string" && fits(found)) return found;
      problem(key, rule, item as Node);
      return "";
    });
  };
  const date = (key: FieldName): Date => new Date(string(key, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, "must be a time such as 2026-01-31T12:00:00Z") || 0);

  const role = string("role", /^(?:worker|control-plane)$/, "must be worker or control-plane") as JoinTicket["role"];
  const certificateKey = value("certificateKey") === undefined ? undefined : string("certificateKey", /^[0-9a-fA-F]{64}$/, "must be 64 hexadecimal digits");
  if (role === "control-plane" && value("certificateKey") === undefined) problem("certificateKey", "is missing, and a control plane cannot join without");
  const ticket: JoinTicket = {
    clusterName: string("clusterName", /^[^\p{Cc}]{1,253}$/u, "must be the cluster's name"),
    clusterId: string("clusterId", /^[0-9a-zA-Z-]{1,64}$/, "must be the uid of namespace kube-system"),
    kubernetesVersion: string("kubernetesVersion", /^v\d+\.\d+\.\d+/, "must be a version such as v1.36.2"),
    role,
    created: date("created"),
    expires: date("expires"),
    endpoints: strings("endpoints", isEndpoint, "must be host:port, such as 192.0.2.10:6443"),
    caCertHashes: strings("caCertHashes", (hash) => /^sha256:[0-9a-f]{64}$/.test(hash), "must be sha256: and 64 hexadecimal digits"),
    token: string("token", /^[a-z0-9]{6}\.[a-z0-9]{16}$/, "must have the form abcdef.0123456789abcdef (6 and 16 lower-case letters or digits)"),
    ...(certificateKey === undefined ? {} : { certificateKey }),
  };
  if (problems.length > 0) {
    throw new KubestickError({ code: "TICKET_INVALID", attempted, happened: problems.length === 1 ? (problems[0] as string) : `${problems.length} problems were found`, next: another, ...(problems.length === 1 ? {} : { details: problems }) });
  }
  if (scalar("checksum") !== checksum(ticket)) throw new KubestickError({ code: "TICKET_DAMAGED", attempted, happened: `${place(value("checksum")?.range?.[0])}: the checksum does not fit what stands above it: the file was changed or damaged after it was written.`, next: another });
  if (now !== undefined && ticketExpired(ticket, now)) {
    throw new KubestickError({
      code: "TICKET_EXPIRED", attempted, happened: `The ticket was good until ${seconds(ticket.expires)}; this machine's clock says ${seconds(now)}.`,
      next: `When the clock is right, write a new one on a control plane: kubestick ticket create${ticket.role === "worker" ? "" : " --control-plane"}. Else set it: date -u -s '<YYYY-MM-DD HH:MM:SS>'`,
    });
  }
  return ticket;
}

export function ticketExpired(ticket: JoinTicket, now: Date): boolean {
  return ticket.expires <= now;
}

/** As options of `join`. The first endpoint stands for all where only one can be told. */
export function ticketJoinOptions(ticket: JoinTicket): { readonly endpoint: string; readonly token: string; readonly caCertHashes: readonly string[]; readonly controlPlane: boolean; readonly certificateKey?: string } {
  const { endpoints, token, caCertHashes, role, certificateKey } = ticket;
  return { endpoint: endpoints[0] as string, token, caCertHashes, controlPlane: role === "control-plane", ...(certificateKey === undefined ? {} : { certificateKey }) };
}

/** What `discover` (room `cluster`) takes: all endpoints, the first one preferred. */
export function ticketDiscovery(ticket: JoinTicket, timeoutMs: number): {
  readonly kind: "token"; readonly servers: readonly string[]; readonly token: string; readonly caCertHashes: readonly string[]; readonly unsafeSkipCaVerification: false; readonly timeoutMs: number;
} {
  const { endpoints: servers, token, caCertHashes } = ticket;
  return { kind: "token", servers, token, caCertHashes, unsafeSkipCaVerification: false, timeoutMs };
}

function isEndpoint(text: string): boolean {
  const parts = splitHostPort(text);
  return parts?.port !== undefined && (familyOf(parts.host) !== undefined || isDnsSubdomain(parts.host));
}

/** A ticket that was cut off before the end of its kind still begins with its comment. */
function looksCutOff(text: string): boolean {
  return text.startsWith("# Join ticket for ");
}

function seconds(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}
