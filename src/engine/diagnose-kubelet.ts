/** Is the kubelet the reason, or does it say what is? */
import type { NamedDiagnosis } from "./diagnose.ts";
import type { Evidence } from "./diagnose-evidence.ts";
import { firstCause, judge, reached } from "./diagnose-judge.ts";
import { lastError, parseKlog, readable, type KlogLine } from "./diagnose-log.ts";
import { diagnosisPatterns, unknownUnitExit, type DiagnosisPattern, type Threshold } from "./diagnose-patterns.ts";

const unitName = "kubelet.service";
const next = "systemctl status kubelet; journalctl -xeu kubelet";
const stopped: Threshold = { times: 1, seconds: 10 };
/** The kubelet repeats what still is so: its slowest retry of what matters here comes within this time. */
const freshMs = 90_000;

/** undefined: the kubelet runs. */
export async function kubeletCause(seen: Evidence): Promise<NamedDiagnosis | undefined> {
  const unit = await seen.unit(unitName);
  if (!unit.exists) return { certain: true, code: "KUBELET_NOT_INSTALLED", summary: "This machine has no kubelet.service.", details: [], next: "Run the same command again: it installs the kubelet and its unit" };
  if (unit.active === "active") return undefined;
  if (unit.active === "inactive") {
    return { certain: reached(stopped, { times: 1 }, seen), code: "KUBELET_STOPPED", summary: "The kubelet is not running: kubelet.service was stopped.", details: [], next: "systemctl start kubelet" };
  }
  if (unit.active !== "failed" && unit.sub !== "auto-restart") return undefined;
  const lines = ofLastProcess(await seen.log(unitName), seen.now);
  const said = lastError(lines);
  const details = lines.slice(-10).map(readable);
  // A unit that systemd gave up is not started again; one in auto-restart has failed once more than it was restarted.
  const sighting = { subject: "kubelet", times: unit.restarts + 1, details, current: true, final: unit.active === "failed" };
  return (await firstCause("kubelet-exit", said, lines.slice(-5), sighting, seen)) ?? {
    certain: sighting.final || reached(unknownUnitExit, sighting, seen),
    code: "KUBELET_FAILED",
    summary: `The kubelet does not stay up (${unit.result}, ${unit.restarts} restarts). Its last error: ${said ?? "(none in its journal)"}`,
    details,
    next,
  };
}

/** The journal goes back to starts with other configurations: only the last process counts, and what systemd said about it. */
function ofLastProcess(lines: readonly string[], now: Date): readonly string[] {
  const pids = lines.map((line) => parseKlog(line, now)?.pid);
  const last = pids.findLast((pid) => pid !== undefined);
  if (last === undefined) return lines.slice(-20);
  const start = pids.indexOf(last);
  const tail = lines.slice(start);
  // Only systemd speaks after a process that could not even begin.
  const unstarted = tail.findLastIndex((line) => line.includes("Failed at step"));
  return unstarted === -1 ? tail : tail.slice(unstarted);
}

/** What a running kubelet complains about, in the order of the table. `components` limits it to their static pods. */
export async function* kubeletLogCauses(seen: Evidence, components: readonly string[] | undefined): AsyncGenerator<NamedDiagnosis> {
  const { mainPid } = await seen.unit(unitName);
  const parsed = (await seen.log(unitName)).map((line) => parseKlog(line, seen.now)).filter((line) => line !== undefined);
  const pid = mainPid ?? parsed.at(-1)?.pid;
  const lines = parsed.filter((line) => line.severity === "E" && line.pid === pid && line.at >= seen.startedAt);
  const explained = new Set<KlogLine>();
  for (const row of diagnosisPatterns) {
    if (row.where !== "kubelet-log" && !(row.where === "node-log" && components === undefined)) continue;
    for (const [, found] of bySubject(row, lines.filter((line) => !explained.has(line)), components)) {
      const { line, match, pod } = found.at(-1) as Found;
      if (seen.now.getTime() - line.at.getTime() > freshMs) continue;
      const details = [line.text.slice(0, 600)];
      const cause = await judge(row, match, { subject: pod?.split("/").at(-1) ?? "the kubelet", pod, times: found.length, details, current: true }, seen);
      if (cause === undefined) continue;
      // A line that a specific row explains is not told again by a general one.
      for (const { line: told } of found) explained.add(told);
      yield cause;
    }
  }
}

interface Found {
  readonly line: KlogLine;
  readonly match: RegExpExecArray;
  readonly pod: string | undefined;
}

function bySubject(row: DiagnosisPattern, lines: readonly KlogLine[], components: readonly string[] | undefined): ReadonlyMap<string, readonly Found[]> {
  const subjects = new Map<string, Found[]>();
  for (const line of lines) {
    const match = row.pattern.exec(line.text);
    if (match === null) continue;
    const pod = / pod="([^"]+)"/.exec(line.text)?.[1] ?? / pod "([^"]+)"/.exec(line.text)?.[1];
    const path = / path="[^"]*?([^"/]+)\.(?:ya?ml|json)"/.exec(line.text)?.[1];
    if (components !== undefined && !concerns(components, pod, path)) continue;
    const subject = pod ?? path ?? "";
    subjects.set(subject, [...(subjects.get(subject) ?? []), { line, match, pod }]);
  }
  return subjects;
}

/** A static pod is named `<component>-<node>`, its manifest `<component>.yaml`; a line about neither concerns everybody. */
function concerns(components: readonly string[], pod: string | undefined, path: string | undefined): boolean {
  const name = pod?.split("/").at(-1);
  if (name !== undefined) return components.some((component) => name.startsWith(`${component}-`));
  return path === undefined || components.includes(path);
}
