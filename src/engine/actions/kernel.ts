/** A kernel module loaded, a sysctl set, or swap switched off, now. That they last over a boot is the business of files. */
import type { ActionContext } from "../context.ts";
import type { KernelAction } from "../types.ts";
import { text } from "./found-path.ts";
import type { Handler, Observation } from "./handler.ts";
import { recordSwaps, swapAreas, swapOff, swapOn } from "./swap.ts";

export const kernel: Handler<KernelAction> = {
  slow: false,
  journaled: true,
  observe,
  verify: observe,

  async record(action, { host, journal }) {
    if ("module" in action) return { module: action.module };
    if ("swap" in action) return await recordSwaps(host);
    if (journal.found("sysctl", action.sysctl) !== undefined) return { sysctl: action.sysctl, was: "ours" };
    return { sysctl: action.sysctl, value: await host.sysctl(action.sysctl), set: action.value };
  },

  async apply(action, { host }) {
    if ("module" in action) {
      await host.loadModule(action.module);
      return { what: "created", detail: "loaded" };
    }
    if ("swap" in action) return { what: "changed", detail: await swapOff(host) };
    const before = await host.sysctl(action.sysctl);
    await host.setSysctl(action.sysctl, action.value);
    return { what: "changed", detail: `changed ${before ?? "(absent)"} to ${action.value}` };
  },

  async undo(entry, { host }) {
    const undo = entry.undo ?? {};
    // Somebody may use it by now, and unloading under them breaks what was not ours.
    if (undo["module"] !== undefined) return { status: "kept", detail: "stays loaded until the next boot" };
    if (undo["swaps"] !== undefined) return await swapOn(undo["swaps"], entry, host);
    if (undo["was"] === "ours") return undefined;
    const key = text(undo, "sysctl", entry);
    const before = undo["value"];
    const now = await host.sysctl(key);
    if (typeof before !== "string" || now === undefined) return { status: "kept", detail: "did not exist before" };
    if (plain(now) === plain(before)) return { status: "kept", detail: `is ${before}, as before` };
    if (plain(now) !== plain(text(undo, "set", entry))) return { status: "kept", detail: `somebody set it to ${now} since` };
    await host.setSysctl(key, before);
    return { status: "removed", detail: `restored ${before}` };
  },
};

async function observe(action: KernelAction, { host }: ActionContext): Promise<Observation> {
  if ("module" in action) return (await host.moduleLoaded(action.module)) ? { state: "same" } : { state: "differs", detail: "to be loaded" };
  if ("swap" in action) {
    const areas = await swapAreas(host);
    return areas.length === 0 ? { state: "same", detail: "no swap is on" } : { state: "differs", detail: `to be switched off: ${areas.map(({ name }) => name).join(", ")}` };
  }
  const value = await host.sysctl(action.sysctl);
  return value !== undefined && plain(value) === plain(action.value) ? { state: "same" } : { state: "differs", detail: `${value ?? "(absent)"} becomes ${action.value}` };
}

/** Keys with several numbers are printed with tabs and set with blanks. */
function plain(value: string): string {
  return value.trim().split(/\s+/).join(" ");
}
