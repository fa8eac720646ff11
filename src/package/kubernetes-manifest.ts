/**
 * Kubernetes manifests that a package carries: read strictly when they are added, because nobody is there to mend them where they are applied.
 */
import { LineCounter, parseAllDocuments, type Document, type DocumentOptions, type SchemaOptions } from "yaml";
import { KubestickError } from "../errors.ts";
import { canonicalOrUndefined } from "./reference.ts";

/** More than this is no list of objects; etcd takes 1.5 MiB for each. */
export const MAX_MANIFEST = 8 * 1024 * 1024;

export interface ManifestObject {
  /** `apps/Deployment shop/web`: what two manifests must not both describe. */
  readonly id: string;
  readonly line: number;
}

/** An image that a pod of the manifest starts. */
export interface ManifestImage {
  /** As written. */
  readonly image: string;
  /** Canonical reference; undefined when what is written cannot be one. */
  readonly reference: string | undefined;
  /** The object that names it. */
  readonly of: string;
  /** The kubelet would ask the registry even where the image is there (`imagePullPolicy: Always`, or no policy and the tag latest). */
  readonly alwaysPulled: boolean;
}

export interface ReadManifest {
  readonly objects: readonly ManifestObject[];
  readonly images: readonly ManifestImage[];
}

/** YAML as kubectl reads it, 1.1: `0644` is octal, `<<` merges. But for dates and times of day, which stay texts there. */
export const kubernetesYaml: SchemaOptions & DocumentOptions = {
  version: "1.1", customTags: (tags) => tags.filter((tag) => typeof tag === "string" || (tag.tag !== "tag:yaml.org,2002:timestamp" && tag.format !== "TIME")),
};

/** Throws MANIFEST_INVALID with everything that is wrong, each with its line. */
export function readManifest(text: string, path: string): ReadManifest {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { ...kubernetesYaml, lineCounter: lines }) as Document.Parsed[];
  const problems: string[] = [];
  const objects: ManifestObject[] = [];
  const images: ManifestImage[] = [];
  const read = (value: unknown, line: number, where: string): void => {
    if (!isMap(value)) {
      problems.push(`line ${line}: ${where} is no map with apiVersion, kind and metadata`);
      return;
    }
    const { apiVersion, kind, metadata, items } = value;
    if (typeof apiVersion !== "string" || apiVersion === "" || typeof kind !== "string" || kind === "") {
      problems.push(`line ${line}: ${where} has no ${typeof apiVersion === "string" && apiVersion !== "" ? "kind" : "apiVersion"}`);
      return;
    }
    // As `kubectl get -o yaml` writes several objects.
    if (kind.endsWith("List") && Array.isArray(items)) {
      for (const [number, item] of items.entries()) read(item, line, `item ${number + 1} of the ${kind}`);
      return;
    }
    const { name, namespace } = isMap(metadata) ? metadata : {};
    if (typeof name !== "string" || name === "") {
      const hint = apiVersion.startsWith("kustomize.config.k8s.io/") ? "; add what `kubectl kustomize DIR` prints instead"
        : isMap(metadata) && metadata["generateName"] !== undefined ? "; with generateName every init would make one more" : "";
      problems.push(`line ${line}: ${where} (${kind}) has no metadata.name${hint}`);
      return;
    }
    if (namespace !== undefined && typeof namespace !== "string") problems.push(`line ${line}: metadata.namespace of ${kind} ${name} is no text`);
    const group = apiVersion.includes("/") ? `${apiVersion.split("/", 1)[0]}/` : "";
    const id = `${group}${kind} ${typeof namespace === "string" ? `${namespace}/` : ""}${name}`;
    objects.push({ id, line });
    for (const found of imagesIn(value)) images.push({ ...found, of: id });
  };
  for (const [number, document] of documents.entries()) {
    const [error] = document.errors;
    if (error !== undefined) {
      const template = text.includes("{{") ? " It has {{ in it: a template has to be rendered first, e.g. with `helm template`." : "";
      problems.push(`line ${error.linePos?.[0].line ?? 1}: ${error.message.split("\n", 1)[0]}${template}`);
      continue;
    }
    let value: unknown;
    try {
      value = document.toJS();
    } catch (thrown) {
      problems.push(`document ${number + 1}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      continue;
    }
    if (value === null || value === undefined) continue;
    read(value, lines.linePos(document.contents?.range[0] ?? document.range[0]).line, documents.length === 1 ? "the document" : `document ${number + 1}`);
  }
  const seen = new Map<string, number>();
  for (const { id, line } of objects) {
    const before = seen.get(id);
    if (before !== undefined) problems.push(`line ${line}: ${id} is described a second time, the first is in line ${before}`);
    else seen.set(id, line);
  }
  if (problems.length === 0 && objects.length === 0) problems.push("line 1: it has no object");
  const [first] = problems;
  if (first !== undefined) {
    throw new KubestickError({
      code: "MANIFEST_INVALID",
      attempted: `reading the Kubernetes manifest ${path}`,
      happened: problems.length === 1 ? `It cannot be applied: ${first}.` : `It cannot be applied, for ${problems.length} reasons, the first: ${first}.`,
      next: `Correct it; where there is a cluster, \`kubectl apply --dry-run=client -f ${path}\` checks it too.`,
      details: problems.length === 1 ? [] : problems,
    });
  }
  return { objects, images };
}

const CONTAINER_LISTS = ["containers", "initContainers", "ephemeralContainers"];

/** In pods and in whatever holds a pod's template, of Kubernetes' own kinds and of others. */
function imagesIn(value: unknown): readonly Omit<ManifestImage, "of">[] {
  if (Array.isArray(value)) return value.flatMap(imagesIn);
  if (!isMap(value)) return [];
  return Object.entries(value).flatMap(([key, child]) => {
    const own = Array.isArray(child) && CONTAINER_LISTS.includes(key) ? child.flatMap((container: unknown) => (isMap(container) ? imageOf(container["image"], container["imagePullPolicy"]) : []))
      // Image volumes (Kubernetes 1.31 and later).
      : key === "image" && isMap(child) ? imageOf(child["reference"], child["pullPolicy"]) : [];
    return [...own, ...imagesIn(child)];
  });
}

function imageOf(image: unknown, policy: unknown): readonly Omit<ManifestImage, "of">[] {
  if (typeof image !== "string" || image === "") return [];
  const reference = canonicalOrUndefined(image);
  // The API server's default (pkg/apis/core/v1/defaults.go).
  const latest = reference !== undefined && !image.includes("@") && reference.endsWith(":latest");
  return [{ image, reference, alwaysPulled: policy === "Always" || (policy === undefined && latest) }];
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
