/** The shape all four control-plane pods share. Facts: kubeadm util/staticpod/utils.go. */
import type { KubeObject } from "../cluster/types.ts";
import type { EnvVar, ResolvedConfig } from "../config/types.ts";
import { namespaces } from "./names.ts";
import type { HostVolume } from "./volumes.ts";

export type ControlPlaneComponent = "etcd" | "kube-apiserver" | "kube-controller-manager" | "kube-scheduler";

/** What the manifests depend on besides the configuration. */
export interface StaticPodContext {
  /** Those of `optionalCaDirectories` that exist on the host. */
  readonly caDirectories: readonly string[];
  /** `*_proxy` variables of the installing process. */
  readonly proxyEnvironment: Readonly<Record<string, string>>;
  /** `ca.key` is not on this node: the controller manager must not try to sign with it. */
  readonly keylessCa?: boolean;
}

export interface ProbeTarget {
  /** undefined: the kubelet uses the pod's address. */
  readonly host: string | undefined;
  readonly scheme: "HTTP" | "HTTPS";
  readonly liveness: string;
  readonly readiness?: string;
  readonly startup: string;
}

export interface PodParts {
  readonly name: ControlPlaneComponent;
  readonly image: string;
  readonly command: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly env?: readonly EnvVar[];
  readonly requests: Readonly<Record<string, string>>;
  readonly port: number;
  readonly probes: ProbeTarget;
  readonly volumes: readonly HostVolume[];
  /** Default: the order of `volumes`. */
  readonly mounts?: readonly HostVolume[];
}

export function staticPod(config: ResolvedConfig, parts: PodParts): KubeObject {
  const { probes } = parts;
  // Large enough for the slowest start the user allows for; the first period is not counted.
  const startupFailures = Math.ceil(config.init.timeouts.controlPlaneComponentHealthCheck / 1000 / 10);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      ...(parts.annotations === undefined ? {} : { annotations: parts.annotations }),
      labels: { component: parts.name, tier: "control-plane" },
      name: parts.name,
      namespace: namespaces.system,
    },
    spec: {
      containers: [
        {
          command: [parts.name, ...parts.command],
          ...(parts.env === undefined || parts.env.length === 0 ? {} : { env: parts.env.map(envVar) }),
          image: parts.image,
          imagePullPolicy: "IfNotPresent",
          livenessProbe: probe(probes, probes.liveness, { initialDelay: 10, period: 10, failures: 8 }),
          name: parts.name,
          ports: [{ containerPort: parts.port, name: "probe-port", protocol: "TCP" }],
          ...(probes.readiness === undefined ? {} : { readinessProbe: probe(probes, probes.readiness, { initialDelay: 0, period: 1, failures: 3 }) }),
          resources: { requests: parts.requests },
          startupProbe: probe(probes, probes.startup, { initialDelay: 10, period: 10, failures: startupFailures }),
          volumeMounts: (parts.mounts ?? parts.volumes).map((volume) => ({
            mountPath: volume.mountPath,
            name: volume.name,
            ...(volume.readOnly ? { readOnly: true } : {}),
          })),
        },
      ],
      hostNetwork: true,
      // The value behind system-node-critical: a static pod is not admitted, so nothing resolves the class name for it.
      priority: 2_000_001_000,
      priorityClassName: "system-node-critical",
      securityContext: { seccompProfile: { type: "RuntimeDefault" } },
      volumes: parts.volumes.map((volume) => ({ hostPath: { path: volume.hostPath, type: volume.pathType }, name: volume.name })),
    },
    status: {},
  };
}

function probe(target: ProbeTarget, path: string, timing: { readonly initialDelay: number; readonly period: number; readonly failures: number }): Readonly<Record<string, unknown>> {
  return {
    // core/v1 leaves a zero out; the API server then takes its own default.
    ...(timing.failures === 0 ? {} : { failureThreshold: timing.failures }),
    httpGet: { ...(target.host === undefined ? {} : { host: target.host }), path, port: "probe-port", scheme: target.scheme },
    ...(timing.initialDelay === 0 ? {} : { initialDelaySeconds: timing.initialDelay }),
    periodSeconds: timing.period,
    timeoutSeconds: 15,
  };
}

/** An unspecified bind address cannot be dialled; without a host the kubelet takes the pod's address. */
export function probeHost(address: string): string | undefined {
  return address === "0.0.0.0" || address === "::" ? undefined : address;
}

/** Later lists win over earlier ones by name; sorted by name, as kubeadm does. */
export function mergeEnvironment(...lists: readonly (readonly EnvVar[] | undefined)[]): readonly EnvVar[] {
  const merged = new Map(lists.flatMap((list) => list ?? []).map((variable) => [variable.name, variable]));
  return [...merged.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function proxyVariables(context: { readonly proxyEnvironment: Readonly<Record<string, string>> }): readonly EnvVar[] {
  return Object.entries(context.proxyEnvironment).map(([name, value]) => ({ name, value }));
}

/** core/v1 leaves an empty value out. */
function envVar(variable: EnvVar): Readonly<Record<string, unknown>> {
  const { name, value, valueFrom } = variable;
  return { name, ...(value === undefined || value === "" ? {} : { value }), ...(valueFrom === undefined ? {} : { valueFrom }) };
}
