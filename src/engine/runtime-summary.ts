/** What CRI at the configured socket says of itself, for plans. */
import type { HostFacts } from "../host/types.ts";
import { isKubestickError } from "../errors.ts";
import type { RunContext } from "./context.ts";
import type { RuntimeSummary } from "./types.ts";

export async function summarizeRuntime(context: Pick<RunContext, "config" | "host" | "runtime">, facts: HostFacts): Promise<RuntimeSummary | undefined> {
  const socket = context.config.init.nodeRegistration.criSocket;
  // Neither there when the run began nor since: not even a connection is worth trying.
  if (!facts.criSockets.includes(socket) && (await context.host.stat(socket.replace(/^unix:(\/\/)?/, ""))) === undefined) return undefined;
  // A connection of its own: one made while nothing listened would wait before it tries again.
  const runtime = context.runtime(socket);
  try {
    const [{ name, version }, status] = await Promise.all([runtime.info(), runtime.status()]);
    return { name, version, ...(status.sandboxImage === undefined ? {} : { sandboxImage: status.sandboxImage }) };
  } catch (error) {
    if (isKubestickError(error)) return undefined;
    throw error;
  } finally {
    await runtime.close();
  }
}
