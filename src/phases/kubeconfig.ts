/** Phase `kubeconfig`: the five files by which administrators and components reach the API server. */
import { keyAlgorithm } from "../config/key-algorithm.ts";
import type { Action, Finding, Phase, Plan, PlanInput } from "../engine/types.ts";
import { adoptKubeconfig } from "../pki/adopt.ts";
import { kubeconfigPath, kubeconfigRows, type KubeconfigRow } from "../pki/certificate-table.ts";
import { issueKubeconfig } from "../pki/issue.ts";
import { generateKey } from "../pki/keys.ts";
import { file } from "./actions.ts";
import { refused, type CertsOutput } from "./certs.ts";

export type KubeconfigOutput = Record<never, never>;

export const kubeletConfPath = "/etc/kubernetes/kubelet.conf";

export const kubeconfig: Phase<"kubeconfig", { readonly certs: CertsOutput }, KubeconfigOutput> = {
  id: "kubeconfig",
  title: "Write the kubeconfigs of administrators and components",
  needs: ["certs"],
  reads: { certs: ["ca"] },
  steps: kubeconfigRows.map((row) => ({ id: stepOf(row.name), title: `Write ${row.name}` })),
  plan: (input) => planKubeconfigs(input, kubeconfigRows),
};

/** `rows`: a joining control plane has fewer; its kubelet makes its own. */
export async function planKubeconfigs({ config, read, from, now }: PlanInput<{ readonly certs: CertsOutput }>, rows: readonly KubeconfigRow[]): Promise<Plan<KubeconfigOutput>> {
  const authority = { certificate: from.certs.caPem, key: from.certs.caKey };
  const actions: Action[] = [];
  const findings: Finding[] = [];
  const refusals: { reason: string; next: string }[] = [];
  const caPath = `${config.cluster.certificatesDir}/ca.crt`;
  const planned = await Promise.all(rows.map(async (row) => {
    const text = await read.readText(kubeconfigPath(row, config));
    const adoption = adoptKubeconfig(row, config, text, authority, now, (path) => (path === caPath ? from.certs.caPem : undefined));
    if (adoption.decision === "refuse") return { row, adoption, content: undefined };
    if (adoption.decision === "use") return { row, adoption, content: text as string };
    const signer = { certificate: authority.certificate, key: authority.key as string };
    const content = await issueKubeconfig(row, config, adoption.key ?? (await generateKey(keyAlgorithm(config.cluster))), signer, now);
    if (text !== undefined) findings.push({ check: `Kubeconfig-${row.name}`, severity: "warning", message: `${kubeconfigPath(row, config)} is made anew: ${adoption.reason}` });
    return { row, adoption, content };
  }));
  for (const { row, adoption, content } of planned) {
    if (adoption.decision === "refuse") refusals.push(adoption);
    if (adoption.decision === "use") findings.push(...adoption.warnings.map((message): Finding => ({ check: `Kubeconfig-${row.name}`, severity: "warning", message })));
    if (content !== undefined) actions.push(file(kubeconfigPath(row, config), 0o600, content, { step: stepOf(row.name), secret: true }));
  }
  if (refusals.length > 0) throw refused(refusals);
  return { actions, output: {}, findings };
}

function stepOf(name: string): string {
  return name.replace(/\.conf$/, "");
}
