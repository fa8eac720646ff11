/** Something only time and other processes bring about: asked again and again, while a diagnosis looks for the reason it does not come. */
import { KubestickError, isKubestickError, messageOf, sentence } from "../../errors.ts";
import type { ActionContext, Diagnosis } from "../context.ts";
import { startStopwatch } from "../stopwatch.ts";
import type { WaitAction } from "../types.ts";
import type { Handler } from "./handler.ts";
import { askProbe, nextStepFor } from "./probes.ts";
import { remindKubelet } from "./readiness.ts";

/** kubeadm asks every 500 ms; an init has a dozen waits one after the other, and what a question costs is far less than half an interval of each. */
const intervalMs = 200;
/** A diagnosis asks the runtime, the journal and log files: not with every try, and not before anything had time to go wrong. */
const diagnoseEveryMs = 2000;

export const wait: Handler<WaitAction> = {
  slow: true,
  journaled: false,

  async observe(action, context, progress) {
    const answer = await askProbe(action.probe, context, progress);
    if (answer.ready) return { state: "same", ...(answer.detail === undefined ? {} : { detail: answer.detail }) };
    return { state: "differs", detail: context.dryRun ? `waits at most ${action.timeoutMs / 1000} s: ${action.title}` : answer.reason };
  },

  record: async () => undefined,

  async apply(action, context, progress) {
    const elapsed = startStopwatch(context.host);
    const total = Math.ceil(action.timeoutMs / 1000);
    let diagnosis: Diagnosis | undefined;
    let nextDiagnosis = diagnoseEveryMs;
    for (;;) {
      const answer = await askProbe(action.probe, context, progress);
      const ms = elapsed();
      if (answer.ready) return { what: "changed", detail: `reached after ${(ms / 1000).toFixed(1)} s` };
      if (answer.failure !== undefined) throw answer.failure;
      if (ms >= nextDiagnosis || ms >= action.timeoutMs) {
        nextDiagnosis = ms + diagnoseEveryMs;
        diagnosis = (await diagnose(action, context, ms)) ?? diagnosis;
        if (diagnosis?.certain === true) throw causeFound(action, diagnosis, ms);
      }
      if (ms >= action.timeoutMs && action.onlyOrder === true) return { what: "changed", detail: `not yet after ${(ms / 1000).toFixed(1)} s, goes on` };
      if (ms >= action.timeoutMs) throw timedOut(action, answer.reason, diagnosis);
      progress(Math.floor(ms / 1000), total, "seconds", diagnosis?.summary ?? answer.reason);
      if (action.probe.type === "workloads" && action.probe.remind === true && answer.pods !== undefined) await remindKubelet(answer.pods, await context.clients.cluster("admin"), context);
      await context.host.sleep(intervalMs, context.signal);
    }
  },

  undo: async () => undefined,
};

/** A diagnosis that fails is a pity, not a reason to end the wait. */
async function diagnose(action: WaitAction, { diagnose: ask, signal }: ActionContext, ms: number): Promise<Diagnosis | undefined> {
  try {
    return await ask?.(action, ms);
  } catch (error) {
    signal.throwIfAborted();
    return { certain: false, summary: `The reason could not be looked up: ${isKubestickError(error) ? error.happened : messageOf(error)}`, details: [] };
  }
}

function causeFound(action: WaitAction, { summary, details, code, next }: Diagnosis, ms: number): KubestickError {
  return new KubestickError({
    code: code ?? "WAIT_FAILED",
    attempted: `waiting: ${lowerFirst(action.title)}`,
    happened: summary,
    next: `${sentence(next ?? nextStepFor(action.probe))} When the cause is cured, run the same command again: it continues here.`,
    details: [...details, `Waiting longer cannot help, so it was ended after ${Math.round(ms / 1000)} s of at most ${action.timeoutMs / 1000} s.`],
  });
}

function timedOut(action: WaitAction, reason: string, diagnosis: Diagnosis | undefined): KubestickError {
  return new KubestickError({
    code: "WAIT_TIMED_OUT",
    attempted: `waiting: ${lowerFirst(action.title)}`,
    happened: `It did not come true within ${action.timeoutMs / 1000} s. ${diagnosis?.summary ?? `The last answer: ${reason}`}`,
    next: `${sentence(diagnosis?.next ?? nextStepFor(action.probe))} Then run the same command again: it continues here.`,
    details: [`last answer: ${reason}`, ...(diagnosis?.details ?? [])],
  });
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
