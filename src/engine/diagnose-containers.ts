/** Which container ends, or does not begin, and what does it say? */
import type { Container, ContainerDetail } from "../runtime/types.ts";
import type { NamedDiagnosis } from "./diagnose.ts";
import { unlessDown, type Evidence } from "./diagnose-evidence.ts";
import { firstCause, reached } from "./diagnose-judge.ts";
import { lastError, parseCriLog, readable } from "./diagnose-log.ts";
import { unknownExit, type Threshold } from "./diagnose-patterns.ts";

const manifests = "/etc/kubernetes/manifests";
/** Where the pods live that a node needs to be ready and its addons to work. */
const systemNamespaces: ReadonlySet<string> = new Set(["kube-system", "kube-flannel"]);
/** The kubelet looks at its directory every 20 s, and is told of changes at once. */
const manifestGone: Threshold = { times: 1, seconds: 25 };
/** Killed for memory again and again: the machine is too small for what runs on it. */
const outOfMemory: Threshold = { times: 3, seconds: 20 };

/** With `components`: those static pods, in that order, each needing the ones before it; the last is the one waited for. Without: all system containers. */
export async function* containerCauses(seen: Evidence, components: readonly string[] | undefined): AsyncGenerator<NamedDiagnosis> {
  if (seen.runtime === undefined) return;
  const latest = latestOf(await seen.containers());
  if (components === undefined) {
    for (const container of latest.filter(({ namespace }) => systemNamespaces.has(namespace))) {
      const cause = await ended(container, seen, true);
      if (cause !== undefined) yield cause;
    }
    yield* network(seen);
    return;
  }
  for (const component of components) {
    const container = latest.find(({ name, namespace }) => name === component && namespace === "kube-system");
    const cause = container === undefined ? await notBegun(component, component === components.at(-1), seen) : await ended(container, seen, false);
    if (cause !== undefined) yield cause;
    else if (container?.state === "running" && component === components.at(-1)) yield await running(container, seen);
  }
}

/** The kubelet keeps one ended container of each: the newest attempt tells. */
function latestOf(containers: readonly Container[]): readonly Container[] {
  const newest = new Map<string, Container>();
  for (const container of containers) {
    const key = `${container.namespace}/${container.pod}/${container.name}`;
    const known = newest.get(key);
    if (known === undefined || known.createdAt < container.createdAt) newest.set(key, container);
  }
  return [...newest.values()].toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime());
}

async function ended(container: Container, seen: Evidence, zeroIsFine: boolean): Promise<NamedDiagnosis | undefined> {
  if (container.state !== "exited") return undefined;
  const detail = await unlessDown(seen.runtime?.container(container.id));
  // Started again in the meantime; or an init container that has done its work.
  if (detail?.state !== "exited" || (zeroIsFine && detail.exitCode === 0)) return undefined;
  const lines = parseCriLog((await seen.host.readText(detail.logPath)) ?? "");
  const said = lastError(lines);
  const sighting = {
    subject: detail.name,
    times: detail.attempt + 1,
    details: [`${detail.namespace}/${detail.pod}: ${howEnded(detail)}, ${ordinal(detail.attempt + 1)} run; log ${detail.logPath}`, ...lines.slice(-10).map(readable)],
    // An end before the wait began may have been cured since: the kubelet's back-off, up to 5 min, decides when it shows again.
    current: detail.finishedAt !== undefined && detail.finishedAt >= seen.startedAt,
  };
  const next = `crictl logs ${detail.id.slice(0, 13)}`;
  if (detail.reason === "OOMKilled") {
    return { certain: sighting.current && reached(outOfMemory, sighting, seen), code: "OUT_OF_MEMORY", summary: `The kernel killed ${detail.name} for want of memory.`, details: sighting.details, next: "free -m; give the machine more memory, or stop what else runs on it" };
  }
  const known = await firstCause("container-exit", said, lines.slice(-30).map(readable), sighting, seen);
  if (known !== undefined) return known;
  return {
    certain: sighting.current && detail.exitCode !== 0 && !bySignal(detail) && reached(unknownExit, sighting, seen) && (await sameAsBefore(detail, said, seen)),
    code: "COMPONENT_EXITS",
    summary: `${detail.name} ended (${howEnded(detail)}, ${ordinal(detail.attempt + 1)} run): ${said ?? "it wrote nothing"}`,
    details: sighting.details,
    next,
  };
}

/** Killed from outside, by a liveness probe or a person: says nothing about the next run. */
function bySignal({ exitCode }: ContainerDetail): boolean {
  return exitCode === 137 || exitCode === 143;
}

function howEnded(detail: ContainerDetail): string {
  return `exit code ${detail.exitCode}${detail.reason === "" || detail.reason === "Error" ? "" : ` ${detail.reason}`}`;
}

function ordinal(count: number): string {
  const last = count % 10;
  const suffix = Math.floor(count / 10) % 10 === 1 ? "th" : last === 1 ? "st" : last === 2 ? "nd" : last === 3 ? "rd" : "th";
  return `${count}${suffix}`;
}

/** Two different last words are a program that gets further each time. Without the log of the run before (rotated away) the count alone decides. */
async function sameAsBefore({ logPath, attempt }: ContainerDetail, said: string | undefined, { host }: Evidence): Promise<boolean> {
  const before = await host.readText(logPath.replace(/\d+\.log$/, `${attempt - 1}.log`));
  if (before === undefined) return true;
  const withoutNumbers = (text: string | undefined): string | undefined => text?.replace(/\d+/g, "#");
  return withoutNumbers(lastError(parseCriLog(before))) === withoutNumbers(said);
}

async function notBegun(component: string, waitedFor: boolean, seen: Evidence): Promise<NamedDiagnosis | undefined> {
  const manifest = `${manifests}/${component}.yaml`;
  if ((await seen.host.stat(manifest)) === undefined) {
    // etcd may be somewhere else; only of the component that is waited for a manifest must be here.
    if (!waitedFor) return undefined;
    return { certain: reached(manifestGone, { times: 1 }, seen), code: "MANIFEST_ABSENT", summary: `${manifest} does not exist, so the kubelet does not run ${component}.`, details: [], next: "Run the same command again: it writes the manifest" };
  }
  const sandbox = (await seen.sandboxes()).find(({ namespace, name }) => namespace === "kube-system" && name.startsWith(`${component}-`));
  const summary =
    sandbox === undefined ? `The kubelet has not started the pod of ${component} yet.`
    : sandbox.ready ? `The pod of ${component} is there, its container not yet.`
    : `The sandbox of the pod of ${component} is not ready.`;
  return { certain: false, code: "COMPONENT_NOT_STARTED", summary, details: [], next: "journalctl -u kubelet -n 50; crictl pods" };
}

async function running(container: Container, seen: Evidence): Promise<NamedDiagnosis> {
  const detail = await unlessDown(seen.runtime?.container(container.id));
  const lines = detail === undefined ? [] : parseCriLog((await seen.host.readText(detail.logPath)) ?? "");
  const complaint = lines.findLast((line) => /^[EF]\d{4} |"level":"(?:error|fatal)"/.test(line));
  return {
    certain: false,
    code: "COMPONENT_NOT_HEALTHY",
    summary: `${container.name} runs but is not healthy yet${complaint === undefined ? "." : `; it last complained: ${readable(complaint)}`}`,
    details: lines.slice(-5).map(readable),
    next: `crictl logs ${container.id.slice(0, 13)}`,
  };
}

async function* network(seen: Evidence): AsyncGenerator<NamedDiagnosis> {
  const status = await unlessDown(seen.runtime?.status());
  if (status === undefined || status.networkReady) return;
  const directory = "/etc/cni/net.d";
  const files = (await seen.host.list(directory)) ?? [];
  // The CNI's own pods bring the configuration: it comes when they run.
  yield {
    certain: false,
    code: "NETWORK_NOT_READY",
    summary: `The pod network is not ready: ${status.problems.join("; ") || "the runtime gives no reason"}`,
    details: [files.length === 0 ? `${directory} has no configuration` : `${directory}: ${files.join(", ")}`],
    next: "kubectl -n kube-flannel get pods -o wide; ls -l /etc/cni/net.d",
  };
}
