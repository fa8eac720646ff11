/** Phases under way beside those that follow them: who waits for whom, and for how much of it. */
import type { AnyPhase, Beside } from "./flow.ts";
import type { Action } from "./types.ts";

/** A phase under way beside those that follow it. */
export interface Aside {
  readonly id: string;
  readonly before: string;
  readonly lateBefore: string;
  /** All but its late actions. */
  readonly early: Promise<void>;
  readonly done: Promise<void>;
  /** Resolves when this action of it is done, or at once when it is none of its actions; rejects when the phase fails before. */
  reached(action: string): Promise<void>;
}

/** Where a phase says how far it is, and waits for others that are under way. */
export interface Milestones {
  planned(actions: readonly Action[]): void;
  /** All but the late actions are done. */
  early(): void;
  done(action: Action): void;
  /** Resolves when all is done that this action comes after. */
  turn(action: Action): Promise<void>;
}

/** For a phase that nobody runs beside; `earlier` are those under way when it began. */
export function aloneAfter(earlier: readonly Aside[]): Milestones {
  const nothing = (): void => undefined;
  return { planned: nothing, early: nothing, done: nothing, turn: (action) => turnAmong(earlier, action) };
}

export function startAside(id: string, { before, lateBefore }: Required<Beside>, earlier: readonly Aside[], run: (milestones: Milestones) => Promise<void>): Aside {
  const early = Promise.withResolvers<void>();
  const plan = Promise.withResolvers<ReadonlyMap<string, PromiseWithResolvers<void>>>();
  const milestones: Milestones = {
    planned: (actions) => { plan.resolve(new Map(actions.map((action) => [action.id, Promise.withResolvers<void>()]))); },
    early: early.resolve,
    done: (action) => { void plan.promise.then((actions) => actions.get(action.id)?.resolve()); },
    turn: (action) => turnAmong(earlier, action),
  };
  const done = run(milestones).then(early.resolve, (error: unknown) => {
    early.reject(error);
    throw error;
  });
  // Whoever waits for them hears of a failure; until then it is nobody's unhandled one.
  done.catch(() => undefined);
  early.promise.catch(() => undefined);
  const reached = async (action: string): Promise<void> => {
    await Promise.race([done, plan.promise.then((actions) => actions.get(action)?.promise)]);
  };
  return { id, before, lateBefore, early: early.promise, done, reached };
}

async function turnAmong(earlier: readonly Aside[], { after = [] }: Action): Promise<void> {
  await Promise.all(after.flatMap((id) => earlier.map((aside) => aside.reached(id))));
}

/** What this phase must not begin before. */
export async function settled(asides: readonly Aside[], phase: AnyPhase): Promise<void> {
  for (const aside of asides) {
    if (aside.lateBefore === phase.id || (phase.needs as readonly string[]).includes(aside.id)) await aside.done;
    else if (aside.before === phase.id) await aside.early;
  }
}
