/** `reset`: kubeadm's phases, then the journal's undo, then what only goes when the runtime has stopped. */
import type { ResetPhase } from "../engine/types.ts";
import { removeEtcdMember } from "../phases/reset-etcd.ts";
import { cleanupNode } from "../phases/reset-node.ts";
import { resetPreflight } from "../phases/reset-preflight.ts";
import { cleanupRuntime } from "../phases/reset-runtime.ts";
import { undoJournal } from "../phases/reset-undo.ts";

export const resetFlow: readonly ResetPhase[] = [
  resetPreflight,
  removeEtcdMember,
  cleanupNode,
  undoJournal,
  cleanupRuntime,
];
