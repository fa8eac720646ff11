/** A directory. One that was found keeps its mode, as with kubeadm's MkdirAll; one of ours is held at the planned mode. */
import { KubestickError } from "../../errors.ts";
import type { ActionContext } from "../context.ts";
import type { DirectoryAction } from "../types.ts";
import { recordPath, restorePath } from "./found-path.ts";
import { modeText, type Handler, type Observation } from "./handler.ts";

export const directory: Handler<DirectoryAction> = {
  slow: false,
  journaled: true,
  observe,
  verify: observe,
  record: ({ path }, context) => recordPath(path, context),

  async apply({ path, mode }, { host }) {
    const found = await host.stat(path);
    if (found?.type === "directory") {
      await host.chmod(path, mode);
      return { what: "changed", detail: `changed mode ${modeText(found.mode)} to ${modeText(mode)}` };
    }
    await host.makeDirectory(path, mode);
    return { what: "created", detail: `created ${modeText(mode)}` };
  },

  undo: restorePath,
};

async function observe({ path, mode }: DirectoryAction, { host, journal }: ActionContext): Promise<Observation> {
  // A listing follows links: /var/lib/etcd may be a link to a faster disk.
  const [names, found] = [await host.list(path), await host.stat(path)];
  if (names === undefined && found !== undefined) {
    throw new KubestickError({ code: "PATH_NOT_DIRECTORY", attempted: `creating the directory ${path}`, happened: `There is a ${found.type} of that name.`, next: `Look what it is, and move it away if it is not needed: ls -la ${path}; mv ${path} ${path}.old` });
  }
  if (names === undefined) return { state: "differs", absent: true, detail: modeText(mode) };
  const ours = journal.found("path", path)?.undo?.["was"] === "absent";
  return ours && found?.type === "directory" && found.mode !== mode ? { state: "differs", detail: `mode ${modeText(found.mode)} becomes ${modeText(mode)}` } : { state: "same" };
}
