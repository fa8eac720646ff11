/**
 * Patches over what this room makes: which file patches what, in which way and in which order. Facts: kubeadm util/patches.
 *
 * A file is `target[suffix][+type].extension`. Files come in lexical order of their paths, the documents of a file in its own order.
 */
import { KubestickError } from "../errors.ts";
import { applyJsonPatch, applyMergePatch, PatchProblem, type Json } from "./json-patch.ts";
import { applyStrategicMerge, type PatchedKind } from "./strategic-merge.ts";

/** In kubeadm's order: the first whose name a file begins with is meant. */
export const patchTargets = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubeletconfiguration", "corednsdeployment"] as const;
export type PatchTarget = (typeof patchTargets)[number];

const patchTypes = ["strategic", "merge", "json"] as const;
type PatchType = (typeof patchTypes)[number];

const kinds: Readonly<Record<PatchTarget, PatchedKind>> = {
  "etcd": "Pod", "kube-apiserver": "Pod", "kube-controller-manager": "Pod", "kube-scheduler": "Pod",
  "kubeletconfiguration": "KubeletConfiguration", "corednsdeployment": "Deployment",
};

export interface PatchFile {
  readonly path: string;
  /** Only asked when the name says that it is a patch. */
  readonly documents: () => readonly Json[];
}

interface Patch {
  readonly path: string;
  readonly target: PatchTarget;
  readonly type: PatchType;
  readonly body: Json;
}

export interface Patches {
  readonly patches: readonly Patch[];
  /** Paths that are no patches, each with the reason. */
  readonly ignored: readonly { readonly path: string; readonly reason: string }[];
}

export const noPatches: Patches = { patches: [], ignored: [] };

/** Files of one directory, in the order in which they are to be applied. */
export function readPatches(files: readonly PatchFile[]): Patches {
  const patches: Patch[] = [];
  const ignored: { path: string; reason: string }[] = [];
  for (const { path, documents } of files) {
    const name = nameParts(path);
    if ("reason" in name) ignored.push({ path, reason: name.reason });
    // kubeadm says nothing about a file without documents either: it is a patch switched off.
    else patches.push(...documents().map((body) => ({ path, target: name.target, type: name.type, body })));
  }
  return { patches, ignored };
}

function nameParts(path: string): { readonly target: PatchTarget; readonly type: PatchType } | { readonly reason: string } {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  if (dot < 0 || ![".json", ".yaml"].includes(name.slice(dot))) return { reason: "its name ends neither in .json nor in .yaml" };
  const target = patchTargets.find((candidate) => name.startsWith(candidate));
  if (target === undefined) return { reason: `its name begins with none of ${patchTargets.join(", ")}` };
  const [suffix = "", ...types] = name.slice(0, dot).slice(target.length).split("+");
  const type = types.length === 0 ? "strategic" : patchTypes.find((candidate) => candidate === types[0]);
  if (type === undefined || types.length > 1) throw unusable(path, `${JSON.stringify(`+${types.join("+")}`)} is no patch type; it must be +strategic, +merge or +json`);
  if (suffix.includes(".")) throw unusable(path, `the suffix ${JSON.stringify(suffix)} holds a dot`);
  return { target, type };
}

/** `document` with every patch for `target` applied. */
export function applyPatches<T extends object>({ patches }: Patches, target: PatchTarget, document: T): T {
  // Through JSON, as kubeadm does it: members that are undefined do not exist for a patch.
  const wanted = patches.filter((patch) => patch.target === target);
  if (wanted.length === 0) return document;
  return wanted.reduce<Json>((current, patch) => {
    try {
      const patched = applyOne(kinds[target], current, patch);
      if (typeof patched !== "object" || patched === null || Array.isArray(patched)) throw new PatchProblem("nothing that could be written remains");
      return patched;
    } catch (error) {
      if (error instanceof PatchProblem) throw unusable(patch.path, error.message);
      throw error;
    }
  }, JSON.parse(JSON.stringify(document)) as Json) as T;
}

function applyOne(kind: PatchedKind, document: Json, { type, body }: Patch): Json {
  switch (type) {
    case "strategic": return applyStrategicMerge(kind, document, body);
    case "merge": return applyMergePatch(document, body);
    case "json": return applyJsonPatch(document, body);
  }
}

/** The file of a patch is told with every reason, because a folder holds several. */
export function unusable(path: string, happened: string): KubestickError {
  return new KubestickError({
    code: "PATCH_UNUSABLE",
    attempted: `applying the patch ${path}`,
    happened: `${happened.charAt(0).toUpperCase()}${happened.slice(1)}.`,
    next: "Correct the file, or move it out of the folder; then run the same command again.",
  });
}
