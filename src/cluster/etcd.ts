/**
 * etcd's members and health through its JSON gateway (gRPC over HTTP with JSON bodies) with mutual TLS.
 *
 * Member and leader ids are 64-bit numbers, which the gateway sends as decimal strings; etcd's own tools print them in hexadecimal, and
 * so does everything here.
 */
import type { Dispatcher } from "undici";
import { isKubestickError, KubestickError } from "../errors.ts";
import type { EtcdMember } from "./types.ts";
import { openHttp, type ServerCredentials } from "./http.ts";

export interface EtcdStatus {
  readonly version: string;
  /** This member. */
  readonly id: string;
  /** undefined while there is no leader. */
  readonly leader?: string;
  readonly learner: boolean;
  readonly raftIndex: number;
  readonly raftAppliedIndex: number;
  readonly databaseBytes: number;
  readonly errors: readonly string[];
}

export interface EtcdClient {
  readonly endpoint: string;
  members(): Promise<readonly EtcdMember[]>;
  status(): Promise<EtcdStatus>;
  /** `/health`: the member serves linearizable reads, so there is a quorum. With the reason when not. */
  health(): Promise<{ readonly healthy: boolean; readonly reason: string }>;
  /** Adds a member that does not vote yet. */
  addLearner(peerUrl: string): Promise<EtcdMember>;
  /** Rejects with ETCD_LEARNER_BEHIND until the learner has caught up. */
  promote(id: string): Promise<void>;
  /** A member that is not there is fine. */
  removeMember(id: string): Promise<void>;
  close(): Promise<void>;
}

interface MemberMessage {
  readonly ID?: string;
  readonly name?: string;
  readonly peerURLs?: readonly string[];
  readonly clientURLs?: readonly string[];
  readonly isLearner?: boolean;
}

interface StatusMessage {
  readonly header?: { readonly member_id?: string };
  readonly version?: string;
  readonly leader?: string;
  readonly isLearner?: boolean;
  readonly raftIndex?: string;
  readonly raftAppliedIndex?: string;
  readonly dbSize?: string;
  readonly errors?: readonly string[];
}

/** etcd's words (`api/v3rpc/rpctypes/error.go`), by which alone the gateway tells its failures apart. */
const refusals: readonly { readonly words: string; readonly code: string; readonly next: string }[] = [
  { words: "no leader", code: "ETCD_NO_LEADER", next: "A majority of the members must run and reach each other: crictl ps -a --name etcd on every control plane node." },
  { words: "Peer URLs already exists", code: "ETCD_MEMBER_EXISTS", next: "A member with this address is there already, perhaps from an earlier attempt: kubestick reset on that node, or remove the member." },
  // The same refusal when both attempts fall into the same second: the id is a hash of addresses and time.
  { words: "member ID already exist", code: "ETCD_MEMBER_EXISTS", next: "A member with this address is there already, perhaps from an earlier attempt: kubestick reset on that node, or remove the member." },
  { words: "in sync with leader", code: "ETCD_LEARNER_BEHIND", next: "The new member still copies the data: wait and run the same command again." },
  { words: "member not found", code: "ETCD_MEMBER_NOT_FOUND", next: "List the members to see their ids." },
  { words: "unhealthy cluster", code: "ETCD_UNHEALTHY", next: "Every member must be healthy before the membership changes: crictl ps -a --name etcd on every control plane node." },
  { words: "not enough started members", code: "ETCD_UNHEALTHY", next: "Start the members that are down first, or remove those that will not come back." },
  { words: "too many learner members", code: "ETCD_LEARNER_LIMIT", next: "Another node is joining: wait for it, or remove a learner that will not come back." },
  { words: "database space exceeded", code: "ETCD_DATABASE_FULL", next: "Compact and defragment etcd, then disarm its alarm: etcdctl alarm disarm" },
];

const logs = "crictl logs $(crictl ps -a --name etcd -q | head -1)";

export interface EtcdOptions {
  /** For one request, ms. */
  readonly timeoutMs?: number;
  readonly dispatcher?: Dispatcher;
}

export function connectEtcd(credentials: ServerCredentials, options: EtcdOptions = {}): EtcdClient {
  const http = openHttp(credentials, {
    timeoutMs: options.timeoutMs ?? 5_000,
    codePrefix: "ETCD",
    serverName: "etcd",
    next: logs,
    dispatcher: options.dispatcher,
  });

  function parsed<Res>(attempted: string, text: string): Res {
    try {
      return JSON.parse(text) as Res;
    } catch (cause) {
      throw new KubestickError({ code: "ETCD_WRONG_PROTOCOL", attempted, happened: `${http.server} answered with something that is not JSON: ${text.slice(0, 200)}`, next: "Check that the address is an etcd client address: ss -ltnp | grep 2379", cause });
    }
  }

  async function call<Res>(attempted: string, path: string, body: object = {}): Promise<Res> {
    const { status, text } = await http.send({ method: "POST", path, attempted, body });
    const answer = parsed<Res & { readonly message?: string; readonly error?: string }>(attempted, text);
    if (status === 200) return answer;
    const words = answer.message ?? answer.error ?? `HTTP ${status}`;
    const { code, next } = refusals.find((refusal) => words.includes(refusal.words)) ?? { code: "ETCD_REQUEST_FAILED", next: logs };
    throw new KubestickError({ code, attempted, happened: `etcd on ${http.server} answered: ${words}.`, next });
  }

  return {
    endpoint: http.server,

    async members(): Promise<readonly EtcdMember[]> {
      // Not linearizable: also a member without a quorum can say who belongs to the cluster, which is what a diagnosis needs.
      const { members } = await call<{ members?: readonly MemberMessage[] }>("listing the etcd members", "/v3/cluster/member/list", { linearizable: false });
      return (members ?? []).map(toMember);
    },

    async status(): Promise<EtcdStatus> {
      const status = await call<StatusMessage>("asking etcd for its status", "/v3/maintenance/status");
      const leader = hexadecimal(status.leader);
      return {
        version: status.version ?? "",
        id: hexadecimal(status.header?.member_id),
        ...(leader === "0" ? {} : { leader }),
        learner: status.isLearner ?? false,
        raftIndex: Number(status.raftIndex ?? 0),
        raftAppliedIndex: Number(status.raftAppliedIndex ?? 0),
        databaseBytes: Number(status.dbSize ?? 0),
        errors: status.errors ?? [],
      };
    },

    async health() {
      const attempted = "asking etcd for its health";
      const { text } = await http.send({ method: "GET", path: "/health", attempted });
      // 200 `{"health":"true","reason":""}`, 503 `{"health":"false","reason":"RAFT NO LEADER"}`.
      const { health, reason } = parsed<{ readonly health?: string; readonly reason?: string }>(attempted, text);
      return { healthy: health === "true", reason: reason ?? "" };
    },

    async addLearner(peerUrl: string): Promise<EtcdMember> {
      const { member } = await call<{ member: MemberMessage }>(`adding the etcd member ${peerUrl}`, "/v3/cluster/member/add", { peerURLs: [peerUrl], isLearner: true });
      return toMember(member);
    },

    async promote(id: string): Promise<void> {
      await call(`making the etcd learner ${id} a voting member`, "/v3/cluster/member/promote", { ID: decimal(id) });
    },

    async removeMember(id: string): Promise<void> {
      try {
        await call(`removing the etcd member ${id}`, "/v3/cluster/member/remove", { ID: decimal(id) });
      } catch (error) {
        if (!isKubestickError(error) || error.code !== "ETCD_MEMBER_NOT_FOUND") throw error;
      }
    },

    close: () => http.close(),
  };
}

function toMember({ ID, name, peerURLs, clientURLs, isLearner }: MemberMessage): EtcdMember {
  return { id: hexadecimal(ID), name: name ?? "", peerUrls: peerURLs ?? [], clientUrls: clientURLs ?? [], learner: isLearner ?? false };
}

function hexadecimal(decimalText: string | undefined): string {
  return BigInt(decimalText ?? "0").toString(16);
}

function decimal(hexadecimalText: string): string {
  return BigInt(`0x${hexadecimalText}`).toString();
}
