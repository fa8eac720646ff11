/** Facts of a plain machine, for tests that only care about one of them. */
import type { HostFacts } from "../../src/host/types.ts";

export function plainFacts(changes: Partial<HostFacts> = {}): HostFacts {
  return {
    os: { id: "debian", versionId: "12", prettyName: "Debian GNU/Linux 12 (bookworm)" },
    kernelRelease: "6.1.0-25-amd64", arch: "amd64", hostname: "cp1", uid: 0, cpus: 4, memoryTotal: 8 * 1024 ** 3, swaps: [], cgroupVersion: 2,
    systemd: true, systemdResolved: false, capabilities: ["CAP_SYS_RESOURCE", "CAP_NET_ADMIN"],
    addresses: [
      { interface: "lo", address: "127.0.0.1", family: 4, prefixLength: 8, global: false },
      { interface: "eth0", address: "192.0.2.10", family: 4, prefixLength: 24, global: true },
    ],
    routes: [
      { destination: "default", family: 4, device: "eth0", gateway: "192.0.2.1" },
      { destination: "192.0.2.0/24", family: 4, device: "eth0", source: "192.0.2.10" },
    ],
    nameservers: ["192.0.2.53"], conntrackWritable: true,
    commands: { mount: "/usr/bin/mount", losetup: "/usr/sbin/losetup", cp: "/usr/bin/cp", ip: "/usr/sbin/ip", iptables: "/usr/sbin/iptables" },
    criSockets: [], listening: [], proxyEnvironment: {}, container: false, readOnlySysctls: [],
    ...changes,
  };
}

/** A machine in an air-gapped rack: no default route, no resolver. */
export function airgappedFacts(changes: Partial<HostFacts> = {}): HostFacts {
  return plainFacts({ routes: [{ destination: "192.0.2.0/24", family: 4, device: "eth0", source: "192.0.2.10" }], nameservers: [], ...changes });
}
