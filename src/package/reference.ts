/**
 * Image references, read the way docker and containerd read them (distribution/reference, the familiar-name rules).
 *
 * `nginx` means docker.io/library/nginx:latest; the first part is a host only when it has a dot, a colon, an upper-case letter or is `localhost`.
 */
import { KubestickError } from "../errors.ts";
import { isDigest } from "./digest.ts";
import type { Digest } from "./types.ts";

export interface Reference {
  /** `docker.io`, `registry.k8s.io`, `localhost:5000`. */
  readonly registry: string;
  /** `library/nginx`. */
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: Digest;
  /** `docker.io/library/nginx` */
  readonly name: string;
  /** Canonical: name with tag; with a digest instead where no tag was given. What the index stores and runtimes look up. */
  readonly canonical: string;
}

const component = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const repositoryForm = new RegExp(`^${component}(?:/${component})*$`);
const hostForm = /^(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]+)?$/;
const tagForm = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

/** Throws IMAGE_REFERENCE for a text that no registry could resolve. */
export function parseReference(text: string): Reference {
  const refuse = (why: string): KubestickError =>
    new KubestickError({
      code: "IMAGE_REFERENCE",
      attempted: `reading the image reference ${JSON.stringify(text)}`,
      happened: `It is not a valid image reference: ${why}.`,
      next: "Write it as HOST/NAME:TAG or HOST/NAME@sha256:DIGEST, e.g. `--image registry.example/app/web:1.2`.",
    });

  const [beforeDigest = "", digest, ...more] = text.split("@");
  if (more.length > 0) throw refuse("it has more than one @");
  if (digest !== undefined && !isDigest(digest)) throw refuse(`the digest ${JSON.stringify(digest)} is not sha256: and 64 lower-case hex digits`);

  const slash = beforeDigest.indexOf("/");
  const first = beforeDigest.slice(0, Math.max(slash, 0));
  const hasHost = /[.:A-Z]/.test(first) || first === "localhost";
  const path = hasHost ? beforeDigest.slice(slash + 1) : beforeDigest;
  const registry = !hasHost || first === "index.docker.io" ? "docker.io" : first;
  if (!hostForm.test(registry)) throw refuse(`${JSON.stringify(registry)} is not a host name`);

  const colon = path.lastIndexOf(":");
  const tagText = colon === -1 ? undefined : path.slice(colon + 1);
  let repository = colon === -1 ? path : path.slice(0, colon);
  if (tagText !== undefined && !tagForm.test(tagText)) throw refuse(`the tag ${JSON.stringify(tagText)} has characters tags cannot have`);
  if (!repositoryForm.test(repository)) throw refuse(`the name ${JSON.stringify(repository)} has characters names cannot have (they are lower-case)`);
  if (registry === "docker.io" && !repository.includes("/")) repository = `library/${repository}`;

  const name = `${registry}/${repository}`;
  if (name.length > 255) throw refuse("its name is longer than 255 characters");
  const tag = tagText ?? (digest === undefined ? "latest" : undefined);
  return {
    registry,
    repository,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
    name,
    canonical: tag === undefined ? `${name}@${digest}` : `${name}:${tag}`,
  };
}

/** The canonical form of a text that may be no reference at all (an annotation in somebody's image layout). */
export function canonicalOrUndefined(text: string): string | undefined {
  try {
    return parseReference(text).canonical;
  } catch {
    return undefined;
  }
}
