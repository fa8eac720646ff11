/**
 * Which packages are on this node: a file that says of every package whose images were loaded where it came from. Who owns an image stands on the
 * image itself, as a mark in the runtime; this file only gives the marks names that people know.
 *
 * A package is on the node from the load of its images until it is released. That its file is gone proves nothing: sticks are pulled out.
 */
import type { FileAction, PlanInput } from "../engine/types.ts";
import type { Digest } from "../package/types.ts";
import { file } from "./actions.ts";

export const packageRecordPath = "/var/lib/kubestick/packages.json";

export interface RecordedPackage {
  /** Of the package's index. */
  readonly digest: Digest;
  readonly kubernetesVersion: string;
  /** Where it was when its images were loaded: a path, or the address of a peer. */
  readonly path: string;
  /** RFC 3339, of the first load. */
  readonly loaded: string;
  readonly images: number;
}

/** Nothing that this version wrote is no reason to stop: the marks on the images are what counts. */
export function parsePackageRecord(text: string | undefined): readonly RecordedPackage[] {
  if (text === undefined) return [];
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return [];
  }
  const packages = typeof value === "object" && value !== null ? (value as { readonly packages?: unknown }).packages : undefined;
  return Array.isArray(packages) ? packages.filter(isRecorded) : [];
}

function isRecorded(value: unknown): value is RecordedPackage {
  const { digest, kubernetesVersion, path, loaded, images } = (value ?? {}) as Partial<Record<keyof RecordedPackage, unknown>>;
  return typeof digest === "string" && /^sha256:[0-9a-f]{64}$/.test(digest) && typeof kubernetesVersion === "string" && typeof path === "string" && typeof loaded === "string" && typeof images === "number";
}

/** The record with the package of this run in it; nothing to do in a run without one, or when it is in it already. */
export async function recordPackage({ pkg, carried, read, now }: Pick<PlanInput<never>, "pkg" | "carried" | "read" | "now">): Promise<readonly FileAction[]> {
  if (pkg === undefined || carried === undefined) return [];
  const known = parsePackageRecord(await read.readText(packageRecordPath).catch(() => undefined));
  const mine: RecordedPackage = { digest: carried.digest, kubernetesVersion: pkg.kubernetesVersion, path: carried.path, loaded: now.toISOString(), images: pkg.images.length };
  return [packageRecord(known.some(({ digest }) => digest === carried.digest) ? known : [...known, mine])];
}

export function packageRecord(packages: readonly RecordedPackage[]): FileAction {
  return file(packageRecordPath, 0o644, `${JSON.stringify({ packages }, null, 2)}\n`, { parentMode: 0o700, why: "which packages this node's images came from" });
}
