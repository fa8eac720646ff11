/**
 * Phase `tools`: programs that nothing waits for before the API server serves. They are unpacked when the images are in the runtime, because until then the
 * control plane needs the processors; but crictl at once, because errors tell people to call it.
 */
import type { Phase } from "../engine/types.ts";
import { payload } from "./actions.ts";
import { isTool, type NodeOutput } from "./node.ts";

export const tools: Phase<"tools", { readonly node: NodeOutput }, Record<never, never>> = {
  id: "tools",
  title: "Install the programs that can wait, such as crictl, kubectl and ctr",
  needs: ["node"],
  async plan({ pkg, config, from }) {
    // ctr belongs to a runtime: one that was there before us has its own.
    const wanted = (pkg?.binaries ?? []).filter((binary) => isTool(config, binary) && (binary.name !== "ctr" || from.node.machine.ownRuntime));
    return { actions: wanted.map((binary) => payload(binary, binary.name === "crictl" ? {} : { late: true, after: ["wait/images"] })), output: {} };
  },
};
