/**
 * Pods that are ready without their kubelet's knowing it.
 *
 * A kubelet asks a readiness probe as soon as the container runs and then every `periodSeconds`, ten for CoreDNS: who needs half a second to come up is missed by
 * a moment and waits for the next turn. Whatever makes the kubelet look at the pod again makes it ask at once (prober_manager.go, `UpdatePodStatus`); a changed
 * annotation does. So one comes and goes, for a pod that has just given this program the answer that the kubelet would get.
 */
import type { Cluster, KubeObject, ObjectRef } from "../../cluster/types.ts";
import { isKubestickError } from "../../errors.ts";
import type { ActionContext } from "../context.ts";
import { fieldOf, isRecord } from "./object-compare.ts";

const mark = "kubestick.io/look-again";

const answerTimeoutMs = 1000;
/** From the annotation to the pod's new status. */
const settleMs = 500;

export function isMarked(pod: KubeObject): boolean {
  return fieldOf(pod.metadata["annotations"], mark) !== undefined;
}

/** `pods`: on this node, and not Ready, or with a mark that a killed run left. Nothing depends on it: where it does not help, the kubelet comes by itself. */
export async function remindKubelet(pods: readonly KubeObject[], cluster: Cluster, { host, httpGet, signal }: Pick<ActionContext, "host" | "httpGet" | "signal">): Promise<void> {
  const marking = async (pod: KubeObject, value: "true" | null): Promise<void> => {
    const { name, namespace } = pod.metadata;
    const ref: ObjectRef = { apiVersion: "v1", kind: "Pod", name, ...(namespace === undefined ? {} : { namespace }) };
    await cluster.patch(ref, "merge", { metadata: { annotations: { [mark]: value } } }).catch((error: unknown) => {
      // The pod is gone, or the API server does not answer just now: the next call sees what is there then.
      if (!isKubestickError(error)) throw error;
    });
  };
  const answering = async (pod: KubeObject): Promise<boolean> => {
    const urls = readinessUrls(pod);
    const answers = await Promise.all(urls.map((url) => httpGet({ url, timeoutMs: answerTimeoutMs }).then(({ status }) => status >= 200 && status < 400, () => false)));
    return urls.length > 0 && answers.every(Boolean);
  };
  for (const pod of pods.filter(isMarked)) await marking(pod, null);
  const answers = await Promise.all(pods.map(answering));
  signal.throwIfAborted();
  const ready = pods.filter((_, at) => answers[at] === true);
  for (const pod of ready) for (const value of ["true", null] as const) await marking(pod, value);
  if (ready.length > 0) await host.sleep(settleMs, signal);
}

/** Where the running containers of a pod that are not ready are asked, by HTTP alone; none when one of them is asked in another way. */
function readinessUrls(pod: KubeObject): readonly string[] {
  const address = fieldOf(pod, "status", "podIP");
  const statuses = records(fieldOf(pod, "status", "containerStatuses"));
  const containers = records(fieldOf(pod, "spec", "containers"));
  // What the API server holds of a static pod is only its mirror: the kubelet takes no notice of a change.
  const mirror = fieldOf(pod.metadata["annotations"], "kubernetes.io/config.mirror") !== undefined;
  if (mirror || typeof address !== "string" || statuses.length < containers.length) return [];
  const urls = statuses.filter(({ ready }) => ready !== true).map((container) => {
    const running = isRecord(fieldOf(container, "state", "running")) && container["started"] === true;
    const declared = containers.find(({ name }) => name === container["name"]);
    return running && declared !== undefined ? urlOf(declared, address) : undefined;
  });
  return urls.every((url) => url !== undefined) ? urls : [];
}

function urlOf(container: Record<string, unknown>, address: string): string | undefined {
  const get = fieldOf(container, "readinessProbe", "httpGet");
  if (!isRecord(get) || get["host"] !== undefined || get["httpHeaders"] !== undefined) return undefined;
  const port = typeof get["port"] === "number" ? get["port"] : records(container["ports"]).find(({ name }) => name === get["port"])?.["containerPort"];
  if (typeof port !== "number") return undefined;
  const path = typeof get["path"] === "string" ? get["path"] : "/";
  return `${get["scheme"] === "HTTPS" ? "https" : "http"}://${address.includes(":") ? `[${address}]` : address}:${port}${path}`;
}

function records(value: unknown): readonly Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}
