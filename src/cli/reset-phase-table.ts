/** The commands below `reset phase`, as data, like `init-phase-table.ts`. Flags are kubeadm's for the same phase (kubeadm cmd/phases/reset), plus ours. */
import { resetFlags } from "./flag-tables.ts";
import type { FlagTable } from "./flags.ts";
import { flagsNamed, type PhaseRow } from "./phase-table.ts";

type ResetFlag = keyof typeof resetFlags;

export interface ResetPhaseRow extends PhaseRow<ResetFlag> {
  /** Nothing goes, so nobody is asked. */
  readonly harmless?: true;
}

export const resetPhaseRows: readonly ResetPhaseRow[] = [
  { phase: "preflight", title: "Look at what is on this machine", harmless: true, flags: ["cri-socket", "kubeconfig"] },
  { phase: "remove-etcd-member", title: "Leave the cluster's etcd and remove its data on this node", flags: ["cri-socket", "kubeconfig", "yes"] },
  { phase: "cleanup-node", title: "Remove what the cluster left on this node", flags: ["cert-dir", "cleanup-tmp-dir", "cri-socket", "yes"] },
  { phase: "undo", title: "Undo what kubestick made on this machine", flags: ["cri-socket", "yes"] },
  { phase: "cleanup-runtime", title: "Remove the data of the container runtime that init installed", flags: ["yes"] },
];

const everywhere = ["config", "dry-run", "force", "ignore-preflight-errors", "output"] as const satisfies readonly ResetFlag[];

export function resetPhaseFlags({ flags }: ResetPhaseRow): FlagTable {
  return flagsNamed(resetFlags, [...flags, ...everywhere]);
}
