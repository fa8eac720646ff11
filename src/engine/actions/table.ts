/** Every kind of action and its handler. A kind without one does not compile. */
import type { Action } from "../types.ts";
import { contents } from "./contents.ts";
import { controlGroup } from "./control-group.ts";
import { directory } from "./directory.ts";
import { etcdMember } from "./etcd-member.ts";
import { file } from "./file.ts";
import type { Handler } from "./handler.ts";
import { image } from "./image.ts";
import { imageRelease } from "./image-release.ts";
import { networkInterface } from "./interface.ts";
import { kernel } from "./kernel.ts";
import { line } from "./line.ts";
import { object } from "./object.ts";
import { payload } from "./payload.ts";
import { remove } from "./remove.ts";
import { route } from "./route.ts";
import { rules } from "./rules.ts";
import { pods } from "./sandboxes.ts";
import { survey } from "./survey.ts";
import { unit } from "./unit.ts";
import { unmount } from "./unmount.ts";
import { wait } from "./wait.ts";

export const handlers: { readonly [Kind in Action["kind"]]: Handler<Extract<Action, { readonly kind: Kind }>> } = {
  file, line, payload, directory, remove, unit, kernel, route, image, "image-release": imageRelease, object, "etcd-member": etcdMember, wait,
  survey, unmount, sandboxes: pods, "control-group": controlGroup, contents, interface: networkInterface, rules,
};

/** The table's type ties kind and handler together; a lookup by a union of kinds cannot express that. */
export function handlerOf(kind: Action["kind"]): Handler<Action> {
  return handlers[kind] as unknown as Handler<Action>;
}
