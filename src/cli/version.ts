/** `kubestick version`. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { isKubestickError } from "../errors.ts";
import { readElf } from "../package/elf.ts";
import { programArch, programVersion, runningExecutable } from "./executable.ts";
import type { Io } from "./io.ts";
import { printResult } from "./print-result.ts";

interface VersionDocument {
  readonly kubestickVersion: string;
  readonly platform: string;
  readonly nodeVersion: string;
  /** null: this file carries no package. */
  readonly package: { readonly kubernetesVersion: string; readonly arch: string; readonly cni: string } | null;
}

export async function versionCommand(flags: { readonly output?: string }, io: Io): Promise<void> {
  if (flags.output === "short") return io.stdout.write(`${programVersion}\n`);
  const carried = await carriedPackage();
  const document: VersionDocument = {
    kubestickVersion: programVersion,
    platform: `linux/${programArch}`,
    nodeVersion: process.version,
    package: "kubernetesVersion" in carried ? carried : null,
  };
  if (flags.output === "yaml") {
    const { stringify } = await import("yaml");
    return io.stdout.write(stringify(document));
  }
  const packageLine = "kubernetesVersion" in carried
    ? `package: Kubernetes ${carried.kubernetesVersion}, ${carried.arch.replaceAll(",", " and ")}, CNI ${carried.cni}`
    : `package: ${carried.why}`;
  printResult(io, flags.output, `kubestick ${document.kubestickVersion} (${document.platform}, Node.js ${document.nodeVersion})\n${packageLine}\n`, document);
}

/** A damaged package must not hide the program's version: that is asked for exactly when something is wrong. */
async function carriedPackage(): Promise<NonNullable<VersionDocument["package"]> | { readonly why: string }> {
  const executable = runningExecutable();
  if (executable === undefined) return { why: "none (running from the source tree)" };
  const absent = { why: "none (\"kubestick pack\" makes a file with one)" };
  if (await endsWithProgram(executable)) return absent;
  const glance = (await import("../package/peek.ts")).peekPackage(executable);
  if (glance !== undefined) return glance;
  const { openPackage } = await import("../package/reader.ts");
  try {
    const reader = await openPackage(executable, { incomplete: true });
    await reader.close();
    const { kubernetesVersion, platforms, cni } = reader.index;
    return { kubernetesVersion, arch: platforms.map(({ arch }) => arch).join(","), cni };
  } catch (error) {
    if (!isKubestickError(error)) throw error;
    return error.code === "PACKAGE_ABSENT" ? absent : { why: `unreadable, ${error.code}: ${error.happened}` };
  }
}

/** Nothing stands behind the program. Asked first because the package reader brings cryptography with it, a third of this command's time. */
async function endsWithProgram(path: string): Promise<boolean> {
  const file = openSync(path, "r");
  try {
    const elf = await readElf(async (offset, length) => {
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, readSync(file, bytes, 0, length, offset));
    });
    return elf !== undefined && fstatSync(file).size === elf.end;
  } finally {
    closeSync(file);
  }
}
