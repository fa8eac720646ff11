/** `images load`: everything the package carries goes into the runtime of a machine, and nothing else is changed. */
import type { Phase } from "../engine/types.ts";
import { loadActions } from "./images.ts";

export const loadImages: Phase<"images", Record<never, never>, Record<never, never>> = {
  id: "images",
  title: "Load the carried images into the container runtime",
  needs: [],
  async plan(input) {
    const pause = input.pkg?.images.find(({ role }) => role === "pause")?.reference;
    return { actions: await loadActions(input, pause), output: {} };
  },
};
