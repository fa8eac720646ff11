/** Pod sandboxes left behind by a kubelet that was stopped. Their containers run on, and hold images and addresses, until somebody stops them. */
import { isKubestickError } from "../../errors.ts";
import type { Runtime } from "../../runtime/types.ts";

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
      for (const { id } of found) {
        await several(() => runtime.stopSandbox(id));
        await several(() => runtime.removeSandbox(id));
      }
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
