/** `ha enable`: what makes a cluster that has one address for its control planes one whose nodes find any of them. */
import { flow } from "../engine/flow.ts";
import { haCerts, haCluster, haImages, haKubelet, haKubeProxy, haPreflight, haWait } from "../phases/ha-enable.ts";
import { ha } from "../phases/ha.ts";

export { readThisNode, type ThisNode } from "../phases/this-node.ts";

export const controlPlaneHaFlow = flow("ha enable")
  .add(haPreflight)
  .add(haImages)
  .add(haCerts)
  .add(ha)
  .add(haWait)
  .add(haCluster)
  .add(haKubeProxy);

export const workerHaFlow = flow("ha enable")
  .add(haPreflight)
  .add(haImages)
  .add(ha)
  .add(haWait)
  .add(haKubelet);
