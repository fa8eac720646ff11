/** What a reset of this node means for the etcd it belongs to: nothing, one member less, or the end of the cluster. Asked, never guessed. */
import { dirname } from "node:path";
import type { EtcdMember } from "../cluster/types.ts";
import { isKubestickError } from "../errors.ts";
import type { EtcdFiles, EtcdMemberAction, Finding, ResetInput } from "../engine/types.ts";
import { etcdPodUrls } from "./etcd-pods.ts";

const manifestPath = "/etc/kubernetes/manifests/etcd.yaml";
export interface EtcdStanding {
  /** How this node leaves; undefined when there is nobody to leave. */
  readonly leave?: EtcdMemberAction;
  /** Its member of etcd, as etcd calls it. */
  readonly id?: string;
  /** The others could not go on without this node. */
  readonly danger?: Omit<Finding, "severity">;
  /** For the phase that removes the member. */
  readonly findings: readonly Finding[];
}

/** undefined: no static pod of etcd is on this machine. */
export async function etcdStanding({ read, etcd, etcdTimeoutMs, cluster, force }: ResetInput): Promise<EtcdStanding | undefined> {
  const manifest = await read.readText(manifestPath);
  const flag = (name: string): string | undefined => new RegExp(`--${name}=(\\S+)`).exec(manifest ?? "")?.[1];
  const [name, peerUrl, ca, dataDirectory] = [flag("name"), flag("initial-advertise-peer-urls"), flag("trusted-ca-file"), flag("data-dir")];
  if (name === undefined || peerUrl === undefined || ca === undefined || dataDirectory === undefined || etcd === undefined) return undefined;
  const files: EtcdFiles = { ca, certificate: `${dirname(ca)}/healthcheck-client.crt`, key: `${dirname(ca)}/healthcheck-client.key` };
  const written = (flag("initial-cluster") ?? "").split(",").map((entry) => entry.slice(entry.indexOf("=") + 1)).filter((url) => url !== "" && url !== peerUrl);

  const known = [clientUrl(peerUrl), ...written.map(clientUrl)];
  let members = await etcd(known, files);
  // The first control plane's manifest names no other, and who came later only etcd and the API server know.
  const listed = members === undefined ? (await podUrls(cluster))?.filter((url) => !known.includes(url)) : undefined;
  if (listed !== undefined && listed.length > 0) members = await etcd(listed, files);
  if (members === undefined) {
    const others = [...written.map(clientUrl), ...(listed ?? [])];
    const hint = `When they are back, on one of them: etcdctl member list; etcdctl member remove <id of ${name}>`;
    if (others.length > 0) {
      return { findings: [{ check: "EtcdMember", severity: force ? "warning" : "error", message: `no member of etcd answers (${[clientUrl(peerUrl), ...others].join(", ")}), so ${name} could not be taken out of it`, hint }] };
    }
    // An API server that lists no other control plane has said enough.
    return { findings: listed !== undefined ? [] : [{ check: "EtcdMember", severity: "warning", message: "neither etcd nor the API server of this node answers, so nobody could say whether other control planes are there", hint: `If there are: ${hint.charAt(0).toLowerCase()}${hint.slice(1)}` }] };
  }
  const mine = members.find(({ peerUrls }) => peerUrls.includes(peerUrl));
  const others = members.filter((member) => member !== mine);
  if (mine === undefined || others.length === 0) return { findings: [] };

  const voters = others.filter(({ learner }) => !learner);
  const answering = (await Promise.all(voters.map(async (member) => ((await etcd(urlsOf(member), files)) === undefined ? undefined : member)))).filter((member) => member !== undefined);
  const goesOn = answering.length * 2 > voters.length;
  const endpoints = answering.flatMap(urlsOf);
  if (!goesOn && !mine.learner) {
    const silent = voters.filter((member) => !answering.includes(member)).map((member) => member.name || member.id).join(", ");
    const danger = {
      check: "EtcdMember",
      message: answering.length === 0 ? `${name} is the last healthy member of etcd: ${silent} ${voters.length === 1 ? "does" : "do"} not answer, and the data of the cluster would be lost`
        : `without ${name} only ${answering.length} of the ${voters.length} other members of etcd answer (not ${silent}), which is no majority: the cluster would stop`,
      hint: `Bring back ${silent} first, or remove from etcd what will not come back.`,
    };
    return { danger, findings: [{ ...danger, severity: "warning", message: `${name} stays a member of etcd, because no majority is there to agree that it leaves` }] };
  }
  return { leave: { kind: "etcd-member", id: `etcd-member/${name}`, state: "absent", name, peerUrl, endpoints, files, dataDirectory, timeoutMs: etcdTimeoutMs }, id: mine.id, findings: [] };
}

/** undefined: no API server answers. */
async function podUrls(cluster: ResetInput["cluster"]): Promise<readonly string[] | undefined> {
  if (cluster === undefined) return undefined;
  try {
    return await etcdPodUrls(cluster);
  } catch (error) {
    if (isKubestickError(error)) return undefined;
    throw error;
  }
}

/** A member that has not started yet tells no client address. */
function urlsOf({ clientUrls, peerUrls }: EtcdMember): readonly string[] {
  return clientUrls.length > 0 ? clientUrls : peerUrls.map(clientUrl);
}

/** kubeadm's fixed ports. */
function clientUrl(peerUrl: string): string {
  return peerUrl.replace(/:2380$/, ":2379");
}
