/** Addon kube-proxy, in kubeadm's order of calls. Facts: kubeadm phases/addons/proxy. */
import type { KubeObject } from "../cluster/types.ts";
import type { ResolvedConfig } from "../config/types.ts";
import { configMap, hashAnnotation } from "./component-config.ts";
import { clusterEndpoint } from "./endpoints.ts";
import { haEndpoint } from "./haproxy.ts";
import { imageReference } from "./images.ts";
import { kubeProxyConfiguration, type KubeProxyHost } from "./kube-proxy-config.ts";
import { groups, namespaces } from "./names.ts";
import { clusterRoleBinding, getOnly, group, role, roleBinding, serviceAccountSubject } from "./rbac.ts";
import { mergeEnvironment, proxyVariables } from "./static-pod.ts";
import { toYaml } from "./yaml.ts";

const name = "kube-proxy";
const selector = { "k8s-app": name };
const serviceAccountFiles = "/var/run/secrets/kubernetes.io/serviceaccount";

export interface KubeProxyContext extends KubeProxyHost {
  readonly proxyEnvironment: Readonly<Record<string, string>>;
}

export function kubeProxyObjects(config: ResolvedConfig, context: KubeProxyContext): readonly KubeObject[] {
  const metadata = { name, namespace: namespaces.system };
  // kubeadm's template cuts the final newlines; the hash is over exactly these two texts.
  const data = {
    "config.conf": toYaml(kubeProxyConfiguration(config, context)).trimEnd(),
    "kubeconfig.conf": inClusterKubeconfig(clusterEndpoint(config)),
  };
  return [
    configMap({ ...hashAnnotation(data, config.kubeProxy !== undefined), labels: { app: name }, ...metadata }, data),
    daemonSet(imageReference(config, "kube-proxy"), config.install.ha ? besideProxies(context, haEndpoint(config).host) : context, config.install.ha ? hostAliases(config) : undefined),
    { apiVersion: "v1", kind: "ServiceAccount", metadata },
    clusterRoleBinding("kubeadm:node-proxier", "system:node-proxier", [serviceAccountSubject(namespaces.system, name)]),
    role(namespaces.system, name, [getOnly("configmaps", name)]),
    roleBinding(namespaces.system, name, [group(groups.bootstrapTokens)]),
  ];
}

/** It cannot use the Service IP of the API: it is kube-proxy that makes Service IPs work. Key order is the template's. */
function inClusterKubeconfig(server: string): string {
  return [
    "apiVersion: v1",
    "kind: Config",
    "clusters:",
    "- cluster:",
    `    certificate-authority: ${serviceAccountFiles}/ca.crt`,
    `    server: ${server}`,
    "  name: default",
    "contexts:",
    "- context:",
    "    cluster: default",
    "    namespace: default",
    "    user: default",
    "  name: default",
    "current-context: default",
    "users:",
    "- name: default",
    "  user:",
    `    tokenFile: ${serviceAccountFiles}/token`,
  ].join("\n");
}

/** Go takes the name of this node's haproxy for one that a proxy has to be asked for. */
function besideProxies(context: KubeProxyContext, host: string): KubeProxyContext {
  const variables = Object.entries(context.proxyEnvironment);
  if (!variables.some(([name, value]) => /^https?_proxy$/i.test(name) && value !== "")) return context;
  const exceptions = variables.filter(([name]) => /^no_proxy$/i.test(name)).map(([name, value]) => [name, [...value.split(",").filter((part) => part.trim() !== ""), host].join(",")] as const);
  return { ...context, proxyEnvironment: { ...context.proxyEnvironment, ...Object.fromEntries(exceptions.length === 0 ? [["NO_PROXY", host]] : exceptions) } };
}

/** The pod gets the node's /etc/hosts as it is when it starts; a boot may have written that anew a moment before. */
export function hostAliases(config: ResolvedConfig): readonly Readonly<Record<string, unknown>>[] {
  return [{ hostnames: [haEndpoint(config).host], ip: "127.0.0.1" }];
}

function daemonSet(image: string, context: KubeProxyContext, aliases: readonly Readonly<Record<string, unknown>>[] | undefined): KubeObject {
  return {
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: { labels: selector, name, namespace: namespaces.system },
    spec: {
      selector: { matchLabels: selector },
      template: {
        metadata: { labels: selector },
        spec: {
          containers: [
            {
              command: ["/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf", "--hostname-override=$(NODE_NAME)"],
              env: [{ name: "NODE_NAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } }, ...mergeEnvironment(proxyVariables(context))],
              image,
              imagePullPolicy: "IfNotPresent",
              name,
              resources: {},
              securityContext: { privileged: true },
              volumeMounts: [
                { mountPath: "/var/lib/kube-proxy", name },
                { mountPath: "/run/xtables.lock", name: "xtables-lock" },
                { mountPath: "/lib/modules", name: "lib-modules", readOnly: true },
              ],
            },
          ],
          ...(aliases === undefined ? {} : { hostAliases: aliases }),
          hostNetwork: true,
          nodeSelector: { "kubernetes.io/os": "linux" },
          priorityClassName: "system-node-critical",
          serviceAccountName: name,
          tolerations: [{ operator: "Exists" }],
          volumes: [
            { configMap: { name }, name },
            { hostPath: { path: "/run/xtables.lock", type: "FileOrCreate" }, name: "xtables-lock" },
            { hostPath: { path: "/lib/modules" }, name: "lib-modules" },
          ],
        },
      },
      updateStrategy: { type: "RollingUpdate" },
    },
    // The Go type writes its counters; the API server ignores them in a request.
    status: { currentNumberScheduled: 0, desiredNumberScheduled: 0, numberMisscheduled: 0, numberReady: 0 },
  };
}
