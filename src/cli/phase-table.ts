/**
 * What the commands below `init phase`, `join phase` and `reset phase` share: a table of phases with their steps becomes one command for each of
 * both. Names and titles in the tables repeat those of the flows, which are not loaded for a help text; tests compare them.
 */
import type { CommandGroup } from "./command.ts";
import type { FlagTable } from "./flags.ts";

export interface PhaseRow<Flag extends string = string> {
  /** `certs` */
  readonly phase: string;
  readonly title: string;
  /** Of the phase, and of every step that does not say otherwise. */
  readonly flags: readonly Flag[];
  readonly steps?: readonly { readonly id: string; readonly title: string; readonly flags?: readonly Flag[] }[];
}

type StepOf<Row extends PhaseRow> = NonNullable<Row["steps"]>[number];

/** A row, or one of its steps with what it does not say itself from its row. */
export type PhaseCommandOf<Row extends PhaseRow> = Omit<Row, "steps"> & Partial<Omit<StepOf<Row>, "id" | "title" | "flags">> & {
  /** `apiserver`; without a step the whole phase. */
  readonly step?: string;
};

/** In the order in which they run. */
export function phaseCommandsOf<Row extends PhaseRow>(rows: readonly Row[]): readonly PhaseCommandOf<Row>[] {
  return rows.flatMap(({ steps = [], ...row }) => [row, ...steps.map(({ id, ...step }) => ({ ...row, ...step, step: id }))] as unknown as PhaseCommandOf<Row>[]);
}

export interface PhaseTree {
  readonly phase: string;
  readonly title: string;
  readonly steps: readonly { readonly id: string; readonly title: string }[];
}

/** Names and titles alone. */
export function phaseTree(rows: readonly PhaseRow[]): readonly PhaseTree[] {
  return rows.map(({ phase, title, steps = [] }) => ({ phase, title, steps: steps.map((step) => ({ id: step.id, title: step.title })) }));
}

/** kubeadm's word for "every step"; a phase with steps is not run by its name alone, so that a forgotten word installs nothing. */
const all = "all";

export function phaseGroups(operation: string, rows: readonly PhaseRow[]): readonly CommandGroup[] {
  return [
    { path: [operation, "phase"], summary: `Run single phases of ${operation}` },
    ...rows.filter(({ steps }) => steps !== undefined).map(({ phase, title }) => ({ path: [operation, "phase", phase], summary: title })),
  ];
}

/** `["init", "phase", "certs", "all"]` */
export function phasePath(operation: string, rows: readonly PhaseRow[], { phase, step }: { readonly phase: string; readonly step?: string }): readonly string[] {
  const last = step ?? (rows.some((row) => row.phase === phase && row.steps !== undefined) ? all : undefined);
  return [operation, "phase", phase, ...(last === undefined ? [] : [last])];
}

/** Begins the description of its command. */
export function phaseSubject(operation: string, { phase, step }: { readonly phase: string; readonly step?: string }): string {
  return `Runs ${step === undefined ? `phase ${phase}` : `step ${step} of phase ${phase}`} of ${operation} and nothing else.`;
}

/** As the engine selects it: `certs`, `certs/ca`. */
export function selected({ phase, step }: { readonly phase: string; readonly step?: string }): readonly string[] {
  return [step === undefined ? phase : `${phase}/${step}`];
}

/** What a run of one phase is called on the screen. */
export function phaseRunTitle(operation: string, only: readonly string[] | undefined): string {
  return only === undefined ? `kubestick ${operation}` : `kubestick ${operation} phase ${only.join(" ").replace("/", " ")}`;
}

/** Those flags of a table, in the table's order. */
export function flagsNamed(table: FlagTable, names: readonly string[]): FlagTable {
  const wanted = new Set(names);
  return Object.fromEntries(Object.entries(table).filter(([name]) => wanted.has(name)));
}
