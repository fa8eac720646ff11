/** Addon CoreDNS, in kubeadm's order of calls. Facts: kubeadm phases/addons/dns. */
import type { KubeObject } from "../cluster/types.ts";
import type { ResolvedConfig } from "../config/types.ts";
import { configMap } from "./component-config.ts";
import { dnsServiceAddress } from "./endpoints.ts";
import { imageReference } from "./images.ts";
import { labels, namespaces } from "./names.ts";
import { clusterRole, clusterRoleBinding, serviceAccountSubject } from "./rbac.ts";

const name = "coredns";
const roleName = "system:coredns";
const selector = { "k8s-app": "kube-dns" };

export interface CoreDnsOptions {
  /** Of an existing Deployment, which kubeadm keeps; default 2. */
  readonly replicas?: number;
  /** false when the host knows no name server: with `forward` CoreDNS would exit for ever with "no nameservers found". Default true. */
  readonly upstream?: boolean;
  readonly image?: string;
}

export function coreDnsObjects(config: ResolvedConfig, options: CoreDnsOptions = {}): readonly KubeObject[] {
  const metadata = { name, namespace: namespaces.system };
  return [
    configMap(metadata, { Corefile: corefile(config.cluster.networking.dnsDomain, options.upstream ?? true) }),
    clusterRole(roleName, [
      { apiGroups: [""], resources: ["endpoints", "services", "pods", "namespaces"], verbs: ["list", "watch"] },
      { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
    ]),
    clusterRoleBinding(roleName, roleName, [serviceAccountSubject(namespaces.system, name)]),
    { apiVersion: "v1", kind: "ServiceAccount", metadata },
    deployment(options.image ?? imageReference(config, "coredns"), options.replicas ?? 2),
    service(dnsServiceAddress(config)),
  ];
}

/**
 * Without an upstream there is nothing to forward to and nothing a query could loop through. Reverse lookups then end at the kubernetes
 * plugin with a plain "no such name": falling through would end in SERVFAIL, which resolvers retry.
 */
export function corefile(dnsDomain: string, upstream: boolean): string {
  const lines = [
    ".:53 {",
    "    errors",
    "    health {",
    "       lameduck 5s",
    "    }",
    "    ready",
    `    kubernetes ${dnsDomain} in-addr.arpa ip6.arpa {`,
    "       pods insecure",
    ...(upstream ? ["       fallthrough in-addr.arpa ip6.arpa"] : []),
    "       ttl 30",
    "    }",
    "    prometheus :9153",
    ...(upstream ? ["    forward . /etc/resolv.conf {", "       max_concurrent 1000", "    }"] : []),
    "    cache 30 {",
    `       disable success ${dnsDomain}`,
    `       disable denial ${dnsDomain}`,
    "    }",
    ...(upstream ? ["    loop"] : []),
    "    reload",
    "    loadbalance",
    "}",
  ];
  return `${lines.join("\n")}\n`;
}

function deployment(image: string, replicas: number): KubeObject {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { labels: selector, name, namespace: namespaces.system },
    spec: {
      replicas,
      selector: { matchLabels: selector },
      strategy: { rollingUpdate: { maxUnavailable: 1 }, type: "RollingUpdate" },
      template: {
        metadata: { labels: selector },
        spec: {
          affinity: {
            podAntiAffinity: {
              preferredDuringSchedulingIgnoredDuringExecution: [
                {
                  podAffinityTerm: {
                    labelSelector: { matchExpressions: [{ key: "k8s-app", operator: "In", values: ["kube-dns"] }] },
                    topologyKey: "kubernetes.io/hostname",
                  },
                  weight: 100,
                },
              ],
            },
          },
          containers: [container(image)],
          dnsPolicy: "Default",
          nodeSelector: { "kubernetes.io/os": "linux" },
          priorityClassName: "system-cluster-critical",
          serviceAccountName: name,
          tolerations: [
            { key: "CriticalAddonsOnly", operator: "Exists" },
            { effect: "NoSchedule", key: labels.controlPlane },
          ],
          volumes: [{ configMap: { items: [{ key: "Corefile", path: "Corefile" }], name }, name: "config-volume" }],
        },
      },
    },
    status: {},
  };
}

function container(image: string): Readonly<Record<string, unknown>> {
  const port = (portName: string, containerPort: number, protocol: string): Readonly<Record<string, unknown>> => ({ containerPort, name: portName, protocol });
  return {
    args: ["-conf", "/etc/coredns/Corefile"],
    image,
    imagePullPolicy: "IfNotPresent",
    livenessProbe: {
      failureThreshold: 5,
      httpGet: { path: "/health", port: "liveness-probe", scheme: "HTTP" },
      initialDelaySeconds: 60,
      successThreshold: 1,
      timeoutSeconds: 5,
    },
    name,
    ports: [
      port("dns", 53, "UDP"),
      port("dns-tcp", 53, "TCP"),
      port("metrics", 9153, "TCP"),
      port("liveness-probe", 8080, "TCP"),
      port("readiness-probe", 8181, "TCP"),
    ],
    readinessProbe: { httpGet: { path: "/ready", port: "readiness-probe", scheme: "HTTP" } },
    resources: { limits: { memory: "170Mi" }, requests: { cpu: "100m", memory: "70Mi" } },
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { add: ["NET_BIND_SERVICE"], drop: ["ALL"] },
      readOnlyRootFilesystem: true,
    },
    volumeMounts: [{ mountPath: "/etc/coredns", name: "config-volume", readOnly: true }],
  };
}

/** kubeadm adds resourceVersion "0" for its PUT; here that is the writer's business, because it is no property of the Service. */
function service(clusterIP: string): KubeObject {
  const port = (portName: string, number: number, protocol: string): Readonly<Record<string, unknown>> => ({ name: portName, port: number, protocol, targetPort: number });
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      annotations: { "prometheus.io/port": "9153", "prometheus.io/scrape": "true" },
      labels: { ...selector, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS" },
      name: "kube-dns",
      namespace: namespaces.system,
      // A Service cannot be updated without one; "0" means whatever there is now.
      resourceVersion: "0",
    },
    spec: {
      clusterIP,
      ports: [port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP"), port("metrics", 9153, "TCP")],
      selector,
    },
    status: { loadBalancer: {} },
  };
}
