/** Configuration as text: what `config print` starts people off with, and what `config migrate` makes of a file. */
import { parseDuration, formatDuration } from "../config/duration.ts";
import type { CheckedFile } from "../config/file.ts";
import { joinDocument, nodeDocuments, readJoin } from "../config/join.ts";
import { defaultCriSocket } from "../config/node-registration.ts";
import { readReset, resetDocument } from "../config/reset.ts";
import type { InitConfiguration } from "../config/types.ts";
import { readUpgrade, upgradeDocument } from "../config/upgrade.ts";
import { clusterConfigurationText } from "../manifests/kubeadm-config.ts";
import { toYaml } from "../manifests/yaml.ts";
import { anyMachine } from "./any-machine.ts";

const placeholderToken = "abcdef.0123456789abcdef";
const controlPlaneTaint = { effect: "NoSchedule", key: "node-role.kubernetes.io/control-plane" };

/** `hostname`: kubeadm prints that of the machine it runs on. */
export function joinDefaultsText(hostname: string): string {
  const discovery = { bootstrapToken: { token: placeholderToken, apiServerEndpoint: "kube-apiserver:6443", unsafeSkipCAVerification: true } };
  return toYaml(joinDocument(readJoin({ discovery }, { nodeName: hostname, criSocket: defaultCriSocket }, anyMachine, [], [])));
}

export function resetDefaultsText(): string {
  return toYaml(resetDocument(readReset({ criSocket: defaultCriSocket }, anyMachine, [], [])));
}

export function upgradeDefaultsText(): string {
  return toYaml(upgradeDocument(readUpgrade(undefined)));
}

/** Every kubeadm document of the file with all defaults, in kubeadm's order; ours as it was written. `newToken` fills what was left to chance. */
export function migratedText(file: CheckedFile, newToken: () => string): string {
  const raw = (kind: string): Readonly<Record<string, unknown>> => file.loaded.documents.find((document) => document.kind === kind)?.value ?? {};
  /** Names of checks keep the form in which they were written; only comparing them needs lower case. */
  const asWritten = <T extends { readonly ignorePreflightErrors: readonly string[] }>(given: T, value: unknown): T => {
    const written = (value as Readonly<Record<string, unknown>> | undefined)?.["ignorePreflightErrors"] as readonly string[] | undefined;
    return { ...given, ignorePreflightErrors: written ?? [] };
  };
  const documents: string[] = [];
  if (file.init !== undefined) {
    const { init, cluster } = file.init;
    const cluster4 = raw("ClusterConfiguration");
    documents.push(toYaml(initDocument({ ...init, nodeRegistration: asWritten(init.nodeRegistration, raw("InitConfiguration")["nodeRegistration"]) }, newToken)));
    // Phases skipped by `init` switch addons off for that run; the file keeps what it says.
    documents.push(clusterConfigurationText({ ...cluster, dns: cluster4["dns"] ?? {}, proxy: cluster4["proxy"] ?? {} }));
  }
  if (file.join !== undefined) {
    const nodeRegistration = asWritten(file.join.nodeRegistration, raw("JoinConfiguration")["nodeRegistration"]);
    const taints = nodeRegistration.taints ?? (file.join.controlPlane === undefined ? undefined : [controlPlaneTaint]);
    documents.push(toYaml(joinDocument({ ...file.join, nodeRegistration: { ...nodeRegistration, ...(taints === undefined ? {} : { taints }) } })));
  }
  if (file.reset !== undefined) documents.push(toYaml(resetDocument(asWritten(file.reset, raw("ResetConfiguration")))));
  if (file.upgrade !== undefined) {
    const { apply, node, plan } = file.upgrade;
    const value = raw("UpgradeConfiguration");
    documents.push(toYaml(upgradeDocument({ ...file.upgrade, apply: asWritten(apply, value["apply"]), node: asWritten(node, value["node"]), plan: asWritten(plan, value["plan"]) })));
  }
  const install = file.loaded.documents.find(({ kind }) => kind === "InstallConfiguration");
  if (install !== undefined) documents.push(toYaml(install.value));
  return documents.join("---\n");
}

function initDocument(init: InitConfiguration, newToken: () => string): Readonly<Record<string, unknown>> {
  return {
    apiVersion: "kubeadm.k8s.io/v1beta4",
    kind: "InitConfiguration",
    bootstrapTokens: init.bootstrapTokens.map(({ token, description, ttl, usages, groups }) => ({
      token: token ?? newToken(), description, ttl: formatDuration(parseDuration(ttl) ?? 0), usages, groups: groups.length === 0 ? undefined : groups,
    })),
    certificateKey: init.certificateKey,
    dryRun: init.dryRun,
    localAPIEndpoint: init.localAPIEndpoint,
    ...nodeDocuments({ ...init, nodeRegistration: { ...init.nodeRegistration, taints: init.nodeRegistration.taints ?? [controlPlaneTaint] } }),
  };
}
