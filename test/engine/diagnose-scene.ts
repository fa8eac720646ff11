/** A machine and a runtime as a diagnosis sees them, made of a few facts. */
import { KubestickError } from "../../src/errors.ts";
import { diagnose, type NamedDiagnosis } from "../../src/engine/diagnose.ts";
import type { FileStat, HostFacts, HostReader, UnitState } from "../../src/host/types.ts";
import type { Container, ContainerDetail, RuntimeReader, RuntimeStatus, Sandbox } from "../../src/runtime/types.ts";
import { plainFacts } from "../support/facts.ts";

export const kubeletPid = 9184;

export interface Scene {
  /** Seconds since the wait began. */
  readonly seconds?: number;
  readonly kubelet?: Partial<UnitState>;
  readonly containerd?: Partial<UnitState>;
  readonly kubeletLog?: readonly string[];
  readonly containerdLog?: readonly string[];
  readonly files?: Readonly<Record<string, string>>;
  readonly facts?: Partial<HostFacts>;
  readonly status?: RuntimeStatus | KubestickError;
  readonly images?: readonly string[];
  readonly sandboxes?: readonly Sandbox[];
  readonly containers?: readonly ContainerDetail[];
}

export const now = new Date(2026, 10, 21, 4, 30, 0);

export function ago(seconds: number): Date {
  return new Date(now.getTime() - seconds * 1000);
}

const runningUnit: UnitState = { exists: true, active: "active", sub: "running", enabled: true, restarts: 0, result: "success", mainPid: kubeletPid };
export const crashing: Partial<UnitState> = { active: "activating", sub: "auto-restart", result: "exit-code" };

/** A line as klog writes it, in this machine's zone. */
export function klog(at: Date, text: string, severity = "E", pid = kubeletPid): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${severity}${two(at.getMonth() + 1)}${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}456 ${String(pid).padStart(7)} ${text}`;
}

/** A container log file as CRI runtimes write it. */
export function criLog(...lines: readonly string[]): string {
  return lines.map((line) => `2026-11-21T04:28:03.428183695Z stderr F ${line}\n`).join("");
}

export const manifestsOfAll: Readonly<Record<string, string>> = Object.fromEntries(["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"].map((name) => [`/etc/kubernetes/manifests/${name}.yaml`, "kind: Pod\n"]));

export function container(name: string, change: Partial<ContainerDetail> = {}): ContainerDetail {
  const attempt = change.attempt ?? 0;
  return {
    id: `${name}-${attempt}-0123456789abcdef`, sandboxId: `sandbox-${name}`, name, pod: `${name}-n1`, namespace: "kube-system", attempt, state: "running", createdAt: ago(30),
    exitCode: 0, reason: "", message: "", logPath: `/var/log/pods/kube-system_${name}-n1_u/${name}/${attempt}.log`, ...change,
  };
}

export function exited(name: string, change: Partial<ContainerDetail> = {}): ContainerDetail {
  return container(name, { state: "exited", exitCode: 1, reason: "Error", finishedAt: ago(2), ...change });
}

export function sandbox(name: string, ready = true): Sandbox {
  return { id: `sandbox-${name}`, name: `${name}-n1`, namespace: "kube-system", uid: "u", ready, createdAt: ago(30) };
}

export function look(scene: Scene, focus: { readonly component?: string; readonly node?: string }): Promise<NamedDiagnosis | undefined> {
  return diagnose(sceneHost(scene), sceneRuntime(scene), { ...focus, startedAt: ago(scene.seconds ?? 60) });
}

export function sceneHost(scene: Scene): HostReader {
  const files: Readonly<Record<string, string>> = scene.files ?? manifestsOfAll;
  const units: Readonly<Record<string, UnitState>> = { "kubelet.service": { ...runningUnit, ...scene.kubelet }, "containerd.service": { ...runningUnit, mainPid: 100, ...scene.containerd } };
  const logs: Readonly<Record<string, readonly string[]>> = { "kubelet.service": scene.kubeletLog ?? [], "containerd.service": scene.containerdLog ?? [] };
  const stat = (content: string): FileStat => ({ type: "file", mode: 0o600, uid: 0, gid: 0, size: content.length });
  return {
    readFile: async (path) => (files[path] === undefined ? undefined : Buffer.from(files[path])),
    readText: async (path) => files[path],
    stat: async (path) => (files[path] === undefined ? undefined : stat(files[path])),
    list: async (path) => {
      const names = Object.keys(files).filter((name) => name.startsWith(`${path}/`)).map((name) => name.slice(path.length + 1));
      return names.length === 0 ? undefined : names.toSorted();
    },
    hashFile: async () => undefined,
    facts: async () => plainFacts(scene.facts),
    disk: async () => ({ mount: "/", freeBytes: 1, totalBytes: 1, id: "1" }),
    unit: async (name) => units[name] ?? { ...runningUnit, exists: false, active: "inactive", sub: "dead" },
    moduleLoaded: async () => true,
    sysctl: async () => undefined,
    routes: async () => [],
    mounts: async () => [],
    interfaces: async () => [],
    packetFilter: async () => [],
    unitLog: async (name, lines) => (logs[name] ?? []).slice(-lines),
    now: () => now,
  };
}

export function unreachable(code = "RUNTIME_UNREACHABLE"): KubestickError {
  return new KubestickError({ code, attempted: "asking the container runtime for its status", happened: "The container runtime on /run/containerd/containerd.sock does not answer.", next: "systemctl status containerd" });
}

export function sceneRuntime(scene: Scene): RuntimeReader {
  const { status = { runtimeReady: true, networkReady: true, problems: [] } } = scene;
  const answer = async <T>(value: T): Promise<T> => {
    if (status instanceof Error) throw status;
    return value;
  };
  const details = scene.containers ?? [];
  return {
    socket: "unix:///run/containerd/containerd.sock",
    info: () => answer({ name: "containerd", version: "v2.1.9" }),
    status: () => answer(status as RuntimeStatus),
    image: (reference) => answer(scene.images?.includes(reference) === true ? { id: "sha256:1", tags: [reference], digests: [], pinned: true, size: 1 } : undefined),
    images: () => answer([]),
    sandboxes: () => answer(scene.sandboxes ?? []),
    containers: () => answer(details as readonly Container[]),
    container: (id) => answer(details.find((detail) => detail.id === id)),
    close: async () => undefined,
  };
}
