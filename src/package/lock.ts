/**
 * The lock file of `pack`: which digest every reference and every download had. Written by the first pack, enforced by all later ones, so
 * that a package made next month from moved tags is a decision and not an accident.
 */
import { readFile } from "node:fs/promises";
import { parse, stringify } from "yaml";
import { KubestickError, errnoOf, messageOf } from "../errors.ts";
import { isDigest } from "./digest.ts";
import type { Digest } from "./types.ts";

export interface Lock {
  /** Canonical reference to the digest it resolves to; see `lockedImages`. */
  readonly images: ReadonlyMap<string, Digest>;
  /** Address to the file's digest. */
  readonly files: ReadonlyMap<string, Digest>;
}

const HEADER = `# What \`kubestick pack --lock\` resolved. With this file present, pack refuses every other digest and everything not listed.
# To accept a change, delete the line or the file and pack again.
`;

export function formatLock(lock: Lock): string {
  const sorted = (entries: ReadonlyMap<string, Digest>): Record<string, string> => Object.fromEntries([...entries].sort(([a], [b]) => (a < b ? -1 : 1)));
  return HEADER + stringify({ lockVersion: 1, images: sorted(lock.images), files: sorted(lock.files) }, { lineWidth: 0 });
}

/**
 * Under which name a digest stands: that of the reference, which an image index makes one for all architectures; with the architecture where each has an
 * image of its own (`registry.example/app:1 (arm64)`).
 */
export function lockedImages(found: readonly { readonly reference: string; readonly arch: string; readonly digest: Digest }[], lock: Lock | undefined): ReadonlyMap<string, Digest> {
  const several = (reference: string): boolean => new Set(found.filter((image) => image.reference === reference).map(({ digest }) => digest)).size > 1;
  return new Map(found.map(({ reference, arch, digest }) => {
    const own = `${reference} (${arch})`;
    return [several(reference) || lock?.images.has(own) === true ? own : reference, digest];
  }));
}

/** undefined when there is no such file yet. */
export async function readLock(path: string): Promise<Lock | undefined> {
  const refuse = (happened: string, cause?: unknown): KubestickError =>
    new KubestickError({ code: "PACK_LOCK_FILE", attempted: `reading the lock file ${path}`, happened, next: "Restore the file from version control, or delete it to have it written anew.", cause });
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw refuse(`It cannot be read: ${messageOf(error)}.`, error);
  }
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw refuse(`It is not YAML: ${messageOf(error)}.`, error);
  }
  const fields = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  if (fields["lockVersion"] !== 1) throw refuse("It has no `lockVersion: 1`.");
  const digests = (name: string): ReadonlyMap<string, Digest> => {
    const found = new Map<string, Digest>();
    for (const [key, digest] of Object.entries((fields[name] ?? {}) as Record<string, unknown>)) {
      if (!isDigest(digest)) throw refuse(`${name}: ${key} has no sha256 digest.`);
      found.set(key, digest);
    }
    return found;
  };
  return { images: digests("images"), files: digests("files") };
}

/** Throws PACK_LOCK listing everything that differs or is new. What the lock knows and this package does not use is fine. */
export function enforceLock(path: string, lock: Lock, found: Lock): void {
  const details: string[] = [];
  for (const [locked, now] of [[lock.images, found.images], [lock.files, found.files]] as const) {
    for (const [name, digest] of now) {
      const expected = locked.get(name);
      if (expected === undefined) details.push(`${name} is not in the lock file; it is now ${digest}`);
      else if (expected !== digest) details.push(`${name} is locked to ${expected}, but is now ${digest}`);
    }
  }
  if (details.length === 0) return;
  throw new KubestickError({
    code: "PACK_LOCK",
    attempted: `checking what was found against the lock file ${path}`,
    happened: details.length === 1 ? `${details[0]}.` : `${details.length} digests differ or are new, the first: ${details[0]}.`,
    next: `If the change is wanted, delete those lines' file (\`rm ${path}\`) and pack again; it will be written anew.`,
    details,
  });
}
