/** ResetConfiguration: fields, defaults, rules. Facts: kubeadm v1beta4 types.go and defaults.go, validation.go ValidateResetConfiguration. */
import type { HostFacts } from "../host/types.ts";
import type { Problem } from "./load.ts";
import { readCriSocket, readIgnored, readTimeouts, section, timeoutsDocument, validateCriSocket, validateIgnored, type Doc, type Report } from "./node-registration.ts";
import type { Timeouts } from "./types.ts";

export interface ResetConfiguration {
  readonly certificatesDir: string;
  /** `unix:///...` */
  readonly criSocket: string;
  readonly cleanupTmpDir: boolean;
  readonly dryRun: boolean;
  readonly force: boolean;
  readonly ignorePreflightErrors: readonly string[];
  readonly skipPhases: readonly string[];
  /** Names of umount2(2)'s flags. */
  readonly unmountFlags: readonly string[];
  readonly timeouts: Timeouts;
}

export function readReset(value: Doc | undefined, facts: HostFacts, problems: Problem[], warnings: string[]): ResetConfiguration {
  const list = (name: string): readonly string[] => (value?.[name] as readonly string[] | undefined) ?? [];
  const certificatesDir = value?.["certificatesDir"] as string | undefined;
  return {
    certificatesDir: certificatesDir === undefined || certificatesDir === "" ? "/etc/kubernetes/pki" : certificatesDir,
    criSocket: readCriSocket(value?.["criSocket"], facts, problems, warnings),
    cleanupTmpDir: value?.["cleanupTmpDir"] === true,
    dryRun: value?.["dryRun"] === true,
    force: value?.["force"] === true,
    ignorePreflightErrors: readIgnored(value?.["ignorePreflightErrors"]),
    skipPhases: list("skipPhases"),
    unmountFlags: list("unmountFlags"),
    timeouts: readTimeouts(section(value, "timeouts")),
  };
}

export function validateReset(reset: ResetConfiguration, report: Report): void {
  const kind = "ResetConfiguration";
  if (!reset.certificatesDir.startsWith("/")) report(`${kind}.certificatesDir`, `${JSON.stringify(reset.certificatesDir)} must be an absolute path`);
  validateCriSocket(`${kind}.criSocket`, reset.criSocket, report);
  validateIgnored(`${kind}.ignorePreflightErrors`, reset.ignorePreflightErrors, report);
}

/** As kubeadm writes the document. */
export function resetDocument(reset: ResetConfiguration): Doc {
  const some = (list: readonly string[]): readonly string[] | undefined => (list.length === 0 ? undefined : list);
  return {
    apiVersion: "kubeadm.k8s.io/v1beta4",
    kind: "ResetConfiguration",
    certificatesDir: reset.certificatesDir,
    cleanupTmpDir: reset.cleanupTmpDir || undefined,
    criSocket: reset.criSocket,
    dryRun: reset.dryRun || undefined,
    force: reset.force || undefined,
    ignorePreflightErrors: some(reset.ignorePreflightErrors),
    skipPhases: some(reset.skipPhases),
    unmountFlags: some(reset.unmountFlags),
    timeouts: timeoutsDocument(reset.timeouts),
  };
}
