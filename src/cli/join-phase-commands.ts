/** `join phase ...` as commands for the table: names, help and examples from `join-phase-table.ts`. */
import { command, type Command, type CommandGroup } from "./command.ts";
import { joinPhaseFlags, joinPhaseRows, joinPhases, type JoinPhaseCommand } from "./join-phase-table.ts";

/** kubeadm's word for "every step". */
const all = "all";

export const joinPhaseGroups: readonly CommandGroup[] = [
  { path: ["join", "phase"], summary: "Run single phases of join" },
  ...joinPhases.filter(({ steps }) => steps.length > 0).map(({ phase, title }) => ({ path: ["join", "phase", phase], summary: title })),
];

export const joinPhaseCommands: readonly Command[] = joinPhaseRows.map((entry) => {
  const path = ["join", "phase", entry.phase, ...lastWord(entry)];
  const line = ["kubestick", ...path, "192.0.2.10:6443 --token TOKEN --discovery-token-ca-cert-hash sha256:1234...", ...(entry.controlPlane ? ["--control-plane"] : [])].join(" ");
  return command({
    path,
    summary: entry.title,
    description:
      `Runs ${entry.step === undefined ? `phase ${entry.phase}` : `step ${entry.step} of phase ${entry.phase}`} of join and nothing else. What earlier phases make must be in place already; `
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

function lastWord({ phase, step }: JoinPhaseCommand): readonly string[] {
  if (step !== undefined) return [step];
  return joinPhases.some((candidate) => candidate.phase === phase && candidate.steps.length > 0) ? [all] : [];
}
