/** `kubestick config migrate`: an old file as v1beta4, with every default spelled out. */
import { randomUUID } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { checkFile } from "../config/file.ts";
import { KubestickError, messageOf } from "../errors.ts";
import type { HostFacts } from "../host/types.ts";
import { generateToken } from "../pki/token.ts";
import { migratedText } from "./config-documents.ts";
import { readConfigFile } from "./config-file.ts";
import { warn } from "./config-validate.ts";
import type { Io } from "./io.ts";
import { machinePorts } from "./machine.ts";

interface MigrateFlags {
  readonly "old-config"?: string;
  readonly "new-config"?: string;
}

/** `facts`: of the machine whose name, address and runtime fill what the file leaves open; the real one when left out. */
export async function migrateCommand(flags: MigrateFlags, io: Io, facts?: HostFacts): Promise<void> {
  const old = flags["old-config"];
  if (old === undefined || old === "") {
    throw new KubestickError({
      code: "CLI_FLAG_NEEDS_VALUE", attempted: "reading the arguments of \"kubestick config migrate\"", happened: "--old-config is missing.",
      next: "Name the file to read: kubestick config migrate --old-config FILE --new-config NEWFILE",
    });
  }
  const file = checkFile(await readConfigFile(old), facts ?? await machinePorts("kubestick config migrate").host.facts());
  warn(io, file.warnings);
  const left = file.loaded.documents.filter(({ kind }) => ["KubeletConfiguration", "KubeProxyConfiguration"].includes(kind)).map(({ kind }) => kind);
  if (left.length > 0) warn(io, [`${left.join(" and ")} stay as they are and are not in the result, as with kubeadm; append them from ${old}`]);
  const text = migratedText(file, generateToken);
  if (flags["new-config"] === undefined) {
    io.stdout.write(text);
    return;
  }
  await writeWhole(flags["new-config"], text);
}

/** All of it or nothing, readable by its owner alone: a bootstrap token stands in it. */
async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = join(dirname(path), `.${randomUUID()}.tmp`);
  try {
    const handle = await open(temporary, "wx", 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new KubestickError({
      code: "CONFIG_UNWRITABLE", attempted: `writing the configuration ${path}`, happened: `It cannot be written: ${messageOf(error)}.`,
      next: "Name another file with --new-config FILE, or leave the flag out to see the result.", cause: error,
    });
  }
}
