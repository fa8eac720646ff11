/** `init phase ...` as commands for the table: names, help and examples from `init-phase-table.ts`. */
import { command, type Command, type CommandGroup } from "./command.ts";
import { initPhases, phaseCommands, phaseFlags, type PhaseCommand } from "./init-phase-table.ts";

/** kubeadm's word for "every step"; a phase with steps is not run by its name alone, so that a forgotten word installs nothing. */
const all = "all";

export const initPhaseGroups: readonly CommandGroup[] = [
  { path: ["init", "phase"], summary: "Run single phases of init" },
  ...initPhases.filter(({ steps }) => steps.length > 0).map(({ phase, title }) => ({ path: ["init", "phase", phase], summary: title })),
];

export const initPhaseCommands: readonly Command[] = phaseCommands.map((entry) => {
  const path = ["init", "phase", entry.phase, ...lastWord(entry)];
  const line = ["kubestick", ...path].join(" ");
  const asked = entry.phase === "upload-certs" ? " --upload-certs" : "";
  return command({
    path,
    summary: entry.title,
    description:
      `Runs ${entry.step === undefined ? `phase ${entry.phase}` : `step ${entry.step} of phase ${entry.phase}`} of init and nothing else. What earlier phases make must be in place already; `
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

function lastWord({ phase, step }: PhaseCommand): readonly string[] {
  if (step !== undefined) return [step];
  return initPhases.some((candidate) => candidate.phase === phase && candidate.steps.length > 0) ? [all] : [];
}
