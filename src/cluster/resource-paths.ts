/**
 * From an object's kind to its path in the API.
 *
 * What kubestick itself uses is a table, so that nothing has to be asked of a server that is just starting; other kinds (a CNI's
 * custom resources) are looked up in the server's discovery documents.
 */

export interface Resource {
  readonly plural: string;
  readonly namespaced: boolean;
}

const namespaced = (plural: string): Resource => ({ plural, namespaced: true });
const clusterWide = (plural: string): Resource => ({ plural, namespaced: false });

/** By API group (without version: names do not change with it), then kind. The core group is the empty name. */
const resources: Readonly<Record<string, Readonly<Record<string, Resource>>>> = {
  "": {
    ConfigMap: namespaced("configmaps"),
    Endpoints: namespaced("endpoints"),
    Event: namespaced("events"),
    LimitRange: namespaced("limitranges"),
    Namespace: clusterWide("namespaces"),
    Node: clusterWide("nodes"),
    PersistentVolume: clusterWide("persistentvolumes"),
    PersistentVolumeClaim: namespaced("persistentvolumeclaims"),
    Pod: namespaced("pods"),
    ResourceQuota: namespaced("resourcequotas"),
    Secret: namespaced("secrets"),
    Service: namespaced("services"),
    ServiceAccount: namespaced("serviceaccounts"),
  },
  "admissionregistration.k8s.io": {
    MutatingWebhookConfiguration: clusterWide("mutatingwebhookconfigurations"),
    ValidatingAdmissionPolicy: clusterWide("validatingadmissionpolicies"),
    ValidatingAdmissionPolicyBinding: clusterWide("validatingadmissionpolicybindings"),
    ValidatingWebhookConfiguration: clusterWide("validatingwebhookconfigurations"),
  },
  "apiextensions.k8s.io": { CustomResourceDefinition: clusterWide("customresourcedefinitions") },
  "apiregistration.k8s.io": { APIService: clusterWide("apiservices") },
  apps: {
    DaemonSet: namespaced("daemonsets"),
    Deployment: namespaced("deployments"),
    ReplicaSet: namespaced("replicasets"),
    StatefulSet: namespaced("statefulsets"),
  },
  batch: { CronJob: namespaced("cronjobs"), Job: namespaced("jobs") },
  "certificates.k8s.io": { CertificateSigningRequest: clusterWide("certificatesigningrequests") },
  "coordination.k8s.io": { Lease: namespaced("leases") },
  "discovery.k8s.io": { EndpointSlice: namespaced("endpointslices") },
  "events.k8s.io": { Event: namespaced("events") },
  "networking.k8s.io": { Ingress: namespaced("ingresses"), IngressClass: clusterWide("ingressclasses"), NetworkPolicy: namespaced("networkpolicies") },
  "node.k8s.io": { RuntimeClass: clusterWide("runtimeclasses") },
  policy: { PodDisruptionBudget: namespaced("poddisruptionbudgets") },
  "rbac.authorization.k8s.io": {
    ClusterRole: clusterWide("clusterroles"),
    ClusterRoleBinding: clusterWide("clusterrolebindings"),
    Role: namespaced("roles"),
    RoleBinding: namespaced("rolebindings"),
  },
  "scheduling.k8s.io": { PriorityClass: clusterWide("priorityclasses") },
  "storage.k8s.io": { CSIDriver: clusterWide("csidrivers"), CSINode: clusterWide("csinodes"), StorageClass: clusterWide("storageclasses") },
};

function groupOf(apiVersion: string): string {
  return apiVersion.includes("/") ? (apiVersion.split("/", 1)[0] as string) : "";
}

export function knownResource(apiVersion: string, kind: string): Resource | undefined {
  return resources[groupOf(apiVersion)]?.[kind];
}

/** `/api/v1` or `/apis/apps/v1`: also the address of the discovery document. */
export function versionPath(apiVersion: string): string {
  return apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
}

export function collectionPath(apiVersion: string, resource: Resource, namespace: string | undefined): string {
  const scope = resource.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  return `${versionPath(apiVersion)}${scope}/${resource.plural}`;
}

/** From a discovery document (`APIResourceList`). Names with a slash are subresources. */
export function discoveredResource(document: unknown, kind: string): Resource | undefined {
  const list = (document as { readonly resources?: readonly { readonly name: string; readonly kind: string; readonly namespaced: boolean }[] } | null)?.resources ?? [];
  const found = list.find((resource) => resource.kind === kind && !resource.name.includes("/"));
  return found === undefined ? undefined : { plural: found.name, namespaced: found.namespaced };
}
