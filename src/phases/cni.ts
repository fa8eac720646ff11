/** Phase `cni`: the pod network. flannel's published manifest with this cluster's networks, or a one-node bridge without any image, or nothing. */
import { parseAllDocuments } from "yaml";
import { addressInCidr, formatCidr, parseCidrList, type Cidr } from "../config/address.ts";
import type { ResolvedConfig } from "../config/types.ts";
import type { KubeObject } from "../cluster/types.ts";
import type { Action, Phase } from "../engine/types.ts";
import { file, fillTemplate, object } from "./actions.ts";

export interface CniOutput {
  /** Workloads that must be Ready before the cluster is. */
  readonly workloads: readonly { readonly apiVersion: string; readonly kind: string; readonly name: string; readonly namespace: string }[];
}

export const cni: Phase<"cni", Record<never, never>, CniOutput> = {
  id: "cni",
  title: "Install the pod network",
  needs: [],
  async plan({ config, assets }) {
    switch (config.install.cni) {
      case "none":
        return { actions: [], output: { workloads: [] }, findings: [{ check: "CNI", severity: "info", message: "no pod network is installed (cni: none)", hint: "The node stays NotReady until one is there: kubectl apply -f <your CNI's manifest>" }] };
      case "bridge":
        return { actions: [bridge(config, assets.text("bundle/cni/bridge.conflist"))], output: { workloads: [] } };
      case "flannel": {
        const objects = flannelObjects(assets.text("bundle/cni/flannel.yaml"), podNetworks(config));
        const actions: Action[] = objects.map((value) => object(value, "replace", config.init.timeouts.kubernetesAPICall));
        const workloads = objects.filter((value) => value.kind === "DaemonSet").map((value) => ({ apiVersion: value.apiVersion, kind: value.kind, name: value.metadata.name, namespace: value.metadata.namespace as string }));
        return { actions, output: { workloads } };
      }
    }
  },
};

function podNetworks(config: ResolvedConfig): readonly Cidr[] {
  return parseCidrList(config.cluster.networking.podSubnet ?? "") ?? [];
}

/** The published manifest as objects, its network replaced. Its image names are the ones that offline-images lists (a test holds them together). */
export function flannelObjects(manifest: string, networks: readonly Cidr[]): readonly KubeObject[] {
  const objects = parseAllDocuments(manifest).map((document) => document.toJS() as KubeObject | null).filter((value): value is KubeObject => value !== null);
  const v4 = networks.find((network) => network.family === 4);
  const v6 = networks.find((network) => network.family === 6);
  return objects.map((value) => {
    if (value.kind === "DaemonSet") return adaptedToNodes(value, v4 !== undefined && v6 !== undefined);
    if (value.kind !== "ConfigMap") return value;
    const data = value["data"] as Readonly<Record<string, string>>;
    const published = JSON.parse(data["net-conf.json"] as string) as Record<string, unknown>;
    const { Network: _, ...rest } = published;
    const network = {
      ...(v4 === undefined ? { EnableIPv4: false } : { Network: formatCidr(v4) }),
      ...(v6 === undefined ? {} : { EnableIPv6: true, IPv6Network: formatCidr(v6) }),
      ...rest,
    };
    return { ...value, data: { ...data, "net-conf.json": `${JSON.stringify(network, null, 2)}\n` } };
  });
}

/**
 * flannel takes the interface of the default route and exits where there is none. The interface that carries the node's own address is the
 * right one with and without a default route, and on machines with several networks too.
 *
 * With both families an address of --iface gives flannel that family alone (pkg/ipmatch/match.go); the other one must come by --public-ipv6. Only
 * `status.hostIPs` knows both, in the node's order and in one text, so a shell, which the published image has, takes it apart.
 *
 * Published, it is asked whether it is ready 5 seconds after its start and then every 10, so that each node would wait ten seconds for a network
 * that is up after one. What makes it not ready again stays 30 seconds of failures.
 */
function adaptedToNodes(daemonSet: KubeObject, bothFamilies: boolean): KubeObject {
  const copy = structuredClone(daemonSet) as KubeObject & { readonly spec: { readonly template: { readonly spec: { readonly containers: readonly { readonly name: string; command: readonly string[]; readonly args: string[]; readonly env: unknown[]; readinessProbe: { readonly httpGet: unknown } }[] } } } };
  const container = copy.spec.template.spec.containers.find((candidate) => candidate.name === "kube-flannel");
  if (container === undefined) throw new TypeError("the flannel manifest has no container kube-flannel");
  container.readinessProbe = { httpGet: container.readinessProbe.httpGet, ...readiness };
  if (bothFamilies) {
    container.env.push({ name: "HOST_IPS", valueFrom: { fieldRef: { fieldPath: "status.hostIPs" } } });
    container.command = ["/bin/sh", "-c", `${splitHostIps} exec ${container.command.join(" ")} --iface="$v4" --public-ip="$v4" --public-ipv6="$v6" "$@"`, "flanneld"];
    return copy;
  }
  container.env.push({ name: "HOST_IP", valueFrom: { fieldRef: { fieldPath: "status.hostIP" } } });
  container.args.push("--iface=$(HOST_IP)");
  return copy;
}

const readiness = { periodSeconds: 2, failureThreshold: 15 } as const;

const splitHostIps = 'IFS=,; for address in $HOST_IPS; do case $address in *:*) v6=$address;; *) v4=$address;; esac; done; unset IFS;';

/** Every image the published manifest refers to, each once. */
export function flannelImages(manifest: string): readonly string[] {
  return [...new Set([...manifest.matchAll(/^\s*(?:- )?image:\s*(\S+)\s*$/gm)].map((match) => match[1] as string))];
}

/** One node, so the whole first /24 (or /64) of the pod network: what the controller manager gives the first node too. */
function bridge(config: ResolvedConfig, template: string): Action {
  const networks = podNetworks(config);
  const ranges = networks.map((network) => {
    const prefix = Math.max(network.prefixLength, network.family === 4 ? 24 : 64);
    return [{ subnet: formatCidr({ ...network, prefixLength: prefix }), gateway: addressInCidr(network, 1) }];
  });
  const routes = networks.map((network) => ({ dst: network.family === 4 ? "0.0.0.0/0" : "::/0" }));
  return file("/etc/cni/net.d/10-kubestick-bridge.conflist", 0o644, fillTemplate(template, { RANGES: JSON.stringify(ranges), ROUTES: JSON.stringify(routes) }));
}
