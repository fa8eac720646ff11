/** From a pattern that matched to a cause: its words, the check that may take it back, and whether it is certain. */
import type { NamedDiagnosis } from "./diagnose.ts";
import { unlessDown, type Evidence } from "./diagnose-evidence.ts";
import { diagnosisPatterns, type DiagnosisPattern, type Threshold } from "./diagnose-patterns.ts";

export interface Sighting {
  /** The component or pod. */
  readonly subject: string;
  /** How often; see Threshold. */
  readonly times: number;
  /** `namespace/name`, when the line names a pod. */
  readonly pod?: string | undefined;
  readonly details: readonly string[];
  /** It can be certain at all: not, say, when it happened before the wait began. */
  readonly current: boolean;
  /** systemd has given up: nothing will try again, whatever the reason was. */
  readonly final?: boolean;
}

export function reached({ times, seconds }: Threshold, sighting: Pick<Sighting, "times">, seen: Evidence): boolean {
  return sighting.times >= times && seen.seconds >= seconds;
}

/** The first row of the table for `where` that matches one of the lines and still holds. */
export async function firstCause(where: DiagnosisPattern["where"], error: string | undefined, tail: readonly string[], sighting: Sighting, seen: Evidence): Promise<NamedDiagnosis | undefined> {
  for (const row of diagnosisPatterns) {
    if (row.where !== where) continue;
    const match = matchOf(row, error, tail);
    const cause = match === undefined ? undefined : await judge(row, match, sighting, seen);
    if (cause !== undefined) return cause;
  }
  return undefined;
}

function matchOf(row: DiagnosisPattern, error: string | undefined, tail: readonly string[]): RegExpExecArray | undefined {
  const lines = [...(error === undefined ? [] : [error]), ...(row.tail === true ? tail.toReversed() : [])];
  for (const line of lines) {
    const match = row.pattern.exec(line);
    if (match !== null) return match;
  }
  return undefined;
}

interface Verdict {
  readonly holds: boolean;
  /** Certain only if the threshold says so too. */
  readonly canBeCertain: boolean;
  readonly addition?: string;
}

const plain: Verdict = { holds: true, canBeCertain: true };
const healed: Verdict = { holds: false, canBeCertain: false };

export async function judge(row: DiagnosisPattern, match: RegExpExecArray, sighting: Sighting, seen: Evidence): Promise<NamedDiagnosis | undefined> {
  const verdict = row.check === undefined ? plain : await checks[row.check](match, sighting, seen);
  if (!verdict.holds) return undefined;
  const fill = (text: string): string => text.replaceAll("{subject}", sighting.subject).replace(/\$(\d)/g, (_all, group: string) => match[Number(group)] ?? "");
  const summary = fill(row.summary);
  const certain = sighting.final === true || (row.certainAfter !== "never" && verdict.canBeCertain && sighting.current && reached(row.certainAfter, sighting, seen));
  return {
    certain,
    code: row.code,
    summary: verdict.addition === undefined ? summary : `${summary} ${verdict.addition}`,
    details: sighting.details,
    next: fill(row.next),
  };
}

type Check = (match: RegExpExecArray, sighting: Sighting, seen: Evidence) => Promise<Verdict>;

/** A node that is two minutes away from its certificates catches up while it is waited for. */
const smallClockGapMs = 120_000;

const checks: Readonly<Record<NonNullable<DiagnosisPattern["check"]>, Check>> = {
  async image([, reference], _sighting, { runtime }) {
    return (await unlessDown(runtime?.image(reference as string))) === undefined ? plain : healed;
  },

  async port([, port], { subject }, seen) {
    const holders = (await seen.facts()).listening.filter((listening) => listening.port === Number(port));
    const [holder] = holders;
    if (holder === undefined) return { holds: true, canBeCertain: false, addition: "Nobody listens there any more." };
    const named = `${holder.process ?? "A process"}${holder.pid === undefined ? "" : ` (pid ${holder.pid})`}`;
    // The kernel keeps 15 characters of a program's name.
    if (holder.process !== undefined && holder.process === subject.slice(0, 15)) return { holds: true, canBeCertain: false, addition: `An earlier ${named} still listens there.` };
    return { holds: true, canBeCertain: true, addition: `${named} listens there.` };
  },

  async clock(match, _sighting, { now }) {
    const limit = Date.parse(match[2] as string);
    const early = match[0].includes("is before");
    const gap = early ? limit - now.getTime() : now.getTime() - limit;
    if (Number.isNaN(limit)) return plain;
    if (gap <= 0) return healed;
    if (early && gap <= smallClockGapMs) return { holds: true, canBeCertain: false, addition: `It becomes valid in ${Math.ceil(gap / 1000)} s.` };
    return plain;
  },

  async sandbox(_match, { pod }, seen) {
    return pod !== undefined && (await hasReadySandbox(pod, seen)) ? healed : plain;
  },

  async "oom-score"(match, sighting, seen) {
    if ((await seen.facts()).capabilities.includes("CAP_SYS_RESOURCE")) return healed;
    return await checks.sandbox(match, sighting, seen);
  },
};

async function hasReadySandbox(pod: string, seen: Evidence): Promise<boolean> {
  return (await seen.sandboxes()).some(({ namespace, name, ready }) => ready && `${namespace}/${name}` === pod);
}
