/** What the real kubeadm 1.36.2 produced for six configurations (test/golden), and the configurations as this program resolves them. */
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import type { KubeObject } from "../../src/cluster/types.ts";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import type { ResolvedConfig } from "../../src/config/types.ts";
import type { HostFacts } from "../../src/host/types.ts";

export const goldenCases = ["default", "ha-vip", "external-etcd", "custom", "dual-stack", "arguments"] as const;
export type GoldenCase = (typeof goldenCases)[number];

export function goldenText(golden: GoldenCase, path: string): string {
  return readFileSync(new URL(`../golden/${golden}/${path}`, import.meta.url), "utf8");
}

/** The host kubeadm ran on when the golden files were captured. */
export const goldenFacts: HostFacts = {
  os: { id: "debian", versionId: "12", prettyName: "Debian GNU/Linux 12" },
  kernelRelease: "6.1.0",
  arch: "amd64",
  hostname: "capture-host",
  uid: 0,
  cpus: 2,
  memoryTotal: 4 * 1024 ** 3,
  swaps: [],
  cgroupVersion: 2,
  systemd: true,
  systemdResolved: false,
  capabilities: ["CAP_SYS_RESOURCE"],
  addresses: [
    { interface: "eth0", address: "192.0.2.10", family: 4, prefixLength: 24, global: true },
    { interface: "eth0", address: "2001:db8::10", family: 6, prefixLength: 64, global: true },
  ],
  routes: [{ destination: "default", family: 4, device: "eth0", gateway: "192.0.2.1" }, { destination: "default", family: 6, device: "eth0", gateway: "2001:db8::1" }],
  nameservers: ["192.0.2.53"],
  conntrackWritable: true,
  commands: {},
  criSockets: [],
  listening: [],
  proxyEnvironment: {},
  container: false, readOnlySysctls: [],
};

/** What of that host the static pods depend on. */
export const goldenContext = {
  caDirectories: ["/etc/ca-certificates", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates"],
  proxyEnvironment: {},
};

/** The case's config.yaml, resolved. Without a CNI of ours, because kubeadm has none and so sets no pod network. */
export function goldenConfig(golden: GoldenCase): ResolvedConfig {
  return resolveInitConfig({
    options: { cni: "none" },
    file: { name: "config.yaml", text: goldenText(golden, "config.yaml") },
    facts: goldenFacts,
  }).config;
}

/** A resolved configuration from text, for cases the golden files do not have. */
export function configFrom(text: string): ResolvedConfig {
  return resolveInitConfig({ options: { cni: "none", nodeName: "cp1" }, file: { name: "config.yaml", text }, facts: goldenFacts }).config;
}

export interface GoldenRequest {
  readonly verb: string;
  /** `configmaps/kube-system/kubeadm-config`; `-` for no namespace. */
  readonly target: string;
  readonly object: KubeObject | undefined;
}

/** Every API request of `kubeadm init --dry-run`, in order. */
export function goldenRequests(golden: GoldenCase): readonly GoldenRequest[] {
  return goldenText(golden, "api-actions.yaml")
    .split(/^---\n/m)
    .map((document) => {
      const header = /^# \d+ (\w+) \S+ (\S+) name=(\S+) namespace=(\S+)$/m.exec(document);
      if (header === null) throw new Error(`no header in ${document.slice(0, 80)}`);
      const [, verb = "", resource = "", name = "", namespace = ""] = header;
      return { verb, target: `${resource}/${namespace}/${name}`, object: (parse(document) ?? undefined) as KubeObject | undefined };
    });
}

/** Objects created by the request range `from`..`to` (targets, both included), in order and without what only servers write. */
export function goldenCreated(golden: GoldenCase): readonly KubeObject[] {
  return goldenRequests(golden)
    .filter((request) => request.verb === "CREATE" && request.object !== undefined)
    .map((request) => request.object as KubeObject);
}

/** Facts of one certificate in certs.txt: `subject`, `keyUsage`, ... as OpenSSL words them. */
export type GoldenFacts = Readonly<Record<string, string>>;

/** Sections of certs.txt: `ca.crt`, `admin.conf client certificate`, `sa.key`. One that says "(not generated)" is left out. */
export function goldenCertificates(golden: GoldenCase): ReadonlyMap<string, GoldenFacts> {
  const sections = goldenText(golden, "certs.txt").split(/^## /m).slice(1).map((section) => section.trim().split("\n"));
  const factOf = (line: string): [string, string] => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)];
  return new Map(sections.filter((lines) => !lines.includes("(not generated)")).map(([title = "", ...lines]) => [title, Object.fromEntries(lines.map(factOf))]));
}
