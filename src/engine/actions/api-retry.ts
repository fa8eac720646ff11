/**
 * kubeadm's patience with the API server (util/apiclient): every 500 ms until the call's time is up. Beyond kubeadm, an
 * answer that time cannot change ends the tries at once, so that a mistake is told in a second and not in a minute.
 */
import { KubestickError, errnoOf, isKubestickError, messageOf } from "../../errors.ts";
import type { Host } from "../../host/types.ts";
import { startStopwatch } from "../stopwatch.ts";

export interface Patience {
  readonly host: Pick<Host, "now" | "sleep">;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** Follows "while": `creating configmap kube-system/kubeadm-config`. */
  readonly attempted: string;
  /** Codes that are worth another try in this call, although in general they are not. */
  readonly alsoRetry?: ReadonlySet<string>;
}

const intervalMs = 500;

/** The API server's authorizer learns of a new binding a moment after the binding was stored. */
const authorizationLagMs = 5000;

/** Who is at the other end is not who was expected; no later try changes that. */
export const wrongPeer: ReadonlySet<string> = new Set(["API_CERTIFICATE_EXPIRED", "API_CERTIFICATE_NAME", "API_CERTIFICATE_REJECTED", "API_CERTIFICATE_UNTRUSTED", "API_CLOCK_SKEW", "API_WRONG_PROTOCOL"]);

/** Answers to which asking again brings nothing else. */
const definite: ReadonlySet<string> = new Set([...wrongPeer, "API_ALREADY_EXISTS", "API_INVALID", "API_NOT_FOUND", "API_UNAUTHORIZED"]);

export async function retrying<T>(patience: Patience, work: () => Promise<T>): Promise<T> {
  const { host, signal, timeoutMs } = patience;
  const elapsed = startStopwatch(host);
  for (;;) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      if (!worthAnotherTry(error, elapsed(), patience)) throw error;
      if (elapsed() >= timeoutMs) throw timedOut(patience, error);
    }
    await host.sleep(intervalMs, signal);
  }
}

function worthAnotherTry(error: unknown, elapsedMs: number, { alsoRetry, signal }: Patience): boolean {
  if (signal.aborted) return false;
  if (!isKubestickError(error)) return errnoOf(error) !== undefined;
  if (alsoRetry?.has(error.code) === true) return true;
  if (error.code === "API_FORBIDDEN") return elapsedMs < authorizationLagMs;
  return error.code.startsWith("API_") && !definite.has(error.code);
}

function timedOut({ timeoutMs, attempted }: Patience, last: unknown): KubestickError {
  const known = isKubestickError(last) ? last : undefined;
  return new KubestickError({
    code: "API_TIMED_OUT",
    attempted,
    happened: `It did not succeed within ${timeoutMs / 1000} s. The last answer: ${known?.happened ?? messageOf(last)}`,
    next: known?.next ?? "Look at the API server: crictl ps -a --name kube-apiserver",
    details: known?.details ?? [],
    cause: last,
  });
}
