/** An image that packages no longer own: their marks go, then the pin and the image, unless somebody else still counts on it. */
import type { InventoryImage } from "../../runtime/types.ts";
import type { ImageReleaseAction } from "../types.ts";
import type { Handler, Observation } from "./handler.ts";

export const imageRelease: Handler<ImageReleaseAction> = {
  slow: true,
  // What is gone cannot be brought back by a reset, and the import's own entry says what to undo while it is there.
  journaled: false,

  async observe(action, { clients }) {
    const found = (await clients.runtime(action.socket).inventory()).find(({ id }) => id === action.image);
    return found === undefined ? { state: "same", detail: "is not there" } : outlook(found, action.packages);
  },

  async record() {
    return undefined;
  },

  async apply({ socket, image, packages }, { clients }) {
    const release = await clients.runtime(socket).releaseImage(image, packages);
    const detail = { removed: "removed", unpinned: "unpinned: it was there before", used: "released, kept while a container uses it", owned: "released, another package owns it" }[release];
    return { what: "removed", detail };
  },

  async undo() {
    return undefined;
  },
};

/** What a release would bring now. */
export function outlook({ owners, ours, users, pinned }: InventoryImage, packages: readonly string[]): Observation {
  const left = owners.filter((owner) => !packages.includes(owner));
  const marked = left.length < owners.length;
  if (left.length > 0) return marked ? { state: "differs", detail: "to be released, another package owns it" } : { state: "same", detail: "another package owns it" };
  if (users > 0) return marked ? { state: "differs", detail: "to be released, kept while a container uses it" } : { state: "same", detail: "in use" };
  if (ours === "created") return { state: "differs", detail: "to be removed" };
  if (ours === "adopted" && pinned) return { state: "differs", detail: "to be unpinned" };
  return marked ? { state: "differs", detail: "to be released" } : { state: "same", detail: "not ours" };
}
