/**
 * `join`: kubeadm's phases under kubeadm's names, for each role those that do something. `node`, `images`, `tools`, `wait-node` are ours, and so are
 * `etcd-learner` and `etcd`, which kubeadm does within `etcd-join`.
 */
import { flow } from "../engine/flow.ts";
import { controlPlaneJoin, joinWaitControlPlane } from "../phases/control-plane-join.ts";
import { controlPlanePrepare } from "../phases/control-plane-prepare.ts";
import { ha } from "../phases/ha.ts";
import { images } from "../phases/images.ts";
import { checkEtcd, etcdJoin, etcdLearner, joinEtcd } from "../phases/join-etcd.ts";
import { joinKubeletStart } from "../phases/join-kubelet-start.ts";
import { joinPreflight } from "../phases/join-preflight.ts";
import { joinWaitNode } from "../phases/join-wait-node.ts";
import { kubeletWaitBootstrap } from "../phases/kubelet-wait-bootstrap.ts";
import { node } from "../phases/node.ts";
import { tools } from "../phases/tools.ts";

export { readJoinTarget } from "../phases/join-target.ts";

export const workerJoinFlow = flow("join")
  .add(joinPreflight)
  .add(node, { before: "images", lateBefore: "kubelet-start" })
  .add(images, { before: "kubelet-start", lateBefore: "wait-node" })
  .add(ha)
  .add(joinKubeletStart)
  .add(tools, { before: "wait-node" })
  .add(kubeletWaitBootstrap)
  .add(joinWaitNode);

/**
 * Everything but the kubelet's start is ready before it, so that it starts once; as a learner this node takes nothing from etcd until it can vote. Images of static pods and
 * applications are there before the cluster hears of this node, the others before it votes: a full disk is no member.
 */
export const controlPlaneJoinFlow = flow("join")
  .add(joinPreflight)
  .add(node, { before: "images", lateBefore: "etcd-learner" })
  .add(controlPlanePrepare, { before: "check-etcd" })
  .add(images, { before: "etcd-learner", lateBefore: "etcd-join" })
  .add(checkEtcd)
  .add(etcdLearner)
  .add(joinEtcd)
  .add(ha)
  .add(joinKubeletStart)
  .add(tools, { before: "wait-node" })
  .add(etcdJoin)
  .add(kubeletWaitBootstrap)
  .add(controlPlaneJoin)
  .add(joinWaitControlPlane)
  .add(joinWaitNode);
