/** The probes of waits: one question each, answered once. Waiting and giving up are `wait.ts`. */
import type { Cluster, KubeObject, ObjectRef } from "../../cluster/types.ts";
import { KubestickError, isKubestickError, messageOf } from "../../errors.ts";
import type { ActionContext, Progress } from "../context.ts";
import type { Probe } from "../types.ts";
import { wrongPeer } from "./api-retry.ts";
import { fieldOf, isRecord } from "./object-compare.ts";
import { isMarked } from "./readiness.ts";

export type ProbeAnswer =
  | { readonly ready: true; readonly detail?: string }
  /** `failure`: waiting cannot help. `pods`: those that are waited for. */
  | { readonly ready: false; readonly reason: string; readonly failure?: KubestickError; readonly pods?: readonly KubeObject[] };

type ProbeOf<Type extends Probe["type"]> = Extract<Probe, { readonly type: Type }>;
type Ask<Type extends Probe["type"]> = (probe: ProbeOf<Type>, context: ActionContext, progress: Progress) => Promise<ProbeAnswer>;

const healthTimeoutMs = 5000;

const asks: { readonly [Type in Probe["type"]]: Ask<Type> } = {
  package: askPackage,
  runtime: askRuntime,
  images: askImages,
  "container-age": askContainerAge,
  http: askHttp,
  file: askFile,
  api: askApi,
  "etcd-version": askEtcdVersion,
  "etcd-health": askEtcdHealth,
  "kubelet-certificate": askKubeletCertificate,
  "node-ready": askNode,
  workloads: askWorkloads,
};

/** No answer is an answer too: not ready, with the words of the failure. */
export async function askProbe(probe: Probe, context: ActionContext, progress: Progress): Promise<ProbeAnswer> {
  try {
    // The table's type ties each probe to its function; indexing by a union loses that.
    return await (asks[probe.type] as Ask<Probe["type"]>)(probe as never, context, progress);
  } catch (error) {
    context.signal.throwIfAborted();
    if (probe.type === "package") throw error;
    if (!isKubestickError(error)) return { ready: false, reason: messageOf(error) };
    return { ready: false, reason: error.happened, ...(wrongPeer.has(error.code) ? { failure: error } : {}) };
  }
}

/** What to type when a wait for this was in vain. */
export function nextStepFor(probe: Probe): string {
  switch (probe.type) {
    case "package": return "Copy the file again, and compare its sha256sum with that of the original";
    case "runtime": return "Look at the container runtime: systemctl status containerd; journalctl -u containerd -n 50";
    case "images": return "Make a package that has them: kubestick pack --image REF; or load them into the runtime by hand";
    case "container-age": return "Look at the containers: crictl ps -a";
    case "http": return `Look at ${probe.component}: ${probe.component === "kubelet" ? "systemctl status kubelet; journalctl -xeu kubelet" : `crictl ps -a --name ${probe.component}`}`;
    case "file": return `Look at ${probe.writer}: crictl ps -a --name ${probe.writer}`;
    case "api": return "Look at the API server and etcd: crictl ps -a; journalctl -xeu kubelet";
    case "etcd-version": return `See whether it answers from here: curl ${[...(probe.ca === undefined ? [] : [`--cacert ${probe.ca}`]), ...(probe.certificate === undefined ? [] : [`--cert ${probe.certificate}`]), ...(probe.key === undefined ? [] : [`--key ${probe.key}`])].join(" ")} ${probe.endpoint}/version. To go on without asking: --ignore-preflight-errors=ExternalEtcdVersion`;
    case "etcd-health": return "Look at etcd on every control plane node: crictl ps -a --name etcd; crictl logs $(crictl ps -a --name etcd -q | head -1)";
    case "kubelet-certificate": return "See why the kubelet gets no certificate: journalctl -xeu kubelet; on a control plane: kubectl get csr";
    case "node-ready": return probe.as === "kubelet" ? `See the node's conditions on a control plane: kubectl describe node ${probe.node}` : `See the node's conditions: kubectl --kubeconfig /etc/kubernetes/admin.conf describe node ${probe.node}`;
    case "workloads": return probe.as === "kubelet" ? `See the pods on a control plane: kubectl get pods -A -o wide --field-selector spec.nodeName=${probe.node}` : "See the pods: kubectl --kubeconfig /etc/kubernetes/admin.conf get pods -A -o wide";
  }
}

async function askPackage({ onlyRead }: ProbeOf<"package">, { pkg, signal }: ActionContext, progress: Progress): Promise<ProbeAnswer> {
  if (pkg === undefined) {
    throw new KubestickError({ code: "PACKAGE_ABSENT", attempted: "verifying the package", happened: "This executable carries no package.", next: "Use the file that kubestick pack made, or name one that carries a package with --package FILE." });
  }
  if (onlyRead) return { ready: true, detail: "is verified where it is read" };
  // Over a network every byte would travel twice; each is checked when it comes, too, and a run that fails half-way can be repeated.
  if (pkg.remote === true) return { ready: true, detail: "comes from another node, and is checked while it streams" };
  await pkg.verify(({ done, total, label }) => { progress(done, total, "bytes", label); }, signal, "rest");
  return { ready: true };
}

async function askRuntime({ socket }: ProbeOf<"runtime">, { clients }: ActionContext): Promise<ProbeAnswer> {
  const { runtimeReady, problems } = await clients.runtime(socket).status();
  return runtimeReady ? { ready: true } : { ready: false, reason: problems.join("; ") || "the runtime says that it is not ready" };
}

async function askImages({ socket, references }: ProbeOf<"images">, { clients }: ActionContext): Promise<ProbeAnswer> {
  const absent: string[] = [];
  for (const reference of references) if ((await clients.runtime(socket).image(reference)) === undefined) absent.push(reference);
  if (absent.length === 0) return { ready: true, detail: `${references.length} references` };
  const reason = `the runtime does not have ${absent.join(", ")}`;
  return {
    ready: false, reason,
    failure: new KubestickError({
      code: "IMAGES_ABSENT",
      attempted: "making sure that the runtime has every image this cluster will use",
      happened: `${absent.length} of ${references.length} image references do not resolve in the runtime at ${socket}: ${absent.join(", ")}.`,
      next: `Make a package that has ${absent.length === 1 ? "it" : "them"}: kubestick pack ${absent.map((reference) => `--image ${reference}`).join(" ")}`,
      details: absent,
    }),
  };
}

async function askContainerAge({ socket, pods, seconds }: ProbeOf<"container-age">, { clients, host }: ActionContext): Promise<ProbeAnswer> {
  const running = (await clients.runtime(socket).containers()).filter(({ state, namespace, pod }) => state === "running" && namespace === "kube-system" && pods.includes(pod));
  const now = host.now().getTime();
  const young = running.map(({ pod, createdAt }) => ({ pod, age: (now - createdAt.getTime()) / 1000 })).filter(({ age }) => age < seconds);
  return young.length === 0 ? { ready: true } : { ready: false, reason: young.map(({ pod, age }) => `${pod} has run for ${Math.max(0, Math.floor(age))} s of ${seconds}`).join("; ") };
}

async function askHttp(probe: ProbeOf<"http">, context: ActionContext): Promise<ProbeAnswer> {
  const answer = await get(probe.url, probe, healthTimeoutMs, context);
  if (typeof answer === "string") return { ready: false, reason: answer };
  return answer.status === 200 ? { ready: true } : { ready: false, reason: `${probe.url} answers ${answer.status}${firstWords(answer.body)}` };
}

async function askFile({ path, writer }: ProbeOf<"file">, { host }: ActionContext): Promise<ProbeAnswer> {
  const text = await host.readText(path);
  return text !== undefined && text !== "" ? { ready: true } : { ready: false, reason: `${writer} has not written ${path} yet` };
}

/** kubeadm's patience for one answer of an external etcd. */
const etcdTimeoutMs = 10_000;

async function askEtcdVersion(probe: ProbeOf<"etcd-version">, context: ActionContext): Promise<ProbeAnswer> {
  const url = `${probe.endpoint.replace(/\/+$/, "")}/version`;
  const answer = await get(url, probe, etcdTimeoutMs, context);
  if (typeof answer === "string") return { ready: false, reason: answer };
  const version = answer.status === 200 ? /"etcdserver"\s*:\s*"([^"]+)"/.exec(answer.body)?.[1] : undefined;
  if (version === undefined) return { ready: false, reason: `${url} answers ${answer.status}${firstWords(answer.body)}` };
  if (atLeast(version, probe.minimum)) return { ready: true, detail: `etcd ${version}` };
  const reason = `the etcd server at ${probe.endpoint} is ${version}, and Kubernetes needs ${probe.minimum} or newer`;
  return {
    ready: false, reason,
    failure: new KubestickError({
      code: "ETCD_TOO_OLD", attempted: "asking the external etcd for its version", happened: `${reason.charAt(0).toUpperCase()}${reason.slice(1)}.`,
      next: "Upgrade that etcd first, member by member. To go on in spite of it: --ignore-preflight-errors=ExternalEtcdVersion",
    }),
  };
}

/** kubeadm's rule (util/etcd, CheckClusterHealth): more than half of the known members. */
async function askEtcdHealth({ endpoints, files }: ProbeOf<"etcd-health">, { clients }: ActionContext): Promise<ProbeAnswer> {
  const troubles = (await Promise.all(endpoints.map(async (endpoint) => {
    try {
      const { healthy, reason } = await (await clients.etcd(endpoint, files)).health();
      return healthy ? undefined : `${endpoint}: ${reason}`;
    } catch (error) {
      return `${endpoint}: ${isKubestickError(error) ? error.happened : messageOf(error)}`;
    }
  }))).filter((trouble) => trouble !== undefined);
  const healthy = endpoints.length - troubles.length;
  if (healthy * 2 > endpoints.length) return { ready: true, detail: `${healthy} of ${endpoints.length} members` };
  return { ready: false, reason: endpoints.length === 0 ? "no etcd member is known" : `${healthy} of ${endpoints.length} etcd members are healthy: ${troubles.join("; ")}` };
}

function atLeast(version: string, minimum: string): boolean {
  const [found, wanted] = [version, minimum].map((text) => text.replace(/^v/, "").split(/[-+]/)[0]?.split(".").map(Number) ?? []) as [number[], number[]];
  const at = wanted.findIndex((part, index) => found[index] !== part);
  return at < 0 || (found[at] ?? 0) > (wanted[at] ?? 0);
}

/** A sentence instead of an answer: a file that was named is not there. Without a CA the certificate would go unverified, without the others etcd refuses. */
async function get(url: string, files: { readonly ca?: string; readonly certificate?: string; readonly key?: string }, timeoutMs: number, { host, httpGet }: ActionContext): Promise<Awaited<ReturnType<ActionContext["httpGet"]>> | string> {
  const pem: { ca?: string; certificate?: string; key?: string } = {};
  for (const name of ["ca", "certificate", "key"] as const) {
    const path = files[name];
    if (path === undefined) continue;
    const text = await host.readText(path);
    if (text === undefined) return `${path} does not exist`;
    pem[name] = text;
  }
  return await httpGet({ url, timeoutMs, ...pem });
}

async function askApi(probe: ProbeOf<"api">, { clients }: ActionContext): Promise<ProbeAnswer> {
  const { url } = probe;
  const path = probe.path ?? "/livez";
  const { status, body } = await (await clients.cluster("admin", url)).raw(path);
  return status === 200 ? { ready: true } : { ready: false, reason: `${new URL(path, url).href} answers ${status}${firstWords(body)}` };
}

async function askKubeletCertificate({ kubeconfig }: ProbeOf<"kubelet-certificate">, { host }: ActionContext): Promise<ProbeAnswer> {
  const text = await host.readText(kubeconfig);
  if (text === undefined) return { ready: false, reason: `the kubelet has not written ${kubeconfig} yet: it waits for its certificate` };
  const path = /^\s*client-certificate:\s*(\S+)\s*$/m.exec(text)?.[1];
  if (path === undefined || (await host.stat(path)) !== undefined) return { ready: true };
  return { ready: false, reason: `${path}, to which ${kubeconfig} points, does not exist yet` };
}

async function askNode({ node, as }: ProbeOf<"node-ready">, { clients }: ActionContext): Promise<ProbeAnswer> {
  const live = await (await clients.cluster(as ?? "admin")).get({ apiVersion: "v1", kind: "Node", name: node });
  if (live === undefined) return { ready: false, reason: `node ${node} has not registered yet` };
  const ready = conditionOf(live, "Ready");
  return ready?.["status"] === "True" ? { ready: true } : { ready: false, reason: `node ${node} is not ready: ${String(ready?.["message"] ?? "it has no condition Ready yet")}` };
}

async function askWorkloads({ workloads, node, as, remind }: ProbeOf<"workloads">, { clients }: ActionContext): Promise<ProbeAnswer> {
  const cluster = await clients.cluster(as ?? "admin");
  const namespaces = [...new Set(workloads.map(({ namespace }) => namespace ?? "default"))];
  const all = (await Promise.all(namespaces.map((namespace) => podsOn(cluster, namespace, node)))).flat();
  // A pod that is named is waited for alone.
  const pods = workloads.every(({ kind }) => kind === "Pod") ? all.filter((pod) => workloads.some((workload) => belongsTo(pod, workload))) : all;
  // A mark that is left, by this run or by one that was killed, is to be taken away, too.
  const unready = pods.filter((pod) => !isReady(pod) || (remind === true && isMarked(pod)));
  const waiting = unready.map((pod) => `${namespaced(pod.metadata)} (${stateOf(pod)})`);
  const without = workloads.filter((workload) => !pods.some((pod) => belongsTo(pod, workload))).map((workload) => `${workload.kind.toLowerCase()} ${namespaced(workload)} ${workload.kind === "Pod" ? "is not" : "has no pod"} on ${node}`);
  // Whoever has no pod may have none because this node takes none.
  const reasons = [...(without.length > 0 ? await pressures(cluster, node) : []), ...without, ...waiting];
  return reasons.length === 0 ? { ready: true, detail: `${pods.length} pods` } : { ready: false, reason: reasons.join("; "), pods: unready };
}

/** What a kubelet lacks when it keeps new pods away (pkg/kubelet/eviction). */
async function pressures(cluster: Cluster, node: string): Promise<readonly string[]> {
  const live = await cluster.get({ apiVersion: "v1", kind: "Node", name: node });
  if (live === undefined) return [];
  return ["DiskPressure", "MemoryPressure", "PIDPressure"].filter((type) => conditionOf(live, type)?.["status"] === "True").map((type) => `node ${node} has ${type} and takes no new pods`);
}

/** Pods that ran to their end (jobs) or are being deleted are nobody's to wait for. */
async function podsOn(cluster: Cluster, namespace: string, node: string): Promise<readonly KubeObject[]> {
  const pods = await cluster.list("v1", "Pod", { namespace, fieldSelector: `spec.nodeName=${node}` });
  return pods.filter((pod) => pod.metadata["deletionTimestamp"] === undefined && fieldOf(pod, "status", "phase") !== "Succeeded");
}

function isReady(pod: KubeObject): boolean {
  return conditionOf(pod, "Ready")?.["status"] === "True";
}

function stateOf(pod: KubeObject): string {
  const statuses = fieldOf(pod, "status", "containerStatuses");
  const reasons = (Array.isArray(statuses) ? statuses : []).map((status: unknown) => fieldOf(status, "state", "waiting", "reason")).filter((reason) => typeof reason === "string");
  return reasons.join(", ") || String(fieldOf(pod, "status", "phase") ?? "Pending");
}

/** A DaemonSet owns its pods; a Deployment owns a ReplicaSet named after it and a hash. */
function belongsTo(pod: KubeObject, { kind, name, namespace }: ObjectRef): boolean {
  if ((pod.metadata.namespace ?? "default") !== (namespace ?? "default")) return false;
  if (kind === "Pod") return pod.metadata.name === name;
  const owners = pod.metadata["ownerReferences"];
  return (Array.isArray(owners) ? owners : []).some((owner: unknown) => {
    const [ownerKind, ownerName] = [fieldOf(owner, "kind"), fieldOf(owner, "name")];
    if (kind !== "Deployment") return ownerKind === kind && ownerName === name;
    return ownerKind === "ReplicaSet" && typeof ownerName === "string" && ownerName.startsWith(`${name}-`) && !ownerName.slice(name.length + 1).includes("-");
  });
}

function conditionOf(object: KubeObject, type: string): Record<string, unknown> | undefined {
  const conditions = fieldOf(object, "status", "conditions");
  return (Array.isArray(conditions) ? conditions : []).filter(isRecord).find((condition) => condition["type"] === type);
}

function namespaced({ namespace, name }: { readonly namespace?: string; readonly name: string }): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

function firstWords(body: string): string {
  const line = body.split("\n").map((part) => part.trim()).find(Boolean);
  return line === undefined ? "" : `: ${line.slice(0, 200)}`;
}
