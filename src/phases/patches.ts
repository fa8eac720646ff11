/** The folder of patches, read through the machine's port: phases that write something patchable read it when they are planned. */
import { parseAllDocuments } from "yaml";
import type { ResolvedConfig } from "../config/types.ts";
import { isKubestickError, KubestickError } from "../errors.ts";
import type { Finding } from "../engine/types.ts";
import type { HostReader } from "../host/types.ts";
import type { Json } from "../manifests/json-patch.ts";
import { noPatches, readPatches, unusable, type PatchFile, type Patches } from "../manifests/patches.ts";

export async function configuredPatches({ init }: ResolvedConfig, read: HostReader): Promise<Patches> {
  const directory = init.patchesDirectory;
  if (directory === undefined) return noPatches;
  const names = await listed(directory, read);
  if (names === undefined) {
    throw new KubestickError({
      code: "PATCHES_DIRECTORY",
      attempted: "reading the patches",
      happened: `${directory} is not a directory on this machine.`,
      next: "Name the folder with --patches or patches.directory, or leave it out; then run the same command again.",
    });
  }
  return readPatches(await filesBelow(directory, names, read));
}

/** For preflight: a folder that is missing and files that cannot be read are told before anything is changed. */
export async function patchFindings(config: ResolvedConfig, read: HostReader): Promise<readonly Finding[]> {
  try {
    await configuredPatches(config, read);
    return [];
  } catch (error) {
    if (!isKubestickError(error)) throw error;
    return [{ check: "Patches", severity: "error", message: `${error.attempted}: ${error.happened}`, hint: error.next }];
  }
}

/** What the folder holds besides patches, told once: most often a mistyped name. */
export function ignoredPatchFindings({ ignored }: Patches): readonly Finding[] {
  return ignored.map(({ path, reason }): Finding => ({ check: "Patches", severity: "warning", message: `${path} is not used as a patch: ${reason}` }));
}

async function listed(path: string, read: HostReader): Promise<readonly string[] | undefined> {
  // A directory may be given as a link to one; a file has no entries.
  const stat = await read.stat(path);
  return stat === undefined || stat.type === "file" ? undefined : await read.list(path);
}

/** In lexical order with sub-directories where their names stand, as Go's filepath.Walk goes. */
async function filesBelow(directory: string, names: readonly string[], read: HostReader): Promise<readonly PatchFile[]> {
  const files: PatchFile[] = [];
  for (const name of [...names].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)))) {
    const path = `${directory.replace(/\/+$/, "")}/${name}`;
    if ((await read.stat(path))?.type === "directory") {
      files.push(...(await filesBelow(path, (await read.list(path)) ?? [], read)));
      continue;
    }
    const text = await read.readText(path);
    if (text !== undefined) files.push(patchFile(path, text));
  }
  return files;
}

/** JSON is YAML, so a json patch may be written either way. */
export function patchFile(path: string, text: string): PatchFile {
  return {
    path,
    documents: () => [...parseAllDocuments(text, { version: "1.1" })].flatMap((document) => {
      const [problem] = document.errors;
      if (problem !== undefined) throw unusable(path, `it is no valid YAML: ${problem.message.split("\n")[0]}`);
      const body = document.toJS() as Json;
      return body === null || body === undefined ? [] : [body];
    }),
  };
}
