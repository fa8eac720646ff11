/**
 * What a dry run writes when it is given a directory: what would exist, to be read and compared. Nothing outside that directory.
 *
 *   DIR/files/<absolute path>   with the modes they would have; programs of the package are listed in plan.json, not copied
 *   DIR/api-actions.yaml        requests to the API server, in order
 *   DIR/plan.json               every action and finding, without the content of secrets
 */
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { KubestickError } from "../errors.ts";
import type { Host } from "../host/types.ts";
import { modeText, type Observation } from "./actions/handler.ts";
import { withoutSecrets } from "./actions/object-text.ts";
import { apiActionsText, type ApiRequest } from "./api-actions-text.ts";
import type { ClusterRead } from "./planning-cluster.ts";
import type { Action, Finding } from "./types.ts";

interface Planned {
  readonly action: Action;
  readonly observed: Observation;
}

interface PlannedPhase {
  readonly id: string;
  readonly findings: { readonly finding: Finding; readonly ignored: boolean }[];
  readonly actions: Planned[];
}

/** What a run would do, as it goes. */
export interface PlanRecord {
  readonly phases: readonly PlannedPhase[];
  readonly requests: readonly ApiRequest[];
  reads(phase: string, read: ClusterRead): void;
  finding(phase: string, finding: Finding, ignored: boolean): void;
  action(phase: string, action: Action, observed: Observation): void;
}

export function planRecord(): PlanRecord {
  const phases: PlannedPhase[] = [];
  const requests: ApiRequest[] = [];
  const phaseOf = (id: string): PlannedPhase => {
    const known = phases.find((phase) => phase.id === id);
    if (known !== undefined) return known;
    const phase: PlannedPhase = { id, findings: [], actions: [] };
    phases.push(phase);
    return phase;
  };
  return {
    phases,
    requests,
    reads: (_phase, read) => { requests.push(read); },
    finding: (phase, finding, ignored) => { phaseOf(phase).findings.push({ finding, ignored }); },
    action(phase, action, observed) {
      phaseOf(phase).actions.push({ action, observed });
      if (action.kind !== "object" || observed.state === "same") return;
      const verb = action.policy === "patch" ? "PATCH" : action.policy === "absent" ? "DELETE" : observed.absent === true ? "CREATE" : "UPDATE";
      requests.push({ verb, object: action.object });
    },
  };
}

const ownNames = new Set(["files", "api-actions.yaml", "plan.json"]);

/** Before anything is planned: a directory with somebody's things in it is refused, one of ours is written anew. */
export async function claimDirectory(directory: string, host: Host): Promise<void> {
  const foreign = ((await host.list(directory)) ?? []).filter((name) => !ownNames.has(name));
  if (foreign.length === 0) return;
  throw new KubestickError({
    code: "OUTPUT_NOT_EMPTY",
    attempted: `preparing ${directory} for the plan`,
    happened: `It holds other things: ${foreign.slice(0, 5).join(", ")}${foreign.length > 5 ? ", ..." : ""}.`,
    next: "Name a directory that is empty or does not exist yet.",
  });
}

export async function writePlan(record: PlanRecord, directory: string, host: Host, toYaml: (value: unknown) => string): Promise<void> {
  const files = join(directory, "files");
  // 0700, as kubeadm's: below are private keys.
  await host.makeDirectory(directory, 0o700);
  await host.remove(files, { recursive: true });
  for (const { action } of record.phases.flatMap((phase) => phase.actions)) {
    if (action.kind === "directory") {
      await host.makeDirectory(join(files, action.path), action.mode);
      await host.chmod(join(files, action.path), action.mode); // it may be there already as the parent of a file
    }
    if (action.kind !== "file") continue;
    const path = join(files, action.path);
    await host.makeDirectory(dirname(path), action.parentMode ?? 0o755);
    await host.writeFile(path, action.content, { mode: action.mode });
  }
  // Secrets of the API are shown in full here, as the files are: readable by their owner alone.
  await host.writeFile(join(directory, "api-actions.yaml"), apiActionsText(record.requests, toYaml), { mode: 0o600 });
  await host.writeFile(join(directory, "plan.json"), planJson(record), { mode: 0o644 });
}

export function planJson(record: PlanRecord): string {
  const phases = record.phases.map(({ id, findings, actions }) => ({
    id,
    findings: findings.map(({ finding, ignored }) => ({ ...finding, ...(ignored ? { ignored } : {}) })),
    actions: actions.map(({ action, observed }) => ({
      id: action.id,
      ...(action.step === undefined ? {} : { step: action.step }),
      kind: action.kind,
      status: observed.state === "same" ? "unchanged" : "planned",
      ...(observed.detail === undefined ? {} : { detail: observed.detail }),
      ...(action.why === undefined ? {} : { why: action.why }),
      ...fieldsOf(action),
    })),
  }));
  return `${JSON.stringify({ phases }, null, 2)}\n`;
}

/** What an action says, without what must not be said. */
function fieldsOf(action: Action): Readonly<Record<string, unknown>> {
  switch (action.kind) {
    case "file": {
      const bytes = Buffer.from(action.content);
      return { path: action.path, mode: modeText(action.mode), bytes: bytes.byteLength, ...(action.secret === true ? { secret: true } : { sha256: createHash("sha256").update(bytes).digest("hex") }) };
    }
    case "line": return { path: action.path, line: action.line };
    case "payload": return { path: action.path, mode: modeText(action.mode), bytes: action.size, digest: action.digest };
    case "directory": return { path: action.path, mode: modeText(action.mode) };
    case "remove": return { path: action.path, ...(action.recursive === true ? { recursive: true } : {}) };
    case "unit": return { name: action.name, enabled: action.enabled, running: action.running };
    case "kernel": return "module" in action ? { module: action.module } : "swap" in action ? { swap: action.swap } : { sysctl: action.sysctl, value: action.value };
    case "route": return { route: action.route };
    case "image": return { reference: action.image.reference, digest: action.image.target.digest, socket: action.socket, ...(action.alsoAs === undefined ? {} : { alsoAs: action.alsoAs }) };
    case "image-release": return { image: action.image, packages: action.packages, socket: action.socket };
    case "object": return { policy: action.policy, as: action.as, object: withoutSecrets(action) };
    case "etcd-member": return { state: action.state, name: action.name, peerUrl: action.peerUrl, endpoints: action.endpoints };
    case "wait": return { title: action.title, probe: action.probe, timeoutMs: action.timeoutMs };
    case "survey": return { places: action.places };
    case "unmount": return { path: action.path };
    case "sandboxes": return { socket: action.socket };
    case "control-group": return { paths: action.paths };
    case "contents": return { path: action.path, keep: action.keep, keepItself: action.keepItself };
    case "interface": return { name: action.name };
    case "rules": return { program: action.program, chainPrefixes: action.chainPrefixes, tables: action.tables };
  }
}
