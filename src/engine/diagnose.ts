/**
 * The reason why something that is waited for does not come: looked for where it arises, told in one sentence.
 *
 * Owns: the order of looking, from the ground up: container runtime, kubelet, static pods, containers in the order in which they need
 * each other, node network. Refuses: changing anything. Start at `diagnose`; what is known to go wrong is a table in
 * `diagnose-patterns.ts`, reading the logs of others is `diagnose-log.ts`.
 */
import type { HostReader } from "../host/types.ts";
import type { RuntimeReader } from "../runtime/types.ts";
import type { Diagnose, Diagnosis } from "./context.ts";
import { containerCauses } from "./diagnose-containers.ts";
import { evidence, type Evidence } from "./diagnose-evidence.ts";
import { kubeletCause, kubeletLogCauses } from "./diagnose-kubelet.ts";
import { runtimeCause } from "./diagnose-runtime.ts";
import type { Probe } from "./types.ts";

export interface Focus {
  /** Whose health is waited for: `kubelet`, `etcd`, `kube-apiserver`, `containerd`, ... */
  readonly component?: string;
  /** Set when a node or the pods on it are waited for: then every system container counts. */
  readonly node?: string;
  /** When the wait began: what happened before is no reason to end it. */
  readonly startedAt: Date;
}

/** A diagnosis with a name for scripts and a next step for people. */
export interface NamedDiagnosis extends Diagnosis {
  /** `IMAGE_ABSENT`, `PORT_TAKEN`, ... */
  readonly code: string;
  /** What to do or type. */
  readonly next: string;
}

/** What must work before each can; nobody else's failure is a reason to end a wait for it. */
const needs: Readonly<Record<string, readonly string[]>> = {
  etcd: ["etcd"],
  "kube-apiserver": ["etcd", "kube-apiserver"],
  "kube-controller-manager": ["etcd", "kube-apiserver", "kube-controller-manager"],
  "kube-scheduler": ["etcd", "kube-apiserver", "kube-scheduler"],
};

/** The first cause that is certain, else the one nearest to the ground, else undefined: nothing is wrong that could be seen. */
export async function diagnose(host: HostReader, runtime: RuntimeReader | undefined, focus: Focus): Promise<NamedDiagnosis | undefined> {
  const seen = evidence(host, runtime, focus.startedAt);
  const causes: NamedDiagnosis[] = [];
  for await (const cause of look(seen, focus)) {
    if (cause.certain) return cause;
    causes.push(cause);
  }
  const [first, ...others] = causes;
  if (first === undefined) return undefined;
  return { ...first, details: [...first.details, ...others.map(({ summary }) => `also: ${summary}`)] };
}

async function* look(seen: Evidence, { component, node }: Focus): AsyncGenerator<NamedDiagnosis> {
  const down = await runtimeCause(seen);
  if (down !== undefined) yield down;
  if (component === "containerd") return;

  const kubelet = await kubeletCause(seen);
  if (kubelet !== undefined) yield kubelet;
  if (component === "kubelet" || down !== undefined || kubelet !== undefined) return;

  const components = node === undefined ? needs[component ?? "kube-apiserver"] ?? [component as string] : undefined;
  yield* kubeletLogCauses(seen, components);
  yield* containerCauses(seen, components);
}

/** For the engine: what each probe waits for. A package or an image that is absent needs no search. */
export function diagnoseWaits(host: HostReader, runtime: (socket: string) => RuntimeReader): Diagnose {
  return async ({ probe }, elapsedMs) => {
    const focus = focusOf(probe);
    if (focus === undefined) return undefined;
    const { socket, ...where } = focus;
    const reader = runtime(socket);
    try {
      return await diagnose(host, reader, { ...where, startedAt: new Date(host.now().getTime() - elapsedMs) });
    } finally {
      await reader.close();
    }
  };
}

function focusOf(probe: Probe): (Omit<Focus, "startedAt"> & { readonly socket: string }) | undefined {
  switch (probe.type) {
    case "package":
    case "images":
    case "container-age":
    case "etcd-version":
      return undefined;
    case "runtime":
      return { component: "containerd", socket: probe.socket };
    case "http":
      return { component: probe.component, socket: probe.socket };
    case "etcd-health":
      return { component: "etcd", socket: probe.socket };
    case "api":
      return { component: "kube-apiserver", socket: probe.socket };
    case "file":
    case "kubelet-certificate":
    case "node-ready":
    case "workloads":
      return { node: probe.node, socket: probe.socket };
  }
}
