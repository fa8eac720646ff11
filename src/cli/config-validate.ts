/** `kubestick config validate`: every finding in a configuration file, without touching a machine. */
import { checkFile } from "../config/file.ts";
import { oldApiVersion } from "../config/v1beta3.ts";
import { KubestickError } from "../errors.ts";
import { anyMachine } from "./any-machine.ts";
import { readConfigFile } from "./config-file.ts";
import type { Io } from "./io.ts";

export async function validateCommand(flags: { readonly config?: string; readonly "allow-deprecated-api"?: boolean }, io: Io): Promise<void> {
  if (flags.config === undefined || flags.config === "") {
    throw new KubestickError({
      code: "CLI_FLAG_NEEDS_VALUE", attempted: "reading the arguments of \"kubestick config validate\"", happened: "--config is missing.", next: "Name the file to check: kubestick config validate --config FILE",
    });
  }
  const { warnings } = checkFile(await readConfigFile(flags.config), anyMachine);
  warn(io, flags["allow-deprecated-api"] === true ? warnings.filter((warning) => !warning.includes(oldApiVersion)) : warnings);
  io.stdout.write("ok\n");
}

export function warn(io: Io, warnings: readonly string[]): void {
  for (const warning of warnings) io.stderr.write(`warning: ${warning}\n`);
}
