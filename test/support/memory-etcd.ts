/** An etcd in memory, as its JSON gateway shows it: members, learners that catch up, and the refusals with the codes of the real client. */
import type { EtcdClient } from "../../src/cluster/etcd.ts";
import type { EtcdMember } from "../../src/cluster/types.ts";
import { KubestickError } from "../../src/errors.ts";
import type { WriteLedger } from "./write-ledger.ts";

export class MemoryEtcdStore {
  readonly ledger: WriteLedger;
  members: EtcdMember[];
  /** Whether the process of the member at this peer URL runs; `caughtUp`: and has all data. */
  runs: (peerUrl: string) => boolean = () => true;
  caughtUp: (peerUrl: string) => boolean = () => true;
  /** Whether it holds its connections to the others for healthy: what each tells of itself. */
  connected: (peerUrl: string) => boolean = () => true;
  #next = 0xa0;

  constructor(ledger: WriteLedger, members: readonly EtcdMember[]) {
    this.ledger = ledger;
    this.members = [...members];
  }

  connect(endpoint: string): EtcdClient {
    const peerUrl = endpoint.replace(/:2379$/, ":2380");
    const reach = (): void => {
      this.ledger.alive();
      if (!this.members.some((member) => member.peerUrls.includes(peerUrl)) || !this.runs(peerUrl)) throw failure("ETCD_UNREACHABLE", `etcd on ${endpoint} cannot be reached`);
    };
    return {
      endpoint,
      members: async () => {
        reach();
        return structuredClone(this.members);
      },
      status: async () => {
        reach();
        throw new Error("nobody asks this stand-in for its status");
      },
      health: async () => {
        reach();
        const voting = this.members.filter(({ learner }) => !learner);
        const healthy = voting.filter((member) => this.runs(member.peerUrls[0] ?? "")).length * 2 > voting.length;
        return { healthy, reason: healthy ? "" : "RAFT NO LEADER" };
      },
      addLearner: async (wanted) => {
        reach();
        if (this.members.some((member) => member.peerUrls.includes(wanted))) throw failure("ETCD_MEMBER_EXISTS", "Peer URLs already exists");
        if (this.members.some(({ learner }) => learner)) throw failure("ETCD_LEARNER_LIMIT", "too many learner members in cluster");
        this.ledger.write(`ETCD add ${wanted}`);
        const member: EtcdMember = { id: (this.#next++).toString(16), name: "", peerUrls: [wanted], clientUrls: [], learner: true };
        this.members.push(member);
        return structuredClone(member);
      },
      promote: async (id) => {
        reach();
        const member = this.members.find((candidate) => candidate.id === id);
        if (member === undefined) throw failure("ETCD_MEMBER_NOT_FOUND", "member not found");
        if (!this.caughtUp(member.peerUrls[0] ?? "")) throw failure("ETCD_LEARNER_BEHIND", "can only promote a learner member which is in sync with leader");
        this.ledger.write(`ETCD promote ${id}`);
        this.#change({ ...member, learner: false });
      },
      removeMember: async (id) => {
        reach();
        if (!this.members.some((member) => member.id === id)) return;
        if (!this.connected(peerUrl)) throw failure("ETCD_UNHEALTHY", "etcdserver: unhealthy cluster");
        this.ledger.write(`ETCD remove ${id}`);
        this.members = this.members.filter((member) => member.id !== id);
      },
      close: async () => undefined,
    };
  }

  /** As etcd does when it starts: the member at this address has a name from now on. */
  start(peerUrl: string, name: string): void {
    const member = this.members.find((candidate) => candidate.peerUrls.includes(peerUrl));
    if (member !== undefined) this.#change({ ...member, name, clientUrls: [peerUrl.replace(/:2380$/, ":2379")] });
  }

  #change(member: EtcdMember): void {
    this.members = this.members.map((candidate) => (candidate.id === member.id ? member : candidate));
  }
}

function failure(code: string, happened: string): KubestickError {
  return new KubestickError({ code, attempted: "asking etcd", happened: `${happened}.`, next: "crictl ps -a --name etcd" });
}
