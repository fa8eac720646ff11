/**
 * This node's place among the members of an etcd (kubeadm util/etcd: AddMemberAsLearner, MemberPromote, RemoveMember).
 *
 * A member added and not started yet has no name: whoever starts etcd at its address becomes it, so one that a killed run left is simply
 * taken over. One that was started and whose data is gone (another machine had this address) can never come back, and is replaced.
 * A learner does not count for the quorum, so that a node that fails half-way takes nothing from the cluster.
 *
 * A new member asks the leader to publish its name, and serves clients when it sees that applied to its own log. Mostly it comes with the snapshot
 * that a new member gets first, and is never seen there: etcd waits until its request times out (7 s at least) and asks again. The name is in
 * the list of members by then, so it can be told from a member that is only slow; started anew, etcd has the snapshot and serves at once.
 */
import { join } from "node:path";
import type { EtcdMember } from "../../cluster/types.ts";
import { isKubestickError, KubestickError, messageOf } from "../../errors.ts";
import type { ActionContext } from "../context.ts";
import { startStopwatch } from "../stopwatch.ts";
import type { EtcdFiles, EtcdMemberAction } from "../types.ts";
import type { Handler, Observation } from "./handler.ts";

const intervalMs = 250;

/** What passes: another node joins, a member restarts, the learner still copies. */
const passing: ReadonlySet<string> = new Set([
  "ETCD_LEARNER_BEHIND", "ETCD_LEARNER_LIMIT", "ETCD_MEMBER_EXISTS", "ETCD_MEMBER_NOT_FOUND", "ETCD_NO_LEADER", "ETCD_REQUEST_FAILED", "ETCD_TIMEOUT", "ETCD_UNHEALTHY", "ETCD_UNREACHABLE",
]);

export const etcdMember: Handler<EtcdMemberAction> = {
  slow: true,
  journaled: true,

  async observe(action, context) {
    if (context.dryRun && action.endpoints.length === 0) return { state: "differs", absent: true, detail: words[action.state] };
    return judged(action, await patiently(action, context, () => members(action, context)), context);
  },

  // It lives in the cluster: phase remove-etcd-member of a reset takes it away while etcd still runs.
  record: async () => undefined,

  async apply(action, context, progress) {
    const elapsed = startStopwatch(context.host);
    const silence: Silence = {};
    const outcome = await patiently(action, context, async (reason) => {
      if (reason !== undefined) progress(Math.floor(elapsed() / 1000), Math.ceil(action.timeoutMs / 1000), "seconds", reason);
      return await step(action, context, silence, elapsed());
    });
    return { what: action.state === "absent" ? "removed" : outcome.created ? "created" : "changed", detail: outcome.detail };
  },

  async verify(action, context) {
    return judged(action, await members(action, context), context);
  },

  undo: async () => undefined,
};

const words: Readonly<Record<EtcdMemberAction["state"], string>> = { learner: "to be added as a learner", voting: "to become a voting member", absent: "to be removed" };

function members({ endpoints, files }: EtcdMemberAction, { clients }: ActionContext): Promise<readonly EtcdMember[]> {
  return clients.anyEtcd(endpoints, files, (etcd) => etcd.members());
}

async function judged(action: EtcdMemberAction, list: readonly EtcdMember[], context: ActionContext): Promise<Observation> {
  const mine = own(action, list);
  const { state } = action;
  if (state === "absent") return mine === undefined ? { state: "same" } : { state: "differs", detail: `removes member ${mine.id}` };
  if (mine === undefined) return { state: "differs", absent: true, detail: words[state] };
  if (state === "learner" && (await abandoned(action, mine, context))) return { state: "differs", detail: `replaces member ${mine.id}, whose data is gone` };
  if (state === "voting" && mine.learner) return { state: "differs", detail: words.voting };
  return { state: "same", detail: `member ${mine.id}, ${mine.learner ? "a learner" : "voting"}` };
}

/** One step towards the wanted state; throws a passing failure when it has to be tried again. */
async function step(action: EtcdMemberAction, context: ActionContext, silence: Silence, elapsedMs: number): Promise<{ readonly created: boolean; readonly detail: string }> {
  const { endpoints, files, peerUrl, name } = action;
  const list = await members(action, context);
  const mine = own(action, list);
  const remove = (id: string): Promise<void> => context.clients.anyEtcd(endpoints, files, (etcd) => etcd.removeMember(id));
  if (action.state === "absent") {
    if (mine !== undefined) await remove(mine.id);
    return { created: false, detail: `removed member ${mine?.id ?? ""}`.trim() };
  }
  if (action.state === "voting") {
    if (mine === undefined) throw notThere(action);
    if (!mine.learner) return { created: false, detail: `member ${mine.id} votes` };
    await untilItServes(action, mine, context, silence, elapsedMs);
    await context.clients.anyEtcd(endpoints, files, (etcd) => etcd.promote(mine.id));
    return { created: false, detail: `member ${mine.id} votes${silence.startedAnew === true ? ", started anew after it had the data" : ""}` };
  }
  const namesake = list.find((member) => member.name === name && !member.peerUrls.includes(peerUrl));
  if (namesake !== undefined) throw nameTaken(action, namesake);
  const stale = mine !== undefined && (await abandoned(action, mine, context));
  if (mine !== undefined && !stale) return { created: false, detail: `took over member ${mine.id}` };
  if (mine === undefined && (await hasData(action, context))) throw dataLeft(action);
  if (mine !== undefined) await remove(mine.id);
  const { id } = await context.clients.anyEtcd(endpoints, files, (etcd) => etcd.addLearner(peerUrl));
  return { created: true, detail: `${stale ? `replaced member ${mine.id} by ` : "added "}learner ${id}` };
}

/** What is known of a learner that has its name and does not serve, from one try to the next. */
interface Silence {
  /** Ms since the action began. */
  since?: number;
  startedAnew?: true;
}

const answerTimeoutMs = 700;
/** A member that has been told of its name serves within milliseconds. On a slow disk it may be later, and is started anew for nothing: that costs two seconds, and nobody counts on it yet. */
const silenceMs = 500;
/** A member that does not serve at this address, because its flags say so, is promoted as kubeadm does: etcd itself knows whether it has the data. */
const serveTimeoutMs = 60_000;

/** Throws a passing failure while it does not serve. It is still a learner: nobody counts on it, and starting it anew takes nothing from the cluster. */
async function untilItServes({ own: serving, files }: EtcdMemberAction, member: EtcdMember, context: ActionContext, silence: Silence, elapsedMs: number): Promise<void> {
  if (serving === undefined || elapsedMs > serveTimeoutMs) return;
  const reason = await noAnswer(`${serving.url}/health`, files, context);
  if (reason === undefined) return;
  if (member.name !== "") silence.since ??= elapsedMs;
  if (silence.startedAnew === undefined && silence.since !== undefined && elapsedMs - silence.since >= silenceMs) {
    const runtime = context.clients.runtime(serving.socket);
    const running = (await runtime.containers()).find(({ name, pod, namespace, state }) => name === "etcd" && pod === serving.pod && namespace === "kube-system" && state === "running");
    if (running !== undefined) {
      await runtime.stopContainer(running.id);
      silence.startedAnew = true;
    }
  }
  throw new KubestickError({
    code: "ETCD_UNREACHABLE", attempted: "making this node a voting member of etcd", happened: `The new member ${member.id} does not serve at ${serving.url} yet: ${reason}.`,
    next: "See what it is doing: crictl logs $(crictl ps -a --name etcd -q | head -1)",
  });
}

/** Why there was no answer; any answer will do. */
async function noAnswer(url: string, { ca, certificate, key }: EtcdFiles, { host, httpGet, signal }: ActionContext): Promise<string | undefined> {
  const [caPem = "", certificatePem = "", keyPem = ""] = await Promise.all([ca, certificate, key].map((path) => host.readText(path)));
  try {
    await httpGet({ url, timeoutMs: answerTimeoutMs, ca: caPem, certificate: certificatePem, key: keyPem });
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    return messageOf(error);
  }
}

function own({ peerUrl }: EtcdMemberAction, list: readonly EtcdMember[]): EtcdMember | undefined {
  return list.find(({ peerUrls }) => peerUrls.includes(peerUrl));
}

/** Started once, and here is nothing of it. */
async function abandoned(action: EtcdMemberAction, member: EtcdMember, context: ActionContext): Promise<boolean> {
  return member.name !== "" && !(await hasData(action, context));
}

async function hasData({ dataDirectory }: EtcdMemberAction, { host }: ActionContext): Promise<boolean> {
  return ((await host.list(join(dataDirectory, "member"))) ?? []).length > 0;
}

async function patiently<T>({ timeoutMs, name, state }: EtcdMemberAction, { host, signal }: ActionContext, work: (last: string | undefined) => Promise<T>): Promise<T> {
  const elapsed = startStopwatch(host);
  let last: string | undefined;
  for (;;) {
    signal.throwIfAborted();
    try {
      return await work(last);
    } catch (error) {
      if (!isKubestickError(error) || !passing.has(error.code)) throw error;
      last = error.happened;
      if (elapsed() >= timeoutMs) {
        throw new KubestickError({
          code: error.code === "ETCD_MEMBER_EXISTS" || error.code === "ETCD_REQUEST_FAILED" ? "ETCD_TIMED_OUT" : error.code,
          attempted: `making ${name} ${state === "absent" ? "no member" : state === "learner" ? "a learner" : "a voting member"} of etcd`,
          happened: `It did not succeed within ${timeoutMs / 1000} s. The last answer: ${error.happened}`, next: error.next, details: error.details, cause: error,
        });
      }
    }
    await host.sleep(intervalMs, signal);
  }
}

function notThere({ peerUrl }: EtcdMemberAction): KubestickError {
  return new KubestickError({ code: "ETCD_MEMBER_GONE", attempted: "making this node a voting member of etcd", happened: `No member of etcd has the address ${peerUrl}: somebody removed it.`, next: "Start afresh on this node: kubestick reset, then join again" });
}

function nameTaken({ name, peerUrl }: EtcdMemberAction, { id, peerUrls }: EtcdMember): KubestickError {
  return new KubestickError({
    code: "ETCD_NAME_TAKEN", attempted: `adding ${name} (${peerUrl}) to etcd`, happened: `Member ${id} at ${peerUrls.join(", ")} has the name ${name} already.`,
    next: `When that machine is gone: etcdctl member remove ${id} on a control plane. Otherwise choose another name with --node-name.`,
  });
}

function dataLeft({ dataDirectory, peerUrl }: EtcdMemberAction): KubestickError {
  return new KubestickError({
    code: "ETCD_DATA_STALE", attempted: `adding ${peerUrl} to etcd`, happened: `${dataDirectory} holds the data of a member that is not in the cluster any more; etcd would refuse to start with it.`,
    next: "Start afresh on this node: kubestick reset, then join again",
  });
}
