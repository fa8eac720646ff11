/** Operations on the images of one node: loading what a package carries, and taking away what no package owns. */
import { flow } from "../engine/flow.ts";
import { loadImages } from "../phases/load-images.ts";
import { pruneImages, type PruneRequest } from "../phases/prune-images.ts";

export { isOrphaned, nameOf, type HeldImage } from "../phases/prune-images.ts";
export { packageRecordPath, parsePackageRecord, type RecordedPackage } from "../phases/package-record.ts";

export const loadFlow = flow("load").add(loadImages);

export function pruneFlow(request: PruneRequest): { readonly name: string; readonly phases: typeof loadFlow.phases } {
  return flow("prune").add(pruneImages(request));
}
