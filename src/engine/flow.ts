/**
 * A flow: the phases of one operation in order. A phase that reads the output of one that does not stand before it does not compile.
 *
 *   const init = flow("init").add(certs).add(kubeconfig);
 */
import { KubestickError } from "../errors.ts";
import type { Phase } from "./types.ts";

/** Any phase, seen from where its input and output do not matter. */
export type AnyPhase = Phase<string, never, unknown>;

export type IdOf<P> = P extends Phase<infer Id, infer _In, infer _Out> ? Id : never;
export type InputOf<P> = P extends Phase<infer _Id, infer In, infer _Out> ? In : never;
export type OutputOf<P> = P extends Phase<infer _Id, infer _In, infer Out> ? Out : never;

/** `unknown` when the phase may stand here; otherwise a type that says in its property why not. */
type Fits<Outputs, P> =
  string extends IdOf<P> ? { readonly "a phase needs a literal id": never }
    : IdOf<P> extends keyof Outputs ? { readonly "a phase of this id is already in the flow": IdOf<P> }
      : [Outputs] extends [InputOf<P>] ? unknown
        : { readonly "this phase reads outputs that no earlier phase makes": Exclude<keyof InputOf<P>, keyof Outputs> };

/** Which later phases a phase runs beside: it begins in its place and is over before those named here begin. */
export interface Beside {
  /** All its actions but the late ones are done before this phase begins. */
  readonly before: string;
  /** Its late actions, too, before this one; default `before`. */
  readonly lateBefore?: string;
}

export interface Flow<Outputs = unknown> {
  readonly name: string;
  readonly phases: readonly AnyPhase[];
  /** By phase id. */
  readonly beside: ReadonlyMap<string, Beside>;
  /** With `beside`, the phases that follow do not wait for it, up to the one named there and those that read its output. */
  add<P extends AnyPhase>(phase: P & Fits<Outputs, P>, beside?: Beside): Flow<Outputs & Record<IdOf<P>, OutputOf<P>>>;
}

export function flow(name: string): Flow<Record<never, never>> {
  return extend(name, [], new Map());
}

function extend<Outputs>(name: string, phases: readonly AnyPhase[], besides: ReadonlyMap<string, Beside>): Flow<Outputs> {
  return {
    name,
    phases,
    beside: besides,
    add(phase, beside) {
      refuseMisfit(name, phases, phase);
      return extend(name, [...phases, phase], beside === undefined ? besides : new Map([...besides, [phase.id, beside]]));
    },
  };
}

/** What the types say, once more for callers that got around them. */
function refuseMisfit(name: string, earlier: readonly AnyPhase[], phase: AnyPhase): void {
  const ids = new Set(earlier.map(({ id }) => id));
  const absent = phase.needs.filter((need) => !ids.has(need));
  const happened = ids.has(phase.id) ? `A phase ${phase.id} is already in it.`
    : absent.length > 0 ? `The phase reads the output of ${absent.join(", ")}, which no earlier phase makes.`
      : undefined;
  if (happened !== undefined) {
    throw new KubestickError({ code: "FLOW_ORDER", attempted: `adding phase ${phase.id} to flow ${name}`, happened, next: "Put the phases in an order in which each comes after those it needs." });
  }
}
