/** Every check, as a table: what is different about an otherwise good machine, and the finding that must come of it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import type { Finding } from "../../src/engine/types.ts";
import { preflightChecks } from "../../src/phases/preflight.ts";
import { plainFacts } from "../support/facts.ts";
import { haproxyImage } from "../../src/manifests/haproxy.ts";
import { packageIndexFor } from "../support/package-index.ts";
import { network, planFor, type Case } from "./preflight-bench.ts";

interface Row extends Case {
  readonly what: string;
  /** `severity name`, all of them. */
  readonly finds: readonly string[];
  /** What was seen, in the message of the first one. */
  readonly seen?: RegExp;
  /** What cures it, in its hint. */
  readonly cure?: RegExp;
}

const config = resolveInitConfig({ options: {}, facts: plainFacts() }).config;
const kernelOptions = ["NAMESPACES", "NET_NS", "PID_NS", "IPC_NS", "UTS_NS", "CPUSETS", "MEMCG", "INET", "EXT4_FS", "PROC_FS", "IP_NF_TARGET_REDIRECT", "NETFILTER_XT_MATCH_COMMENT", "FAIR_GROUP_SCHED", "CGROUPS", "CGROUP_PIDS", "CGROUP_SCHED", "CGROUP_BPF"];
const kernelConfig = (without: readonly string[] = []) => ({ source: "/boot/config", options: Object.fromEntries(kernelOptions.filter((name) => !without.includes(name)).map((name) => [name, "y" as const])) });
const good = (changes: Parameters<typeof plainFacts>[0] = {}) => plainFacts({ kernelConfig: kernelConfig(), hostnameResolves: true, ...changes });
const fileOf = (text: string) => `apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n${text}`;
const external = fileOf("etcd:\n  external:\n    endpoints: [https://192.0.2.20:2379]\n    caFile: /etc/etcd/ca.crt\n    certFile: /etc/etcd/client.crt\n    keyFile: /etc/etcd/client.key\n");
const etcdFiles = { "/etc/etcd/ca.crt": "x", "/etc/etcd/client.crt": "x", "/etc/etcd/client.key": "x" };
const containerd = { criSockets: ["unix:///var/run/containerd/containerd.sock"] };
const proxy = { HTTPS_PROXY: "http://user:secret@proxy.example:3128" };

const fstab = { "/etc/fstab": "UUID=1 / ext4 defaults 0 1\nUUID=2 none swap sw 0 0\n" };
const volumes = fileOf("apiServer:\n  extraVolumes:\n  - {name: audit, hostPath: /var/log/audit-api, mountPath: /audit, pathType: Directory}\n  - {name: policy, hostPath: /etc/policy.yaml, mountPath: /policy, pathType: File}\n  - {name: own, hostPath: /opt/own, mountPath: /own, pathType: DirectoryOrCreate}\n");

const packageForBoth = { ...packageIndexFor(config, network), platforms: ["amd64", "arm64"].map((arch) => ({ arch, images: [], binaries: [] })) };

const rows: readonly Row[] = [
  { what: "a good machine", finds: [] },
  { what: "no root, and much else wrong", facts: good({ uid: 1000, cpus: 1 }), finds: ["error IsPrivilegedUser"], seen: /1000/, cure: /sudo/ },
  { what: "one CPU", facts: good({ cpus: 1 }), finds: ["error NumCPU"], seen: /1 CPU/, cure: /ignore-preflight-errors=NumCPU/ },
  { what: "1699 MiB", facts: good({ memoryTotal: 1699 * 2 ** 20 }), finds: ["error Mem"], seen: /1699 MiB/, cure: /ignore-preflight-errors=Mem/ },
  { what: "1700 MiB", facts: good({ memoryTotal: 1700 * 2 ** 20 }), finds: [] },
  { what: "a clock of 1970", now: new Date(0), finds: ["error Clock"], seen: /1970/, cure: /date -s/ },
  { what: "no systemd", facts: good({ systemd: false }), finds: ["error SystemVerification"], seen: /systemd/ },
  { what: "kernel 4.19", facts: good({ kernelRelease: "4.19.0-27" }), finds: ["error SystemVerification"], seen: /4\.19\.0-27/, cure: /newer kernel/ },
  { what: "kernel 5.14", facts: good({ kernelRelease: "5.14.0-503.el9" }), finds: ["warning SystemVerification"], seen: /5\.14/ },
  { what: "kernel 5.15", facts: good({ kernelRelease: "5.15.0-1" }), finds: [] },
  { what: "kernel without options", facts: good({ kernelConfig: kernelConfig(["MEMCG", "CGROUP_BPF"]) }), finds: ["error SystemVerification"], seen: /CONFIG_MEMCG, CONFIG_CGROUP_BPF \(\/boot\/config\)/, cure: /distribution/ },
  { what: "kernel with the other name of an option", facts: good({ kernelConfig: { source: "/boot/config", options: { ...kernelConfig(["IP_NF_TARGET_REDIRECT"]).options, NETFILTER_XT_TARGET_REDIRECT: "m" } } }), finds: [] },
  { what: "kernel that does not tell how it was built", facts: plainFacts({ hostnameResolves: true }), finds: ["info KernelConfig"], seen: /not checked/ },
  { what: "the same under a running kubelet of ours", facts: plainFacts({ hostnameResolves: true }), made: ["unit/kubelet.service"], finds: [] },
  { what: "cgroup v2 without memory", files: { "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io pids\n" }, finds: ["error SystemVerification"], seen: /v2.*memory/, cure: /cgroup_enable=memory/ },
  { what: "cgroup v2 complete", files: { "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids\n" }, finds: [] },
  { what: "cgroup v2 guest without cpuset", facts: good({ container: true }), files: { "/sys/fs/cgroup/cgroup.controllers": "cpu io memory pids\n" }, finds: ["error SystemVerification"], seen: /cpuset/, cure: /Delegate/ },
  {
    what: "cgroup v1 with a controller disabled", facts: good({ cgroupVersion: 1, kernelConfig: { source: "x", options: { ...kernelConfig().options, CGROUP_CPUACCT: "y", CGROUP_DEVICE: "y", CGROUP_FREEZER: "y" } } }),
    files: { "/proc/cgroups": "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t3\t1\t1\ncpu\t1\t1\t1\ncpuacct\t1\t1\t1\nmemory\t0\t1\t0\ndevices\t1\t1\t1\nfreezer\t1\t1\t1\npids\t1\t1\t1\n" },
    finds: ["error SystemVerification", "warning SystemVerification"], seen: /v1.*controller memory/, cure: /cgroup_disable/,
  },
  { what: "no mount, losetup, cp", facts: good({ commands: { iptables: "/usr/sbin/iptables" } }), finds: ["error FileExisting-mount", "error FileExisting-losetup", "error FileExisting-cp"], cure: /util-linux/ },
  { what: "no ip where a route is needed", facts: good({ commands: { mount: "/x", losetup: "/x", cp: "/x", iptables: "/x" }, routes: [] }), finds: ["error FileExisting-ip", "info ServiceRoute", "info NodeIP"], cure: /iproute2/ },
  { what: "no iptables with flannel", facts: good({ commands: { mount: "/x", losetup: "/x", cp: "/x" } }), finds: ["warning FileExisting-iptables"], seen: /hostPort/ },
  { what: "no iptables with bridge", options: { cni: "bridge" }, facts: good({ commands: { mount: "/x", losetup: "/x", cp: "/x" } }), finds: ["error FileExisting-iptables"], cure: /Install iptables/ },
  { what: "swap on", facts: good({ swaps: ["/dev/sda2"] }), finds: ["warning Swap"], seen: /swap is on \(\/dev\/sda2\)/, cure: /init with --fix/ },
  { what: "swap on, with --fix", facts: good({ swaps: ["/dev/sda2"] }), fix: true, finds: ["info Swap"], seen: /switched off, for now and after the next boot \(--fix\)/ },
  { what: "swap on below a guest", facts: good({ swaps: ["/dev/sda2"], container: true }), fix: true, finds: ["warning Swap"], cure: /machine below/ },
  { what: "swap off until the next boot", files: fstab, finds: ["warning Swap"], seen: /\/etc\/fstab switches it on at the next boot/, cure: /refuses to start.*--fix/ },
  { what: "swap off until the next boot, with --fix", files: fstab, fix: true, finds: ["info Swap"], seen: /stays off \(--fix\)/ },
  { what: "swap lines that no boot follows", files: { "/etc/fstab": "#UUID=2 none swap sw 0 0\n/dev/sdb none swap noauto 0 0\n" }, finds: [] },
  { what: "a .swap unit", files: { "/run/systemd/generator/dev-zram0.swap": "[Unit]\nSourcePath=/etc/systemd/zram-generator.conf\n[Swap]\nWhat=/dev/zram0\n" }, finds: ["warning Swap"], seen: /dev-zram0\.swap/, cure: /systemctl mask dev-zram0\.swap/ },
  { what: "a .swap unit, masked", files: { "/run/systemd/generator/dev-zram0.swap": "[Swap]\n", "/etc/systemd/system/dev-zram0.swap": "" }, finds: [] },
  { what: "swap allowed in the kubelet's configuration", files: fstab, config: "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nfailSwapOn: false\n", finds: [] },
  { what: "a setting that another file takes back", files: { "/etc/sysctl.d/99-hardening.conf": "net.ipv4.ip_forward = 0\n" }, finds: ["warning Sysctl-net.ipv4.ip_forward"], seen: /99-hardening\.conf sets net\.ipv4\.ip_forward = 0/, cure: /--fix/ },
  { what: "the same with --fix", files: { "/etc/sysctl.d/99-hardening.conf": "net.ipv4.ip_forward = 0\n" }, fix: true, finds: ["info Sysctl-net.ipv4.ip_forward"], seen: /zz-kubestick\.conf/ },
  { what: "a setting that another file makes before ours", files: { "/etc/sysctl.d/10-a.conf": "net/ipv4/ip_forward=0\n" }, finds: [] },
  { what: "a setting in a file that even --fix cannot answer", files: { "/etc/sysctl.d/zzz.conf": "net.ipv4.ip_forward=0\n" }, fix: true, finds: ["warning Sysctl-net.ipv4.ip_forward"], cure: /Take that line out\.$/ },
  { what: "a module that cannot be loaded", files: { "/etc/modprobe.d/cis.conf": "install overlay /bin/false\n" }, finds: ["error KernelModule-overlay"], seen: /cis\.conf keeps the kernel module overlay from being loaded$/, cure: /install line.*--fix/ },
  { what: "the same with --fix", files: { "/etc/modprobe.d/cis.conf": "install overlay /bin/false\n" }, fix: true, finds: ["info KernelModule-overlay"] },
  { what: "a module that a boot leaves out", files: { "/usr/lib/modprobe.d/x.conf": "blacklist br-netfilter\n" }, modules: ["br_netfilter"], finds: ["warning KernelModule-br_netfilter"], seen: /at a boot/ },
  { what: "a blocked module that is built in", facts: good({ kernelConfig: { source: "x", options: { ...kernelConfig().options, OVERLAY_FS: "y" } } }), files: { "/etc/modprobe.d/cis.conf": "install overlay /bin/false\n" }, finds: [] },
  { what: "a blocked module nobody needs, a command that loads one", files: { "/etc/modprobe.d/cis.conf": "install usb-storage /bin/false\ninstall overlay /sbin/modprobe --ignore-install overlay\n" }, finds: [] },
  { what: "absent paths of volumes", config: volumes, finds: ["error HostPath-audit", "error HostPath-policy"], seen: /\/var\/log\/audit-api does not exist.*apiServer/, cure: /mkdir -p.*--fix/ },
  { what: "absent paths of volumes, with --fix", config: volumes, fix: true, finds: ["info HostPath-audit", "error HostPath-policy"] },
  { what: "firewalld", active: ["firewalld.service"], finds: ["warning Firewalld"], seen: /6443 and 10250/, cure: /--add-port=6443\/tcp --add-port=10250\/tcp --add-port=8472\/udp.*--add-source=10\.244\.0\.0\/16/ },
  ...[6443, 10259, 10257, 10250, 2379, 2380].map((port): Row => ({
    what: `port ${port} taken`, facts: good({ listening: [{ port, address: "*", pid: 77, process: "nginx" }] }), finds: [`error Port-${port}`], seen: /nginx \(pid 77\)/, cure: /systemctl status 77/,
  })),
  { what: "etcd's port taken, with external etcd", config: external, files: etcdFiles, facts: good({ listening: [{ port: 2379, address: "*", pid: 77, process: "etcd" }] }), finds: [] },
  { what: "a proxy for everything", facts: good({ proxyEnvironment: proxy }), finds: ["warning HTTPProxy", "warning HTTPProxyCIDR"], seen: /192\.0\.2\.10.*http:\/\/proxy\.example/, cure: /NO_PROXY=192\.0\.2\.10/ },
  { what: "a proxy except for the node", facts: good({ proxyEnvironment: { ...proxy, NO_PROXY: "192.0.2.0/24" } }), finds: ["warning HTTPProxyCIDR"], seen: /10\.96\.0\.0\/12, 10\.244\.0\.0\/16/, cure: /NO_PROXY=192\.0\.2\.0\/24,10\.96\.0\.0\/12,10\.244\.0\.0\/16/ },
  { what: "a proxy with all exceptions", facts: good({ proxyEnvironment: { ...proxy, NO_PROXY: "192.0.2.10,10.96.0.0/12,10.244.0.0/16" } }), finds: [] },
  { what: "a host name that does not resolve", facts: good({ hostnameResolves: false }), finds: ["warning Hostname"], seen: /cp1 does not resolve/, cure: /192\.0\.2\.10 cp1.*\/etc\/hosts/ },
  { what: "a host name that nobody was asked for", facts: plainFacts({ kernelConfig: kernelConfig() }), finds: [] },
  { what: "another node name than the host's", facts: good({ hostnameResolves: false }), options: { nodeName: "other" }, finds: [] },
  { what: "an address of another machine", options: { apiserverAdvertiseAddress: "192.0.2.99" }, finds: ["warning AdvertiseAddress"], seen: /192\.0\.2\.99/, cure: /--apiserver-advertise-address/ },
  { what: "haproxy's port taken", options: { ha: true }, facts: good({ listening: [{ port: 7443, address: "*", pid: 77, process: "nginx" }] }), pkg: packageIndexFor(config, [...network, haproxyImage]), finds: ["error Port-7443"], cure: /haproxy needs it/ },
  { what: "the endpoint's name given to another machine", options: { ha: true }, files: { "/etc/hosts": "127.0.0.1 localhost\n192.0.2.9 gate kube-api.kubernetes.internal\n" }, pkg: packageIndexFor(config, [...network, haproxyImage]), finds: ["error EndpointName"], seen: /kube-api\.kubernetes\.internal is 192\.0\.2\.9/, cure: /Take that line out/ },
  { what: "a node that has a haproxy, without ha", files: { "/etc/kubernetes/manifests/kubestick-haproxy.yaml": "x" }, finds: ["error HighAvailability"], seen: /through haproxy/, cure: /Add --ha/ },
  { what: "a package without haproxy, with ha", options: { ha: true }, finds: ["error ImagePull"], seen: /haproxy/, cure: /pack/ },
  { what: "forwarding off", sysctls: { "net.ipv4.ip_forward": "0" }, finds: [] },
  { what: "forwarding off for good", facts: good({ readOnlySysctls: ["net.ipv4.ip_forward"] }), finds: ["error FileContent--proc-sys-net-ipv4-ip_forward"], seen: /ip_forward is 0/, cure: /sysctl -w net\.ipv4\.ip_forward=1/ },
  { what: "forwarding on for good", facts: good({ readOnlySysctls: ["net.ipv4.ip_forward"] }), sysctls: { "net.ipv4.ip_forward": "1" }, finds: [] },
  { what: "IPv6 networks without IPv6", options: { podNetworkCidr: "10.244.0.0/16,fd00:10::/48", serviceCidr: "10.96.0.0/12,fd00:20::/112" }, sysctls: { "net.ipv4.ip_forward": "1" }, finds: ["error FileContent--proc-sys-net-ipv6-conf-default-forwarding"], cure: /ipv6\.disable=1/ },
  { what: "a runtime that does not answer", facts: good(containerd), finds: ["error CRI", "info CRI"], seen: /does not answer/, cure: /--cri-socket/ },
  { what: "a runtime that takes no images from us", facts: good({ criSockets: ["unix:///var/run/crio/crio.sock"] }), runtime: { name: "cri-o", version: "1.33.0" }, finds: ["error CRI", "info CRI"], seen: /cri-o 1\.33\.0/, cure: /containerd/ },
  { what: "containerd 1.7", facts: good(containerd), runtime: { name: "containerd", version: "1.7.24" }, finds: ["warning ContainerRuntimeVersion", "info CRI"], seen: /1\.7\.24/, cure: /SystemdCgroup/ },
  { what: "containerd 2.1", facts: good(containerd), runtime: { name: "containerd", version: "v2.1.0" }, finds: ["info CRI"] },
  { what: "a socket at which nothing listens", options: { criSocket: "unix:///run/other.sock" }, finds: ["error CRI"], seen: /nothing answers at unix:\/\/\/run\/other\.sock/ },
  ...["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"].map((name): Row => ({
    what: `a manifest of ${name}`, files: { [`/etc/kubernetes/manifests/${name}.yaml`]: "x" }, finds: [`error FileAvailable--etc-kubernetes-manifests-${name}.yaml`], cure: /kubeadm reset/,
  })),
  { what: "data of an etcd", files: { "/var/lib/etcd/member/wal": "x" }, finds: ["error DirAvailable--var-lib-etcd"], cure: /mv \/var\/lib\/etcd/ },
  { what: "external etcd without its files", config: external, files: { "/etc/etcd/ca.crt": "x" }, finds: ["error ExternalEtcdClientCertificates", "error ExternalEtcdClientCertificates"], seen: /client\.crt \(etcd\.external\.certFile\) does not exist/, cure: /Copy it/ },
  { what: "external etcd that nobody is to ask", config: external, options: { ignorePreflightErrors: ["externalETCDversion"] }, files: etcdFiles, finds: ["warning ExternalEtcdVersion"], seen: /ignored/ },
  { what: "no package", pkg: undefined, finds: ["error Package"], cure: /kubestick pack/ },
  { what: "a package for arm64", pkg: { ...packageIndexFor(config, network), arch: "arm64", platforms: [{ arch: "arm64", images: [], binaries: [] }] }, finds: ["error PackageArchitecture"], seen: /the package is for arm64, this machine is amd64/, cure: /--arch amd64/ },
  { what: "a package for two architectures, neither of which is this one", pkg: packageForBoth, facts: good({ arch: "riscv64" }), finds: ["error PackageArchitecture"], seen: /for amd64 and arm64, this machine is riscv64/ },
  { what: "an emulated program, whose package has what this machine needs", pkg: packageForBoth, facts: good({ arch: "arm64" }), finds: ["error PackageArchitecture"], seen: /is for amd64 and runs here by emulation: this machine is arm64/, cure: /Start the kubestick for arm64/ },
  { what: "a package of an older patch release", pkg: { ...packageIndexFor(config, network), kubernetesVersion: "v1.36.0" }, finds: ["error KubernetesVersion"], seen: /v1\.36\.0/, cure: /--kubernetes-version/ },
  { what: "a package of a newer minor", pkg: { ...packageIndexFor(config, network), kubernetesVersion: "v1.37.0" }, finds: ["error KubernetesVersion", "error KubeletVersion"] },
  { what: "a package of another version, which lacks all images of this one", pkg: { ...packageIndexFor(config), kubernetesVersion: "v1.36.0" }, finds: ["error KubernetesVersion"] },
  { what: "the same, taken all the same", pkg: { ...packageIndexFor(config), kubernetesVersion: "v1.36.0" }, options: { ignorePreflightErrors: ["KubernetesVersion"] }, finds: ["error KubernetesVersion", "error ImagePull"] },
  { what: "a package that lacks images", pkg: packageIndexFor(config), finds: ["error ImagePull"], seen: /flannel/, cure: /pack --image/ },
  { what: "the same where a runtime may have them", pkg: packageIndexFor(config), facts: good(containerd), runtime: { name: "containerd", version: "2.1.0" }, finds: ["warning ImagePull", "info CRI"] },
  { what: "a full disk", free: 1000, finds: ["error DiskSpace"], seen: /1000 bytes free/, cure: /Nothing was written/ },
  { what: "a disk that would be full to the kubelet", free: 1.4e11, finds: ["error DiskPressure"], seen: /^\/ will have 1[34] % free .* 15 % .*imagefs\.available/, cure: /Free or add \d+ bytes.*evictionHard/ },
  { what: "the same where the kubelet runs", free: 1.4e11, made: ["unit/kubelet.service"], finds: [] },
  { what: "the same, and somebody has decided what is full", free: 1.4e11, config: "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nevictionHard:\n  imagefs.available: 1Gi\n", finds: [] },
];

describe("preflight check", () => {
  for (const row of rows) {
    test(`${row.finds.length === 0 ? "nothing" : row.finds.join(", ")}: ${row.what}`, async () => {
      const { findings } = await planFor({ facts: good(), ...row });
      assert.deepEqual(findings.map(({ severity, check }) => `${severity} ${check}`), row.finds, JSON.stringify(findings, null, 1));
      if (row.seen !== undefined) assert.match(findings[0]?.message ?? "", row.seen);
      if (row.cure !== undefined) assert.match(findings[0]?.hint ?? "", row.cure);
    });
  }

  test("every error and warning says why it matters and what cures it", async () => {
    const all: Finding[] = [];
    for (const row of rows) all.push(...(await planFor({ facts: good(), ...row })).findings.filter(({ severity }) => severity !== "info"));
    for (const { check, message, hint } of all) {
      assert.ok((hint ?? "").length > 20, `${check}: ${message}`);
      assert.doesNotMatch(message, /\.$/, check);
      assert.doesNotMatch(`${message} ${hint}`, /undefined|NaN|\[object|secret/, check);
    }
  });

  test("every row of the table of checks is found by some machine of this file", () => {
    const found = new Set(rows.flatMap(({ finds }) => finds.map((line) => line.split(" ")[1] ?? "")));
    const pattern = (name: string): RegExp => new RegExp(`^${name.replaceAll("*", ".+")}$`);
    assert.deepEqual(preflightChecks.filter(({ name }) => ![...found].some((check) => pattern(name).test(check))).map(({ name }) => name), []);
  });

  test("external etcd is asked for its version before anything is changed, with the client's certificate", async () => {
    const { actions } = await planFor({ facts: good(), config: external, files: etcdFiles });
    assert.deepEqual(actions.flatMap((action) => (action.kind === "wait" && action.probe.type === "etcd-version" ? [action.probe] : [])), [{
      type: "etcd-version", endpoint: "https://192.0.2.20:2379", minimum: "3.5.24", ca: "/etc/etcd/ca.crt", certificate: "/etc/etcd/client.crt", key: "/etc/etcd/client.key",
    }]);
  });
});
