/** UpgradeConfiguration: fields, defaults, rules. Facts: kubeadm v1beta4 types.go and defaults.go, validation.go ValidateUpgradeConfiguration. */
import { readIgnored, readTimeouts, section, timeoutsDocument, validateIgnored, type Doc, type Report } from "./node-registration.ts";
import type { Timeouts } from "./types.ts";
import { parseVersion } from "./versions.ts";

/** `upgrade apply`, `upgrade node` and `upgrade plan` have these in common, as far as each has them. */
export interface UpgradeStep {
  readonly kubernetesVersion?: string;
  readonly allowExperimentalUpgrades?: boolean;
  readonly allowRCUpgrades?: boolean;
  readonly dryRun?: boolean;
  readonly etcdUpgrade: boolean;
  readonly ignorePreflightErrors: readonly string[];
  readonly printConfig?: boolean;
}

export interface UpgradeNode extends UpgradeStep {
  readonly certificateRenewal: boolean;
  readonly patchesDirectory?: string;
  readonly skipPhases: readonly string[];
  readonly imagePullPolicy: string;
  readonly imagePullSerial: boolean;
}

export interface UpgradeConfiguration {
  readonly apply: UpgradeNode & { readonly forceUpgrade: boolean };
  readonly diff: { readonly kubernetesVersion?: string; readonly contextLines?: number };
  readonly node: UpgradeNode;
  readonly plan: UpgradeStep;
  readonly timeouts: Timeouts;
}

export function readUpgrade(value: Doc | undefined): UpgradeConfiguration {
  const apply = section(value, "apply");
  const diff = section(value, "diff");
  const version = diff?.["kubernetesVersion"] as string | undefined;
  const contextLines = diff?.["contextLines"] as number | undefined;
  return {
    apply: { ...readNode(apply), forceUpgrade: apply?.["forceUpgrade"] === true },
    diff: { ...(version === undefined || version === "" ? {} : { kubernetesVersion: version }), ...(contextLines === undefined || contextLines === 0 ? {} : { contextLines }) },
    node: readNode(section(value, "node")),
    plan: readStep(section(value, "plan")),
    timeouts: readTimeouts(section(value, "timeouts")),
  };
}

function readStep(value: Doc | undefined): UpgradeStep {
  const version = value?.["kubernetesVersion"] as string | undefined;
  const given = (["allowExperimentalUpgrades", "allowRCUpgrades", "dryRun", "printConfig"] as const).filter((name) => value?.[name] !== undefined).map((name) => [name, value?.[name]]);
  return {
    ...(version === undefined || version === "" ? {} : { kubernetesVersion: version }),
    ...Object.fromEntries(given) as Pick<UpgradeStep, "allowExperimentalUpgrades" | "allowRCUpgrades" | "dryRun" | "printConfig">,
    etcdUpgrade: (value?.["etcdUpgrade"] as boolean | undefined) ?? true,
    ignorePreflightErrors: readIgnored(value?.["ignorePreflightErrors"]),
  };
}

function readNode(value: Doc | undefined): UpgradeNode {
  const patches = section(value, "patches")?.["directory"] as string | undefined;
  return {
    ...readStep(value),
    certificateRenewal: (value?.["certificateRenewal"] as boolean | undefined) ?? true,
    ...(patches === undefined || patches === "" ? {} : { patchesDirectory: patches }),
    skipPhases: (value?.["skipPhases"] as readonly string[] | undefined) ?? [],
    imagePullPolicy: (value?.["imagePullPolicy"] as string | undefined) ?? "IfNotPresent",
    imagePullSerial: (value?.["imagePullSerial"] as boolean | undefined) ?? true,
  };
}

export function validateUpgrade(upgrade: UpgradeConfiguration, report: Report): void {
  const kind = "UpgradeConfiguration";
  for (const name of ["apply", "node", "plan"] as const) validateIgnored(`${kind}.${name}.ignorePreflightErrors`, upgrade[name].ignorePreflightErrors, report);
  for (const name of ["apply", "node"] as const) {
    const directory = upgrade[name].patchesDirectory;
    if (directory !== undefined && !directory.startsWith("/")) report(`${kind}.${name}.patches.directory`, `${JSON.stringify(directory)} must be an absolute path`);
  }
  for (const name of ["apply", "diff", "plan"] as const) {
    const version = upgrade[name].kubernetesVersion;
    if (version !== undefined && parseVersion(version) === undefined) report(`${kind}.${name}.kubernetesVersion`, `${JSON.stringify(version)} is not a Kubernetes version such as v1.36.2`);
  }
  const { contextLines } = upgrade.diff;
  if (contextLines !== undefined && contextLines < 0) report(`${kind}.diff.contextLines`, `${contextLines} must not be negative`);
}

/** As kubeadm writes the document. */
export function upgradeDocument(upgrade: UpgradeConfiguration): Doc {
  const { forceUpgrade, ...apply } = upgrade.apply;
  return {
    apiVersion: "kubeadm.k8s.io/v1beta4",
    kind: "UpgradeConfiguration",
    apply: { ...nodeDocument(apply), forceUpgrade: forceUpgrade || undefined },
    diff: upgrade.diff,
    node: nodeDocument(upgrade.node),
    plan: stepDocument(upgrade.plan),
    timeouts: timeoutsDocument(upgrade.timeouts),
  };
}

function stepDocument(step: UpgradeStep): Doc {
  return { ...step, ignorePreflightErrors: step.ignorePreflightErrors.length === 0 ? undefined : step.ignorePreflightErrors };
}

function nodeDocument({ patchesDirectory, ...node }: UpgradeNode): Doc {
  return { ...stepDocument(node), skipPhases: node.skipPhases.length === 0 ? undefined : node.skipPhases, patches: patchesDirectory === undefined ? undefined : { directory: patchesDirectory } };
}
