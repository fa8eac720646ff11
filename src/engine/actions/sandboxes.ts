/** Pod sandboxes left behind by a kubelet that was stopped. Their containers run on, and hold images and addresses, until somebody stops them. */
import { isKubestickError } from "../../errors.ts";
import type { Runtime } from "../../runtime/types.ts";
import type { ActionContext } from "../context.ts";
import type { SandboxesAction } from "../types.ts";
import type { Handler, Observation } from "./handler.ts";

export interface Sandboxes {
  /** Stops and removes every pod of this runtime, once. kubeadm's reset does the same (reset/cleanupnode.go). */
  clear(runtime: Runtime): Promise<number>;
}

/** Stopping a sandbox whose network plugin is gone fails now and then at first. */
const tries = 5;

export function sandboxRemover(): Sandboxes {
  const cleared = new Set<string>();
  return {
    async clear(runtime) {
      if (cleared.has(runtime.socket)) return 0;
      const found = await runtime.sandboxes();
      let failure: unknown;
      for (const { id } of found) {
        try {
          await several(() => runtime.stopSandbox(id));
          await several(() => runtime.removeSandbox(id));
        } catch (error) {
          failure ??= error; // the others go all the same
        }
      }
      if (failure !== undefined) throw failure;
      cleared.add(runtime.socket);
      return found.length;
    },
  };
}

async function several(work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await work();
      return;
    } catch (error) {
      if (attempt === tries || !isKubestickError(error)) throw error;
    }
  }
}

/** For a reset, before anything else goes: without its pods a runtime holds no mounts, addresses or rules. */
export const pods: Handler<SandboxesAction> = {
  slow: true,
  journaled: false,
  observe,
  verify: observe,
  record: () => Promise.resolve(undefined),

  async apply({ socket }, { clients }) {
    const removed = await sandboxRemover().clear(clients.runtime(socket));
    return { what: "removed", detail: `removed ${count(removed)}` };
  },

  undo: () => Promise.resolve(undefined),
};

async function observe({ socket }: SandboxesAction, { clients }: ActionContext): Promise<Observation> {
  try {
    const found = (await clients.runtime(socket).sandboxes()).length;
    return found === 0 ? { state: "same" } : { state: "differs", detail: count(found) };
  } catch (error) {
    if (isKubestickError(error) && error.code === "RUNTIME_UNREACHABLE") return { state: "same", detail: "the runtime does not answer" };
    throw error;
  }
}

function count(found: number): string {
  return `${found} ${found === 1 ? "pod" : "pods"}`;
}
