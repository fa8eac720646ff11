/** Facts of no machine in particular, for configuration that is resolved where the machine does not matter. */
import type { HostFacts } from "../host/types.ts";

/** The address is the one kubeadm uses for the same purpose (`config images list`). */
export const anyMachine: HostFacts = {
  os: { id: "linux", versionId: "", prettyName: "Linux" },
  kernelRelease: "", arch: "amd64", hostname: "node", uid: 0, cpus: 2, memoryTotal: 4 * 1024 ** 3, swaps: [], cgroupVersion: 2,
  systemd: true, systemdResolved: false, capabilities: [],
  addresses: [{ interface: "eth0", address: "1.2.3.4", family: 4, prefixLength: 24, global: true }],
  routes: [], nameservers: [], conntrackWritable: true, commands: {}, criSockets: [], listening: [], proxyEnvironment: {}, container: false, readOnlySysctls: [],
};
