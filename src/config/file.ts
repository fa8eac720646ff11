/** A whole configuration file, whatever kinds stand in it: read, completed with defaults and facts, checked. For `config validate` and `config migrate`. */
import type { HostFacts } from "../host/types.ts";
import { readJoin, validateJoin, type JoinConfiguration } from "./join.ts";
import { configError, everyKind, loadDocuments, type LoadedConfig, type Problem } from "./load.ts";
import type { Report } from "./node-registration.ts";
import type { ConfigFile } from "./options.ts";
import { readReset, validateReset, type ResetConfiguration } from "./reset.ts";
import { placed, resolveInitDocuments } from "./resolve.ts";
import type { ResolvedConfig } from "./types.ts";
import { readUpgrade, validateUpgrade, type UpgradeConfiguration } from "./upgrade.ts";

export interface CheckedFile {
  readonly loaded: LoadedConfig;
  readonly warnings: readonly string[];
  /** Init- and ClusterConfiguration always go together: the one that is not in the file has its defaults. */
  readonly init?: ResolvedConfig;
  readonly join?: JoinConfiguration;
  readonly reset?: ResetConfiguration;
  readonly upgrade?: UpgradeConfiguration;
}

/** Throws CONFIG_YAML or CONFIG_INVALID with every finding in every document. */
export function checkFile(file: ConfigFile, facts: HostFacts, packageVersion?: string): CheckedFile {
  const loaded = loadDocuments(file.name, file.text, everyKind, { strict: true });
  const problems: Problem[] = [];
  const warnings: string[] = [...loaded.warnings];
  const report: Report = (path, message) => { problems.push({ path, message }); };
  const value = (kind: string): Readonly<Record<string, unknown>> | undefined => loaded.documents.find((document) => document.kind === kind)?.value;
  const has = (...kinds: readonly string[]): boolean => kinds.some((kind) => value(kind) !== undefined);

  const initial = has("InitConfiguration", "ClusterConfiguration", "InstallConfiguration")
    // No pod network is presumed: the file says what it says.
    ? resolveInitDocuments({ options: { cni: "none" }, facts, ...(packageVersion === undefined ? {} : { packageVersion }) }, loaded)
    : undefined;
  problems.push(...(initial?.problems ?? []));
  warnings.push(...(initial?.warnings ?? []));
  const join = has("JoinConfiguration") ? readJoin(value("JoinConfiguration"), {}, facts, problems, warnings) : undefined;
  if (join !== undefined) validateJoin(join, report);
  const reset = has("ResetConfiguration") ? readReset(value("ResetConfiguration"), facts, problems, warnings) : undefined;
  if (reset !== undefined) validateReset(reset, report);
  const upgrade = has("UpgradeConfiguration") ? readUpgrade(value("UpgradeConfiguration")) : undefined;
  if (upgrade !== undefined) validateUpgrade(upgrade, report);

  if (problems.length > 0) throw configError(file.name, problems.map((problem) => placed(problem, loaded)));
  return {
    loaded,
    warnings,
    ...(initial !== undefined && has("InitConfiguration", "ClusterConfiguration") ? { init: initial.config } : {}),
    ...(join === undefined ? {} : { join }),
    ...(reset === undefined ? {} : { reset }),
    ...(upgrade === undefined ? {} : { upgrade }),
  };
}
