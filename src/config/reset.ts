/** ResetConfiguration: fields, defaults, rules. Facts: kubeadm v1beta4 types.go and defaults.go, validation.go ValidateResetConfiguration. */
import type { HostFacts } from "../host/types.ts";
import { configError, loadDocuments, type Problem } from "./load.ts";
import { readCriSocket, readIgnored, readTimeouts, section, timeoutsDocument, validateCriSocket, validateIgnored, type Doc, type Report } from "./node-registration.ts";
import type { ConfigFile } from "./options.ts";
import { deepFreeze, placed } from "./resolve.ts";
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

/** What a person typed; undefined = not given. */
export interface ResetOptions {
  readonly certDir?: string;
  readonly cleanupTmpDir?: boolean;
  readonly criSocket?: string;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly ignorePreflightErrors?: readonly string[];
  readonly skipPhases?: readonly string[];
}

/** What a reset is to do. Where neither flag nor file says something, the machine is asked for it later, and not a default presumed. */
export interface ResetRequest {
  /** Named by a flag, or by the file as another than kubeadm's default. */
  readonly certificatesDir?: string;
  readonly criSocket?: string;
  readonly cleanupTmpDir: boolean;
  readonly dryRun: boolean;
  readonly force: boolean;
  /** Lower case. */
  readonly ignorePreflightErrors: readonly string[];
  readonly skipPhases: readonly string[];
  readonly unmountFlags: readonly string[];
  /** ms, for all tries to take this node out of etcd. */
  readonly etcdTimeoutMs: number;
  readonly warnings: readonly string[];
}

/** A member that does not answer in this many tries does not answer; kubeadm's two minutes are for those who ask for them. */
const etcdTimeoutMs = 30_000;
const defaultCertificatesDir = "/etc/kubernetes/pki";

/** Flags and file by kubeadm's rules: `--skip-phases` and `--dry-run` win over the file, ignored checks add up. Throws CONFIG_YAML or CONFIG_INVALID with every finding. */
export function resolveReset(options: ResetOptions, file: ConfigFile | undefined, facts: HostFacts): ResetRequest {
  const loaded = file === undefined ? { documents: [], warnings: [] } : loadDocuments(file.name, file.text, ["ResetConfiguration"]);
  const value = loaded.documents[0]?.value;
  const problems: Problem[] = [];
  const warnings: string[] = [...loaded.warnings];
  const typed: Doc = {
    ...value, ...(options.certDir === undefined ? {} : { certificatesDir: options.certDir }), ...(options.criSocket === undefined ? {} : { criSocket: options.criSocket }),
    ignorePreflightErrors: readIgnored(value?.["ignorePreflightErrors"], options.ignorePreflightErrors),
  };
  const given = typeof typed["criSocket"] === "string" && typed["criSocket"] !== "";
  // Several runtimes are a question only where nothing else says which one is meant; the record usually does.
  const reset = readReset(typed, given ? facts : { ...facts, criSockets: [] }, problems, warnings);
  // A person finds a value where it was written.
  const written: Readonly<Record<string, string | undefined>> = {
    "ResetConfiguration.certificatesDir": options.certDir === undefined ? undefined : "--cert-dir", "ResetConfiguration.criSocket": options.criSocket === undefined ? undefined : "--cri-socket",
    "ResetConfiguration.ignorePreflightErrors": options.ignorePreflightErrors === undefined ? undefined : "--ignore-preflight-errors",
  };
  const report: Report = (path, message) => { problems.push({ path: written[path] ?? path, message }); };
  validateReset(reset, report);
  validateForThisMachine(reset, report);
  if (problems.length > 0) throw configError(file?.name ?? "", problems.map((problem) => placed(problem, loaded)));
  const named = options.certDir !== undefined || reset.certificatesDir !== defaultCertificatesDir;
  return deepFreeze({
    ...(named ? { certificatesDir: reset.certificatesDir.replace(/\/+$/, "") } : {}),
    ...(given ? { criSocket: reset.criSocket } : {}),
    cleanupTmpDir: options.cleanupTmpDir ?? reset.cleanupTmpDir,
    dryRun: options.dryRun ?? reset.dryRun,
    force: options.force ?? reset.force,
    ignorePreflightErrors: reset.ignorePreflightErrors,
    skipPhases: options.skipPhases !== undefined && options.skipPhases.length > 0 ? options.skipPhases : reset.skipPhases,
    unmountFlags: reset.unmountFlags,
    etcdTimeoutMs: section(value, "timeouts")?.["etcdAPICall"] === undefined ? etcdTimeoutMs : reset.timeouts.etcdAPICall,
    warnings,
  });
}

/** Beyond kubeadm's rules, for what is about to be emptied and unmounted. */
function validateForThisMachine({ certificatesDir, unmountFlags }: ResetConfiguration, report: Report): void {
  // kubeadm would empty /etc if it was told so.
  if (certificatesDir.startsWith("/") && certificatesDir.split("/").filter((part) => part !== "" && part !== ".").length < 2) report("ResetConfiguration.certificatesDir", `${certificatesDir} is not a directory of certificates; all that is in it would be removed`);
  if (certificatesDir.split("/").includes("..")) report("ResetConfiguration.certificatesDir", `${certificatesDir} must be written without ..`);
  if (unmountFlags.includes("MNT_EXPIRE")) report("ResetConfiguration.unmountFlags", "MNT_EXPIRE only marks a mount, which then stays; leave it out");
}

export function readReset(value: Doc | undefined, facts: HostFacts, problems: Problem[], warnings: string[]): ResetConfiguration {
  const list = (name: string): readonly string[] => (value?.[name] as readonly string[] | undefined) ?? [];
  const certificatesDir = value?.["certificatesDir"] as string | undefined;
  return {
    certificatesDir: certificatesDir === undefined || certificatesDir === "" ? defaultCertificatesDir : certificatesDir,
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
