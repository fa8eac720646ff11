/** Reset phase `undo`: the journal, backwards. The engine does it; what would go on running without its files is ended before. */
import type { ResetPhase } from "../engine/types.ts";
import { planQuiet } from "./reset-quiet.ts";

export const undoJournal: ResetPhase = {
  id: "undo",
  title: "Undo what kubestick made on this machine",
  plan: async (input) => ({ actions: input.recorded ? await planQuiet(input) : [] }),
  undoesJournal: true,
};
