/** What CRI at the configured socket says of itself, for plans. */
import type { Host, HostFacts } from "../host/types.ts";
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
    const sandboxImage = status.sandboxImage ?? (name === "containerd" ? await configuredSandboxImage(context.host) : undefined);
    return { name, version, ...(sandboxImage === undefined ? {} : { sandboxImage }) };
  } catch (error) {
    if (isKubestickError(error)) return undefined;
    throw error;
  } finally {
    await runtime.close();
  }
}

/**
 * containerd 2 no longer tells its pause image through CRI, and starts every sandbox from it. Its own program prints the configuration in
 * force, with the defaults of its version and all imported files, when asked with the arguments the service runs with.
 */
async function configuredSandboxImage(host: Host): Promise<string | undefined> {
  const { mainPid } = await host.unit("containerd.service");
  const [program, ...args] = mainPid === undefined ? [] : ((await host.readText(`/proc/${mainPid}/cmdline`)) ?? "").split("\0").filter((part) => part !== "");
  if (program === undefined || !program.startsWith("/")) return undefined;
  const at = args.findIndex((argument) => argument === "--config" || argument === "-c");
  const config = at >= 0 ? args.slice(at, at + 2) : args.filter((argument) => argument.startsWith("--config="));
  const dump = await host.exec([program, ...config, "config", "dump"]);
  return dump.code === 0 ? sandboxImageIn(dump.stdout) : undefined;
}

/** `sandbox` below pinned_images in version 3 of the configuration, `sandbox_image` in version 2. */
export function sandboxImageIn(toml: string): string | undefined {
  return /^\s*(?:sandbox|sandbox_image)\s*=\s*(['"])(.+?)\1\s*$/m.exec(toml)?.[2];
}
