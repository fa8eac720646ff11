/** Is the container runtime the reason? */
import { isKubestickError, type KubestickError } from "../errors.ts";
import type { NamedDiagnosis } from "./diagnose.ts";
import type { Evidence } from "./diagnose-evidence.ts";
import { firstCause, reached } from "./diagnose-judge.ts";
import { lastError, readable } from "./diagnose-log.ts";
import { unknownUnitExit, type Threshold } from "./diagnose-patterns.ts";

/** A start that takes this long without even opening the socket has not begun. */
const stopped: Threshold = { times: 1, seconds: 10 };
const absent: Threshold = { times: 1, seconds: 30 };
/** The CRI plugin is registered before containerd opens its socket; the margin is for a restart that is just going on. */
const criDisabled: Threshold = { times: 1, seconds: 5 };

/** A socket belongs to a unit by the name of its runtime. */
function unitOf(socket: string): string {
  return socket.includes("crio") ? "crio.service" : socket.includes("cri-dockerd") ? "cri-docker.service" : "containerd.service";
}

export async function runtimeCause(seen: Evidence): Promise<NamedDiagnosis | undefined> {
  if (seen.runtime === undefined) return undefined;
  try {
    const { runtimeReady, problems } = await seen.runtime.status();
    if (runtimeReady) return undefined;
    return { certain: false, code: "RUNTIME_NOT_READY", summary: `The container runtime says that it is not ready: ${problems.join("; ") || "(no reason)"}`, details: [], next: "journalctl -u containerd -n 50" };
  } catch (error) {
    if (!isKubestickError(error)) throw error;
    return await unanswered(error, seen.runtime.socket, seen);
  }
}

async function unanswered(error: KubestickError, socket: string, seen: Evidence): Promise<NamedDiagnosis> {
  const told = { code: error.code, summary: error.happened, details: error.details, next: error.next };
  if (error.code === "RUNTIME_PERMISSION_DENIED" || error.code === "RUNTIME_WRONG_PROTOCOL") return { ...told, certain: true };
  if (error.code === "RUNTIME_CRI_DISABLED") return { ...told, certain: reached(criDisabled, { times: 1 }, seen) };
  if (error.code !== "RUNTIME_UNREACHABLE" && error.code !== "RUNTIME_TIMEOUT") return { ...told, certain: false };

  const name = unitOf(socket);
  const unit = await seen.unit(name);
  const next = `systemctl status ${name}; journalctl -u ${name} -n 50`;
  if (!unit.exists) {
    return { certain: reached(absent, { times: 1 }, seen), code: "RUNTIME_ABSENT", summary: `Nothing answers on ${socket}, and this machine has no unit ${name}.`, details: [], next: "Run the same command again: it installs containerd; or name another socket: nodeRegistration.criSocket" };
  }
  if (unit.active === "inactive") {
    return { certain: reached(stopped, { times: 1 }, seen), code: "RUNTIME_STOPPED", summary: `The container runtime is not running: ${name} was stopped.`, details: [], next: `systemctl start ${name}` };
  }
  // Running, or on its way: a large store takes its time to open.
  if (unit.active === "active" || (unit.active === "activating" && unit.sub !== "auto-restart")) {
    return { certain: false, code: "RUNTIME_UNREACHABLE", summary: `${name} is ${unit.active} (${unit.sub}), but nothing answers on ${socket} yet.`, details: [], next };
  }
  const lines = (await seen.log(name)).slice(-40);
  const said = lastError(lines);
  const details = lines.slice(-10).map(readable);
  const sighting = { subject: name, times: unit.restarts + 1, details, current: true, final: unit.active === "failed" };
  return (await firstCause("runtime-exit", said, lines, sighting, seen)) ?? {
    certain: sighting.final || reached(unknownUnitExit, sighting, seen),
    code: "RUNTIME_FAILED",
    summary: `The container runtime does not stay up (${name}: ${unit.result}, ${unit.restarts} restarts). Its last error: ${said ?? "(none in its journal)"}`,
    details,
    next,
  };
}
