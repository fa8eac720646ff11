/**
 * haproxy on every node (`init --ha`): its static pod, its configuration, and who may read the list of API servers.
 * The image is the official one; the exact arguments and paths are those its documentation names. haproxy's settings: configuration manual 2.6 to 3.2.
 */
import { joinHostPort, splitHostPort } from "../config/address.ts";
import type { KubeObject } from "../cluster/types.ts";
import type { ResolvedConfig } from "../config/types.ts";
import { haPort } from "../config/resolve.ts";
import { groups, namespaces } from "./names.ts";
import { group, role, roleBinding } from "./rbac.ts";

/** As the lists in `offline-images` name it. */
export const haproxyImage = "docker.io/library/haproxy:3.2.22-alpine";
export const haproxyDirectory = "/etc/kubernetes/haproxy";
export const haproxyConfigPath = `${haproxyDirectory}/haproxy.cfg`;
export const controlPlanesPath = `${haproxyDirectory}/control-planes.cfg`;
export const haproxyHealthPort = 7444;
const name = "kubestick-haproxy";
/** Under which name and port a node's haproxy serves; also of kube-proxy's pods, which are replaced when it changes. */
export const endpointAnnotation = "kubestick.io/endpoint";
/** Of the mirror pod that the kubelet of a node shows. */
export const haproxyPodName = (node: string): string => `${name}-${node}`;
export const haproxyManifestPath = `/etc/kubernetes/manifests/${name}.yaml`;

/** Name and port under which every node reaches the control planes. */
export function haEndpoint({ cluster }: ResolvedConfig): { readonly host: string; readonly port: number } {
  const { host, port } = splitHostPort(cluster.controlPlaneEndpoint ?? "") ?? {};
  if (host === undefined) throw new TypeError("ha without a controlPlaneEndpoint: the configuration was not resolved");
  return { host, port: port ?? haPort };
}

/** `caPath`: with it the health check knows an API server of this cluster from whatever else may have its address one day. */
export function haproxyPod(caPath: string, endpoint: string, configurationHash: string): KubeObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      // haproxy reads its members again by itself; for all else it is started anew, and a changed manifest does that.
      annotations: { "kubestick.io/configuration": configurationHash, [endpointAnnotation]: endpoint },
      labels: { component: name, tier: "node" },
      name,
      namespace: namespaces.system,
    },
    spec: {
      containers: [
        {
          command: ["haproxy", "-W", "-db", "-f", haproxyConfigPath, "-f", controlPlanesPath],
          image: haproxyImage,
          imagePullPolicy: "IfNotPresent",
          livenessProbe: { failureThreshold: 3, httpGet: { host: "127.0.0.1", path: "/healthz", port: haproxyHealthPort, scheme: "HTTP" }, periodSeconds: 10, timeoutSeconds: 5 },
          name: "haproxy",
          readinessProbe: { failureThreshold: 3, httpGet: { host: "127.0.0.1", path: "/healthz", port: haproxyHealthPort, scheme: "HTTP" }, periodSeconds: 2, timeoutSeconds: 5 },
          resources: { requests: { cpu: "10m", memory: "32Mi" } },
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] }, readOnlyRootFilesystem: true, runAsGroup: 99, runAsNonRoot: true, runAsUser: 99 },
          volumeMounts: [
            // The folder and not the files: each atomic write makes a new file, which a mounted one would never see.
            { mountPath: haproxyDirectory, name: "configuration", readOnly: true },
            { mountPath: "/etc/kubernetes/pki/ca.crt", name: "ca", readOnly: true },
          ],
        },
      ],
      hostNetwork: true,
      priority: 2_000_001_000,
      priorityClassName: "system-node-critical",
      securityContext: { seccompProfile: { type: "RuntimeDefault" } },
      // Watches never end by themselves, so there is nothing to wait for.
      terminationGracePeriodSeconds: 2,
      tolerations: [{ operator: "Exists" }],
      volumes: [
        { hostPath: { path: haproxyDirectory, type: "Directory" }, name: "configuration" },
        { hostPath: { path: caPath, type: "File" }, name: "ca" },
      ],
    },
    status: {},
  };
}

/** Every node, and every node to be, may read which API servers there are. */
export function controlPlaneListRbac(): readonly KubeObject[] {
  const roleName = "kubestick:control-planes";
  return [
    role("default", roleName, [{ apiGroups: ["discovery.k8s.io"], resourceNames: ["kubernetes"], resources: ["endpointslices"], verbs: ["get"] }]),
    roleBinding("default", roleName, [group(groups.bootstrapTokens), group(groups.nodes)]),
  ];
}

/** `host:port` of the API servers that are up, from EndpointSlice default/kubernetes, which they keep themselves. */
export function apiServersOf(slice: KubeObject | undefined): readonly string[] {
  const { endpoints = [], ports = [] } = (slice ?? {}) as {
    readonly endpoints?: readonly { readonly addresses?: readonly string[] }[] | null; readonly ports?: readonly { readonly name?: string; readonly port?: number }[] | null;
  };
  const port = ports?.find((each) => each.name === "https")?.port ?? 6443;
  return (endpoints ?? []).flatMap(({ addresses = [] }) => addresses.map((address) => joinHostPort(address, port)));
}

export const apiServerSlice = { apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", name: "kubernetes", namespace: "default" } as const;

/**
 * The list of servers as haproxy reads it: what is there already stays, line by line, because it may know more than this run; new ones come
 * at the end. Lines as `bundle/haproxy/refresh-control-planes` writes them: `    server <name> <address>`, gone ones with `# missing since <seconds>`; its last line,
 * `# told <sum>`, says which servers haproxy was told of, and stays too.
 */
export function controlPlanesText(head: string, servers: readonly string[], found: string | undefined): string {
  const kept = found === undefined || !found.startsWith(head) ? [] : found.slice(head.length).split("\n").filter((line) => serverOf(line) !== undefined);
  const lines = new Map(kept.map((line) => [serverOf(line) as string, line]));
  for (const server of servers) if (!lines.has(server)) lines.set(server, `    server ${server.replaceAll(/[[\]]/g, "")} ${server}`);
  const told = found === undefined ? undefined : /^# told \d+$/m.exec(found)?.[0];
  return `${head}${[...lines.values(), ...(told === undefined ? [] : [told])].join("\n")}\n`;
}

function serverOf(line: string): string | undefined {
  return /^ {4}server [\w.:-]+ (\S+)(?: # missing since \d+)?$/.exec(line)?.[1];
}
