/** The built executable, its package divided over two folders: what a person does with two sticks. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, copyFile, mkdir, readFile, readdir, rename, stat } from "node:fs/promises";
import { after, before, test } from "node:test";
import { digestOf } from "../../src/package/digest.ts";
import { writePackage } from "../../src/package/writer.ts";
import { executablePath } from "../support/e2e-stick.ts";
import { flip, identityEntry, noise, scratch, smallContent } from "../package/fixtures.ts";

let dir: Awaited<ReturnType<typeof scratch>>;

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** As an ordinary user where the tests run as root. */
function run(program: string, ...argv: readonly string[]): Result {
  const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  const { status, stdout, stderr } = spawnSync(program, argv, { encoding: "utf8", cwd: "/", env: { PATH: "/usr/bin:/bin" }, maxBuffer: 16 << 20, ...user });
  return { code: status, stdout, stderr };
}

function ok(program: string, ...argv: readonly string[]): Result {
  const result = run(program, ...argv);
  assert.equal(result.code, 0, `${argv.join(" ")}\n${result.stdout}${result.stderr}`);
  return result;
}

async function packed(name: string, seed: number): Promise<string> {
  const { content, entries } = smallContent();
  const bytes = noise(3_000_000, seed);
  const document = { kind: "test", name: "layer", mediaType: "application/octet-stream", digest: digestOf(bytes), size: bytes.length };
  await writePackage({ executable: await executablePath(), output: dir.at(name), content: { ...content, documents: [document] }, entries: [...entries, identityEntry("a layer", bytes)] });
  return dir.at(name);
}

before(async () => {
  dir = await scratch();
  await chmod(dir.path, 0o777);
});
after(() => dir[Symbol.asyncDispose]());

test("a package in two folders runs, tells and verifies as the whole does, and names the part that is not there", async () => {
  const whole = await packed("kubestick", 21);
  for (const name of ["stick1", "stick2"]) {
    await mkdir(dir.at(name));
    await chmod(dir.at(name), 0o777);
  }
  const size = String((await stat(await executablePath())).size + 1_500_000);
  const { files } = JSON.parse(ok(whole, "package", "split", "--size", size, "-o", dir.at("stick1"), "--output", "json").stdout).result.parts as { files: readonly { path: string }[] };
  assert.equal(files.length, 2);
  const [first = "", second = ""] = files.map(({ path }) => path);
  // Every part where it was written.
  ok(first, "package", "verify");
  await rename(second, second.replace("stick1", "stick2"));

  assert.match(ok(first, "version").stdout, /^package: Kubernetes v1\.36\.2, amd64, CNI bridge$/m);
  assert.match(ok(first, "inspect").stdout, /^ {2}2 of 2 {2}not found/m);
  assert.match(ok(first, "inspect", "--part", dir.at("stick2")).stdout, /^ {2}2 of 2 .*stick2\/kubestick\.part2of2 /m);
  for (const command of [["package", "verify"], ["init", "--dry-run"], ["package", "join", "-o", dir.at("joined")]]) {
    const missing = run(first, ...command);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /^error: PACKAGE_PART_MISSING while reading the package in .*\n {2}Part 2 of 2 is missing: expected was part 2 of 2 of package sha256:[0-9a-f]{12} \(v1\.36\.2 amd64 bridge\)/m);
  }
  assert.match(ok(first, "package", "verify", "--part", dir.at("stick2")).stdout, /every byte as packed/);
  // Its content is none to install from; but that is said by the checks, which have read the whole index.
  assert.doesNotMatch(run(first, "init", "--dry-run", "--part", dir.at("stick2"), "--node-name", "cp1", "--apiserver-advertise-address", "192.0.2.10").stderr, /PACKAGE_/);

  const sum = createHash("sha256").update(await readFile(whole)).digest("hex");
  assert.equal(ok(first, "package", "join", "--part", dir.at("stick2"), "-o", dir.at("joined")).stdout, `${sum}  ${dir.at("joined")}\n`);
  assert.equal((await stat(dir.at("joined"))).mode & 0o777, 0o755);

  const lost = second.replace("stick1", "stick2");
  await flip(lost, 500_000);
  const damaged = run(first, "package", "verify", "--part", dir.at("stick2"));
  assert.match(damaged.stderr, /a layer is damaged: bytes \d+ to \d+ of .*stick2\/kubestick\.part2of2 are not as packed/);
  await chmod(lost, 0o666);
  assert.match(ok(whole, "package", "repair", lost).stdout, /^a layer: bytes \d+ to \d+ of .*part2of2 repaired$/m);
  ok(first, "package", "verify", "--part", dir.at("stick2"));
});

test("a delta makes the new executable where the old one is, without root, or names the base it needs", async () => {
  const [old, next] = [await packed("old", 31), await packed("new", 32)];
  const made = JSON.parse(ok(old, "package", "diff", old, next, "-o", dir.at("update.delta"), "--output", "json").stdout).result.delta as { size: number };
  assert.ok(made.size > 3_000_000 && made.size < 3_100_000, String(made.size));
  // The running executable is the base.
  ok(old, "package", "apply", dir.at("update.delta"), "-o", dir.at("result"));
  assert.ok((await readFile(dir.at("result"))).equals(await readFile(next)));
  assert.match(ok(dir.at("result"), "version").stdout, /^package: Kubernetes v1\.36\.2/m);
  await copyFile(await executablePath(), dir.at("bare"));
  const before = await readdir(dir.path);
  for (const program of [dir.at("kubestick"), dir.at("bare"), next]) {
    const refused = run(program, "package", "apply", dir.at("update.delta"), "-o", dir.at("none"));
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^error: PACKAGE_DELTA_BASE /m);
  }
  assert.deepEqual(await readdir(dir.path), before);
  // A file size limit is what a full disk and FAT32 look like from here.
  const full = spawnSync("bash", ["-c", `ulimit -f 50000; exec ${old} package apply ${dir.at("update.delta")} -o ${dir.at("none")}`], { encoding: "utf8" });
  assert.equal(full.status, 1);
  assert.match(full.stderr, /^error: PACK_WRITE [^]*EFBIG/m);
  assert.deepEqual(await readdir(dir.path), before);
});
