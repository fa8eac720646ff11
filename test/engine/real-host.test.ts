/** The laws on a real file system: a process that is really killed, a directory tree that is really there. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Runs the flow below `root`; before its change number `killAt` the process kills itself. */
const program = (root: string, command: "run" | "reset", killAt: number): string => `
  import { nodeHost } from ${JSON.stringify(new URL("../../src/host/node-host.ts", import.meta.url).href)};
  import { runFlow } from ${JSON.stringify(new URL("../../src/engine/run.ts", import.meta.url).href)};
  import { runReset } from ${JSON.stringify(new URL("../../src/engine/undo.ts", import.meta.url).href)};
  import { bench, fileAction } from ${JSON.stringify(new URL("./one-phase.ts", import.meta.url).href)};
  const root = ${JSON.stringify(root)};
  const real = nodeHost();
  let left = ${killAt};
  const counted = (name) => async (...args) => {
    if (left-- === 0) { process.kill(process.pid, "SIGKILL"); await new Promise(() => setInterval(() => {}, 1000)); }
    return await real[name](...args);
  };
  const host = { ...real, facts: async () => ({ uid: 0, criSockets: [] }) };
  for (const name of ["writeFile", "append", "chmod", "makeDirectory", "symlink", "remove"]) host[name] = counted(name);
  const actions = [
    { kind: "directory", id: "directory/data", path: root + "/var/data", mode: 0o700 },
    fileAction(root + "/etc/found.conf", "ours\\n", { mode: 0o600 }),
    fileAction(root + "/etc/deep/new.conf", "new\\n"),
    fileAction(root + "/etc/link", "no link any more\\n"),
    { kind: "remove", id: "remove/old", path: root + "/etc/old.d", recursive: true },
    fileAction(root + "/etc/key", "secret\\n", { mode: 0o400, secret: true }),
  ];
  const phase = { id: "only", title: "Only", needs: [], plan: async () => ({ actions, output: {} }) };
  const context = bench().context({ host, stateDirectory: root + "/var/state" });
  const events = ${JSON.stringify(command)} === "run" ? runFlow({ name: "real", phases: [phase] }, context) : runReset(context);
  const told = [];
  for await (const event of events) {
    if (event.type === "action") told.push(event.status);
    if (event.type === "run-finished") console.log(JSON.stringify({ ok: event.ok, error: event.error, told, left }));
  }`;

interface Told { readonly ok: boolean; readonly error?: unknown; readonly told: readonly string[]; readonly left: number }

async function runOn(root: string, command: "run" | "reset", killAt = 1_000_000): Promise<Told | "killed"> {
  const child = run(process.execPath, ["--input-type=module", "--eval", program(root, command, killAt)]);
  try {
    return JSON.parse((await child).stdout) as Told;
  } catch (error) {
    if ((error as { signal?: string }).signal === "SIGKILL") return "killed";
    throw error;
  }
}

async function machine(t: TestContext): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "kubestick-real-"));
  t.after(() => rm(root, { recursive: true, force: true }));
  await mkdir(join(root, "etc/old.d/sub"), { recursive: true });
  await mkdir(join(root, "var"));
  await writeFile(join(root, "etc/found.conf"), "found\n", { mode: 0o640 });
  await writeFile(join(root, "etc/old.d/sub/a"), "a\n", { mode: 0o600 });
  await symlink("found.conf", join(root, "etc/link"));
  return root;
}

async function tree(root: string, at = ""): Promise<string[]> {
  const lines: string[] = [];
  for (const name of (await readdir(join(root, at))).sort()) {
    const path = join(at, name);
    if (path === "var/state") continue;
    const found = await lstat(join(root, path));
    const content = found.isSymbolicLink() ? await readlink(join(root, path)) : found.isFile() ? await readFile(join(root, path), "utf8") : "";
    lines.push(`${path} ${found.mode.toString(8)} ${JSON.stringify(content)}`);
    if (found.isDirectory()) lines.push(...(await tree(root, path)));
  }
  return lines;
}

test("a run on a real file system: repeated unchanged, killed anywhere and repeated, and undone", async (t) => {
  const reference = await machine(t);
  const start = await tree(reference);
  const first = await runOn(reference, "run");
  assert.ok(first !== "killed" && first.ok, JSON.stringify(first));
  const changes = 1_000_000 - first.left;
  const wanted = await tree(reference);
  const second = await runOn(reference, "run");
  assert.ok(second !== "killed" && second.told.every((status) => status === "unchanged") && second.left === 1_000_000);

  for (let point = 0; point < changes; point += 3) {
    const root = await machine(t);
    assert.equal(await runOn(root, "run", point), "killed");
    if (point % 2 === 0) {
      const again = await runOn(root, "run");
      assert.ok(again !== "killed" && again.ok, JSON.stringify(again));
      assert.deepEqual(await tree(root), wanted, `killed at change ${point}, run again`);
    }
    const reset = await runOn(root, "reset");
    assert.ok(reset !== "killed" && reset.ok, JSON.stringify(reset));
    assert.deepEqual(await tree(root), start, `killed at change ${point}, reset`);
    assert.ok(!(await readdir(join(root, "var"))).includes("state"));
  }
});
