/**
 * `npm run build`: dist/kubestick-linux-amd64 and dist/kubestick-linux-arm64, without a package. Equal sources give equal files.
 *
 *   node scripts/build.ts [--arch amd64] [--out FOLDER]
 */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bundleProgram, embeddedFiles } from "./build/bundle.ts";
import { stripElf } from "./build/elf-strip.ts";
import { englishIcu } from "./build/english-icu.ts";
import { arches, nativeArch, nativeNode, nodeRuntime, type Arch } from "./build/node-runtime.ts";
import { embeddedDescription } from "../src/package/program.ts";
import { programDescription } from "./build/program-description.ts";
import { movedProgramHeaders } from "./build/program-headers.ts";
import { singleExecutable, tryExecutable } from "./build/single-executable.ts";
import { withoutLibatomic } from "./build/without-libatomic.ts";

const root = resolve(import.meta.dirname, "..");
/**
 * Warnings of Node are for developers; they run the source tree. The other is V8's: a young generation of a megabyte instead of sixteen. A package
 * passes through here as buffers that live for a moment; collected that often, they never pile up, and a node with 2 GB of
 * memory does not notice the import. (--optimize-for-size here would slow the start; it is set when a package is about to be read, in cli/carried-package.ts.)
 */
const execArgv = ["--no-warnings", "--max-semi-space-size=1"];

async function buildOne(arch: Arch, code: string, inputs: readonly string[], out: string): Promise<void> {
  const started = performance.now();
  const folder = mkdtempSync(join(out, ".build-"));
  try {
    const native = arch === nativeArch();
    const description = join(folder, "program-description");
    writeFileSync(description, embeddedDescription(programDescription(root, arch, inputs)));
    const built = singleExecutable({
      folder,
      generator: nativeNode(root),
      runtime: stripElf(withoutLibatomic(await nodeRuntime(root, arch))),
      code,
      assets: new Map([...embeddedFiles(root), ["program-description", description]]),
      codeCache: native,
      execArgv,
    });
    writeFileSync(built, movedProgramHeaders(englishIcu(readFileSync(built))));
    if (native) tryExecutable(built);
    const target = join(out, `kubestick-linux-${arch}`);
    renameSync(built, target);
    const bytes = readFileSync(target);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`${relative(process.cwd(), target)}  ${(bytes.length / 1048576).toFixed(1)} MiB  sha256 ${createHash("sha256").update(bytes).digest("hex")}  (${seconds}s${native ? "" : ", no code cache"})`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function wantedArches(given: readonly string[] | undefined): readonly Arch[] {
  if (given === undefined) return arches;
  return given.map((name) => {
    const arch = arches.find((known) => known === name);
    if (arch === undefined) throw new Error(`--arch must be ${arches.join(" or ")}, not ${JSON.stringify(name)}.`);
    return arch;
  });
}

try {
  const { values } = parseArgs({ options: { arch: { type: "string", multiple: true }, out: { type: "string", default: join(root, "dist") } } });
  const out = resolve(values.out);
  mkdirSync(out, { recursive: true });
  const { code, inputs } = await bundleProgram(root);
  console.log(`bundled ${inputs.length} files, ${(code.length / 1024).toFixed(0)} KiB`);
  const failures: string[] = [];
  for (const arch of wantedArches(values.arch)) {
    await buildOne(arch, code, inputs, out).catch((error: unknown) => failures.push(`${arch}: ${error instanceof Error ? error.message : String(error)}`));
  }
  for (const failure of failures) console.error(`error: not built for ${failure}`);
  if (failures.length > 0) process.exitCode = 1;
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
