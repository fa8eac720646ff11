/** Objects of the manifests that `package add` put into the package, in an order in which they can be applied. */
import { parseAllDocuments, type DocumentOptions, type SchemaOptions } from "yaml";
import type { KubeObject } from "../cluster/types.ts";
import type { PlanInput } from "../engine/types.ts";

export interface CarriedObject {
  readonly value: KubeObject;
  /** Name of the manifest. */
  readonly from: string;
}

/**
 * What others need comes first: namespaces, then the kinds of custom objects, then what pods refer to. Webhooks come last, because the API server
 * asks them about everything after them, and what answers has to run by then. Within a rank the author's order holds.
 */
const ranks: Readonly<Record<string, number>> = {
  Namespace: 0, CustomResourceDefinition: 1,
  PriorityClass: 2, RuntimeClass: 2, StorageClass: 2, IngressClass: 2, ServiceAccount: 2, Secret: 2, ConfigMap: 2, ClusterRole: 2, ClusterRoleBinding: 2, Role: 2, RoleBinding: 2, ResourceQuota: 2, LimitRange: 2,
  APIService: 4, MutatingWebhookConfiguration: 4, ValidatingWebhookConfiguration: 4,
};
const usualRank = 3;

/** As `package add` has read it (package/kubernetes-manifest.ts). */
const kubernetesYaml: SchemaOptions & DocumentOptions = {
  version: "1.1", customTags: (tags) => tags.filter((tag) => typeof tag === "string" || (tag.tag !== "tag:yaml.org,2002:timestamp" && tag.format !== "TIME")),
};

export async function carriedManifests({ pkg, carried }: Pick<PlanInput<never>, "pkg" | "carried">): Promise<readonly CarriedObject[]> {
  const objects: CarriedObject[] = [];
  for (const { kind, name, digest } of pkg?.documents ?? []) {
    if (kind !== "manifest" || carried === undefined) continue;
    const text = Buffer.from(await carried.read(digest)).toString("utf8");
    // Checked when it was added, so every document is an object with kind and name, or a list of such.
    for (const document of parseAllDocuments(text, kubernetesYaml)) objects.push(...flat(document.toJS()).map((value) => ({ value, from: name })));
  }
  return objects.map((object, at) => ({ object, at, rank: ranks[object.value.kind] ?? usualRank })).sort((a, b) => a.rank - b.rank || a.at - b.at).map(({ object }) => object);
}

function flat(value: unknown): readonly KubeObject[] {
  if (value === null || value === undefined) return [];
  const object = value as KubeObject & { readonly items?: unknown };
  return object.kind.endsWith("List") && Array.isArray(object.items) ? object.items.flatMap(flat) : [asDesired(object)];
}

/** A manifest that was read from a cluster brings what only the API server writes; applying that is refused. */
function asDesired({ status: _status, metadata, ...rest }: KubeObject): KubeObject {
  const { managedFields: _managed, resourceVersion: _version, uid: _uid, creationTimestamp: _created, generation: _generation, selfLink: _link, ...kept } = metadata;
  return { ...rest, metadata: kept } as KubeObject;
}
