/** `reset phase ...` as commands for the table: names, help and examples from `reset-phase-table.ts`. */
import { command, type Command, type CommandGroup } from "./command.ts";
import { phaseGroups, phasePath, phaseSubject } from "./phase-table.ts";
import { resetPhaseFlags, resetPhaseRows } from "./reset-phase-table.ts";
import type { ResetFlags } from "./reset.ts";

export const resetPhaseGroups: readonly CommandGroup[] = phaseGroups("reset", resetPhaseRows);

export const resetPhaseCommands: readonly Command[] = resetPhaseRows.map((entry) => {
  const path = phasePath("reset", resetPhaseRows, entry);
  const line = ["kubestick", ...path].join(" ");
  return command({
    path,
    summary: entry.title,
    description: entry.harmless === true
      ? `${phaseSubject("reset", entry)} It says what would keep the other phases from running, and changes nothing.`
      : `${phaseSubject("reset", entry)} What phase preflight refuses is refused here, too. The kubelet and the pods are stopped first, whichever phase it is that needs it. The record of what was made stays `
        + "until a whole \"kubestick reset\" has found nothing left. On a terminal you are asked for the node's name; scripts pass --yes.",
    examples: entry.harmless === true
      ? [{ comment: "May this node go?", line }, { comment: "The same, for a script", line: `${line} -o json` }]
      : [{ comment: "See what it would remove", line: `${line} --dry-run` }, { comment: "In a script, without a question", line: `${line} --yes` }],
    flags: resetPhaseFlags(entry),
    run: async (flags, _, io) => (await import("./reset.ts")).resetPhaseCommand(entry, flags as ResetFlags, io),
  });
});
