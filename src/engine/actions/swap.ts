/** Swap switched off area by area, by the kernel's own names, and on again with the priorities it had. */
import { KubestickError } from "../../errors.ts";
import { parseSwapAreas, type SwapArea } from "../../host/swaps.ts";
import type { Host } from "../../host/types.ts";
import type { JournalEntry } from "../types.ts";
import { unreadable } from "./found-path.ts";
import type { UndoRecord, Undone } from "./handler.ts";

/** Everything that was swapped out is read back into memory, from a slow disk perhaps. */
const offTimeoutMs = 30 * 60_000;

export async function swapAreas(host: Pick<Host, "readText">): Promise<readonly SwapArea[]> {
  return parseSwapAreas((await host.readText("/proc/swaps")) ?? "");
}

export async function recordSwaps(host: Pick<Host, "readText">): Promise<UndoRecord> {
  return { swaps: await swapAreas(host) };
}

export async function swapOff(host: Host): Promise<string> {
  const areas = await swapAreas(host);
  for (const { name } of areas) {
    const { code, stderr } = await host.exec(["swapoff", name], { timeoutMs: offTimeoutMs });
    if (code === 0) continue;
    throw new KubestickError({
      code: "SWAP_OFF_FAILED",
      attempted: `switching off the swap area ${name}`,
      happened: stderr.trim().split("\n").at(-1) || `swapoff ended with exit code ${code}.`,
      next: `When memory is short, what is swapped out does not fit back: stop something large (free -m; ps aux --sort=-rss | head), then run the same command again. Or run init without --fix, with which swap stays on.`,
    });
  }
  return `switched off ${areas.map(({ name }) => name).join(", ")}`;
}

/** An area whose file or device is gone (a compressed one, after a boot) is made anew by what made it before, which is back by then. */
export async function swapOn(recorded: unknown, entry: JournalEntry, host: Host): Promise<Undone> {
  if (!Array.isArray(recorded) || !recorded.every(isArea)) throw unreadable(entry, "swaps");
  const on = new Set((await swapAreas(host)).map(({ name }) => name));
  const restored: string[] = [];
  for (const { name, priority } of recorded.filter((area) => !on.has(area.name))) {
    if ((await host.stat(name)) === undefined) continue;
    // Negative ones are the kernel's own choice, and nobody may ask for them.
    const { code, stderr } = await host.exec(["swapon", ...(priority >= 0 ? ["-p", String(priority)] : []), name]);
    if (code !== 0) {
      throw new KubestickError({
        code: "SWAP_ON_FAILED", attempted: `switching the swap area ${name} on again`,
        happened: stderr.trim().split("\n").at(-1) || `swapon ended with exit code ${code}.`,
        next: `See what it is: swapon --show; blkid ${name}`,
      });
    }
    restored.push(name);
  }
  if (restored.length > 0) return { status: "removed", detail: `switched on again: ${restored.join(", ")}` };
  return { status: "kept", detail: recorded.every(({ name }) => on.has(name)) ? "is on, as before" : "comes back with the next boot" };
}

function isArea(value: unknown): value is SwapArea {
  return typeof value === "object" && value !== null && typeof (value as SwapArea).name === "string" && typeof (value as SwapArea).priority === "number";
}
