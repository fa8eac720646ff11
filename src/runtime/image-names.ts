/**
 * The names under which containerd's CRI plugin keeps an image, so that every way the kubelet may ask for it finds it.
 *
 * A pull by CRI leaves three kinds of records with the same target (containerd `cri/server/images/image_pull.go`): the normalised
 * reference, `repository@digest`, and the image id, which is the digest of the image's configuration.
 */
import { KubestickError } from "../errors.ts";
import type { PackageImage } from "../package/types.ts";

export interface ParsedReference {
  /** Registry and path: `registry.k8s.io/pause`. */
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: string;
}

const repositoryPattern = /^[a-zA-Z0-9.-]+(:[0-9]+)?(\/[a-z0-9]+([._-]+[a-z0-9]+)*)+$|^\[[0-9a-fA-F:]+\](:[0-9]+)?(\/[a-z0-9]+([._-]+[a-z0-9]+)*)+$/;
const tagPattern = /^\w[\w.-]{0,127}$/;
const digestPattern = /^sha256:[0-9a-f]{64}$/;

/** Docker's rules for short names: `pause` is `docker.io/library/pause:latest` (distribution/reference `normalize.go`). */
export function parseReference(reference: string): ParsedReference {
  const [named = "", digest] = reference.split("@", 2);
  const colon = named.lastIndexOf(":");
  const tagged = colon > named.lastIndexOf("/");
  const name = tagged ? named.slice(0, colon) : named;
  const tag = tagged ? named.slice(colon + 1) : undefined;
  const first = name.split("/", 1)[0] as string;
  const hasDomain = name.includes("/") && (/[.:[]/.test(first) || first === "localhost");
  const repository = hasDomain ? name : `docker.io/${name.includes("/") ? name : `library/${name}`}`;
  if (!repositoryPattern.test(repository) || (tag !== undefined && !tagPattern.test(tag)) || (digest !== undefined && !digestPattern.test(digest))) {
    throw new KubestickError({
      code: "IMAGE_REFERENCE_INVALID",
      attempted: "reading an image reference",
      happened: `"${reference}" is not an image reference.`,
      next: "Write it as registry/path:tag or registry/path@sha256:<64 hexadecimal digits>, e.g. registry.k8s.io/pause:3.10.2.",
    });
  }
  if (digest !== undefined) return tag === undefined ? { repository, digest } : { repository, tag, digest };
  return { repository, tag: tag ?? "latest" };
}

/** As CRI asks for it: a digest wins over a tag (distribution/reference `ParseDockerRef`). */
export function normalizedName(reference: string): string {
  const { repository, tag, digest } = parseReference(reference);
  return digest === undefined ? `${repository}:${tag}` : `${repository}@${digest}`;
}

export interface ImageNames {
  /** The image id; its record must exist first, it is the one that keeps the image when a tag moves on. */
  readonly id: string;
  /** `repository@digest`, one for each repository. */
  readonly digests: readonly string[];
  /** Given last: when a tag answers, everything else is in place. */
  readonly tags: readonly string[];
}

export function namesOf(image: PackageImage, alsoAs: readonly string[] = []): ImageNames {
  const digests = new Set<string>();
  const tags = new Set<string>();
  for (const reference of [image.reference, ...alsoAs]) {
    const parsed = parseReference(reference);
    digests.add(`${parsed.repository}@${image.target.digest}`);
    // A further name by digest (a pause image pinned by its digest) can only be given when it is this image's digest; else CRI would tell a lie.
    if (parsed.digest !== undefined && parsed.digest !== image.target.digest) {
      throw new KubestickError({
        code: "IMAGE_REFERENCE_MISMATCH",
        attempted: `naming the image ${image.reference}`,
        happened: `It cannot be called ${reference}: its digest is ${image.target.digest}.`,
        next: "Use a reference by tag, or the digest of the image that the package carries (kubestick inspect lists them).",
      });
    }
    if (parsed.tag !== undefined) tags.add(`${parsed.repository}:${parsed.tag}`);
  }
  return { id: image.config.digest, digests: [...digests], tags: [...tags] };
}

export function allNames({ id, digests, tags }: ImageNames): readonly string[] {
  return [id, ...digests, ...tags];
}
