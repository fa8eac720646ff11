/** Preflight checks of the machine itself: processors, memory, clock, kernel, control groups, programs. */
import type { Check, Input, Seen } from "./preflight-check.ts";

/** Earliest believable date: this code did not exist before. A machine with a dead clock battery starts in 1970 or 2000. */
const earliest = Date.UTC(2026, 0, 1);

export const systemChecks: readonly Check[] = [
  {
    name: "NumCPU", severity: "error", verifies: "at least 2 CPUs (kubeadm constants.go)",
    run: ({ facts }) => (facts.cpus >= 2 ? [] : [{
      message: `this machine has ${facts.cpus} CPU, a control plane needs 2`,
      hint: "With fewer, etcd misses its heartbeats as soon as anything else runs. Give it another one, or continue at your own risk with --ignore-preflight-errors=NumCPU.",
    }]),
  },
  {
    name: "Mem", severity: "error", verifies: "at least 1700 MiB of memory (kubeadm constants.go)",
    run({ facts }) {
      const mib = Math.floor(facts.memoryTotal / 1024 / 1024);
      return mib >= 1700 ? [] : [{
        message: `this machine has ${mib} MiB of memory, a control plane needs 1700 MiB`,
        hint: "With less, the kernel ends etcd or the API server when memory runs out. Give it more, or continue at your own risk with --ignore-preflight-errors=Mem.",
      }];
    },
  },
  {
    name: "Clock", severity: "error", verifies: "a clock that can be right",
    run: ({ now }) => (now.getTime() >= earliest ? [] : [{
      message: `the clock says ${now.toISOString()}, which cannot be`,
      hint: "Certificates made now would be wrong everywhere. Set the clock first: date -s '2026-12-31 23:59:59' (with the right time), then hwclock -w",
    }]),
  },
  { name: "SystemVerification", severity: "error", verifies: "systemd is process 1", run: checkSystemd },
  { name: "SystemVerification", severity: "error", verifies: "kernel release: 5.4, 5.10, 5.15, or 6 and newer", run: checkRelease },
  { name: "SystemVerification", severity: "error", verifies: "the kernel was built with what Kubernetes needs", run: checkKernelConfig },
  { name: "SystemVerification", severity: "error", verifies: "the controllers of control groups that the kubelet needs", run: checkControllers },
  ...["mount", "losetup", "cp"].map((program): Check => ({
    name: `FileExisting-${program}`, severity: "error", verifies: `${program} is in PATH`,
    run: ({ facts }) => (facts.commands[program] === undefined ? [{ message: `${program} is not in PATH`, hint: `The kubelet calls it. Install ${program === "cp" ? "coreutils" : "util-linux (package mount on Debian)"} from the distribution's own medium.` }] : []),
  })),
  {
    name: "FileExisting-ip", severity: "error", verifies: "ip is in PATH where a route has to be set",
    run: ({ facts }, machine) => (machine.serviceRoutes.length > 0 && facts.commands["ip"] === undefined ? [{
      message: "ip is not in PATH, and a route for the service network is needed", hint: "Install iproute2, or set serviceRoute: Never in an InstallConfiguration; then service addresses do not work from the host itself.",
    }] : []),
  },
  { name: "FileExisting-iptables", severity: "error", verifies: "iptables is in PATH where the pod network calls it", run: checkIptables },
];

function checkSystemd({ facts }: Input): readonly Seen[] {
  return facts.systemd ? [] : [{ message: "systemd is not running this machine (process 1)", hint: "kubestick installs systemd units; use a distribution that boots with systemd." }];
}

/** k8s.io/system-validators names the long-term kernels of series 5; others of it work, but nobody repairs them upstream. */
function checkRelease({ facts, config }: Input): readonly Seen[] {
  const [, major, minor] = (/^(\d+)\.(\d+)/.exec(facts.kernelRelease) ?? []).map(Number);
  if (major === undefined || minor === undefined) return [{ severity: "info", message: `the kernel calls itself ${facts.kernelRelease}, which tells no version`, hint: "Kubernetes needs 5.4 or newer." }];
  if (major < 5 || (major === 5 && minor < 4)) return [{ message: `the kernel is ${facts.kernelRelease}, Kubernetes ${config.cluster.kubernetesVersion} needs 5.4 or newer`, hint: "Older ones lack what kube-proxy and the kubelet use. Boot a newer kernel." }];
  if (major === 5 && ![4, 10, 15].includes(minor)) {
    return [{ severity: "warning", message: `the kernel is ${facts.kernelRelease}; of series 5 Kubernetes is tested with 5.4, 5.10 and 5.15`, hint: "A distribution that maintains this kernel itself (RHEL 9) is fine; else boot a long-term kernel or 6.x." }];
  }
  return [];
}

/** k8s.io/system-validators types_unix.go. An option may have an older name. */
const requiredOptions: readonly (readonly string[])[] = [
  ["NAMESPACES"], ["NET_NS"], ["PID_NS"], ["IPC_NS"], ["UTS_NS"], ["CPUSETS"], ["MEMCG"], ["INET"], ["EXT4_FS"], ["PROC_FS"],
  ["NETFILTER_XT_TARGET_REDIRECT", "IP_NF_TARGET_REDIRECT"], ["NETFILTER_XT_MATCH_COMMENT"], ["FAIR_GROUP_SCHED"], ["CGROUPS"], ["CGROUP_PIDS"], ["CGROUP_SCHED"],
];
const cgroupOptions = { 1: [["CGROUP_CPUACCT"], ["CGROUP_DEVICE"], ["CGROUP_FREEZER"]], 2: [["CGROUP_BPF"]] } as const;

/** Not knowing how a kernel was built is not the same as a kernel built badly; a cluster that runs already has answered it. */
function checkKernelConfig({ facts, made }: Input): readonly Seen[] {
  if (facts.kernelConfig === undefined) {
    return made.has("unit/kubelet.service") ? [] : [{
      check: "KernelConfig", severity: "info",
      message: `how the kernel was built is not to be found (/proc/config.gz, /boot/config-${facts.kernelRelease}), so its options were not checked`, hint: "Kernels of distributions have what Kubernetes needs; of one you built yourself, look at the options.",
    }];
  }
  const { source, options } = facts.kernelConfig;
  const absent = [...requiredOptions, ...cgroupOptions[facts.cgroupVersion]].filter((names) => !names.some((name) => options[name] !== undefined)).map(([name]) => `CONFIG_${name}`);
  return absent.length === 0 ? [] : [{ message: `the kernel was built without ${absent.join(", ")} (${source})`, hint: "Containers or kube-proxy cannot work without them. Boot a kernel of the distribution, or build this one with these options." }];
}

/** kubelet pkg/kubelet/cm: without one of these it refuses to start. Devices and freezing are no controllers of their own in version 2. */
const controllers = { 1: ["cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"], 2: ["cpu", "cpuset", "memory", "pids"] } as const;

async function checkControllers({ facts, read }: Input): Promise<readonly Seen[]> {
  const text = await read.readText(facts.cgroupVersion === 2 ? "/sys/fs/cgroup/cgroup.controllers" : "/proc/cgroups");
  if (text === undefined) return [];
  const there = facts.cgroupVersion === 2 ? text.split(/\s+/) : text.split("\n").map((line) => line.split(/\s+/)).filter(([, , , enabled]) => enabled === "1").map(([name]) => name);
  const absent = controllers[facts.cgroupVersion].filter((name) => !there.includes(name));
  return absent.length === 0 ? [] : [{
    message: `control groups (v${facts.cgroupVersion}) lack the controller${absent.length > 1 ? "s" : ""} ${absent.join(", ")}`,
    hint: facts.container
      ? "The kubelet cannot limit pods without them and does not start. The machine below must delegate them to this guest (Delegate=yes, or the guest's own cgroup settings)."
      : `The kubelet cannot limit pods without them and does not start. Look for cgroup_disable= on the kernel's command line (/proc/cmdline) and take it away${absent.includes("memory") ? "; on a Raspberry Pi add cgroup_enable=memory" : ""}, then reboot.`,
  }];
}

function checkIptables({ facts, config }: Input): readonly Seen[] {
  if (facts.commands["iptables"] !== undefined) return [];
  if (config.install.cni === "bridge") return [{ message: "iptables is not in PATH, and the bridge plugin needs it for outgoing traffic of pods", hint: "Install iptables, or use --cni flannel." }];
  if (config.install.cni === "flannel") return [{ severity: "warning", message: "iptables is not in PATH, so pods cannot use hostPort", hint: "Install iptables if a workload needs hostPort; nothing else is affected." }];
  return [];
}
