/** `images prune`: images go that no package owns, now or once the named packages are released. What is in use, or what the node needs to start a pod, stays. */
import type { Finding, ImageReleaseAction, Phase, PlanInput } from "../engine/types.ts";
import type { HostReader } from "../host/types.ts";
import type { Digest } from "../package/types.ts";
import { packageRecord, packageRecordPath, parsePackageRecord } from "./package-record.ts";

/** An image as the runtime tells it, as far as is judged here. */
export interface HeldImage {
  readonly id: string;
  readonly tags: readonly string[];
  readonly digests: readonly string[];
  /** Bytes. */
  readonly size: number;
  readonly pinned: boolean;
  readonly owners: readonly string[];
  readonly ours?: "created" | "adopted";
  readonly users: number;
}

export interface PruneRequest {
  readonly socket: string;
  readonly images: readonly HeldImage[];
  /** Index digests of packages that are not on this node any more. */
  readonly release: readonly Digest[];
}

/** Nobody owns it: this program brought or pinned it, and no package's mark is left. */
export function isOrphaned({ ours, owners }: HeldImage, released: readonly string[] = []): boolean {
  return ours !== undefined && owners.every((owner) => released.includes(owner));
}

export function nameOf({ id, tags, digests }: HeldImage): string {
  return tags[0] ?? digests[0] ?? id;
}

export function pruneImages({ socket, images, release }: PruneRequest): Phase<"prune", Record<never, never>, Record<never, never>> {
  return {
    id: "prune",
    title: "Remove images that no package on this node owns",
    needs: [],
    async plan(input) {
      const needed = await neededReferences(input);
      const findings: Finding[] = [];
      const actions = images.flatMap((image): ImageReleaseAction[] => {
        const orphaned = isOrphaned(image, release);
        const need = needed.find(({ reference }) => image.tags.includes(reference) || image.digests.includes(reference));
        if (orphaned && (image.users > 0 || need !== undefined)) {
          const why = image.users > 0 ? `${image.users} ${image.users === 1 ? "container or sandbox was" : "containers and sandboxes were"} made from it` : `${need?.by} names it`;
          findings.push({ check: "ImageKept", severity: "info", message: `no package owns ${nameOf(image)}, but ${why}`, hint: "It stays." });
        }
        const released = image.owners.some((owner) => release.some((digest) => digest === owner));
        if (need !== undefined && orphaned) return [];
        if (!released && !(orphaned && image.users === 0)) return [];
        return [{ kind: "image-release", id: `image/${nameOf(image)}`, socket, image: image.id, packages: release }];
      });
      const recorded = parsePackageRecord(await input.read.readText(packageRecordPath));
      const left = recorded.filter(({ digest }) => !release.includes(digest));
      return { actions: [...actions, ...(left.length === recorded.length ? [] : [packageRecord(left)])], output: {}, findings };
    },
  };
}

/** Images without which nothing starts here, whoever owns them: those of the static pods, and the one every sandbox begins with. */
async function neededReferences({ read, runtime: ask }: Pick<PlanInput<never>, "read" | "runtime">): Promise<readonly { readonly reference: string; readonly by: string }[]> {
  const runtime = await ask();
  const containerd = "/etc/containerd/config.toml";
  const sandbox = /^\s*sandbox(?:_image)?\s*=\s*["']([^"']+)["']/m.exec((await read.readText(containerd)) ?? "")?.[1];
  return [
    ...(runtime?.sandboxImage === undefined ? [] : [{ reference: runtime.sandboxImage, by: "the runtime's configuration" }]),
    ...(sandbox === undefined ? [] : [{ reference: sandbox, by: containerd }]),
    ...(await staticPodImages(read)),
  ];
}

async function staticPodImages(read: HostReader): Promise<readonly { readonly reference: string; readonly by: string }[]> {
  const folder = "/etc/kubernetes/manifests";
  const found: { reference: string; by: string }[] = [];
  for (const name of (await read.list(folder)) ?? []) {
    const path = `${folder}/${name}`;
    const text = (await read.readText(path)) ?? "";
    for (const [, reference = ""] of text.matchAll(/^\s*(?:- )?image:\s*["']?([^\s"']+)/gm)) found.push({ reference, by: path });
  }
  return found;
}
