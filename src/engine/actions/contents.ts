/**
 * What the cluster wrote below a path goes; what was there before stays, and so does a mount point.
 *
 * Refuses to delete across a mount: below it may be somebody's data on another machine.
 */
import { dirname, join, resolve } from "node:path";
import { KubestickError } from "../../errors.ts";
import type { ActionContext } from "../context.ts";
import type { ContentsAction } from "../types.ts";
import { modeText, type Handler, type Observation } from "./handler.ts";

export const contents: Handler<ContentsAction> = {
  slow: true,
  journaled: false,
  observe,
  verify: observe,
  record: () => Promise.resolve(undefined),

  async apply(action, context) {
    const { host } = context;
    const { whole, names, parents, mode } = await surplus(action, context);
    // Of a directory that is as it should be otherwise, whatever is mounted below it.
    if (whole || names.length > 0) await refuseMounts(action.path, context);
    for (const name of names) await host.remove(join(action.path, name), { recursive: true });
    if (whole) await host.remove(action.path, { recursive: true });
    if (mode !== undefined) await host.chmod(action.path, mode);
    for (const parent of parents) if (((await host.list(parent)) ?? ["kept"]).length === 0) await host.remove(parent);
    return { what: "removed", detail: whole ? "removed" : names.length > 0 ? `removed ${count(names)}` : mode !== undefined ? `set its mode to ${modeText(mode)} again` : "removed its empty parents" };
  },

  undo: () => Promise.resolve(undefined),
};

async function observe(action: ContentsAction, context: ActionContext): Promise<Observation> {
  const { whole, names, parents, mode } = await surplus(action, context);
  if (whole) return { state: "differs", detail: (await context.host.list(action.path)) === undefined ? "to be removed" : "with everything below it" };
  if (names.length > 0) return { state: "differs", detail: `${count(names)}; the directory itself stays` };
  if (mode !== undefined) return { state: "differs", detail: `its mode becomes ${modeText(mode)} again` };
  for (const parent of parents) if ((await context.host.list(parent))?.length === 0) return { state: "differs", detail: "its empty parents" };
  return { state: "same" };
}

/** `whole`: the path itself goes. `names`: what goes below a path that stays. `mode`: what its mode has to become. `parents`: innermost first. */
interface Surplus {
  readonly whole: boolean;
  readonly names: readonly string[];
  readonly mode?: number;
  readonly parents: readonly string[];
}

async function surplus({ path, keep, keepItself, mode, onlyIfEmpty, parents }: ContentsAction, { host }: ActionContext): Promise<Surplus> {
  const upwards = parents.toReversed();
  const found = await host.stat(path);
  if (found === undefined) return { whole: false, names: [], parents: upwards };
  // A listing follows links: the data may lie on a faster disk.
  const names = await host.list(path);
  if (onlyIfEmpty === true && names?.length !== 0) return { whole: false, names: [], parents: upwards };
  const stays = keepItself || keep.length > 0 || (await host.mounts()).some((mount) => mount.path === path);
  if (names === undefined) return { whole: !stays, names: [], parents: upwards };
  const wrong = mode !== undefined && found.type === "directory" && found.mode !== mode ? { mode } : {};
  if (found.type === "symlink" || stays) return { whole: false, names: names.filter((name) => !keep.includes(name)), ...wrong, parents: upwards };
  return { whole: true, names: [], parents: upwards };
}

async function refuseMounts(path: string, { host }: ActionContext): Promise<void> {
  const found = await host.stat(path);
  const real = found?.type === "symlink" ? resolve(dirname(path), found.target ?? "") : path;
  const below = (await host.mounts()).filter((mount) => [path, real].some((top) => mount.path.startsWith(`${top}/`)));
  if (below.length === 0) return;
  throw new KubestickError({
    code: "MOUNTED_BELOW",
    attempted: `removing what is in ${path}`,
    happened: `${below.length === 1 ? "One file system is" : `${below.length} file systems are`} still mounted below it, and what is in there may be needed elsewhere.`,
    next: `Unmount it, then run the same command again: umount ${below.at(-1)?.path ?? path}`,
    details: below.map((mount) => `${mount.path} (${mount.type})`),
  });
}

function count(names: readonly string[]): string {
  return names.length === 1 ? names[0] as string : `${names.length} entries`;
}
