/**
 * Phase `control-plane-prepare` of a join: the shared certificates, this node's own, its kubeconfigs, its static pods. The plans are those of
 * init, which here find the shared files as if they were on the disk already.
 */
import type { Action, Finding, Phase, PlanInput } from "../engine/types.ts";
import type { HostReader } from "../host/types.ts";
import { kubeconfigRows } from "../pki/certificate-table.ts";
import { file } from "./actions.ts";
import { certs, type CertsOutput } from "./certs.ts";
import { controlPlane } from "./control-plane.ts";
import { joiningOf } from "./join-preflight.ts";
import { planKubeconfigs } from "./kubeconfig.ts";
import { sharedPaths } from "./upload-certs.ts";

/** As kubeadm's (phases/join/controlplaneprepare.go): the kubelet makes its own, and super-admin.conf stays with the first control plane. */
const joinKubeconfigs: ReadonlySet<string> = new Set(["admin.conf", "controller-manager.conf", "scheduler.conf"]);

export const controlPlanePrepare: Phase<"control-plane-prepare", Record<never, never>, CertsOutput> = {
  id: "control-plane-prepare",
  title: "Prepare certificates, kubeconfigs and static pods",
  needs: [],
  steps: [
    { id: "download-certs", title: "Write the certificates that all control planes share" },
    { id: "certs", title: "Generate the certificates of this node", needs: ["download-certs"] },
    { id: "kubeconfig", title: "Write the kubeconfigs of administrators and components", needs: ["download-certs"] },
    { id: "control-plane", title: "Write the static pods of the control plane", needs: ["certs", "kubeconfig"] },
  ],
  async plan(input) {
    const shared = sharedFiles(input);
    const read = withFiles(input.read, shared);
    const certsPlan = await certs.plan({ ...input, read });
    const kubeconfigPlan = await planKubeconfigs({ ...input, read, from: { certs: certsPlan.output } }, kubeconfigRows.filter(({ name }) => joinKubeconfigs.has(name)));
    const podsPlan = await controlPlane.plan({ ...input, read, from: { certs: certsPlan.output, kubeconfig: {} } });

    const own = certsPlan.actions.filter((action) => !("path" in action && shared.has(action.path)));
    // Their folders first: the mode is kubeadm's, whoever writes into them.
    const folders = own.filter(({ kind }) => kind === "directory");
    const actions: Action[] = [
      ...inStep("download-certs", [...folders, ...[...shared].map(([path, content]) => (path.endsWith(".crt") ? file(path, 0o644, content) : file(path, 0o600, content, { secret: true })))]),
      ...inStep("certs", own.filter(({ kind }) => kind !== "directory")),
      ...inStep("kubeconfig", kubeconfigPlan.actions),
      ...inStep("control-plane", podsPlan.actions),
    ];
    const findings: Finding[] = [certsPlan, kubeconfigPlan, podsPlan].flatMap((plan) => plan.findings ?? []);
    return { actions, output: certsPlan.output, findings };
  },
};

function inStep(step: string, actions: readonly Action[]): readonly Action[] {
  return actions.map((action) => ({ ...action, step }));
}

/** By path. Nothing when they were copied to this machine by hand. */
function sharedFiles({ config }: PlanInput<unknown>): ReadonlyMap<string, string> {
  const { certificates = {} } = joiningOf(config);
  return new Map(Object.entries(sharedPaths(config)).flatMap(([name, path]) => (certificates[name] === undefined ? [] : [[path, certificates[name]] as const])));
}

/** The machine as it will be when these files are written. */
function withFiles(read: HostReader, files: ReadonlyMap<string, string>): HostReader {
  return new Proxy(read, {
    get(target, name) {
      const found = files;
      if (name === "readText") return async (path: string) => found.get(path) ?? (await target.readText(path));
      if (name === "readFile") return async (path: string) => (found.has(path) ? Buffer.from(found.get(path) as string) : await target.readFile(path));
      const member = Reflect.get(target, name) as unknown;
      return typeof member === "function" ? (member.bind(target) as unknown) : member;
    },
  });
}
