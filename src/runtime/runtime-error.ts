/**
 * What a failed call to the runtime means for the person at the machine.
 */
import { KubestickError, isKubestickError, messageOf } from "../errors.ts";
import { RpcError, rpcStatus } from "./rpc.ts";

/** Path of a `unix://` socket, for words and commands. */
export function socketPath(socket: string): string {
  return socket.replace(/^unix:(\/\/)?/, "");
}

/** Errors of other rooms (a corrupt package, an abort) pass through unchanged. */
export function runtimeError(socket: string, attempted: string, error: unknown): unknown {
  if (!(error instanceof RpcError)) return isKubestickError(error) || !(error instanceof Error) ? error : unexpected(socket, attempted, error);
  const path = socketPath(socket);
  const base = { attempted, cause: error };
  const { status, details } = error;

  if (/\b(EACCES|EPERM)\b/.test(details) || status === rpcStatus.permissionDenied) {
    return new KubestickError({ ...base, code: "RUNTIME_PERMISSION_DENIED", happened: `The socket ${path} may not be opened by this user (${details}).`, next: "Run the same command as root: sudo !!" });
  }
  if (/\bENOENT\b/.test(details)) {
    return new KubestickError({ ...base, code: "RUNTIME_UNREACHABLE", happened: `There is no socket ${path}: no container runtime is running there.`, next: "systemctl status containerd; journalctl -u containerd -n 50" });
  }
  if (/Protocol error|NGHTTP2|HTTP\/1|Parse Error|ERR_HTTP2|ENOTSOCK|EPROTOTYPE|Bad HTTP/i.test(details)) {
    return new KubestickError({ ...base, code: "RUNTIME_WRONG_PROTOCOL", happened: `Whatever listens on ${path} does not speak gRPC (${details}).`, next: "Name the runtime's CRI socket, e.g. unix:///run/containerd/containerd.sock, as nodeRegistration.criSocket." });
  }
  if (details.includes("not initialized yet")) {
    return new KubestickError({ ...base, code: "RUNTIME_UNREACHABLE", happened: `The container runtime on ${path} is still starting (${details}).`, next: "Wait a few seconds and run the same command again; journalctl -u containerd -n 50 shows what it waits for." });
  }
  if (status === rpcStatus.unavailable) {
    return new KubestickError({ ...base, code: "RUNTIME_UNREACHABLE", happened: `The container runtime on ${path} does not answer (${details}).`, next: "systemctl status containerd; journalctl -u containerd -n 50" });
  }
  if (status === rpcStatus.deadlineExceeded) {
    return new KubestickError({ ...base, code: "RUNTIME_TIMEOUT", happened: `The container runtime on ${path} took too long to answer ${error.method} (${details}).`, next: "Look for a stuck disk or process: journalctl -u containerd -n 50; dmesg | tail" });
  }
  if (status === rpcStatus.unimplemented && error.method.startsWith("runtime.v1.")) {
    // Packages of Docker ship containerd with disabled_plugins = ["cri"].
    return new KubestickError({ ...base, code: "RUNTIME_CRI_DISABLED", happened: `The process on ${path} does not offer the CRI interface (${details}).`, next: "Remove \"cri\" from disabled_plugins in /etc/containerd/config.toml, then: systemctl restart containerd" });
  }
  if (status === rpcStatus.resourceExhausted || /no space left on device|disk quota exceeded/.test(details)) {
    return new KubestickError({ ...base, code: "RUNTIME_DISK_FULL", happened: `The runtime has no room left (${details}).`, next: "df -h /var/lib/containerd; free some space and run the same command again." });
  }
  return new KubestickError({ ...base, code: "RUNTIME_REQUEST_FAILED", happened: `The runtime on ${path} refused ${error.method}: ${details}`, next: "journalctl -u containerd -n 50" });
}

function unexpected(socket: string, attempted: string, error: Error): unknown {
  // AbortError and time-outs of a caller's signal are the caller's own words.
  if (error.name === "AbortError" || error.name === "TimeoutError") return error;
  return new KubestickError({ code: "RUNTIME_REQUEST_FAILED", attempted, happened: `Talking to ${socketPath(socket)} failed: ${messageOf(error)}`, next: "journalctl -u containerd -n 50", cause: error });
}

/** Runs `work`; whatever it throws leaves in the words of this room. */
export async function inWordsOfRuntime<T>(socket: string, attempted: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw runtimeError(socket, attempted, error);
  }
}
