/** src/main.ts and everything it imports as one CommonJS text, and the folders whose files are embedded next to it. */
import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { build } from "esbuild";

export interface Bundle {
  readonly code: string;
  /** Files that went in, by path below the repository. */
  readonly inputs: readonly string[];
}

export async function bundleProgram(root: string): Promise<Bundle> {
  const result = await build({
    absWorkingDir: root,
    entryPoints: ["src/main.ts"],
    bundle: true,
    write: false,
    metafile: true,
    platform: "node",
    // A single executable with a code cache cannot resolve `import()`; `require` of built-in modules it can.
    format: "cjs",
    supported: { "dynamic-import": false },
    target: "node26",
    // Names and line breaks stay: a stack trace from the field has to tell where.
    minify: false,
    legalComments: "none",
    // A script with only ASCII takes half the memory and is read faster.
    charset: "ascii",
    define: { "import.meta.dirname": "undefined" },
    alias: { "cbor-extract": join(root, "scripts/build/empty-module.cjs") },
    logLevel: "warning",
  });
  const [output] = result.outputFiles;
  if (output === undefined) throw new Error("esbuild wrote nothing.");
  return { code: output.text, inputs: Object.keys(result.metafile.inputs).toSorted() };
}

/** Asset name to absolute path. Names are the paths below the repository, as in the source tree. */
export function embeddedFiles(root: string): ReadonlyMap<string, string> {
  const files = ["bundle", "offline-images"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(root, join(entry.parentPath, entry.name))),
  );
  // Image archives may lie beside the lists; those are the payload's business. Licence texts are in what the program says of itself.
  const wanted = files.filter((path) => (path.startsWith("bundle/") && !path.startsWith("bundle/licenses/")) || /^offline-images\/[^/]+\/(?:images|binaries)\.yaml$/.test(path));
  return new Map(wanted.toSorted().map((path) => [path, join(root, path)]));
}
