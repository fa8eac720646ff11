/**
 * What is known to go wrong while a cluster comes up, as a table: where it shows, by which words, and when waiting longer cannot help.
 *
 * The order is the order of trying: specific rows before general ones. `$1`, `$2`, ... in `summary` and `next` are the pattern's groups,
 * `{subject}` is the component or pod. The words are those of Kubernetes 1.36, containerd 1.7 to 2.x, etcd 3.5/3.6, runc 1.x and Go.
 */

/** Both must be reached: `times` it was seen since the wait began, and `seconds` of waiting. */
export interface Threshold {
  /** Of a unit: failed starts. Of a container: ended runs. Of a line in the kubelet's log: lines. */
  readonly times: number;
  readonly seconds: number;
}

export interface DiagnosisPattern {
  readonly id: string;
  /**
   * - `runtime-exit`: the container runtime's unit is down; its last error line.
   * - `kubelet-exit`: the kubelet's unit is down; its last error line.
   * - `kubelet-log`: the kubelet runs; a line of its log since the wait began.
   * - `node-log`: the same, for lines that matter only while a node or its pods are waited for: static pods need no API server.
   * - `container-exit`: a container ended; its last error line (with `tail`: one of its last lines).
   */
  readonly where: "runtime-exit" | "kubelet-exit" | "kubelet-log" | "node-log" | "container-exit";
  readonly pattern: RegExp;
  readonly tail?: true;
  readonly code: string;
  readonly summary: string;
  readonly next: string;
  readonly certainAfter: Threshold | "never";
  /**
   * A question that can take the finding back or add to it:
   * - `image`: does the runtime still not have the image `$1`?
   * - `port`: who listens on port `$1`? Certain only when it is a stranger: an instance that is just ending goes away by itself.
   * - `clock`: how far is the clock (`$1`) from the certificate's time (`$2`)? A small gap closes while waiting.
   * - `sandbox`: does the line's pod still have no ready sandbox?
   * - `oom-score`: does this machine really lack CAP_SYS_RESOURCE?
   */
  readonly check?: "image" | "port" | "clock" | "sandbox" | "oom-score";
}

// A file or flag that is wrong stays wrong: nothing writes it while we wait. The first failure is enough.
const atOnce: Threshold = { times: 1, seconds: 0 };
// The same, but in a container: the second run shows that it was not the first one's luck (a volume that came late, a port just being freed).
const secondRun: Threshold = { times: 2, seconds: 3 };
// The kubelet tries again every 10 to 15 s; three failures with the same words are about half a minute of trying.
const threeTries: Threshold = { times: 3, seconds: 20 };
// No route to a registry: a machine without a network will not get one, but let the network come up after a boot.
const noNetwork: Threshold = { times: 2, seconds: 15 };

const kubeletRestart = "then: systemctl restart kubelet";

export const diagnosisPatterns: readonly DiagnosisPattern[] = [
  // ---------------------------------------------------------------- container runtime
  {
    id: "containerd-config", where: "runtime-exit", pattern: /failed to (?:unmarshal|load) TOML[^:]*: (.*)$/, code: "RUNTIME_CONFIG_INVALID",
    summary: "containerd cannot read its configuration: $1", next: "Correct /etc/containerd/config.toml (containerd config dump shows errors), then: systemctl restart containerd", certainAfter: atOnce,
  },
  {
    id: "runtime-program", where: "runtime-exit", pattern: /Failed at step EXEC spawning (\S+): (.*)$/, code: "RUNTIME_PROGRAM_UNUSABLE",
    summary: "systemd cannot start the container runtime $1: $2", next: "file $1; kubestick init installs its own: run it again", certainAfter: atOnce,
  },
  {
    id: "runtime-disk", where: "runtime-exit", pattern: /no space left on device/, code: "DISK_FULL",
    summary: "The container runtime stopped because the disk is full.", next: "df -h /var/lib/containerd; free some space, then: systemctl restart containerd", certainAfter: { times: 2, seconds: 5 },
  },

  // ---------------------------------------------------------------- kubelet down
  {
    id: "kubelet-program", where: "kubelet-exit", pattern: /Failed at step EXEC spawning (\S+): (.*)$/, code: "KUBELET_PROGRAM_UNUSABLE",
    summary: "systemd cannot start $1: $2", next: "file $1; kubestick init installs its own: run it again", certainAfter: atOnce,
  },
  {
    id: "kubelet-cgroup-v1", where: "kubelet-exit", pattern: /configured to not run on a host using cgroup v1/, code: "CGROUP_V1_REFUSED",
    summary: "The kubelet refuses to run: this machine uses cgroup v1.", next: `Boot with systemd.unified_cgroup_hierarchy=1, or set failCgroupV1: false in the KubeletConfiguration; ${kubeletRestart}`, certainAfter: atOnce,
  },
  {
    id: "kubelet-swap", where: "kubelet-exit", pattern: /running with swap on is not supported/, code: "SWAP_ON",
    summary: "The kubelet refuses to run: swap is on.", next: `swapoff -a and take swap out of /etc/fstab, or set failSwapOn: false in the KubeletConfiguration; ${kubeletRestart}`, certainAfter: atOnce,
  },
  {
    id: "kubelet-config-parse", where: "kubelet-exit", pattern: /failed to load kubelet config file, path: ([^,]+), error: (?:failed to load Kubelet config file [^,]+, error )?(.*)$/i, code: "KUBELET_CONFIG_INVALID",
    summary: "The kubelet cannot read $1: $2", next: `Correct $1; ${kubeletRestart}`, certainAfter: atOnce,
  },
  {
    id: "kubelet-config-value", where: "kubelet-exit", pattern: /failed to validate kubelet (?:configuration|flags), error: (.*?)(?:, path: &TypeMeta.*)?$/, code: "KUBELET_CONFIG_INVALID",
    summary: "The kubelet refuses its configuration: $1", next: `Correct the value in /var/lib/kubelet/config.yaml (or the KubeletConfiguration given to kubestick); ${kubeletRestart}`, certainAfter: atOnce,
  },
  {
    id: "kubelet-flag", where: "kubelet-exit", pattern: /failed to parse kubelet flag: (.*)$/, code: "KUBELET_FLAG_INVALID",
    summary: "The kubelet does not know one of its flags: $1", next: `Take it out of kubeletExtraArgs, /var/lib/kubelet/kubeadm-flags.env or /etc/default/kubelet; ${kubeletRestart}`, certainAfter: atOnce,
  },
  {
    id: "kubelet-cri-down", where: "kubelet-exit", pattern: /validate CRI v1 \w+ API for endpoint "([^"]+)": rpc error: code = Unavailable/, code: "RUNTIME_UNREACHABLE",
    // containerd may still be starting; whether it is down for good is judged by its own unit.
    summary: "The kubelet cannot reach the container runtime on $1.", next: "systemctl status containerd; journalctl -u containerd -n 50", certainAfter: "never",
  },
  {
    id: "kubelet-cri-disabled", where: "kubelet-exit", pattern: /validate CRI v1 \w+ API for endpoint "([^"]+)": rpc error: code = Unimplemented/, code: "RUNTIME_CRI_DISABLED",
    summary: "The process on $1 does not offer CRI to the kubelet.", next: "Remove \"cri\" from disabled_plugins in /etc/containerd/config.toml, then: systemctl restart containerd", certainAfter: atOnce,
  },
  {
    id: "kubelet-kubeconfig", where: "kubelet-exit", pattern: /(?:invalid kubeconfig|unable to load bootstrap kubeconfig): stat (\S+): no such file/, code: "KUBELET_KUBECONFIG_ABSENT",
    summary: "The kubelet's kubeconfig $1 does not exist.", next: `kubestick init phase kubeconfig kubelet; ${kubeletRestart}`, certainAfter: atOnce,
  },
  {
    id: "kubelet-port", where: "kubelet-exit", pattern: /listen tcp \S*?:(\d+): bind: address already in use/, code: "PORT_TAKEN",
    summary: "The kubelet cannot listen on port $1.", next: "ss -ltnp 'sport = :$1' shows the process; stop it, then: systemctl restart kubelet", certainAfter: secondRun, check: "port",
  },
  {
    id: "kubelet-file", where: "kubelet-exit", pattern: /failed to run Kubelet: .*?open (\S+): no such file or directory/, code: "KUBELET_FILE_ABSENT",
    summary: "The kubelet needs the file $1, which does not exist.", next: `Restore $1 (kubestick init writes it again); ${kubeletRestart}`, certainAfter: { times: 2, seconds: 5 },
  },
  {
    id: "kubelet-container-manager", where: "kubelet-exit", pattern: /Failed to start ContainerManager" err="(.*?)"?$/, code: "KUBELET_CGROUPS_UNUSABLE",
    summary: "The kubelet cannot set up cgroups or kernel settings: $1", next: "mount | grep cgroup; in a container the host must pass writable cgroups and /proc/sys", certainAfter: { times: 3, seconds: 20 },
  },
  {
    id: "kubelet-clock", where: "kubelet-exit", pattern: /x509: certificate has expired or is not yet valid: current time (\S+) is (?:before|after) (\S+?)[,"]?(?:\s|$)/, code: "CLOCK_WRONG",
    summary: "A certificate is not valid at this machine's time $1: its limit is $2.", next: "Compare with a clock you trust; date -u -s '<YYYY-MM-DD HH:MM:SS>', or renew the certificates when the clock is right", certainAfter: { times: 2, seconds: 5 }, check: "clock",
  },

  // ---------------------------------------------------------------- kubelet running: manifests
  {
    id: "manifest-invalid", where: "kubelet-log", pattern: /^"Could not process manifest file" err="(.*)" path="([^"]+)"/, code: "MANIFEST_INVALID",
    // Read again every 20 s; a file that is just being replaced is whole the next time.
    summary: "The kubelet cannot use the manifest $2: $1", next: "Correct or remove $2; the kubelet reads it again by itself", certainAfter: { times: 2, seconds: 20 },
  },
  {
    id: "manifest-directory", where: "kubelet-log", pattern: /^"Unable to read config path" err="(.*)" path="([^"]+)"/, code: "MANIFEST_DIRECTORY_UNREADABLE",
    summary: "The kubelet cannot read the directory of static pods $2: $1", next: "ls -ld $2; grep staticPodPath /var/lib/kubelet/config.yaml", certainAfter: { times: 2, seconds: 20 },
  },

  // ---------------------------------------------------------------- kubelet running: images
  {
    id: "image-never-pull", where: "kubelet-log", pattern: /with ErrImageNeverPull: "Container image "([^"]+)" is not present/, code: "IMAGE_ABSENT",
    summary: "The runtime does not have the image $1, and {subject} may not pull it.", next: "Run the same command again: it imports the image; if the package lacks it: kubestick pack --image $1", certainAfter: atOnce, check: "image",
  },
  {
    id: "sandbox-image", where: "kubelet-log", pattern: /CreatePodSandboxError: .*?failed to get sandbox image "([^"]+)": .*?(no such host|network is unreachable|no route to host|connection refused|i\/o timeout|server misbehaving|not found)/, code: "IMAGE_ABSENT",
    summary: "The runtime needs the pause image $1, does not have it and cannot pull it ($2).", next: "The runtime is configured for another pause image than the package brings: compare sandbox in /etc/containerd/config.toml, then: systemctl restart containerd", certainAfter: noNetwork, check: "image",
  },
  {
    id: "image-no-network", where: "kubelet-log", pattern: /with (?:ErrImagePull|ImagePullBackOff): .*?image "([^"]+)".*?(no such host|network is unreachable|no route to host|connection refused|i\/o timeout|server misbehaving)/, code: "IMAGE_ABSENT",
    summary: "The runtime does not have the image $1 of {subject}, and there is no way to pull it ($2).", next: "Run the same command again: it imports the image; if the package lacks it: kubestick pack --image $1", certainAfter: noNetwork, check: "image",
  },
  {
    id: "image-pull", where: "kubelet-log", pattern: /with (?:ErrImagePull|ImagePullBackOff): .*?image "([^"]+)": (.*?)"* pod=/, code: "IMAGE_PULL_FAILED",
    // A registry that can be reached may answer better the next time.
    summary: "The image $1 of {subject} cannot be pulled: $2", next: "Give the image with the package: kubestick pack --image $1", certainAfter: "never", check: "image",
  },

  // ---------------------------------------------------------------- kubelet running: sandboxes
  {
    id: "sandbox-oom-score", where: "kubelet-log", pattern: /CreatePodSandboxError: .*?(failed to update \S*oom_score_adj: [Pp]ermission denied|write \S*oom_score_adj: permission denied)/, code: "OOM_SCORE_REFUSED",
    summary: "The runtime cannot start pods: it lacks the right to set the OOM score ($1).", next: "Set restrict_oom_score_adj = true in the CRI section of /etc/containerd/config.toml, then: systemctl restart containerd", certainAfter: { times: 2, seconds: 5 }, check: "sandbox",
  },
  {
    id: "sandbox-oom-score-silent", where: "kubelet-log", pattern: /CreatePodSandboxError: .*?(can't get final child's PID from pipe: EOF)/, code: "OOM_SCORE_REFUSED",
    // What is left of the same failure in runc: its first stage dies before it can say why.
    summary: "The runtime cannot start pods ($1), and this machine lacks CAP_SYS_RESOURCE, which setting the OOM score needs.", next: "Set restrict_oom_score_adj = true in the CRI section of /etc/containerd/config.toml, then: systemctl restart containerd", certainAfter: { times: 2, seconds: 5 }, check: "oom-score",
  },
  {
    id: "sandbox-cgroup-driver", where: "kubelet-log", pattern: /CreatePodSandboxError: .*?expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "([^"]+)"/, code: "CGROUP_DRIVER_MISMATCH",
    summary: "The runtime uses the systemd cgroup driver, the kubelet uses cgroupfs ($1).", next: `Set cgroupDriver: systemd in /var/lib/kubelet/config.yaml; ${kubeletRestart}`, certainAfter: { times: 2, seconds: 5 }, check: "sandbox",
  },
  {
    id: "sandbox-runc-absent", where: "kubelet-log", pattern: /CreatePodSandboxError: .*?(exec: "(?:runc|containerd-shim-runc-v2)": executable file not found in \$PATH|unable to find runtime "[^"]+"|runtime "io\.containerd\.runc\.v2" binary not installed|failed to find plugin "[^"]+" in path)/, code: "RUNTIME_PROGRAM_ABSENT",
    summary: "The runtime lacks a program it needs: $1", next: "Run the same command again: it installs runc, the shim and the CNI plugins; then: systemctl restart containerd", certainAfter: { times: 2, seconds: 5 }, check: "sandbox",
  },
  {
    id: "sandbox-network", where: "kubelet-log", pattern: /CreatePodSandboxError: .*?(failed to setup network for sandbox .*?|cni plugin not initialized|cni config uninitialized)"* pod=/, code: "POD_NETWORK_NOT_READY",
    // The CNI's own pods must run first; pods that need the network fail until then.
    summary: "Pods get no network yet: $1", next: "kubectl -n kube-flannel get pods -o wide; ls -l /etc/cni/net.d /run/flannel", certainAfter: "never", check: "sandbox",
  },
  {
    id: "sandbox-transient", where: "kubelet-log", pattern: /CreatePodSandboxError: .*?((?:name ".*?" is reserved|context deadline exceeded|DeadlineExceeded|connection refused|transport is closing).*?)"* pod=/, code: "SANDBOX_FAILED",
    // What a slow disk or a runtime that restarts brings; the kubelet's next try decides.
    summary: "The runtime could not start {subject}: $1", next: "journalctl -u containerd -n 50", certainAfter: "never", check: "sandbox",
  },
  {
    id: "sandbox-failed", where: "kubelet-log", pattern: /CreatePodSandboxError: "?(?:Failed to create sandbox for pod "[^"]*": )?(?:rpc error: code = \w+ desc = )?(.*?)"* pod=/, code: "SANDBOX_FAILED",
    summary: "The runtime cannot start {subject}: $1", next: "journalctl -u containerd -n 50", certainAfter: threeTries, check: "sandbox",
  },

  // ---------------------------------------------------------------- kubelet running: containers that do not start
  {
    id: "host-path", where: "kubelet-log", pattern: /MountVolume\.SetUp failed for volume "([^"]+)" .*?pod "([^"]+)" .*?hostPath type check failed: (.*?)$/, code: "HOST_PATH_WRONG",
    summary: "{subject} cannot start: $3", next: "Make the path, or take the volume out of the manifest in /etc/kubernetes/manifests", certainAfter: threeTries,
  },
  {
    id: "container-transient", where: "kubelet-log",
    pattern: /failed to "StartContainer" for "([^"]+)" with (?:RunContainerError|CreateContainerError|CreateContainerConfigError): "(.*?(?:services have not yet been read at least once|failed to sync \S+ cache|name ".*?" is reserved|context deadline exceeded|DeadlineExceeded|connection refused|transport is closing|ttrpc: closed).*?)"* pod=/, code: "CONTAINER_START_FAILED",
    // A kubelet that has not read everything from the API server yet, whose watches wait up to 30 s before they ask again, or a runtime that is slow or restarts.
    summary: "The container $1 of {subject} could not be started yet: $2", next: "journalctl -u kubelet -u containerd -n 50", certainAfter: "never",
  },
  {
    id: "container-start", where: "kubelet-log", pattern: /failed to "StartContainer" for "([^"]+)" with (?:RunContainerError|CreateContainerError|CreateContainerConfigError): "(.*?)"* pod=/, code: "CONTAINER_START_FAILED",
    summary: "The container $1 of {subject} cannot be started: $2", next: "Compare command, image and volumes in /etc/kubernetes/manifests; journalctl -u containerd -n 50", certainAfter: threeTries,
  },

  // ---------------------------------------------------------------- kubelet running: the node
  {
    id: "node-clock", where: "node-log", pattern: /x509: certificate has expired or is not yet valid: current time (\S+) is (?:before|after) (\S+?)[,"]?(?:\s|$)/, code: "CLOCK_WRONG",
    summary: "A certificate is not valid at this machine's time $1: its limit is $2.", next: "Compare with a clock you trust; date -u -s '<YYYY-MM-DD HH:MM:SS>', or renew the certificates when the clock is right", certainAfter: { times: 3, seconds: 10 }, check: "clock",
  },
  {
    id: "node-untrusted", where: "node-log", pattern: /x509: certificate signed by unknown authority/, code: "CERTIFICATE_UNTRUSTED",
    // The kubelet's kubeconfig and the API server's certificate come from the same CA; nothing changes either while waiting.
    summary: "The kubelet does not trust the API server: its certificate comes from another CA than the one in the kubelet's kubeconfig.", next: "Compare: openssl verify -CAfile /etc/kubernetes/pki/ca.crt /etc/kubernetes/pki/apiserver.crt; grep server: /etc/kubernetes/kubelet.conf", certainAfter: { times: 3, seconds: 20 },
  },
  {
    id: "node-forbidden", where: "node-log", pattern: /^"Unable to register node with API server, reason is forbidden" err="(.*?)" node=/, code: "NODE_FORBIDDEN",
    // The API server answers Forbidden to everybody until its RBAC bootstrap hook has run.
    summary: "The API server does not let this kubelet register: $1", next: "openssl x509 -noout -subject -in /var/lib/kubelet/pki/kubelet-client-current.pem must name system:node:<this node>", certainAfter: { times: 5, seconds: 60 },
  },
  {
    id: "node-register", where: "node-log", pattern: /^"Unable to register node with API server(?:, [^"]*)?" err="(.*?)" node=/, code: "NODE_NOT_REGISTERED",
    summary: "The kubelet cannot register the node yet: $1", next: "crictl ps -a --name kube-apiserver", certainAfter: "never",
  },

  // ---------------------------------------------------------------- containers that ended
  {
    id: "component-flag", where: "container-exit", pattern: /unknown (?:shorthand )?flag: (.*)$|flag provided but not defined: (.*)$/, tail: true, code: "COMPONENT_FLAG_UNKNOWN",
    summary: "{subject} does not know the flag $1$2.", next: "Take it out of extraArgs in the configuration, then run the same command again", certainAfter: secondRun,
  },
  {
    id: "component-port", where: "container-exit", pattern: /listen tcp \S*?:(\d+): bind: address already in use/, tail: true, code: "PORT_TAKEN",
    summary: "{subject} cannot listen on port $1.", next: "ss -ltnp 'sport = :$1' shows the process; stop it, then run the same command again", certainAfter: secondRun, check: "port",
  },
  {
    id: "component-address", where: "container-exit", pattern: /listen tcp (\S+): bind: cannot assign requested address/, tail: true, code: "ADDRESS_ABSENT",
    // An address that DHCP is about to bring back would heal it.
    summary: "{subject} cannot listen on $1: no interface of this machine has the address.", next: "ip -brief address; give the right one as localAPIEndpoint.advertiseAddress", certainAfter: { times: 2, seconds: 15 },
  },
  {
    id: "component-clock", where: "container-exit", pattern: /x509: certificate has expired or is not yet valid: current time (\S+) is (?:before|after) (\S+?)[,"]?(?:\s|$)/, tail: true, code: "CLOCK_WRONG",
    summary: "{subject}: a certificate is not valid at this machine's time $1: its limit is $2.", next: "Compare with a clock you trust; date -u -s '<YYYY-MM-DD HH:MM:SS>', or renew the certificates when the clock is right", certainAfter: { times: 2, seconds: 5 }, check: "clock",
  },
  {
    id: "component-untrusted", where: "container-exit",
    // Not the complaints of a server about its clients ("TLS handshake error from"): those do not end it.
    pattern: /^(?!.*TLS handshake error from).*(?:authentication handshake failed: .*?((?:x509|tls): [^"]*)|(x509: certificate signed by unknown authority))/, tail: true, code: "CERTIFICATE_UNTRUSTED",
    summary: "{subject} ended: a certificate comes from another CA than the one it must come from ($1$2).", next: "Compare issuer and CA: openssl x509 -noout -issuer -in /etc/kubernetes/pki/<name>.crt; remove the certificate that does not fit and run the same command again", certainAfter: { times: 3, seconds: 20 },
  },
  {
    id: "component-disk", where: "container-exit", pattern: /no space left on device|mvcc: database space exceeded/, tail: true, code: "DISK_FULL",
    summary: "{subject} ended because the disk is full.", next: "df -h /var/lib/etcd /var/lib/containerd /var/log; free some space", certainAfter: secondRun,
  },
  {
    id: "proxy-conntrack", where: "container-exit", pattern: /(nf_conntrack_\w+): (permission denied|read-only file system)/, tail: true, code: "CONNTRACK_READ_ONLY",
    summary: "kube-proxy ended: it may not set $1 ($2).", next: "Set conntrack.maxPerCore: 0 and conntrack.min: 0 in the KubeProxyConfiguration, then run the same command again", certainAfter: secondRun,
  },
  {
    id: "component-read-only", where: "container-exit", pattern: /(open|mkdir|write) (\S+): (read-only file system|permission denied)/, tail: true, code: "FILE_NOT_WRITABLE",
    summary: "{subject} ended: $1 $2: $3", next: "ls -ld $2; mount | grep ' / '", certainAfter: { times: 3, seconds: 10 },
  },
  {
    id: "component-file", where: "container-exit", pattern: /(?:open|stat) (\S+): no such file or directory/, code: "COMPONENT_FILE_ABSENT",
    summary: "{subject} ended: it needs the file $1, which does not exist.", next: "Run the same command again: it writes missing certificates and kubeconfigs", certainAfter: secondRun,
  },
  {
    id: "etcd-removed", where: "container-exit", pattern: /the member has been permanently removed from the cluster/, tail: true, code: "ETCD_MEMBER_REMOVED",
    summary: "etcd ended: the cluster has removed this member.", next: "kubestick reset on this node, then join it again", certainAfter: secondRun,
  },
  {
    id: "etcd-bootstrapped", where: "container-exit", pattern: /member \S+ has already been bootstrapped/, tail: true, code: "ETCD_DATA_FOREIGN",
    summary: "etcd ended: the cluster knows this member already, but its data directory is empty.", next: "kubestick reset on this node, then join it again", certainAfter: secondRun,
  },
  {
    id: "etcd-membership", where: "container-exit", pattern: /(couldn't find local name .*|member count is unequal.*|cluster ID mismatch.*|unmatched member while checking PeerURLs.*)/, tail: true, code: "ETCD_MEMBERSHIP_WRONG",
    summary: "etcd ended: $1", next: "The node's name or addresses changed since etcd's data was made: grep initial-cluster /etc/kubernetes/manifests/etcd.yaml", certainAfter: { times: 3, seconds: 10 },
  },
  {
    id: "etcd-corrupt", where: "container-exit", pattern: /(walpb: crc mismatch.*|crc mismatch.*|wal: .*corrupt.*|failed to (?:find|recover).*snapshot.*|snap: .*|panic: cannot use none as id|file is not a bbolt database|invalid database.*)/, tail: true, code: "ETCD_DATA_DAMAGED",
    summary: "etcd cannot read its data ($1): the disk or a power cut damaged it.", next: "Restore a snapshot: etcdutl snapshot restore; on a new machine without data: kubestick reset, then init", certainAfter: { times: 3, seconds: 10 },
  },
  {
    id: "dns-upstream", where: "container-exit", pattern: /plugin\/forward: (no nameservers found|not an IP address or file: .*)/, tail: true, code: "DNS_NO_UPSTREAM",
    summary: "CoreDNS ended: $1.", next: "Take the forward line out of the Corefile (kubectl -n kube-system edit configmap coredns), or put a nameserver into the kubelet's resolvConf file", certainAfter: secondRun,
  },
  {
    id: "dns-loop", where: "container-exit", pattern: /plugin\/loop: (Loop .*? detected for zone "[^"]*")/, tail: true, code: "DNS_LOOP",
    summary: "CoreDNS ended: $1.", next: "The kubelet's resolvConf names an address of this machine itself: set resolvConf in the KubeletConfiguration to a file with the real nameservers", certainAfter: secondRun,
  },
  {
    id: "dns-config", where: "container-exit", pattern: /(\S+:\d+) - Error during parsing: (.*)$/, tail: true, code: "DNS_CONFIG_INVALID",
    summary: "CoreDNS cannot read its Corefile ($1): $2", next: "kubectl -n kube-system edit configmap coredns", certainAfter: secondRun,
  },
  {
    id: "flannel-interface", where: "container-exit", pattern: /[Ff]ailed to find (?:any valid )?interface to use(?:: | that )(.*)$/, tail: true, code: "FLANNEL_NO_INTERFACE",
    summary: "flannel finds no network interface to use: $1", next: "Name it: --iface in the arguments of the kube-flannel container, e.g. kubectl -n kube-flannel edit daemonset kube-flannel-ds", certainAfter: threeTries,
  },
  {
    id: "component-waits", where: "container-exit",
    // One component cannot reach another: it ends, the kubelet starts it again, and it works once the other one does. Whether that
    // one is broken is found at that one.
    pattern: /connection refused|context deadline exceeded|i\/o timeout|TLS handshake timeout|leader ?election lost|no route to host|network is unreachable|connection reset|etcdserver: |request timed out|timed out waiting|not assigned|unexpected EOF|is forbidden|ServiceUnavailable|the server is currently unable/, code: "COMPONENT_WAITS",
    summary: "{subject} ended because something it needs does not answer yet.", next: "crictl ps -a shows which component is not running", certainAfter: "never",
  },
];

/** A container that keeps ending for a reason that no row knows: the fourth end comes after about half a minute of the kubelet's back-off. */
export const unknownExit: Threshold = { times: 4, seconds: 20 };
/** A unit that keeps ending for a reason that no row knows; systemd starts the kubelet again every 10 s, containerd every 5 s. */
export const unknownUnitExit: Threshold = { times: 4, seconds: 20 };
