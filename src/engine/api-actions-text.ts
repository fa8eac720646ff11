/** Requests to the API server as text, in the form in which kubeadm's dry runs are kept for comparison: a comment line, then the object. */
import type { KubeObject, ObjectRef } from "../cluster/types.ts";
import type { ClusterRead } from "./planning-cluster.ts";

export type ApiRequest =
  | ClusterRead
  | { readonly verb: "CREATE" | "UPDATE" | "PATCH" | "DELETE"; readonly object: KubeObject };

export function apiActionsText(requests: readonly ApiRequest[], toYaml: (value: unknown) => string): string {
  return requests.map((request, index) => {
    const body = bodyOf(request);
    return `# ${String(index + 1).padStart(2, "0")} ${headOf(request)}\n${body === undefined ? "# (no object attached)\n" : toYaml(body)}`;
  }).join("---\n");
}

function headOf(request: ApiRequest): string {
  switch (request.verb) {
    case "LIST":
      // kubeadm's record of a LIST names neither object nor namespace.
      return `LIST ${resource(request)} name=- namespace=-`;
    case "GET":
      return `GET ${resource(request.ref)} ${place(request.ref)}`;
    default:
      return `${request.verb} ${resource(request.object)} ${place({ name: request.object.metadata.name, ...(request.object.metadata.namespace === undefined ? {} : { namespace: request.object.metadata.namespace }) })}`;
  }
}

function bodyOf(request: ApiRequest): KubeObject | undefined {
  // kubeadm's dry run makes a node up, shows it for the read, and shows it again in place of the patch (apiclient/dryrun.go).
  if (request.verb === "GET") return isNode(request.ref) && !request.found ? madeUpNode(request.ref.name) : undefined;
  if (request.verb === "LIST") return undefined;
  return request.verb === "PATCH" && isNode(request.object) ? madeUpNode(request.object.metadata.name) : request.object;
}

function isNode({ apiVersion, kind }: { readonly apiVersion: string; readonly kind: string }): boolean {
  return apiVersion === "v1" && kind === "Node";
}

function madeUpNode(name: string): KubeObject {
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { labels: { "kubernetes.io/hostname": name }, name },
    spec: {},
    status: {
      daemonEndpoints: { kubeletEndpoint: { Port: 0 } },
      nodeInfo: { architecture: "", bootID: "", containerRuntimeVersion: "", kernelVersion: "", kubeProxyVersion: "", kubeletVersion: "", machineID: "", operatingSystem: "", osImage: "", systemUUID: "" },
    },
  };
}

function resource({ apiVersion, kind }: { readonly apiVersion: string; readonly kind: string }): string {
  return `${apiVersion.includes("/") ? apiVersion : `core/${apiVersion}`} ${plural(kind)}`;
}

function place({ name, namespace }: Pick<ObjectRef, "name" | "namespace">): string {
  return `name=${name} namespace=${namespace ?? "-"}`;
}

/** English as the API's own resource names follow it: configmaps, networkpolicies, ingresses; `endpoints` is one already. */
function plural(kind: string): string {
  const lower = kind.toLowerCase();
  if (lower === "endpoints") return lower;
  if (/(s|x|ch|sh)$/.test(lower)) return `${lower}es`;
  return /[^aeiou]y$/.test(lower) ? `${lower.slice(0, -1)}ies` : `${lower}s`;
}
