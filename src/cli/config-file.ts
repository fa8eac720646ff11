/** Reads the file a person named with --config. */
import { readFile } from "node:fs/promises";
import type { ConfigFile } from "../config/options.ts";
import { errnoOf, KubestickError, messageOf } from "../errors.ts";

/** `operation`: whose defaults to start from, for the error. */
export async function readConfigFile(path: string, operation: "init" | "join" | "reset" = "init"): Promise<ConfigFile> {
  try {
    return { name: path, text: await readFile(path, "utf8") };
  } catch (error) {
    const missing = errnoOf(error) === "ENOENT";
    throw new KubestickError({
      code: "CONFIG_UNREADABLE",
      attempted: `reading the configuration ${path}`,
      happened: missing ? `There is no file ${path}.` : `It cannot be read: ${messageOf(error)}.`,
      next: missing ? `Name an existing file. "kubestick config print ${operation}-defaults > ${operation === "init" ? "cluster" : operation}.yaml" writes one to start from.` : "Name a file that can be read, with --config FILE; nothing was changed.",
      cause: error,
    });
  }
}
