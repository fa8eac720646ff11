/** `join phase ...` as commands for the table: names, help and examples from `join-phase-table.ts`. */
import { command, type Command, type CommandGroup } from "./command.ts";
import { joinPhaseFlags, joinPhaseRows } from "./join-phase-table.ts";
import { phaseCommandsOf, phaseGroups, phasePath, phaseSubject } from "./phase-table.ts";

export const joinPhaseGroups: readonly CommandGroup[] = phaseGroups("join", joinPhaseRows);

export const joinPhaseCommands: readonly Command[] = phaseCommandsOf(joinPhaseRows).map((entry) => {
  const path = phasePath("join", joinPhaseRows, entry);
  const line = ["kubestick", ...path, "192.0.2.10:6443 --token TOKEN --discovery-token-ca-cert-hash sha256:1234...", ...(entry.controlPlane === true ? ["--control-plane"] : [])].join(" ");
  return command({
    path,
    summary: entry.title,
    description:
      `${phaseSubject("join", entry)} What earlier phases make must be in place already; `
      + "if it is not, the command says what is missing and changes nothing. Give it the address and flags that join was given; without them the cluster is found by /etc/kubernetes/admin.conf, "
      + "where that exists. Running it again leaves everything as it is.",
    examples: [
      { comment: "See what it would do", line: `${line} --dry-run` },
      { comment: "With the configuration file of this node", line: `${["kubestick", ...path].join(" ")} --config join.yaml` },
    ],
    flags: joinPhaseFlags(entry),
    positionals: [{ name: "HOST:PORT", description: "Address of the API server", optional: true }],
    run: async (flags, positionals, io) => (await import("./join.ts")).joinPhaseCommand(entry, flags, positionals, io),
  });
});
