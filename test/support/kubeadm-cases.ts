/** Configurations beyond the golden ones, each with a corner of v1beta4 in it: what kubeadm makes of them, and which of them it refuses. */

export interface KubeadmCase {
  /** Absent: what is typed is all there is. */
  readonly config?: string;
  /** Flags of `init`. */
  readonly flags?: readonly string[];
  /** Files on the machine below /etc by absolute path. */
  readonly files?: Readonly<Record<string, string>>;
  readonly uploadCerts?: true;
}

const version = "apiVersion: kubeadm.k8s.io/v1beta4";

/** Init- and ClusterConfiguration with what every run needs to be repeatable. Each argument is a block of fields. */
function documents(init: string, cluster: string, ...others: readonly string[]): string {
  const tokens = init.includes("bootstrapTokens:") ? "" : "bootstrapTokens: [{token: abcdef.0123456789abcdef}]\n";
  const node = init.includes("nodeRegistration:") ? "" : "nodeRegistration: {name: cp1}\n";
  const endpoint = init.includes("localAPIEndpoint:") ? "" : "localAPIEndpoint: {advertiseAddress: 192.0.2.10}\n";
  const kubernetes = cluster.includes("kubernetesVersion:") ? "" : "kubernetesVersion: v1.36.2\n";
  return [`${version}\nkind: InitConfiguration\n${tokens}${node}${endpoint}${init}`, `${version}\nkind: ClusterConfiguration\n${kubernetes}${cluster}`, ...others].join("\n---\n");
}

const kubelet = (fields: string): string => `apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n${fields}`;
const kubeProxy = (fields: string): string => `apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n${fields}`;
const patch = (name: string): string => `/etc/kubeadm/patches/${name}`;

export const acceptedCases: Readonly<Record<string, KubeadmCase>> = {
  "only an InitConfiguration, name and address from the machine": { config: `${version}\nkind: InitConfiguration\nbootstrapTokens: [{token: abcdef.0123456789abcdef}]\n---\n${version}\nkind: ClusterConfiguration\nkubernetesVersion: 1.36.2\n` },
  "dual stack": {
    config: documents("nodeRegistration:\n  name: cp1\n  kubeletExtraArgs: [{name: node-ip, value: \"192.0.2.10,2001:db8::10\"}]\n", "networking: {podSubnet: \"10.244.0.0/16,fd00:10:244::/56\", serviceSubnet: \"10.96.0.0/16,fd00:10:96::/112\"}\n"),
  },
  "dual stack, IPv6 first": { config: documents("localAPIEndpoint: {advertiseAddress: \"2001:db8::10\"}\n", "networking: {podSubnet: \"fd00:10:244::/56,10.244.0.0/16\", serviceSubnet: \"fd00:10:96::/112,10.96.0.0/16\"}\n") },
  "IPv6 alone": { config: documents("localAPIEndpoint: {advertiseAddress: \"2001:db8::10\"}\n", "networking: {podSubnet: \"fd00:10:244::/56\", serviceSubnet: \"fd00:10:96::/112\"}\ncontrolPlaneEndpoint: \"2001:db8::100\"\n") },
  "IPv6 endpoint with its own port": { config: documents("localAPIEndpoint: {advertiseAddress: \"2001:db8::10\", bindPort: 7443}\n", "networking: {serviceSubnet: \"fd00:10:96::/112\"}\ncontrolPlaneEndpoint: \"[2001:db8::100]:8443\"\n") },
  "ECDSA P256": { config: documents("", "encryptionAlgorithm: ECDSA-P256\n") },
  "ECDSA P384, short lives": { config: documents("", "encryptionAlgorithm: ECDSA-P384\ncertificateValidityPeriod: 48h\ncaCertificateValidityPeriod: 72h30m\n") },
  "RSA 3072, leaves that outlive the authority": { config: documents("", "encryptionAlgorithm: RSA-3072\ncertificateValidityPeriod: 20000h\ncaCertificateValidityPeriod: 10000h\n") },
  "PublicKeysECDSA wins over the algorithm": { config: documents("", "featureGates: {PublicKeysECDSA: true}\nencryptionAlgorithm: RSA-2048\n") },
  "PublicKeysECDSA off": { config: documents("", "featureGates: {PublicKeysECDSA: false, NodeLocalCRISocket: true}\nencryptionAlgorithm: ECDSA-P384\n") },
  "arguments: repeated, overriding, empty, of every component": {
    config: documents(
      "nodeRegistration:\n  name: cp1\n  kubeletExtraArgs:\n  - {name: v, value: \"4\"}\n  - {name: node-labels, value: \"a=b,c=d\"}\n  - {name: v, value: \"5\"}\n  - {name: node-ip, value: 192.0.2.10}\n",
      `apiServer:
  extraArgs:
  - {name: authorization-mode, value: "Node,RBAC,Webhook"}
  - {name: audit-log-path, value: ""}
  - {name: service-account-issuer, value: "https://one.example"}
  - {name: service-account-issuer, value: "https://two.example"}
  - {name: secure-port, value: "7443"}
  - {name: advertise-address, value: 192.0.2.99}
  - {name: a-first, value: "with space and \\"quotes\\""}
controllerManager:
  extraArgs:
  - {name: bind-address, value: 0.0.0.0}
  - {name: cluster-signing-duration, value: 720h}
  - {name: bind-address, value: "192.0.2.10"}
  - {name: node-cidr-mask-size-ipv4, value: "26"}
scheduler:
  extraArgs: [{name: bind-address, value: "::"}, {name: v, value: "2"}]
etcd:
  local:
    extraArgs:
    - {name: listen-metrics-urls, value: "https://192.0.2.10:2381,http://127.0.0.1:2381"}
    - {name: advertise-client-urls, value: "https://192.0.2.77:2379"}
    - {name: quota-backend-bytes, value: "8589934592"}
networking: {podSubnet: 10.128.0.0/14}
`),
  },
  "authorization-config takes the place of authorization-mode": { config: documents("", "apiServer:\n  extraArgs: [{name: authorization-config, value: /etc/authz.yaml}]\n  extraVolumes: [{name: authz, hostPath: /etc/authz.yaml, mountPath: /etc/authz.yaml, readOnly: true, pathType: File}]\n") },
  "volumes and environment of every component": {
    config: documents("", `apiServer:
  extraVolumes:
  - {name: zeta, hostPath: /z, mountPath: /zz}
  - {name: ca-certs, hostPath: /opt/certs, mountPath: /etc/ssl/certs, pathType: Directory}
  - {name: alpha, hostPath: /a, mountPath: /aa, readOnly: true, pathType: DirectoryOrCreate}
  - {name: alpha, hostPath: /a2, mountPath: /aa2}
  extraEnvs:
  - {name: ZED, value: "1"}
  - {name: ALPHA, value: ""}
  - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
controllerManager:
  extraVolumes: [{name: flexvolume-dir, hostPath: /usr/libexec, mountPath: /usr/libexec, pathType: ""}]
  extraEnvs: [{name: GOGC, value: "50"}]
scheduler:
  extraVolumes: [{name: kubeconfig, hostPath: /etc/other.conf, mountPath: /etc/kubernetes/scheduler.conf, pathType: File}]
  extraEnvs: [{name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: "1"}}}]
etcd:
  local:
    extraEnvs: [{name: ETCD_LOG_LEVEL, value: debug}, {name: A, value: b}]
`),
  },
  "addons disabled": { config: documents("", "dns: {disabled: true}\nproxy: {disabled: true}\n") },
  "addons skipped": { config: documents("skipPhases: [addon/kube-proxy, show-join-command, mark-control-plane]\n", "") },
  "images from elsewhere": { config: documents("", "imageRepository: registry.example:5000/mirror/k8s\ndns: {imageTag: v1.13.0}\netcd: {local: {imageRepository: quay.example/coreos, imageTag: v3.6.9}}\n") },
  "CoreDNS from another repository": { config: documents("", "dns: {imageRepository: dns.example/team, imageTag: v1.14.2}\n") },
  "an earlier minor": { config: documents("", "kubernetesVersion: v1.35.1\n") },
  "a version with build metadata": { config: documents("", "kubernetesVersion: v1.36.2+build.7\n") },
  "no taints": { config: documents("nodeRegistration: {name: cp1, taints: []}\n", "") },
  "taints null": { config: documents("nodeRegistration: {name: cp1, taints: null}\n", "") },
  "own taints": { config: documents("nodeRegistration: {name: cp1, taints: [{key: dedicated, value: infra, effect: NoExecute}, {key: x, effect: PreferNoSchedule}]}\n", "") },
  "several tokens": {
    config: documents("bootstrapTokens:\n- {token: abcdef.0123456789abcdef, description: for the first rack, ttl: 0s}\n- {token: bbcdef.0123456789abcdef, ttl: 48h, usages: [authentication], groups: [\"system:bootstrappers:rack-2\", \"system:bootstrappers:kubeadm:default-node-token\"]}\n- {token: cbcdef.0123456789abcdef, usages: [], groups: []}\n", ""),
  },
  "endpoint is a name without port": { config: documents("localAPIEndpoint: {advertiseAddress: 192.0.2.10, bindPort: 7443}\n", "controlPlaneEndpoint: api.example.internal\n") },
  "endpoint is an address with a port": { config: documents("", "controlPlaneEndpoint: 192.0.2.200:16443\n"), uploadCerts: true },
  "names in certificates": {
    config: documents("nodeRegistration: {name: node-1.example.internal}\n", "apiServer: {certSANs: [API.Example.Internal, \"*.example.internal\", 198.51.100.7, \"2001:DB8::7\", api.example.internal, localhost, 127.0.0.1]}\netcd: {local: {serverCertSANs: [etcd.example.internal, 198.51.100.8], peerCertSANs: [peer.example.internal, \"::5\"]}}\n"),
  },
  "folders elsewhere": { config: documents("", "certificatesDir: /etc/k8s/certs\nclusterName: my.cluster_1\netcd: {local: {dataDir: /srv/etcd}}\n") },
  "networks and a domain of one's own": { config: documents("", "networking: {podSubnet: 172.20.0.0/16, serviceSubnet: 172.21.128.0/20, dnsDomain: corp.example}\n") },
  "a service network whose text is no network address": { config: documents("", "networking: {serviceSubnet: 10.96.5.7/12}\n") },
  "no node networks from the controller manager": { config: documents("", "networking: {podSubnet: 10.1.0.0/26}\ncontrollerManager: {extraArgs: [{name: allocate-node-cidrs, value: \"false\"}]}\n") },
  "external etcd without TLS": { config: documents("", "etcd: {external: {endpoints: [\"http://192.0.2.51:2379\", \"http://192.0.2.52:2379\"]}}\n") },
  "external etcd with authority alone": { config: documents("", "etcd: {external: {endpoints: [\"https://192.0.2.51:2379\"], httpEndpoints: [\"http://192.0.2.51:2381\"], caFile: /etc/etcd/pki/ca.crt}}\n") },
  "external etcd with files below the folder of the certificates": { config: documents("", "etcd: {external: {endpoints: [\"https://192.0.2.51:2379\"], caFile: /etc/kubernetes/pki/etcd/ca.crt, certFile: /etc/kubernetes/pki/c.crt, keyFile: /opt/etcd/deep/c.key}}\n"), uploadCerts: true },
  "time-outs": { config: documents("timeouts: {controlPlaneComponentHealthCheck: 61s, kubeletHealthCheck: 10s, kubernetesAPICall: 2m, etcdAPICall: 3m, tlsBootstrap: 1m, discovery: 1m, upgradeManifests: 1m}\n", "") },
  "time-outs: a short one": { config: documents("timeouts: {controlPlaneComponentHealthCheck: 500ms}\n", "") },
  "time-outs of nothing": { config: documents("timeouts: {controlPlaneComponentHealthCheck: 0s}\n", "") },
  "pull policy and socket": { config: documents("nodeRegistration: {name: cp1, criSocket: \"unix:///var/run/crio/crio.sock\", imagePullPolicy: Always, imagePullSerial: false}\n", "") },
  "a socket without scheme": { config: documents("nodeRegistration: {name: cp1, criSocket: /run/other.sock}\n", "") },
  "empty texts mean defaults": {
    config: documents("localAPIEndpoint: {advertiseAddress: \"\", bindPort: 0}\ncertificateKey: \"\"\npatches: {directory: \"\"}\nnodeRegistration: {name: \"\", criSocket: \"\", imagePullPolicy: \"\"}\n", "clusterName: \"\"\ncertificatesDir: \"\"\nimageRepository: \"\"\nencryptionAlgorithm: \"\"\ncontrolPlaneEndpoint: \"\"\nnetworking: {dnsDomain: \"\", serviceSubnet: \"\", podSubnet: \"\"}\netcd: {local: {dataDir: \"\", imageTag: \"\"}}\n"),
  },
  "null everywhere": { config: documents("patches: null\ntimeouts: null\nskipPhases: null\n", "apiServer: null\ncontrollerManager: null\nscheduler: null\ndns: null\nproxy: null\netcd: null\nnetworking: null\nfeatureGates: null\n") },
  "kubelet: many fields": {
    config: documents("", "", kubelet(`clusterDNS: [10.96.0.99, 169.254.20.10]
clusterDomain: other.example
cgroupDriver: cgroupfs
maxPods: 250
serverTLSBootstrap: true
rotateCertificates: false
readOnlyPort: 10255
staticPodPath: /etc/static
healthzPort: 10249
healthzBindAddress: 0.0.0.0
authentication: {anonymous: {enabled: true}, webhook: {enabled: false, cacheTTL: 1m}, x509: {clientCAFile: /etc/other-ca.crt}}
authorization: {mode: AlwaysAllow}
evictionHard: {memory.available: 200Mi, nodefs.available: 10%}
systemReserved: {cpu: 100m, memory: 1Gi}
featureGates: {MemoryQoS: true}
containerLogMaxSize: 50Mi
syncFrequency: 30s
registerWithTaints: [{key: a, effect: NoSchedule}]
resolvConf: /etc/my-resolv.conf
shutdownGracePeriod: 30s
containerRuntimeEndpoint: "unix:///run/elsewhere.sock"
imageGCHighThresholdPercent: 0
failSwapOn: false
memorySwap: {swapBehavior: LimitedSwap}
logging: {format: json, verbosity: 3, options: {json: {infoBufferSize: "0"}}}
tlsCipherSuites: [TLS_AES_128_GCM_SHA256]
`)),
  },
  "kubelet: health checks switched off": { config: documents("", "", kubelet("healthzPort: 0\n")) },
  "kube-proxy: ipvs": { config: documents("", "networking: {podSubnet: 10.244.0.0/16}\n", kubeProxy("mode: ipvs\nipvs: {strictARP: true, scheduler: lc, excludeCIDRs: [10.0.0.0/8], syncPeriod: 30s}\nclusterCIDR: 10.200.0.0/16\n")) },
  "kube-proxy: nftables and more": {
    config: documents("", "", kubeProxy("mode: nftables\nnftables: {masqueradeAll: true, minSyncPeriod: 1s}\nbindAddress: 192.0.2.10\nmetricsBindAddress: 0.0.0.0:10249\nnodePortAddresses: [primary]\nconntrack: {maxPerCore: 0, min: 0}\nfeatureGates: {KubeProxyDrainingTerminatingNodes: true}\nclientConnection: {kubeconfig: /etc/own.conf, qps: 10.5}\ndetectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: veth}\n")),
  },
  "patches of every target, type and spelling": {
    config: documents("patches: {directory: /etc/kubeadm/patches}\n", ""),
    files: {
      [patch("etcd.json")]: '{"spec":{"containers":[{"name":"etcd","resources":{"limits":{"memory":"1Gi"}}}]}}',
      [patch("kube-apiserver10+json.yaml")]: "- {op: add, path: /metadata/annotations/second, value: \"2\"}\n- {op: replace, path: /spec/priority, value: 7}\n",
      [patch("kube-apiserver2+merge.yaml")]: "metadata: {annotations: {third: x, kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint: null}}\n---\nmetadata: {labels: {more: \"yes\"}}\n",
      [patch("kube-controller-managerx.yaml")]: "spec:\n  volumes: [{name: extra, emptyDir: {}}]\n  containers:\n  - name: kube-controller-manager\n    volumeMounts: [{name: extra, mountPath: /extra}]\n    env: [{name: A, value: b}]\n    resources: {requests: {cpu: 333m}}\n",
      [patch("deeper/kube-scheduler+strategic.yaml")]: "spec: {tolerations: [{key: x, operator: Exists}], $setElementOrder/containers: [{name: kube-scheduler}]}\n",
      [patch("kubeletconfiguration+merge.yaml")]: "maxPods: 42\nevictionHard: {memory.available: 1Gi}\nclusterDNS: [1.2.3.4]\n",
      [patch("kubeletconfiguration1+json.json")]: '[{"op":"add","path":"/podsPerCore","value":5},{"op":"test","path":"/maxPods","value":42}]',
      [patch("corednsdeployment.yaml")]: "spec: {replicas: 3, template: {spec: {containers: [{name: coredns, resources: {limits: {memory: 300Mi}}}], tolerations: null}}}\n",
      [patch("README.md")]: "not a patch\n",
      [patch("somebody.yaml")]: "else: true\n",
      [patch("etcd1.yaml")]: "",
    },
  },
  "flags alone": {
    flags: ["--token=abcdef.0123456789abcdef", "--token-ttl=0", "--kubernetes-version=1.36.2", "--node-name=cp1", "--apiserver-advertise-address=192.0.2.10", "--apiserver-bind-port=7443", "--apiserver-cert-extra-sans=API.example,198.51.100.9",
      "--control-plane-endpoint=lb.example", "--cri-socket=unix:///run/x.sock", "--image-repository=registry.example/k8s", "--pod-network-cidr=10.20.0.0/16", "--service-cidr=10.30.0.0/20", "--service-dns-domain=flags.example", "--skip-token-print", "--feature-gates=PublicKeysECDSA=true"],
  },
  "flags: another folder of certificates, phases left out": { flags: ["--token=abcdef.0123456789abcdef", "--kubernetes-version=v1.36.2", "--node-name=cp1", "--cert-dir=/etc/own/pki", "--skip-phases=addon/coredns,mark-control-plane"] },
  "a name beside the file": { config: documents("nodeRegistration: {name: other}\n", ""), flags: ["--node-name=cp1"] },
  "phases left out beside the file win over those in it": { config: documents("skipPhases: [addon/kube-proxy]\n", ""), flags: ["--skip-phases=addon/coredns"] },
  "v1beta3": {
    config: "apiVersion: kubeadm.k8s.io/v1beta3\nkind: InitConfiguration\nbootstrapTokens: [{token: abcdef.0123456789abcdef}]\nnodeRegistration: {name: cp1, kubeletExtraArgs: {v: \"3\", node-ip: 192.0.2.10}}\nlocalAPIEndpoint: {advertiseAddress: 192.0.2.10}\n---\napiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\nkubernetesVersion: v1.36.2\napiServer: {timeoutForControlPlane: 2m, extraArgs: {z: \"1\", a: \"2\"}}\netcd: {local: {extraArgs: {b: c}}}\n",
  },
  "JSON": { config: JSON.stringify({ apiVersion: "kubeadm.k8s.io/v1beta4", kind: "InitConfiguration", bootstrapTokens: [{ token: "abcdef.0123456789abcdef" }], nodeRegistration: { name: "cp1" }, localAPIEndpoint: { advertiseAddress: "192.0.2.10" } }) + "\n---\n" + JSON.stringify({ apiVersion: "kubeadm.k8s.io/v1beta4", kind: "ClusterConfiguration", kubernetesVersion: "v1.36.2", clusterName: "j" }) },
  "other kinds in the same file": { config: documents("", "", `${version}\nkind: JoinConfiguration\ndiscovery: {bootstrapToken: {token: abcdef.0123456789abcdef, apiServerEndpoint: \"a:1\", unsafeSkipCAVerification: true}}\n`, `${version}\nkind: ResetConfiguration\nforce: true\n`) },
};

/** kubeadm refuses every one of these before it does anything. */
export const refusedCases: Readonly<Record<string, string>> = {
  "advertise address is no address": documents("localAPIEndpoint: {advertiseAddress: 1.2.3}\n", ""),
  "advertise address is multicast": documents("localAPIEndpoint: {advertiseAddress: 224.0.0.1}\n", ""),
  "bind port too high": documents("localAPIEndpoint: {advertiseAddress: 192.0.2.10, bindPort: 65536}\n", ""),
  "bind port negative": documents("localAPIEndpoint: {advertiseAddress: 192.0.2.10, bindPort: -1}\n", ""),
  "node name with capitals and underscore": documents("nodeRegistration: {name: Node_1}\n", ""),
  "node name too long": documents(`nodeRegistration: {name: ${"a".repeat(254)}}\n`, ""),
  "kubelet argument without a name": documents("nodeRegistration: {name: cp1, kubeletExtraArgs: [{value: x}]}\n", ""),
  "pull policy": documents("nodeRegistration: {name: cp1, imagePullPolicy: Sometimes}\n", ""),
  "ignored errors: all and another": documents("nodeRegistration: {name: cp1, ignorePreflightErrors: [all, Swap]}\n", ""),
  "token form": documents("bootstrapTokens: [{token: ABCDEF.0123456789abcdef}]\n", ""),
  "token usage": documents("bootstrapTokens: [{token: abcdef.0123456789abcdef, usages: [authentication, other]}]\n", ""),
  "token group": documents("bootstrapTokens: [{token: abcdef.0123456789abcdef, groups: [\"system:masters\"]}]\n", ""),
  "token groups without authentication": documents("bootstrapTokens: [{token: abcdef.0123456789abcdef, usages: [signing]}]\n", ""),
  "token expires": documents("bootstrapTokens: [{token: abcdef.0123456789abcdef, expires: \"2030-01-01T00:00:00Z\"}]\n", ""),
  "certificate key too short": documents("certificateKey: abcd\n", ""),
  "certificate key is not hexadecimal": documents(`certificateKey: ${"x".repeat(64)}\n`, ""),
  "DNS domain": documents("", "networking: {dnsDomain: \"Corp Example\"}\n"),
  "DNS domain with a leading dash": documents("", "networking: {dnsDomain: -corp.example}\n"),
  "service network is no network": documents("", "networking: {serviceSubnet: 10.96.0.0}\n"),
  "service network too small": documents("", "networking: {serviceSubnet: 10.96.0.0/29}\n"),
  "service network too large": documents("", "networking: {serviceSubnet: 10.0.0.0/11}\n"),
  "IPv6 service network too large": documents("", "networking: {serviceSubnet: \"fd00::/107\"}\n"),
  "service networks of one family": documents("", "networking: {serviceSubnet: \"10.96.0.0/16,10.97.0.0/16\"}\n"),
  "three service networks": documents("", "networking: {serviceSubnet: \"10.96.0.0/16,fd00::/112,10.97.0.0/16\"}\n"),
  "service networks with a blank": documents("", "networking: {serviceSubnet: \"10.96.0.0/16, fd00::/112\"}\n"),
  "pod network too small": documents("", "networking: {podSubnet: 10.96.0.0/29}\n"),
  "pod network smaller than a node's": documents("", "networking: {podSubnet: 10.96.0.0/25}\n"),
  "pod network far larger than a node's": documents("", "networking: {podSubnet: \"fd00::/40\"}\n"),
  "node mask is no number": documents("", "networking: {podSubnet: 10.96.0.0/16}\ncontrollerManager: {extraArgs: [{name: node-cidr-mask-size-ipv4, value: big}]}\n"),
  "argument without a name": documents("", "apiServer: {extraArgs: [{name: \"\", value: x}]}\n"),
  "etcd argument without a name": documents("", "etcd: {local: {extraArgs: [{value: x}]}}\n"),
  "SAN is neither name nor address": documents("", "apiServer: {certSANs: [\"not a name\"]}\n"),
  "SAN with a star within": documents("", "apiServer: {certSANs: [\"a.*.example\"]}\n"),
  "etcd SAN with capitals": documents("", "etcd: {local: {serverCertSANs: [Etcd.example]}}\n"),
  "endpoint with a path": documents("", "controlPlaneEndpoint: \"https://api.example:6443\"\n"),
  "endpoint with a bad port": documents("", "controlPlaneEndpoint: \"api.example:70000\"\n"),
  "endpoint with an underscore": documents("", "controlPlaneEndpoint: my_api.example\n"),
  "endpoint in brackets without a port": documents("", "controlPlaneEndpoint: \"[2001:db8::100]\"\n"),
  "endpoint with capitals": documents("", "controlPlaneEndpoint: API.example\n"),
  "endpoint is IPv6 with a port but without brackets": documents("", "controlPlaneEndpoint: \"2001:db8::1:6443:x\"\n"),
  "certificates in a relative folder": documents("", "certificatesDir: pki\n"),
  "image repository": documents("", "imageRepository: \"registry.example/UPPER case\"\n"),
  "image repository with a scheme": documents("", "imageRepository: \"https://registry.example\"\n"),
  "CoreDNS repository": documents("", "dns: {imageRepository: \"a b\"}\n"),
  "etcd repository": documents("", "etcd: {local: {imageRepository: \"a b\"}}\n"),
  "feature gate": documents("", "featureGates: {EtcdLearnerMode: true}\n"),
  "etcd local and external": documents("", "etcd: {local: {dataDir: /a}, external: {endpoints: [\"http://a:1\"]}}\n"),
  "etcd data in a relative folder": documents("", "etcd: {local: {dataDir: data}}\n"),
  "external etcd without endpoints": documents("", "etcd: {external: {endpoints: []}}\n"),
  "external etcd without scheme": documents("", "etcd: {external: {endpoints: [\"//192.0.2.51:2379\"]}}\n"),
  "external etcd over http with certificates": documents("", "etcd: {external: {endpoints: [\"http://192.0.2.51:2379\"], caFile: /a}}\n"),
  "external etcd with a certificate and no key": documents("", "etcd: {external: {endpoints: [\"https://192.0.2.51:2379\"], caFile: /a, certFile: /b}}\n"),
  "external etcd with a pair and no authority": documents("", "etcd: {external: {endpoints: [\"https://192.0.2.51:2379\"], certFile: /b, keyFile: /c}}\n"),
  "external etcd with a relative file": documents("", "etcd: {external: {endpoints: [\"https://192.0.2.51:2379\"], caFile: a}}\n"),
  "external etcd, version endpoint without scheme": documents("", "etcd: {external: {endpoints: [\"http://192.0.2.51:2379\"], httpEndpoints: [\"//x\"]}}\n"),
  "algorithm": documents("", "encryptionAlgorithm: RSA-1024\n"),
  "version too old": documents("", "kubernetesVersion: v1.33.0\n"),
  "version is none": documents("", "kubernetesVersion: banana\n"),
  "duration": documents("timeouts: {kubeletHealthCheck: soon}\n", ""),
  "a number where a text belongs": documents("", "clusterName: 7\n"),
  "a text where a list belongs": documents("skipPhases: addon\n", ""),
  "a map of arguments": documents("", "apiServer: {extraArgs: {a: b}}\n"),
  "the same kind twice": `${documents("", "")}\n---\n${version}\nkind: ClusterConfiguration\n`,
  "unknown kind": `${version}\nkind: InitialConfiguration\n`,
  "v1beta2": "apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\n",
  "no kind": `${version}\n`,
  "kubelet field of another type": documents("", "", kubelet("maxPods: many\n")),
  "kube-proxy field of another type": documents("", "", kubeProxy("mode: [ipvs]\n")),
  "phase to skip does not exist": documents("skipPhases: [addon/nothing]\n", ""),
  "join command without a token phase": documents("skipPhases: [bootstrap-token]\n", ""),
  "patches are not there": documents("patches: {directory: /etc/absent}\n", ""),
};
