/** Joins a Node executable, the program and its embedded files into one file (Node's single executable applications, `node --build-sea`). */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface ExecutableParts {
  /** Folder for intermediate files; theirs alone. */
  readonly folder: string;
  /** Node of this machine, which generates. */
  readonly generator: string;
  /** Node that becomes the executable; same version. */
  readonly runtime: Buffer;
  readonly code: string;
  readonly assets: ReadonlyMap<string, string>;
  /** Compiled code for a faster start. V8 accepts only what was made on the same processor. */
  readonly codeCache: boolean;
  /** Options of Node the executable always runs with. */
  readonly execArgv: readonly string[];
}

/** Path of the finished executable inside `folder`. */
export function singleExecutable(parts: ExecutableParts): string {
  const { folder, generator, runtime, code, assets, codeCache, execArgv } = parts;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "kubestick.cjs"), code);
  writeFileSync(join(folder, "node"), runtime, { mode: 0o755 });
  writeFileSync(join(folder, "sea.json"), JSON.stringify({
    // The name is stored in the executable, so it must not be an absolute path.
    main: "kubestick.cjs",
    mainFormat: "commonjs",
    executable: "node",
    output: "kubestick",
    disableExperimentalSEAWarning: true,
    useSnapshot: false,
    useCodeCache: codeCache,
    assets: Object.fromEntries(assets),
    // NODE_OPTIONS of somebody else's Node must not change an installation.
    execArgvExtension: "none",
    execArgv,
  }, null, 2));
  // A fixed seed: the code cache would otherwise hold random string hashes and no two builds would be equal. It is not among the flags V8
  // compares before it accepts a cache (--hash-seed is).
  // Those it does compare it must find the same at run time, hence the executable's own options.
  const generated = spawnSync(generator, [...execArgv, "--random-seed=1", "--build-sea", "sea.json"], { cwd: folder, encoding: "utf8", env: { ...process.env, NODE_OPTIONS: "" } });
  if (generated.status !== 0) throw new Error(`node --build-sea failed: ${generated.error?.message ?? `${generated.stdout}${generated.stderr}`}`);
  return join(folder, "kubestick");
}

/** Runs what was just built. */
export function tryExecutable(path: string): void {
  const run = spawnSync(path, ["version"], { encoding: "utf8", timeout: 60_000 });
  if (run.status !== 0 || run.stderr !== "" || !run.stdout.startsWith("kubestick ")) {
    throw new Error(`what was built does not run as it should: ${run.error?.message ?? `exit ${run.status ?? run.signal}\n${run.stdout}${run.stderr}`}`);
  }
}
