/** What a diagnosis may look at, each thing asked for at most once. */
import { isKubestickError } from "../errors.ts";
import type { HostFacts, HostReader, UnitState } from "../host/types.ts";
import type { Container, RuntimeReader, Sandbox } from "../runtime/types.ts";

/** Enough for several starts of a crashing unit, and for half a minute of a kubelet that cannot start three pods. */
const logLines = 400;

export interface Evidence {
  readonly host: HostReader;
  readonly runtime: RuntimeReader | undefined;
  readonly startedAt: Date;
  readonly now: Date;
  /** Since the wait began. */
  readonly seconds: number;
  unit(name: string): Promise<UnitState>;
  log(unit: string): Promise<readonly string[]>;
  facts(): Promise<HostFacts>;
  /** Empty when the runtime does not answer. */
  containers(): Promise<readonly Container[]>;
  sandboxes(): Promise<readonly Sandbox[]>;
}

export function evidence(host: HostReader, runtime: RuntimeReader | undefined, startedAt: Date): Evidence {
  const now = host.now();
  const once = <T>(ask: () => Promise<T>): (() => Promise<T>) => {
    let answer: Promise<T> | undefined;
    return () => (answer ??= ask());
  };
  const byName = <T>(ask: (name: string) => Promise<T>): ((name: string) => Promise<T>) => {
    const answers = new Map<string, Promise<T>>();
    return (name) => {
      const answer = answers.get(name) ?? ask(name);
      answers.set(name, answer);
      return answer;
    };
  };
  return {
    host, runtime, startedAt, now,
    seconds: (now.getTime() - startedAt.getTime()) / 1000,
    unit: byName((name) => host.unit(name)),
    log: byName((name) => host.unitLog(name, logLines)),
    facts: once(() => host.facts()),
    containers: once(async () => (await unlessDown(runtime?.containers())) ?? []),
    sandboxes: once(async () => (await unlessDown(runtime?.sandboxes())) ?? []),
  };
}

/** A runtime that stopped answering in between is found by the next look, at its own place. */
export async function unlessDown<T>(answer: Promise<T> | undefined): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isKubestickError(error)) return undefined;
    throw error;
  }
}
