/**
 * The flows room: what an operation consists of, as a list.
 *
 * Owns: the order of phases. Refuses: doing anything; `engine/run.ts` runs a flow, phases know what should exist.
 * Phases and their names are kubeadm's; `node`, `images`, `tools`, `cni` and `wait-node` are what kubeadm leaves to the reader.
 */
import { flow } from "../engine/flow.ts";
import { addon } from "../phases/addon.ts";
import { bootstrapToken } from "../phases/bootstrap-token.ts";
import { certs } from "../phases/certs.ts";
import { cni } from "../phases/cni.ts";
import { controlPlane } from "../phases/control-plane.ts";
import { controllerAccounts } from "../phases/controller-accounts.ts";
import { etcd } from "../phases/etcd.ts";
import { ha } from "../phases/ha.ts";
import { images } from "../phases/images.ts";
import { kubeconfig } from "../phases/kubeconfig.ts";
import { kubeletFinalize } from "../phases/kubelet-finalize.ts";
import { kubeletStart } from "../phases/kubelet-start.ts";
import { markControlPlane } from "../phases/mark-control-plane.ts";
import { node } from "../phases/node.ts";
import { preflight } from "../phases/preflight.ts";
import { showJoinCommand } from "../phases/show-join-command.ts";
import { tools } from "../phases/tools.ts";
import { uploadCerts } from "../phases/upload-certs.ts";
import { uploadConfig } from "../phases/upload-config.ts";
import { waitControlPlane } from "../phases/wait-control-plane.ts";
import { waitNode } from "../phases/wait-node.ts";

/**
 * The first control-plane node. Images stand before the pods that are made from them, so that the kubelet never waits for one: it starts when it can start etcd, and
 * finds the others when their images are there. Keys are made from the first moment on; programs are written and the control plane starts while images are loaded;
 * what only people call comes when nothing waits for it.
 */
export const initFlow = flow("init")
  .add(preflight)
  .add(node, { before: "images", lateBefore: "kubelet-start" })
  .add(certs, { before: "kubeconfig" })
  .add(images, { before: "kubelet-start", lateBefore: "cni" })
  .add(kubeconfig)
  .add(etcd)
  .add(controlPlane, { before: "kubelet-start", lateBefore: "wait-control-plane" })
  .add(ha)
  .add(kubeletStart)
  .add(tools, { before: "cni" })
  .add(waitControlPlane)
  .add(controllerAccounts)
  .add(uploadConfig)
  .add(uploadCerts)
  .add(markControlPlane)
  .add(bootstrapToken)
  .add(kubeletFinalize)
  .add(cni)
  .add(addon)
  .add(waitNode)
  .add(showJoinCommand);
