/**
 * `npm test`: types first, then unit, integration and end-to-end tests, in one report that ends with the test runner's own summary.
 *
 *   npm test                          everything
 *   npm test -- unit                  one group (unit, integration, e2e)
 *   npm test -- test/cli              a folder or a file
 *
 * Unit tests run two files at a time; the others, which own the machine (network namespaces, containerd, test hosts), one by one.
 */
import { spawn } from "node:child_process";
import { globSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { run } from "node:test";
import { spec } from "node:test/reporters";

type Group = "unit" | "integration" | "e2e";
interface TestEvent {
  readonly type: string;
  readonly data: Record<string, unknown>;
}

const root = resolve(import.meta.dirname, "..");
const groups: readonly Group[] = ["unit", "integration", "e2e"];
const atOnce: Readonly<Record<Group, number>> = { unit: 2, integration: 1, e2e: 1 };

function groupOf(file: string): Group {
  return file.startsWith("test/e2e/") ? "e2e" : file.startsWith("test/integration/") ? "integration" : "unit";
}

/** Throws for a word that selects nothing: a mistyped path must not look like success. */
function selectFiles(wanted: readonly string[]): readonly string[] {
  const all = globSync("test/**/*.test.ts", { cwd: root }).toSorted();
  if (wanted.length === 0) return all;
  const selected = wanted.map((word) => {
    const path = relative(root, resolve(word));
    const files = groups.includes(word as Group) ? all.filter((file) => groupOf(file) === word) : all.filter((file) => file === path || file.startsWith(`${path}/`));
    if (files.length === 0 && !groups.includes(word as Group)) throw new Error(`no test file matches ${JSON.stringify(word)}; use unit, integration, e2e, a folder or a file`);
    return files;
  });
  return all.filter((file) => selected.some((files) => files.includes(file)));
}

/** tsc as a test of its own, so that the summary counts it. */
async function* checkTypes(): AsyncGenerator<TestEvent> {
  const name = "types: tsc --noEmit";
  const started = performance.now();
  const compiler = spawn(join(root, "node_modules/.bin/tsc"), ["--noEmit", "--pretty", "false"], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  const output = Promise.all([compiler.stdout.toArray(), compiler.stderr.toArray()]);
  const code = await new Promise<number | string>((done) => {
    compiler.on("error", (error) => done(error.message));
    compiler.on("close", (status) => done(status ?? "killed"));
  });
  const base = { name, nesting: 0, testNumber: 1, file: join(root, "tsconfig.json"), line: 1, column: 1 };
  const details = { duration_ms: performance.now() - started };
  if (code === 0) {
    yield { type: "test:pass", data: { ...base, details } };
  } else {
    const text = Buffer.concat((await output).flat() as Buffer[]).toString("utf8").trim();
    yield { type: "test:fail", data: { ...base, details: { ...details, error: new Error(`tsc ended with ${code}\n${text}`) } } };
  }
}

/** Joins the streams of several runs: their own summaries are added up and told once, at the end. */
async function* report(files: readonly string[], totals: Map<string, number>): AsyncGenerator<TestEvent> {
  const add = (key: string, count: number): void => { totals.set(key, (totals.get(key) ?? 0) + count); };
  const started = performance.now();
  for (const key of ["tests", "suites", "pass", "fail", "cancelled", "skipped", "todo"]) add(key, 0);
  for await (const event of checkTypes()) {
    add("tests", 1);
    add(event.type === "test:pass" ? "pass" : "fail", 1);
    yield event;
  }
  for (const group of groups) {
    const mine = files.filter((file) => groupOf(file) === group).map((file) => join(root, file));
    if (mine.length === 0) continue;
    for await (const event of run({ files: mine, concurrency: atOnce[group], cwd: root }) as AsyncIterable<TestEvent>) {
      if (event.type === "test:summary") continue;
      const [, key, count] = event.type === "test:diagnostic" && event.data["nesting"] === 0 ? (/^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/.exec(String(event.data["message"])) ?? []) : [];
      if (key === undefined) yield event;
      else if (key !== "duration_ms") add(key, Number(count));
    }
  }
  totals.set("duration_ms", performance.now() - started);
  for (const [key, count] of totals) yield { type: "test:diagnostic", data: { nesting: 0, message: `${key} ${count}`, level: "info" } };
}

try {
  const files = selectFiles(process.argv.slice(2));
  const totals = new Map<string, number>();
  await pipeline(Readable.from(report(files, totals)), new spec(), process.stdout, { end: false });
  if ((totals.get("fail") ?? 0) + (totals.get("cancelled") ?? 0) > 0) process.exitCode = 1;
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
