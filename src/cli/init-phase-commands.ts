/** `init phase ...` as commands for the table: names, help and examples from `init-phase-table.ts`. */
import { command, type Command, type CommandGroup } from "./command.ts";
import { initPhaseRows, phaseCommands, phaseFlags } from "./init-phase-table.ts";
import { phaseGroups, phasePath, phaseSubject } from "./phase-table.ts";

export const initPhaseGroups: readonly CommandGroup[] = phaseGroups("init", initPhaseRows);

export const initPhaseCommands: readonly Command[] = phaseCommands.map((entry) => {
  const path = phasePath("init", initPhaseRows, entry);
  const line = ["kubestick", ...path].join(" ");
  const asked = entry.phase === "upload-certs" ? " --upload-certs" : "";
  return command({
    path,
    summary: entry.title,
    description:
      `${phaseSubject("init", entry)} What earlier phases make must be in place already; `
      + "if it is not, the command says what is missing and changes nothing. Give it the flags or the configuration file that init was given. "
      + "Running it again leaves everything as it is.",
    examples: [
      { comment: "See what it would do", line: `${line}${asked} --dry-run` },
      entry.manifest === true
        ? { comment: "Print the objects, for other tools", line: `${line} --print-manifest` }
        : { comment: "With the configuration file of this cluster", line: `${line}${asked} --config cluster.yaml` },
    ],
    flags: phaseFlags(entry),
    run: async (flags, _, io) => (await import("./init-phase.ts")).initPhaseCommand(entry, flags, io),
  });
});
