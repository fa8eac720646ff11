/** The flags of the commands, as data. Names and meanings are kubeadm's where it has the flag (kubeadm cmd/kubeadm/app/cmd/options). */
import type { FlagSpec, FlagTable } from "./flags.ts";

/** On every command. */
export const globalFlags = {
  help: { type: "bool", short: "h", withConfig: true, description: "Show what the command does, its flags and examples" },
  "no-color": { type: "bool", withConfig: true, description: "No colour and no animation, as with the variable NO_COLOR" },
  v: { type: "int", short: "v", withConfig: true, placeholder: "LEVEL", default: "0", description: "How much to tell: 2 lists every action on a terminal, 5 adds stack traces to errors" },
} as const satisfies FlagTable;

export const longOutput = {
  type: "string", withConfig: true, placeholder: "FORMAT", default: "text", choices: ["text", "json", "jsonl"],
  description: "Form of the result on standard output: text, json (one document) or jsonl (one line for each event)",
} as const satisfies FlagSpec;
export const output = { ...longOutput, short: "o" } as const satisfies FlagSpec;

export const packageFile = {
  type: "string", withConfig: true, placeholder: "FILE", completes: "file", default: "the running executable",
  description: "Kubestick file whose package is used",
} as const satisfies FlagSpec;

export const part = {
  type: "array", withConfig: true, placeholder: "FILE|DIR", completes: "file", default: "the folder of the first part",
  description: "Where more parts of a package in several files are, repeatable",
} as const satisfies FlagSpec;

export const packageFrom = {
  type: "string", placeholder: "HOST[:PORT]", description: "Read the package from a node on which \"kubestick package serve\" runs, instead of from a file; nothing of it is stored here",
} as const satisfies FlagSpec;
export const trustKey = {
  type: "array", withConfig: true, placeholder: "FILE|sha256:HEX", completes: "file",
  description: "Public key (PEM), or fingerprint of one, that must have signed the package; repeatable, one of them is enough",
} as const satisfies FlagSpec;
export const signaturePolicy = {
  type: "string", withConfig: true, placeholder: "POLICY", default: "auto", choices: ["auto", "require"],
  description: "require: refuse a package even when nothing says whose signature it must have; auto: ask for a signature only where a key is trusted",
} as const satisfies FlagSpec;
export const criSocket = { type: "string", placeholder: "SOCKET", default: "found on the machine, else containerd's", description: "Socket of the container runtime" } as const satisfies FlagSpec;
export const dryRun = { type: "bool", withConfig: true, description: "Show everything that would be done and change nothing" } as const satisfies FlagSpec;
export const ignorePreflightErrors = {
  type: "strings", withConfig: true, placeholder: "CHECKS",
  description: "Checks whose errors become warnings, for example Swap,Mem; \"all\" stands for every check",
} as const satisfies FlagSpec;
export const skipPhases = { type: "strings", withConfig: true, placeholder: "PHASES", description: "Phases to leave out, for example addon/kube-proxy" } as const satisfies FlagSpec;
export const config = { type: "string", withConfig: true, placeholder: "FILE", completes: "file", description: "Configuration file (kubeadm.k8s.io/v1beta4 documents, kubestick.io/v1alpha1)" } as const satisfies FlagSpec;
export const imageRepository = { type: "string", placeholder: "REGISTRY", default: "registry.k8s.io", description: "Repository of the control plane images" } as const satisfies FlagSpec;
export const kubernetesVersion = { type: "string", placeholder: "VERSION", default: "that of the package", description: "Kubernetes version, for example v1.36.2" } as const satisfies FlagSpec;
export const featureGates = { type: "string", placeholder: "KEY=BOOL,...", description: "Feature gates of kubeadm" } as const satisfies FlagSpec;
export const cni = { type: "string", withConfig: true, placeholder: "NAME", default: "that of the package, else flannel", choices: ["flannel", "bridge", "none"], description: "Pod network" } as const satisfies FlagSpec;

export const wait = { type: "string", withConfig: true, placeholder: "WHAT", default: "system", choices: ["system", "node", "none"], description: "What to wait for at the end: node and network, DNS and proxy on it, the node alone, or nothing" } as const satisfies FlagSpec;

/** kubeadm's flags of `init` under their own names, then ours. */
export const initFlags = {
  "apiserver-advertise-address": { type: "string", placeholder: "IP", default: "address of the default route, else the only global one", description: "Address under which this node's API server is reached" },
  "apiserver-bind-port": { type: "int", placeholder: "PORT", default: "6443", description: "Port of the API server" },
  "apiserver-cert-extra-sans": { type: "strings", placeholder: "NAMES", description: "More DNS names and addresses for the API server's certificate" },
  "cert-dir": { type: "string", placeholder: "DIR", default: "/etc/kubernetes/pki", completes: "directory", description: "Where certificates are kept" },
  "certificate-key": { type: "string", placeholder: "KEY", description: "Key that encrypts the certificates for further control plane nodes (with --upload-certs)" },
  config,
  "control-plane-endpoint": { type: "string", placeholder: "HOST[:PORT]", description: "Stable name or address of the whole control plane" },
  "cri-socket": criSocket,
  "dry-run": dryRun,
  "feature-gates": featureGates,
  "ignore-preflight-errors": ignorePreflightErrors,
  "image-repository": imageRepository,
  "kubernetes-version": kubernetesVersion,
  "node-name": { type: "string", withConfig: true, placeholder: "NAME", default: "the host name", description: "Name of this node" },
  patches: { type: "string", placeholder: "DIR", completes: "directory", description: "Folder of patches for static pods and other generated content, as kubeadm reads it" },
  "pod-network-cidr": { type: "string", placeholder: "CIDR", description: "Address range of pods" },
  "service-cidr": { type: "string", placeholder: "CIDR", default: "10.96.0.0/12", description: "Address range of Services" },
  "service-dns-domain": { type: "string", placeholder: "DOMAIN", default: "cluster.local", description: "DNS domain of Services" },
  "skip-certificate-key-print": { type: "bool", withConfig: true, description: "Withhold the certificate key in the join command" },
  "skip-phases": skipPhases,
  "skip-token-print": { type: "bool", withConfig: true, description: "Withhold the token in the join command" },
  token: { type: "string", placeholder: "TOKEN", default: "generated", description: "Bootstrap token, as [a-z0-9]{6}.[a-z0-9]{16}" },
  "token-ttl": { type: "duration", placeholder: "DURATION", default: "24h0m0s", description: "Time until the token expires; 0 = never" },
  "upload-certs": { type: "bool", withConfig: true, description: "Store the control plane's certificates, encrypted, in the cluster" },
  cni,
  wait,
  ha: { type: "bool", withConfig: true, description: "Let every node reach the control planes through a haproxy of its own, so that the loss of any one of them is survived; no load balancer is needed" },
  fix: { type: "bool", withConfig: true, description: "Cure what can be cured safely: swap off for now and later, settings and modules that other files take away, missing directories; reset undoes it" },
  out: { type: "string", withConfig: true, placeholder: "DIR", completes: "directory", description: "With --dry-run: write the files, API requests and the plan to this folder" },
  package: packageFile,
  part,
  "trust-key": trustKey,
  "signature-policy": signaturePolicy,
  output,
} as const satisfies FlagTable;

/** kubeadm's flags of `join` under their own names, then ours. */
export const joinFlags = {
  "apiserver-advertise-address": { type: "string", placeholder: "IP", default: "address of the default route, else the one in the cluster's network", description: "With --control-plane: address under which this node's API server is reached" },
  "apiserver-bind-port": { type: "int", placeholder: "PORT", default: "6443", description: "With --control-plane: port of the API server" },
  "certificate-key": { type: "string", placeholder: "KEY", description: "With --control-plane: key that decrypts the uploaded certificates" },
  config,
  "control-plane": { type: "bool", description: "Make this node a control plane" },
  "cri-socket": criSocket,
  "discovery-file": { type: "string", placeholder: "FILE|URL", completes: "file", description: "Kubeconfig, or https URL of one, by which the cluster is found" },
  "discovery-token": { type: "string", placeholder: "TOKEN", description: "Token that vouches for cluster-info" },
  "discovery-token-ca-cert-hash": { type: "strings", placeholder: "sha256:HEX", description: "Hash of the cluster's CA key, one of several is enough" },
  "discovery-token-unsafe-skip-ca-verification": { type: "bool", description: "Join without a CA hash: whoever knows the token can pose as the cluster" },
  "dry-run": dryRun,
  "ignore-preflight-errors": ignorePreflightErrors,
  "node-name": { type: "string", withConfig: true, placeholder: "NAME", default: "the host name", description: "Name of this node" },
  patches: { type: "string", placeholder: "DIR", completes: "directory", description: "Folder of patches for static pods and the kubelet's configuration, as kubeadm reads it" },
  "skip-phases": { ...skipPhases, description: "Phases to leave out, for example wait-node" },
  "tls-bootstrap-token": { type: "string", placeholder: "TOKEN", description: "Token with which the kubelet asks for its certificate" },
  token: { type: "string", placeholder: "TOKEN", description: "Stands for --discovery-token and --tls-bootstrap-token where they are not given" },
  cni: { ...cni, default: "that of the package, else flannel", description: "Pod network of the cluster, whose images must be here" },
  wait: { ...wait, description: "What to wait for at the end: node and network and proxy on it, the node alone, or nothing" },
  fix: { type: "bool", withConfig: true, description: "Cure what can be cured safely, as with init; reset undoes it" },
  out: { type: "string", withConfig: true, placeholder: "DIR", completes: "directory", description: "With --dry-run: write the files, API requests and the plan to this folder" },
  package: packageFile,
  part,
  "package-from": packageFrom,
  "trust-key": trustKey,
  "signature-policy": signaturePolicy,
  "use-cluster-endpoint": { type: "bool", withConfig: true, description: "Use the endpoint that the cluster names, instead of the address given here" },
  output,
} as const satisfies FlagTable;

export const packFlags = {
  "kubernetes-version": { type: "string", placeholder: "VERSION", default: "newest with lists in this executable", description: "Kubernetes version to collect" },
  arch: { type: "strings", placeholder: "ARCH", default: "that of the executable", choices: ["amd64", "arm64"], description: "Processor of the machines to install; amd64,arm64 makes one file for both, which starts on both" },
  out: { type: "string", short: "o", placeholder: "FILE", completes: "file", default: "kubestick-VERSION-linux-ARCH", description: "File to write" },
  executable: { type: "array", placeholder: "FILE", completes: "file", default: "the running executable", description: "Kubestick executable to extend; needed for another --arch than its own. For amd64,arm64 that of the other one, or both; a file for both has both" },
  cni: { type: "string", placeholder: "NAME", default: "flannel", choices: ["flannel", "bridge", "none"], description: "Pod network the package is made for" },
  image: { type: "array", placeholder: "REF", description: "One more image, repeatable" },
  images: { type: "string", placeholder: "DIR", completes: "directory", description: "Folder with OCI layouts or image archives (docker save, OCI) to take images from before any registry is asked" },
  "registry-mirror": { type: "array", placeholder: "HOST=URL", description: "Ask URL instead of the registry HOST, repeatable" },
  "download-mirror": { type: "array", placeholder: "HOST=URL|DIR", description: "Take downloads of HOST from URL, or from a folder laid out as HOST/PATH, repeatable" },
  split: { type: "string", placeholder: "SIZE", description: "Largest file: a longer package becomes several, the first of which is the executable; 4095M for FAT32" },
  compression: { type: "string", placeholder: "HOW", default: "best", choices: ["best", "fast"], description: "best takes minutes the first time and makes the smallest file; fast is for trying out" },
  layers: { type: "string", placeholder: "FORM", default: "recompressed", choices: ["recompressed", "published"], description: "Form of image layers: as zstd where that is smaller, or always the published blob, which then stays in the node's content store" },
  ca: { type: "array", placeholder: "FILE", completes: "file", description: "Certificates (PEM) of an authority to trust for registries and downloads, besides those of the machine; repeatable" },
  lock: { type: "string", placeholder: "FILE", completes: "file", description: "Digest of everything: written when the file is missing, enforced when it exists" },
  "sign-key": { type: "string", placeholder: "FILE", completes: "file", description: "Ed25519 private key (PEM, PKCS #8) with which the package is signed" },
  signer: { type: "string", placeholder: "NAME", description: "With --sign-key: name of who signs, for people; the signature covers it" },
  "trust-key": { type: "array", placeholder: "FILE", completes: "file", description: "Public key (PEM) baked into the new file: what runs from it refuses every package that is not signed with this key; repeatable" },
  cache: { type: "string", placeholder: "DIR", default: "$XDG_CACHE_HOME/kubestick, ~/.cache/kubestick", completes: "directory", description: "Where fetched content is kept, so that a second run fetches only what is new" },
  output: longOutput,
} as const satisfies FlagTable;

/** kubeadm's flags of `reset` under their own names, then ours. */
export const resetFlags = {
  "cert-dir": { type: "string", placeholder: "DIR", completes: "directory", default: "what this program put into /etc/kubernetes/pki, or wherever it was told to", description: "Remove everything in this directory of certificates" },
  "cleanup-tmp-dir": { type: "bool", description: "Empty /etc/kubernetes/tmp as well" },
  config,
  "cri-socket": { ...criSocket, default: "that of the record or of the kubelet, else found on the machine", description: "Socket of the container runtime whose pods are ended" },
  "dry-run": dryRun,
  force: { type: "bool", short: "f", description: "Do not ask, and reset also a node that this program has no record of having made" },
  "ignore-preflight-errors": { ...ignorePreflightErrors, description: "Checks whose errors become warnings, for example EtcdMember (the cluster would lose its data); \"all\" stands for every check" },
  kubeconfig: { type: "string", withConfig: true, placeholder: "FILE", completes: "file", default: "/etc/kubernetes/admin.conf", description: "Kubeconfig for finding the other members of etcd, when this node's own does not answer" },
  "skip-phases": { ...skipPhases, description: "Phases to leave out, for example remove-etcd-member" },
  yes: { type: "bool", short: "y", withConfig: true, description: "Do not ask for the name of this node" },
  output,
} as const satisfies FlagTable;

export const haFlags = {
  "control-plane-endpoint": { type: "string", placeholder: "NAME[:PORT]", default: "kube-api.CLUSTER.internal:7443", description: "Name under which every node reaches the control planes; no DNS has to know it" },
  "dry-run": dryRun,
  package: packageFile,
  part,
  "trust-key": trustKey,
  "signature-policy": signaturePolicy,
  output,
} as const satisfies FlagTable;

export const kubeconfig = {
  type: "string", withConfig: true, placeholder: "FILE", completes: "file", default: "$KUBECONFIG, ~/.kube/config, /etc/kubernetes/admin.conf", description: "Kubeconfig with which the cluster is reached",
} as const satisfies FlagSpec;

export const ticket = { type: "string", withConfig: true, placeholder: "FILE", completes: "file", description: "Join ticket that says whom to trust, with --package-from" } as const satisfies FlagSpec;
