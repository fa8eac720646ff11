/** `kubestick config print init-defaults`, and the same for join, reset and upgrade. */
import { hostname } from "node:os";
import { nearest } from "../config/names.ts";
import { KubestickError } from "../errors.ts";
import { joinDefaultsText, resetDefaultsText, upgradeDefaultsText } from "./config-documents.ts";
import { componentKinds, initDefaultsText } from "./init-defaults.ts";
import type { Io } from "./io.ts";

export function printInitDefaultsCommand(flags: { readonly "component-configs"?: readonly string[] }, io: Io): void {
  const kinds = (flags["component-configs"] ?? []).map((name) => {
    const kind = componentKinds.find((known) => known === name);
    if (kind === undefined) {
      const close = nearest(name, componentKinds);
      throw new KubestickError({
        code: "CLI_FLAG_VALUE",
        attempted: "printing the defaults of a configuration",
        happened: `--component-configs knows no ${JSON.stringify(name)}.${close === undefined ? "" : ` Did you mean ${close}?`}`,
        next: `Use ${componentKinds.join(", ")}.`,
      });
    }
    return kind;
  });
  io.stdout.write(initDefaultsText(kinds));
}

export function printDefaultsCommand(operation: "join" | "reset" | "upgrade", io: Io): void {
  const texts = { join: () => joinDefaultsText(hostname()), reset: resetDefaultsText, upgrade: upgradeDefaultsText };
  io.stdout.write(texts[operation]());
}
