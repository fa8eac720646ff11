/** What a preflight check is: a row with its name, how bad it is, what it verifies, and the function that looks. */
import type { ResolvedConfig } from "../config/types.ts";
import type { Finding, PlanInput } from "../engine/types.ts";
import type { MachineDecisions } from "./machine.ts";

export type Input = PlanInput<Record<never, never>>;

/** What a check saw. Name and severity are the row's, unless they depend on what was seen. */
export interface Seen {
  readonly check?: string;
  readonly severity?: Finding["severity"];
  /** The run's error code when nothing else is wrong. */
  readonly code?: string;
  /** With the values. */
  readonly message: string;
  /** Why it matters and what cures it. */
  readonly hint: string;
}

export interface Check {
  /** kubeadm's where it has the check; `*` stands for a port, a path or a program. */
  readonly name: string;
  readonly severity: Finding["severity"];
  readonly verifies: string;
  /** Nothing when all is well. */
  run(input: Input, machine: MachineDecisions): Promise<readonly Seen[]> | readonly Seen[];
}

export async function findingsOf(checks: readonly Check[], input: Input, machine: MachineDecisions): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const { name, severity, run } of checks) {
    for (const seen of await run(input, machine)) findings.push({ check: seen.check ?? name, severity: seen.severity ?? severity, message: seen.message, hint: seen.hint, ...(seen.code === undefined ? {} : { code: seen.code }) });
  }
  return findings;
}

/** `--ignore-preflight-errors` names one of them, or all. */
export function ignoresCheck({ init: { nodeRegistration: { ignorePreflightErrors } } }: ResolvedConfig, ...names: readonly string[]): boolean {
  return ["all", ...names.map((name) => name.toLowerCase())].some((name) => ignorePreflightErrors.includes(name));
}

/** kubeadm's rule for checks of paths, from which the double dash comes: `FileAvailable--etc-...`. */
export function pathCheck(prefix: string, path: string): string {
  return `${prefix}-${path.replaceAll("/", "-")}`;
}
