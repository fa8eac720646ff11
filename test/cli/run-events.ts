/** Streams of events as the engine sends them. */
import type { Action, ActionStatus, RunEvent } from "../../src/engine/types.ts";

export const phases = [
  { id: "preflight", title: "Check the machine and the package" },
  { id: "images", title: "Load the carried images into the container runtime" },
  { id: "certs", title: "Generate the certificates of the control plane" },
  { id: "show-join-command", title: "Print the join command" },
] as const;

export function started(dryRun = false): RunEvent {
  return { type: "run-started", flow: "init", dryRun, phases };
}

export function phaseStarted(index: number): RunEvent {
  const { id, title } = phases[index] as (typeof phases)[number];
  return { type: "phase-started", phase: id, title, index, total: phases.length };
}

export function phaseFinished(index: number, changed = 0, unchanged = 0, ms = 1234): RunEvent {
  return { type: "phase-finished", phase: (phases[index] as (typeof phases)[number]).id, ms, changed, unchanged };
}

export function action(phase: string, id: string, status: ActionStatus, detail?: string, kind: Action["kind"] = "file", body?: string): RunEvent {
  return { type: "action", phase, id, kind, status, ...(detail === undefined ? {} : { detail }), ...(body === undefined ? {} : { body }) };
}

export const etcdImage = "image/registry.k8s.io/etcd:3.6.8-0";

export function bytes(done: number, total = 100 * 1024 * 1024): RunEvent {
  return { type: "progress", phase: "images", id: etcdImage, done, total, unit: "bytes", label: "registry.k8s.io/etcd:3.6.8-0 layer 2" };
}

export const warning: RunEvent = {
  type: "finding", phase: "preflight",
  finding: { check: "Swap", severity: "warning", message: "swap is on: /dev/sda2", hint: "The kubelet gets failSwapOn: false. Turn swap off for guaranteed memory limits." },
};

export const joinResult: RunEvent = {
  type: "result", phase: "show-join-command",
  result: { name: "joinCommands", value: ["kubestick join 192.0.2.10:6443 --token abc"], text: "kubestick join 192.0.2.10:6443 --token abc\n" },
};

export function finished(changed = 2, unchanged = 1): RunEvent {
  return { type: "run-finished", ok: true, ms: 43_210, changed, unchanged };
}

export function failed(): RunEvent {
  return { type: "run-finished", ok: false, ms: 5000, changed: 0, unchanged: 1, error: { code: "IMAGE_IMPORT", attempted: "importing etcd", happened: "No space is left on the device.", next: "df -h /var/lib/containerd", details: ["free: 0 bytes"] } };
}

/** A whole good run. */
export const goodRun: readonly RunEvent[] = [
  started(),
  phaseStarted(0), warning, action("preflight", "wait/package", "unchanged", undefined, "wait"), phaseFinished(0, 0, 1),
  phaseStarted(1), action("images", etcdImage, "started", "the runtime does not have all of it", "image"), bytes(0), bytes(50 * 1024 * 1024), bytes(100 * 1024 * 1024),
  action("images", etcdImage, "applied", "imported", "image"), phaseFinished(1, 1, 0),
  phaseStarted(2), action("certs", "file/etc/kubernetes/pki/ca.key", "applied", "created 0600, 1675 bytes"), phaseFinished(2, 1, 0),
  phaseStarted(3), joinResult, phaseFinished(3),
  finished(),
];

export async function* streamOf(events: readonly RunEvent[]): AsyncGenerator<RunEvent, undefined> {
  for (const event of events) yield await Promise.resolve(event);
  return undefined;
}
