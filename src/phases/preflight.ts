/**
 * Phase `preflight`: look before anything is changed, report everything at once.
 *
 * Checks carry kubeadm's names (preflight/checks.go) so that `--ignore-preflight-errors` takes what people know; ours are new words.
 * They are rows in the `preflight-*.ts` files, by subject. Swap that is on, cgroup v1 and what else the plan adapts to come from
 * `machine.ts`; what `--fix` cures stands next to its cure in `fix.ts`.
 *
 * kubeadm's checks without a row, because this program does the thing itself: `Service-kubelet` (the node phase installs and enables
 * the unit), `FileExisting-conntrack` (only for Kubernetes before 1.32), and of `KubeletVersion` the installed kubelet (ours replaces it).
 * Forwarding is set by the node phase: `FileContent-*` reports only where that cannot succeed.
 */
import type { Action, Finding, Phase } from "../engine/types.ts";
import { externalEtcdCheck, externalEtcdWaits, minimumEtcd } from "./external-etcd.ts";
import { lastingChecks } from "./fix.ts";
import { decideMachine } from "./machine.ts";
import { patchFindings } from "./patches.ts";
import { findingsOf, ignoresCheck, type Check, type Input } from "./preflight-check.ts";
import { existingChecks } from "./preflight-existing.ts";
import { networkChecks } from "./preflight-network.ts";
import { diskChecks, packageChecks } from "./preflight-package.ts";
import { systemChecks } from "./preflight-system.ts";

/** In the order in which they are told. */
export const preflightChecks: readonly Check[] = [...packageChecks, ...systemChecks, ...lastingChecks, ...networkChecks, ...existingChecks, ...diskChecks];

export const preflight: Phase<"preflight", Record<never, never>, Record<never, never>> = {
  id: "preflight",
  title: "Check the machine and the package",
  needs: [],
  async plan(input) {
    // Like kubeadm's, alone and first: without root most other answers would be wrong.
    if (input.facts.uid !== 0) {
      return { actions: [], output: {}, findings: [{ check: "IsPrivilegedUser", severity: "error", message: `kubestick runs as user id ${input.facts.uid}, and init needs root`, hint: "Run it with sudo, or as root." }] };
    }
    const machine = await decideMachine(input.config, input.facts, input.read, input.made);
    const findings: Finding[] = [...(await findingsOf(preflightChecks, input, machine)), ...machine.findings];
    const actions: Action[] = [];
    findings.push(...(await patchFindings(input.config, input.read)));
    const { external } = input.config.cluster.etcd;
    if (external !== undefined && !ignoresCheck(input.config, externalEtcdCheck)) actions.push(...externalEtcdWaits(external));
    else if (external !== undefined && !input.made.has("file/etc/kubernetes/manifests/kube-apiserver.yaml")) {
      findings.push({ check: externalEtcdCheck, severity: "warning", message: `the version of the external etcd is not asked, because ${externalEtcdCheck} is ignored`, hint: `The API server needs ${minimumEtcd} or newer.` });
    }
    return { actions, output: {}, findings };
  },
};
