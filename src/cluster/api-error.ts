/**
 * What the API server's refusal means, by `Status.reason` where it gives one (it says more than the HTTP status: 409 is both
 * AlreadyExists and Conflict), else by HTTP status.
 */
import { KubestickError } from "../errors.ts";
import type { HttpAnswer } from "./http.ts";

interface StatusObject {
  readonly kind?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: { readonly causes?: readonly { readonly field?: string; readonly message?: string }[] };
}

interface Refusal {
  readonly code: string;
  readonly next: string;
}

const again = "Run the same command again; kubectl -n kube-system get pods shows whether the control plane is healthy.";

const byReason: Readonly<Record<string, Refusal>> = {
  AlreadyExists: { code: "API_ALREADY_EXISTS", next: "kubectl get the object to see who made it; run the same command again." },
  BadRequest: { code: "API_INVALID", next: "Compare the configuration with the field that the server names." },
  Conflict: { code: "API_CONFLICT", next: "Somebody changed the object at the same moment. Run the same command again." },
  Expired: { code: "API_EXPIRED", next: again },
  Forbidden: { code: "API_FORBIDDEN", next: "Use a kubeconfig with more rights, e.g. KUBECONFIG=/etc/kubernetes/admin.conf; kubectl auth whoami shows who you are." },
  Gone: { code: "API_EXPIRED", next: again },
  InternalError: { code: "API_INTERNAL", next: "crictl logs $(crictl ps -a --name kube-apiserver -q | head -1)" },
  Invalid: { code: "API_INVALID", next: "Compare the configuration with the field that the server names." },
  MethodNotAllowed: { code: "API_INVALID", next: "kubectl api-resources -o wide shows what the server can do." },
  NotFound: { code: "API_NOT_FOUND", next: "kubectl get the object's kind in all namespaces to see what is there." },
  ServerTimeout: { code: "API_TIMEOUT", next: again },
  ServiceUnavailable: { code: "API_UNAVAILABLE", next: again },
  Timeout: { code: "API_TIMEOUT", next: again },
  TooManyRequests: { code: "API_BUSY", next: again },
  Unauthorized: { code: "API_UNAUTHORIZED", next: "The kubeconfig does not belong to this cluster or its certificate has expired; on a control plane kubestick init makes expired ones anew." },
};

const byStatus: Readonly<Record<number, string>> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
  409: "Conflict",
  410: "Gone",
  422: "Invalid",
  429: "TooManyRequests",
  500: "InternalError",
  503: "ServiceUnavailable",
  504: "Timeout",
};

/** Certificates and tokens are judged by clocks; below this a difference is ordinary drift. */
const skewWorthTelling = 60_000;

export function apiError(attempted: string, server: string, answer: HttpAnswer): KubestickError {
  const status = parsedStatus(answer.text);
  const reason = status?.reason !== undefined && status.reason in byReason ? status.reason : byStatus[answer.status];
  const { code, next } = (reason === undefined ? undefined : byReason[reason]) ?? { code: "API_REQUEST_FAILED", next: again };
  const words = status?.message ?? answer.text.trim().slice(0, 500);
  const skew = answer.skewMs ?? 0;
  const skewed = Math.abs(skew) > skewWorthTelling;
  if (code === "API_UNAUTHORIZED" && skewed) {
    return new KubestickError({
      code: "API_CLOCK_SKEW",
      attempted,
      happened: `${server} refused the credentials (${words}), and its clock is ${skewWords(skew)} this machine's.`,
      next: "Set the clock that is wrong, then run the same command again: date -u -s '<YYYY-MM-DD HH:MM:SS>'",
    });
  }
  const causes = (status?.details?.causes ?? []).map(({ field, message }) => [field, message].filter((part) => part !== undefined && part !== "").join(": "));
  return new KubestickError({
    code,
    attempted,
    happened: `${server} answered ${answer.status}${status?.reason === undefined || status.reason === "" ? "" : ` ${status.reason}`}: ${words === "" ? "(no text)" : words}`,
    next,
    details: [...causes, ...(skewed ? [`The server's clock is ${skewWords(skew)} this machine's.`] : [])],
  });
}

function parsedStatus(text: string): StatusObject | undefined {
  if (!text.startsWith("{")) return undefined;
  try {
    const value = JSON.parse(text) as StatusObject;
    return value.kind === "Status" ? value : undefined;
  } catch {
    return undefined; // A proxy's page, say: shown as it is.
  }
}

function skewWords(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1000);
  const amount = seconds < 7200 ? `${Math.round(seconds / 60)} minutes` : seconds < 172_800 ? `${Math.round(seconds / 3600)} hours` : `${Math.round(seconds / 86_400)} days`;
  return `${amount} ${ms > 0 ? "ahead of" : "behind"}`;
}
