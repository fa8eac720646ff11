/**
 * Phase `node`: what kubeadm leaves to the reader. Kernel settings, the runtime, the kubelet's program and units, from what the file carries. The runtime comes first, so
 * that images can be loaded while the rest is written. Where one was there before us, its programs stay as they are.
 */
import type { ResolvedConfig } from "../config/types.ts";
import type { Action, Finding, Phase, PlanInput, SurveyPlace } from "../engine/types.ts";
import type { PackageBinary } from "../package/types.ts";
import { haproxyDirectory } from "../manifests/haproxy.ts";
import { imageReference } from "../manifests/images.ts";
import { file, fillTemplate, fingerprint, kernelModule, payload, route, survey, sysctl, unit, wait } from "./actions.ts";
import { planFix } from "./fix.ts";
import { neededModules, neededSysctls, sysctlFile, sysctlText } from "./kernel-needs.ts";
import { clusterSettings } from "./cluster-settings.ts";
import { kubeletConfPath } from "./kubeconfig.ts";
import { containerdUnitPath, decideMachine, ownResolvConfPath, type MachineDecisions } from "./machine.ts";

export interface NodeOutput {
  readonly machine: MachineDecisions;
  /** Digests of the kubelet and the files its unit consists of: what its fingerprint starts from. */
  readonly kubeletFingerprint: string;
}

const runtimeBinaries = ["containerd", "containerd-shim-runc-v2", "runc"];

/**
 * Programs that nothing waits for before the API server serves: those that only people call, and on the first control plane, where no pod can have a network before,
 * the CNI plugins. With `--ha` crictl and kubectl keep this node's list of control planes.
 */
export function isTool({ install, joining }: ResolvedConfig, { name, path }: PackageBinary): boolean {
  return name === "ctr" || (!install.ha && (name === "crictl" || name === "kubectl")) || (joining === undefined && path.startsWith("/opt/cni/bin/"));
}

export const node: Phase<"node", Record<never, never>, NodeOutput> = {
  id: "node",
  title: "Prepare the node: kernel, container runtime, kubelet",
  needs: [],
  steps: [
    { id: "fix", title: "Apply the cures that --fix asks for" },
    { id: "kernel", title: "Load kernel modules and set sysctls" },
    { id: "binaries", title: "Install the programs that the node runs" },
    { id: "runtime", title: "Configure and start the container runtime" },
    { id: "kubelet", title: "Install the kubelet's units" },
    { id: "route", title: "Make service addresses reachable from the host" },
  ],
  async plan(input) {
    const machine = await decideMachine(input.config, input.facts, input.read, input.made);
    const findings: Finding[] = [];
    const kernel = await planKernel(input, findings);
    const runtime = machine.ownRuntime ? planRuntime(input, machine) : [];
    const { actions: kubelet, fingerprint: kubeletFingerprint } = planKubelet(input);
    const { files, routes } = planRoutes(input, machine);
    const late = [...planPrograms(input), ...routes].map((action) => ({ ...action, late: true as const }));
    // All unit files before the first unit: then systemd reads them once for all.
    const actions: Action[] = [planSurvey(input, machine), ...(await planFix(input)), ...kernel, ...kubelet, ...files, ...runtime, ...late];
    return { actions, output: { machine, kubeletFingerprint }, findings };
  },
};

/** Before anything is made: the places that the programs we start are going to fill. */
function planSurvey({ config }: PlanInput<unknown>, machine: MachineDecisions): Action {
  const local = config.joining?.role === "worker" ? undefined : config.cluster.etcd.local;
  const of = (who: SurveyPlace["of"], ...paths: readonly string[]): readonly SurveyPlace[] => paths.map((path) => ({ path, of: who }));
  return survey("data", [
    ...(local === undefined ? [] : of("etcd", local.dataDir)),
    ...of("kubelet", "/var/lib/kubelet", "/usr/libexec/kubernetes"),
    // The kubelet of a joining node writes its kubeconfig itself.
    ...(config.joining === undefined ? [] : of("kubelet", kubeletConfPath)),
    ...of("network", "/etc/cni/net.d", "/opt/cni/bin", "/var/lib/cni", "/run/flannel", "/run/xtables.lock"),
    // What the refresh of the list of control planes leaves when it is killed.
    ...(config.install.ha ? of("kubelet", haproxyDirectory) : []),
    // kube-proxy's pod mounts it, and the runtime makes what is to be mounted; the kernel's package may come later.
    { path: "/lib/modules", of: "network", onlyIfEmpty: true },
    ...of("logs", "/var/log/pods", "/var/log/containers"),
    // A runtime that was there before us keeps its store.
    ...(machine.ownRuntime ? of("runtime", "/var/lib/containerd", "/run/containerd", "/opt/containerd", "/run/nri", "/run/runc") : []),
    // The API server's pod mounts it, and a machine without ca-certificates has none.
    { path: "/etc/ssl/certs", of: "network", onlyIfEmpty: true },
    { path: "/run/netns", of: "network", onlyIfEmpty: true },
  ], { settings: Object.keys(clusterSettings), why: "so that reset takes away what comes later, and nothing else" });
}

async function planKernel(input: PlanInput<unknown>, findings: Finding[]): Promise<Action[]> {
  const { facts, read, config } = input;
  const step = "kernel";
  const wanted = neededModules(config);
  const settings = neededSysctls(config);
  const actions: Action[] = [
    file("/etc/modules-load.d/kubestick.conf", 0o644, `# Kernel modules that Kubernetes needs (kubestick).\n${wanted.map((module) => module.name).join("\n")}\n`, { step }),
    file(`/etc/sysctl.d/${sysctlFile}`, 0o644, sysctlText(config), { step }),
  ];
  for (const module of wanted) {
    // A guest without modules of its own lives with what the machine below it has loaded; only then is an absent one left alone, and said.
    if (facts.container && !(await read.moduleLoaded(module.name))) {
      findings.push({ check: `KernelModule-${module.name}`, severity: "warning", message: `the kernel module ${module.name} is not loaded, and this guest cannot load it`, hint: `Needed for ${module.why}. Load it on the machine below: modprobe ${module.name}` });
    } else {
      actions.push(kernelModule(module.name, { step, why: module.why }));
    }
  }
  for (const [key, value] of settings) {
    if (facts.container && (await read.sysctl(key)) === undefined) {
      findings.push({ check: `Sysctl-${key}`, severity: "warning", message: `the setting ${key} does not exist in this guest`, hint: "It appears when the module br_netfilter is loaded on the machine below." });
    } else {
      actions.push(sysctl(key, value, { step }));
    }
  }
  return actions;
}

function planPrograms({ pkg, config }: PlanInput<unknown>): Action[] {
  return (pkg?.binaries ?? []).filter((binary) => !runtimeBinaries.includes(binary.name) && !isTool(config, binary)).map((binary) => payload(binary, { step: "binaries" }));
}

function planRuntime(input: PlanInput<unknown>, machine: MachineDecisions): Action[] {
  const { assets, config, pkg } = input;
  const step = "runtime";
  const configuration = fillTemplate(assets.text("bundle/containerd/config.toml"), {
    SANDBOX_IMAGE: imageReference(config, "pause"),
    OOM_REASON: machine.restrictOomScoreAdj ? "This host lacks CAP_SYS_RESOURCE: without this no sandbox starts." : "The host may set oom_score_adj, so containers get the values the kubelet asks for.",
    RESTRICT_OOM_SCORE_ADJ: String(machine.restrictOomScoreAdj),
  });
  const unitText = assets.text("bundle/systemd/containerd.service");
  const { criSocket } = config.init.nodeRegistration;
  return [
    ...(pkg?.binaries ?? []).filter(({ name }) => runtimeBinaries.includes(name)).map((binary) => payload(binary, { step: "binaries" })),
    file("/etc/containerd/config.toml", 0o644, configuration, { step }),
    file(containerdUnitPath, 0o644, unitText, { step }),
    file("/etc/crictl.yaml", 0o644, fillTemplate(assets.text("bundle/crictl/crictl.yaml"), { ENDPOINT: criSocket }), { step }),
    unit("containerd.service", fingerprint(configuration, unitText, digests(pkg?.binaries ?? [], runtimeBinaries)), { step }),
    wait("runtime", "The container runtime answers", { type: "runtime", socket: criSocket }, 60_000, { step }),
  ];
}

function planKubelet(input: PlanInput<unknown>): { actions: Action[]; fingerprint: string } {
  const { assets, pkg } = input;
  const step = "kubelet";
  const unitText = assets.text("bundle/systemd/kubelet.service");
  const dropIn = assets.text("bundle/systemd/10-kubeadm.conf");
  return {
    actions: [
      file("/etc/systemd/system/kubelet.service", 0o644, unitText, { step }),
      file("/etc/systemd/system/kubelet.service.d/10-kubeadm.conf", 0o644, dropIn, { step }),
    ],
    fingerprint: fingerprint(unitText, dropIn, digests(pkg?.binaries ?? [], ["kubelet"])),
  };
}

function planRoutes(input: PlanInput<unknown>, machine: MachineDecisions): { readonly files: readonly Action[]; readonly routes: readonly Action[] } {
  const step = "route";
  const files: Action[] = [];
  if (machine.ownResolvConf) {
    files.push(file(ownResolvConfPath, 0o644, "# The kubelet's own resolv.conf (kubestick): this host had no usable nameserver when it was written.\n# Pods outside the cluster's DNS resolve nothing. To change that, point resolvConf in /var/lib/kubelet/config.yaml to a file with nameservers.\n", { step }));
  }
  if (machine.serviceRoutes.length === 0) return { files, routes: [] };
  const ip = input.facts.commands["ip"] ?? "/sbin/ip";
  const commands = machine.serviceRoutes.flatMap((wanted) => {
    const spec = `${wanted.family === 6 ? "-6 " : ""}route`;
    return [
      `ExecStart=${ip} ${spec} replace ${wanted.destination} dev ${wanted.device}${wanted.source === undefined ? "" : ` src ${wanted.source}`}`,
      `ExecStop=-${ip} ${spec} del ${wanted.destination} dev ${wanted.device}`,
    ];
  });
  const text = fillTemplate(input.assets.text("bundle/systemd/kubestick-route.service"), { COMMANDS: commands.join("\n") });
  files.push(file("/etc/systemd/system/kubestick-route.service", 0o644, text, { step }));
  const routes = [...machine.serviceRoutes.map((wanted) => route(wanted, { step })), unit("kubestick-route.service", fingerprint(text), { step, oneshot: true })];
  return { files, routes };
}

function digests(binaries: readonly PackageBinary[], names: readonly string[]): string {
  return binaries.filter((binary) => names.includes(binary.name)).map((binary) => `${binary.name} ${binary.digest}`).join("\n");
}
