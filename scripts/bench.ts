/**
 * `npm run bench`: how long the executable takes to start, beside the bare Node executable inside it. Numbers only; they judge nothing.
 *
 *   node scripts/bench.ts [--runs 25] [--executable dist/kubestick-linux-amd64]
 *   node scripts/bench.ts --hosts [--runs 5] [--json]                from a bare host to Ready, beside the stock way: see bench/hosts.ts
 *   node scripts/bench.ts --side-load PACKAGE [--runs 5] [--json]     see bench/side-load.ts
 *
 * Runs alternate, so that a busy machine slows both; the smallest time is what the program costs, the median what a person meets.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { nativeArch, nativeNode } from "./build/node-runtime.ts";

const root = resolve(import.meta.dirname, "..");
const { values } = parseArgs({
  options: { runs: { type: "string" }, "side-load": { type: "string" }, hosts: { type: "boolean", default: false }, json: { type: "boolean", default: false }, executable: { type: "string", default: join(root, `dist/kubestick-linux-${nativeArch()}`) } },
});

function timed(argv: readonly [string, ...string[]]): number {
  const started = performance.now();
  const run = spawnSync(argv[0], argv.slice(1), { stdio: "ignore" });
  const ms = performance.now() - started;
  if (run.status !== 0) throw new Error(`${argv.join(" ")} ended with ${run.status ?? run.signal}`);
  return ms;
}

function median(sorted: readonly number[]): number {
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const runs = Number(values.runs ?? (values["side-load"] === undefined && !values.hosts ? 25 : 5));
if (values.hosts) {
  const { benchHosts } = await import("./bench/hosts.ts");
  await benchHosts({ rounds: runs, json: values.json });
} else if (values["side-load"] !== undefined) {
  const { benchSideLoad } = await import("./bench/side-load.ts");
  await benchSideLoad({ package: values["side-load"], rounds: runs, json: values.json });
} else if (!existsSync(values.executable)) {
  console.error(`error: ${values.executable} does not exist. Build it first: npm run build -- --arch ${nativeArch()}`);
  process.exitCode = 1;
} else {
  const subjects: readonly (readonly [string, ...string[]])[] = [
    [nativeNode(root), "-e", "0"],
    [values.executable, "version"],
    [values.executable, "--help"],
    [values.executable, "config", "images", "list"],
  ];
  const times = subjects.map((): number[] => []);
  for (const argv of subjects) timed(argv as [string, ...string[]]);
  for (let run = 0; run < runs; run++) subjects.forEach((argv, i) => times[i]?.push(timed(argv as [string, ...string[]])));
  const sorted = times.map((list) => list.toSorted((a, b) => a - b));
  const base = sorted[0] ?? [];
  console.log(`${runs} runs each, alternating`.padEnd(34), "min ms", "median ms", "min ratio", "median ratio");
  subjects.forEach((argv, i) => {
    const list = sorted[i] ?? [];
    const name = i === 0 ? "node -e 0" : `kubestick ${argv.slice(1).join(" ")}`;
    console.log(
      name.padEnd(34), (list[0] ?? Number.NaN).toFixed(1).padStart(6), median(list).toFixed(1).padStart(9),
      ((list[0] ?? Number.NaN) / (base[0] ?? Number.NaN)).toFixed(2).padStart(9), (median(list) / median(base)).toFixed(2).padStart(12),
    );
  });
}
