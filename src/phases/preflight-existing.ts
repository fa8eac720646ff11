/** Preflight checks of what is here already: a container runtime, files of another cluster, and those the configuration names. */
import { isAbsolute } from "node:path";
import { pathCheck, type Check, type Input, type Seen } from "./preflight-check.ts";
import type { MachineDecisions } from "./machine.ts";
import { sharedPaths } from "./upload-certs.ts";

const manifestNames = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"];

export const existingChecks: readonly Check[] = [
  { name: "CRI", severity: "error", verifies: "a runtime that listens answers, and images can be loaded into it", run: checkRuntime },
  { name: "ContainerRuntimeVersion", severity: "warning", verifies: "a runtime that was there before tells the kubelet its cgroup driver", run: checkRuntimeVersion },
  { name: "FileAvailable-*", severity: "error", verifies: "no static pods of another cluster", run: checkManifests },
  { name: "DirAvailable-*", severity: "error", verifies: "no data of another etcd", run: checkEtcdData },
  { name: "ExternalEtcdClientCertificates", severity: "error", verifies: "the files with which external etcd is asked exist", run: checkEtcdCertificates },
];

async function checkRuntime({ config, runtime: ask, facts }: Input, machine: MachineDecisions): Promise<readonly Seen[]> {
  const socket = config.init.nodeRegistration.criSocket;
  if (!machine.ownRuntime) {
    const runtime = await ask();
    if (runtime === undefined) return [{ message: `something listens at ${socket} but does not answer CRI`, hint: "The kubelet would start no pod with it. Look at that service's log; stop it (then kubestick installs containerd), or name another runtime with --cri-socket." }];
    if (runtime.name !== "containerd") return [{ message: `the running container runtime is ${runtime.name} ${runtime.version}, into which images cannot be loaded from this file`, hint: `Use containerd: stop and disable ${runtime.name} and run the same command again, so that the carried one is installed.` }];
    return [];
  }
  if (socket.replace("/var/run/", "/run/") !== "unix:///run/containerd/containerd.sock") {
    return [{ message: `nothing answers at ${socket}`, hint: facts.criSockets.length > 0 ? `Running: ${facts.criSockets.join(", ")}. Name it with --cri-socket, or leave criSocket out.` : "Start that runtime, or leave criSocket out so that the carried containerd is installed." }];
  }
  return [];
}

/** containerd answers CRI's RuntimeConfig since 2.0. Ours does; of another one the kubelet then takes its own setting. */
async function checkRuntimeVersion({ runtime: ask }: Input, machine: MachineDecisions): Promise<readonly Seen[]> {
  if (machine.ownRuntime) return [];
  const runtime = await ask();
  if (runtime?.name !== "containerd" || !/^v?[01]\./.test(runtime.version)) return [];
  return [{
    message: `the running containerd is ${runtime.version}, which does not tell the kubelet its cgroup driver (since 2.0)`,
    hint: "The kubelet uses systemd then. If containerd differs, pods are restarted over and over: set SystemdCgroup = true for runc in /etc/containerd/config.toml, or move to containerd 2.",
  }];
}

async function checkManifests({ config, read, made }: Input): Promise<readonly Seen[]> {
  const seen: Seen[] = [];
  for (const name of manifestNames) {
    if (name === "etcd" && config.cluster.etcd.local === undefined) continue;
    const path = `/etc/kubernetes/manifests/${name}.yaml`;
    if (!made.has(`file${path}`) && (await read.stat(path)) !== undefined) {
      seen.push({ check: pathCheck("FileAvailable", path), message: `${path} exists and was not made by kubestick`, hint: "Another cluster lives here. If it is not needed, remove it with the tool that made it (kubeadm reset), then run the same command again." });
    }
  }
  return seen;
}

async function checkEtcdData({ config, read, made }: Input): Promise<readonly Seen[]> {
  const dataDir = config.cluster.etcd.local?.dataDir;
  if (dataDir === undefined || made.has("file/etc/kubernetes/manifests/etcd.yaml") || ((await read.list(dataDir)) ?? []).length === 0) return [];
  return [{ check: pathCheck("DirAvailable", dataDir), message: `${dataDir} is not empty`, hint: `It may hold the data of another etcd, which would be mixed with ours. If it is not needed, move it away: mv ${dataDir} ${dataDir}.old` }];
}

/** A joining control plane gets them with the shared certificates, when they were uploaded (kubeadm skips the check then). */
async function checkEtcdCertificates({ config, read }: Input): Promise<readonly Seen[]> {
  const external = config.cluster.etcd.external;
  if (external === undefined) return [];
  const { certificates = {} } = config.joining ?? {};
  const coming = new Set(Object.entries(sharedPaths(config)).filter(([name]) => certificates[name] !== undefined).map(([, path]) => path));
  const seen: Seen[] = [];
  for (const field of ["caFile", "certFile", "keyFile"] as const) {
    const path = external[field];
    if (path === undefined || path === "" || coming.has(path) || (isAbsolute(path) && (await read.stat(path)) !== undefined)) continue;
    seen.push({ message: `${path} (etcd.external.${field}) does not exist`, hint: "The API server asks external etcd with it and would not start. Copy it there from a machine of the etcd cluster, or correct the path." });
  }
  return seen;
}
